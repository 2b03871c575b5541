//! The error function's inverse and the normal distribution.

use super::math64::{horner, log, log1p};
use super::math64_more::{erfc, erfcx, upper_tail};

const FRAC_1_SQRT_2: f64 = std::f64::consts::FRAC_1_SQRT_2;

#[inline(always)]
pub(super) fn inverse_edges<T>(outside: bool, at_edge: bool, infinite: T, nan: T, y: T) -> T {
    let edge = if at_edge { infinite } else { nan };
    if outside { edge } else { y }
}

/// Chebyshev fits in `-ln(1 - x²)` of the quotient of erfinv(x) and x, or in its root further out.
#[inline(always)]
pub fn erfinv64(x: f64) -> f64 {
    let w = -log((1.0 - x) * (1.0 + x));
    let near = horner(
        w - 3.125,
        [
            -3.5932028927020693e-22,
            3.194015548136271e-21,
            1.999259988861535e-20,
            -3.4734793888538036e-19,
            6.075050702072414e-19,
            1.5510787009902526e-17,
            -1.2215637192404172e-16,
            -3.94018812230432e-17,
            6.521333511502239e-15,
            -4.0020031087558496e-14,
            -8.07192593899004e-14,
            2.6305268312595183e-12,
            -1.2978805369932565e-11,
            -5.414303283919504e-11,
            1.051223377050429e-09,
            -4.1126604371632185e-09,
            -2.907039127564132e-08,
            4.23478816822246e-07,
            -1.3654691758785656e-06,
            -1.3882523393957483e-05,
            0.00018673420801981186,
            -0.0007407025341546431,
            -0.006033670871426851,
            0.24015818242558834,
            1.6536545626831027,
        ],
    );
    let root = w.sqrt();
    let middle = horner(
        root - 3.25,
        [
            -1.5102695423335065e-08,
            6.969241977629694e-10,
            1.3104351499972014e-07,
            -2.713451105439456e-07,
            -2.7004219280868947e-08,
            1.4987130784186127e-06,
            -3.986084395214756e-06,
            2.9257291901789823e-06,
            1.2465167157087251e-05,
            -4.731898412011245e-05,
            6.828708654753377e-05,
            2.4031257015092525e-05,
            -0.00035503780975963814,
            0.0009532893637435638,
            -0.0016882755357337071,
            0.0024914420969817607,
            -0.003751208508215561,
            0.00537091455357168,
            1.0052589676941652,
            3.0838856104922208,
        ],
    );
    let far = horner(
        root - 5.0,
        [
            2.752083669120488e-11,
            -2.2467591693364936e-11,
            -3.7171553416167447e-10,
            1.4895546197648135e-09,
            -3.5875995609819957e-09,
            7.644335983557396e-09,
            -1.5146221782627176e-08,
            2.9124399186491765e-08,
            -6.761414811460412e-08,
            2.2901554497563463e-07,
            -9.930119183482954e-07,
            4.5260599477720725e-06,
            -1.968177348376382e-05,
            7.599527735160192e-05,
            -0.00021503011962944126,
            -0.00013871931835112341,
            1.0103004648645413,
            4.849906401408584,
        ],
    );
    let p = if root < 4.0 { middle } else { far };
    let y = x * if w < 6.25 { near } else { p };
    inverse_edges(
        x.abs() >= 1.0,
        x.abs() == 1.0,
        f64::INFINITY.copysign(x),
        f64::NAN,
        y,
    )
}

/// The share of the normal distribution beyond `t >= 0`: half of `erfc(t / sqrt 2)`.
#[inline(always)]
fn normal_tail(t: f64) -> f64 {
    // A quarter of the root of 1/2 in two parts.
    const HIGH: f64 = 0.25 * FRAC_1_SQRT_2;
    const LOW: f64 = 0.25 * -4.833_646_656_726_457e-17;
    let t = if t > 39.0 { 39.0 } else { t };
    let sum = t.mul_add(HIGH, 1.0);
    let sum_lost = t.mul_add(LOW, t.mul_add(HIGH, 1.0 - sum));
    let half = 0.5 * t * t;
    let lost = (0.5 * t).mul_add(t, -half);
    upper_tail((sum, sum_lost), (half, lost), -1.0)
}

