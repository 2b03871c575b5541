//! The gamma function's relatives, by the algorithms of Cephes and SciPy that PyTorch uses.

use super::math64;
use super::special_gamma_tables::ASYMPTOTIC;
use std::f64::consts::{E, PI};

const EPSILON: f64 = 1.110_223_024_625_156_5e-16;
const MAX_ITERATIONS: usize = 2000;

pub fn lgamma(x: f64) -> f64 {
    if x.is_infinite() {
        return f64::INFINITY;
    }
    libm::lgamma(x)
}

/// The asymptotic series from 10 on; smaller arguments are shifted there, negative ones reflected.
#[inline(always)]
pub fn digamma(x: f64) -> f64 {
    const SHIFT: f64 = 10.0;
    let a = if x < 0.0 { 1.0 - x } else { x };
    // The sum of 1 / (a + i) as one quotient.
    let (mut num, mut den) = (0.0, 1.0);
    let mut i = 0.0;
    while i < SHIFT {
        let t: f64 = a + i;
        num = t.mul_add(num, den);
        den *= t;
        i += 1.0;
    }
    let near = a < SHIFT;
    let lost = if near { num / den } else { 0.0 };
    let z = if near { a + SHIFT } else { a };
    let w = 1.0 / (z * z);
    let series = w * math64::horner(
        w,
        [
            8.333_333_333_333_333e-2,
            -2.109_279_609_279_609_4e-2,
            7.575_757_575_757_576e-3,
            -4.166_666_666_666_667e-3,
            3.968_253_968_253_968e-3,
            -8.333_333_333_333_333e-3,
            8.333_333_333_333_333e-2,
        ],
    );
    let y = math64::log(z) - 0.5 / z - series - lost;
    let reflected = y - PI / math64::tan(PI * (x - x.trunc()));
    let y = if x < 0.0 { reflected } else { y };
    let pole = (x < 0.0) & (x == x.trunc());
    let y = if pole { f64::NAN } else { y };
    if x == 0.0 {
        f64::INFINITY.copysign(-x)
    } else {
        y
    }
}

pub fn trigamma(x: f64) -> f64 {
    let (mut x, mut sign, mut result) = (x, 1.0, 0.0);
    if x < 0.5 {
        sign = -1.0;
        let s = (PI * x).sin();
        result -= PI * PI / (s * s);
        x = 1.0 - x;
    }
    for _ in 0..6 {
        result += 1.0 / (x * x);
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let series = 1.0 + 1.0 / (2.0 * x) + z * (1.0 / 6.0 - z * (1.0 / 30.0 - z / 42.0));
    sign * (result + series / x)
}

/// The Hurwitz zeta function.
pub fn zeta(x: f64, q: f64) -> f64 {
    const A: [f64; 12] = [
        12.0,
        -720.0,
        30240.0,
        -1_209_600.0,
        47_900_160.0,
        -1.892_437_580_318_379e9,
        7.472_424_96e10,
        -2.950_130_727_918_164e12,
        1.164_678_281_435_006_7e14,
        -4.597_978_722_407_472_6e15,
        1.815_210_540_194_354_7e17,
        -7.166_165_256_175_667e18,
    ];
    if x == 1.0 {
        return f64::INFINITY;
    }
    if x < 1.0 {
        return f64::NAN;
    }
    if q <= 0.0 {
        if q == q.floor() {
            return f64::INFINITY;
        }
        if x != x.floor() {
            return f64::NAN;
        }
    }
    let (mut s, mut a, mut b, mut i) = (q.powf(-x), q, 0.0, 0);
    while i < 9 || a <= 9.0 {
        i += 1;
        a += 1.0;
        b = a.powf(-x);
        s += b;
        if -EPSILON * s < b && b < EPSILON * s {
            return s;
        }
    }
    let w = a;
    s += b * w / (x - 1.0) - 0.5 * b;
    let (mut a, mut k) = (1.0, 0.0);
    for coefficient in A {
        a *= x + k;
        b /= w;
        let t = a * b / coefficient;
        s += t;
        if (t / s).abs() < EPSILON {
            return s;
        }
        k += 1.0;
        a *= x + k;
        b /= w;
        k += 1.0;
    }
    s
}

/// The derivative of digamma of order `n`.
pub fn polygamma(x: f64, n: f64) -> f64 {
    if n == 0.0 {
        return digamma(x);
    }
    if n == 1.0 {
        return trigamma(x);
    }
    let sign = if n % 2.0 == 0.0 { -1.0 } else { 1.0 };
    sign * lgamma(n + 1.0).exp() * zeta(n + 1.0, x)
}

const LANCZOS_G: f64 = 6.024_680_040_776_73;

/// Boost's Lanczos sum, scaled by exp(g).
fn lanczos_sum_expg_scaled(x: f64) -> f64 {
    const NUM: [f64; 13] = [
        0.006_061_842_346_248_907,
        0.509_841_665_565_667_6,
        19.519_927_882_476_175,
        449.944_556_906_316_8,
        6_955.999_602_515_376,
        75_999.293_040_145_43,
        601_859.617_168_109_9,
        3_481_712.154_980_646,
        14_605_578.087_685_068,
        43_338_889.324_676_14,
        86_363_131.288_138_6,
        103_794_043.116_344_55,
        56_906_521.913_471_564,
    ];
    const DEN: [f64; 13] = [
        1.0,
        66.0,
        1925.0,
        32670.0,
        357_423.0,
        2_637_558.0,
        13_339_535.0,
        45_995_730.0,
        105_258_076.0,
        150_917_976.0,
        120_543_840.0,
        39_916_800.0,
        0.0,
    ];
    let ratio = |y: f64, up: bool| {
        let fold = |c: &[f64; 13]| {
            let add = |sum: f64, c: &f64| sum * y + c;
            if up {
                c.iter().fold(0.0, add)
            } else {
                c.iter().rev().fold(0.0, add)
            }
        };
        fold(&NUM) / fold(&DEN)
    };
    if x.abs() > 1.0 {
        ratio(1.0 / x, false)
    } else {
        ratio(x, true)
    }
}

/// x^a exp(-x) / gamma(a)
fn igam_factor(a: f64, x: f64) -> f64 {
    if (a - x).abs() > 0.4 * a.abs() {
        let log = a * x.ln() - x - lgamma(a);
        return if log < -709.782_712_893_384 {
            0.0
        } else {
            log.exp()
        };
    }
    let fac = a + LANCZOS_G - 0.5;
    let res = (fac / E).sqrt() / lanczos_sum_expg_scaled(a);
    if a < 200.0 && x < 200.0 {
        return res * (a - x).exp() * (x / fac).powf(a);
    }
    let num = (x - a - LANCZOS_G + 0.5) / fac;
    res * (a * (num.ln_1p() - num) + x * (0.5 - LANCZOS_G) / fac).exp()
}

fn igam_series(a: f64, x: f64) -> f64 {
    let factor = igam_factor(a, x);
    if factor == 0.0 {
        return 0.0;
    }
    let (mut r, mut c, mut sum) = (a, 1.0, 1.0);
    for _ in 0..MAX_ITERATIONS {
        r += 1.0;
        c *= x / r;
        sum += c;
        if c <= EPSILON * sum {
            break;
        }
    }
    sum * factor / a
}

fn igamc_series(a: f64, x: f64) -> f64 {
    let (mut fac, mut sum) = (1.0, 0.0f64);
    for n in 1..MAX_ITERATIONS {
        let n = n as f64;
        fac *= -x / n;
        let term: f64 = fac / (a + n);
        sum += term;
        if term.abs() <= EPSILON * sum.abs() {
            break;
        }
    }
    let log = x.ln();
    -(a * log - lgamma(1.0 + a)).exp_m1() - (a * log - lgamma(a)).exp() * sum
}

/// Uniform expansion for large `a` near `x`; `sign` is -1 for igamma, 1 for igammac.
fn igam_asymptotic(a: f64, x: f64, sign: f64) -> f64 {
    let sigma = (x - a) / a;
    let eta = (-2.0 * (sigma.ln_1p() - sigma)).sqrt();
    let eta = if x > a {
        eta
    } else if x < a {
        -eta
    } else {
        0.0
    };
    let start = 0.5 * libm::erfc(sign * eta * (a / 2.0).sqrt());
    let (mut sum, mut factor, mut previous) = (0.0f64, 1.0, f64::INFINITY);
    for row in &ASYMPTOTIC {
        let (mut c, mut power) = (row[0], 1.0);
        for d in &row[1..] {
            power *= eta;
            let term = d * power;
            c += term;
            if term.abs() < EPSILON * c.abs() {
                break;
            }
        }
        let term = c * factor;
        if term.abs() > previous {
            break;
        }
        sum += term;
        if term.abs() < EPSILON * sum.abs() {
            break;
        }
        previous = term.abs();
        factor /= a;
    }
    start + sign * (-0.5 * a * eta * eta).exp() * sum / (2.0 * PI * a).sqrt()
}

fn igamc_continued_fraction(a: f64, x: f64) -> f64 {
    const BIG: f64 = 4.503_599_627_370_496e15;
    let factor = igam_factor(a, x);
    if factor == 0.0 {
        return 0.0;
    }
    let (mut y, mut z, mut c) = (1.0 - a, x + 2.0 - a, 0.0);
    let (mut p2, mut q2, mut p1, mut q1) = (1.0, x, x + 1.0, z * x);
    let mut value = p1 / q1;
    for _ in 0..MAX_ITERATIONS {
        c += 1.0;
        y += 1.0;
        z += 2.0;
        let p: f64 = p1 * z - p2 * y * c;
        let q = q1 * z - q2 * y * c;
        let mut change = 1.0;
        if q != 0.0 {
            let ratio = p / q;
            change = ((value - ratio) / ratio).abs();
            value = ratio;
        }
        (p2, p1, q2, q1) = (p1, p, q1, q);
        if p.abs() > BIG {
            (p2, p1, q2, q1) = (p2 / BIG, p1 / BIG, q2 / BIG, q1 / BIG);
        }
        if change <= EPSILON {
            break;
        }
    }
    value * factor
}

/// Values on the edge of the domain, of the lower function.
fn igamma_edge(a: f64, x: f64) -> Option<f64> {
    if a.is_nan() || x.is_nan() || x < 0.0 || a < 0.0 {
        return Some(f64::NAN);
    }
    if a == 0.0 {
        return Some(if x > 0.0 { 1.0 } else { f64::NAN });
    }
    if x == 0.0 {
        return Some(0.0);
    }
    if a.is_infinite() {
        return Some(if x.is_infinite() { f64::NAN } else { 0.0 });
    }
    x.is_infinite().then_some(1.0)
}

fn is_near_diagonal(a: f64, x: f64) -> bool {
    let distance = (x - a).abs() / a;
    (a > 20.0 && a < 200.0 && distance < 0.3) || (a > 200.0 && distance < 4.5 / a.sqrt())
}

/// The regularised upper incomplete gamma function.
pub fn igammac(a: f64, x: f64) -> f64 {
    if let Some(edge) = igamma_edge(a, x) {
        return 1.0 - edge;
    }
    if is_near_diagonal(a, x) {
        return igam_asymptotic(a, x, 1.0);
    }
    let lower_is_small = if x > 1.1 {
        x < a
    } else if x <= 0.5 {
        -0.4 / x.ln() < a
    } else {
        x * 1.1 < a
    };
    if lower_is_small {
        1.0 - igam_series(a, x)
    } else if x > 1.1 {
        igamc_continued_fraction(a, x)
    } else {
        igamc_series(a, x)
    }
}

/// The regularised lower incomplete gamma function.
pub fn igamma(a: f64, x: f64) -> f64 {
    if let Some(edge) = igamma_edge(a, x) {
        return edge;
    }
    if is_near_diagonal(a, x) {
        return igam_asymptotic(a, x, -1.0);
    }
    if x > 1.0 && x > a {
        1.0 - igammac(a, x)
    } else {
        igam_series(a, x)
    }
}