#[inline(always)]
pub fn ndtr64(x: f64) -> f64 {
    let tail = normal_tail(x.abs());
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// GELU: `x ndtr(x)`
#[inline(always)]
pub fn gelu64(x: f64) -> f64 {
    let tail = normal_tail(x.abs());
    let y = if x < 0.0 {
        x * tail
    } else {
        (-x).mul_add(tail, x)
    };
    if x > 39.0 { x } else { y }
}

/// ln(ndtr(x))
#[inline(always)]
pub fn log_ndtr(x: f64) -> f64 {
    let t = x * FRAC_1_SQRT_2;
    let below = log(0.5 * erfcx(-t)) - t * t;
    let above = log1p(-0.5 * erfc(t));
    if x < -1.0 { below } else { above }
}

/// -x ln(x), 0 at 0.
#[inline(always)]
pub fn entr(x: f64) -> f64 {
    let inside = if x == 0.0 { 0.0 } else { -x * log(x) };
    if x < 0.0 { f64::NEG_INFINITY } else { inside }
}

/// The inverse of [`ndtr64`], by Cephes' approximations.
#[inline(always)]
pub fn ndtri(p: f64) -> f64 {
    const EXP_MINUS_2: f64 = 0.135_335_283_236_612_7;
    const SQRT_2PI: f64 = 2.506_628_274_631_000_7;
    let upper = p > 1.0 - EXP_MINUS_2;
    let y = if upper { 1.0 - p } else { p };
    let c = y - 0.5;
    let z = c * c;
    let central = (c + c * (z * horner(z, NDTRI_P0) / horner(z, NDTRI_Q0))) * SQRT_2PI;
    let x = (-2.0 * log(y)).sqrt();
    let z = 1.0 / x;
    let near = horner(z, NDTRI_P1) / horner(z, NDTRI_Q1);
    let far = horner(z, NDTRI_P2) / horner(z, NDTRI_Q2);
    let tail = z * if x < 8.0 { near } else { far };
    let tail = x - log(x) / x - tail;
    let tail = if upper { tail } else { -tail };
    let y = if y > EXP_MINUS_2 { central } else { tail };
    let outside = !((p > 0.0) & (p < 1.0));
    inverse_edges(
        outside,
        (p == 0.0) | (p == 1.0),
        f64::INFINITY.copysign(p - 0.5),
        f64::NAN,
        y,
    )
}

const NDTRI_P0: [f64; 5] = [
    -59.96335010141079,
    98.00107541859997,
    -56.67628574690703,
    13.931260938727968,
    -1.2391658386738125,
];
const NDTRI_Q0: [f64; 9] = [
    1.0,
    1.9544885833814176,
    4.676279128988815,
    86.36024213908905,
    -225.46268785411937,
    200.26021238006066,
    -82.03722561683334,
    15.90562251262117,
    -1.1833162112133,
];
const NDTRI_P1: [f64; 9] = [
    4.0554489230596245,
    31.525109459989388,
    57.16281922464213,
    44.08050738932008,
    14.684956192885803,
    2.1866330685079025,
    -0.1402560791713545,
    -0.03504246268278482,
    -0.0008574567851546854,
];
const NDTRI_Q1: [f64; 9] = [
    1.0,
    15.779988325646675,
    45.39076351288792,
    41.3172038254672,
    15.04253856929075,
    2.504649462083094,
    -0.14218292285478779,
    -0.03808064076915783,
    -0.0009332594808954574,
];
const NDTRI_P2: [f64; 9] = [
    3.2377489177694603,
    6.915228890689842,
    3.9388102529247444,
    1.3330346081580755,
    0.20148538954917908,
    0.012371663481782003,
    0.00030158155350823543,
    2.6580697468673755e-6,
    6.239745391849833e-9,
];
const NDTRI_Q2: [f64; 9] = [
    1.0,
    6.02427039364742,
    3.6798356385616087,
    1.3770209948908132,
    0.21623699359449663,
    0.013420400608854318,
    0.00032801446468212774,
    2.8924786474538068e-6,
    6.790194080099813e-9,
];
