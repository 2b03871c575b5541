//! The normal distribution, entropy-like products and orthogonal polynomials, as PyTorch defines
//! them.

use super::math64_more::{erfc, erfcx};

fn horner(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
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

pub fn ndtr(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

pub fn log_ndtr(x: f64) -> f64 {
    let t = x * std::f64::consts::FRAC_1_SQRT_2;
    if x < -1.0 {
        return (erfcx(-t) / 2.0).ln() - t * t;
    }
    (-erfc(t) / 2.0).ln_1p()
}

/// The inverse of [`ndtr`].
pub fn ndtri(p: f64) -> f64 {
    const EXP_MINUS_2: f64 = 0.135_335_283_236_612_7;
    const SQRT_2PI: f64 = 2.506_628_274_631_000_7;
    if p == 0.0 || p == 1.0 {
        return f64::INFINITY.copysign(p - 0.5);
    }
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let upper = p > 1.0 - EXP_MINUS_2;
    let y = if upper { 1.0 - p } else { p };
    if y > EXP_MINUS_2 {
        let y = y - 0.5;
        let z = y * y;
        return (y + y * (z * horner(z, &NDTRI_P0) / horner(z, &NDTRI_Q0))) * SQRT_2PI;
    }
    let x = (-2.0 * y.ln()).sqrt();
    let z = 1.0 / x;
    let tail = if x < 8.0 {
        z * horner(z, &NDTRI_P1) / horner(z, &NDTRI_Q1)
    } else {
        z * horner(z, &NDTRI_P2) / horner(z, &NDTRI_Q2)
    };
    let x = x - x.ln() / x - tail;
    if upper { x } else { -x }
}

pub fn entr(x: f64) -> f64 {
    if x.is_nan() || x > 0.0 {
        return -x * x.ln();
    }
    if x == 0.0 { 0.0 } else { f64::NEG_INFINITY }
}

/// A polynomial of the order `n` truncated to an integer; `None` where it is negative or not finite.
fn order(n: f64) -> Option<i64> {
    (n.is_finite() && n > -1.0).then_some(n as i64)
}

/// `q[k] = (2x) q[k-1] - q[k-2]` from q0 = 1.
fn chebyshev_recurrence(x: f64, n: i64, first: f64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    let (mut p, mut q) = (1.0, first);
    for _ in 1..n {
        if q.is_nan() {
            break;
        }
        (p, q) = (q, (x + x) * q - p);
    }
    q
}

fn parity(n: i64) -> f64 {
    if n % 2 == 0 { 1.0 } else { -1.0 }
}

pub fn chebyshev_polynomial_t(x: f64, n: f64) -> f64 {
    let Some(k) = order(n) else { return 0.0 };
    if x.abs() == 1.0 {
        return if x > 0.0 { 1.0 } else { parity(k) };
    }
    if k > 6 && x.abs() < 1.0 {
        return (k as f64 * x.acos()).cos();
    }
    chebyshev_recurrence(x, k, x)
}

fn second_kind(x: f64, n: f64, closed_above: i64) -> f64 {
    let Some(k) = order(n) else { return 0.0 };
    let next = k as f64 + 1.0;
    if x.abs() == 1.0 {
        return if x > 0.0 { next } else { parity(k) * next };
    }
    if k > closed_above && x.abs() < 1.0 {
        let angle = x.acos();
        if angle.sin() != 0.0 {
            return (next * angle).sin() / angle.sin();
        }
        return next * (next * angle).cos() / x;
    }
    chebyshev_recurrence(x, k, x + x)
}

fn third_kind(x: f64, n: f64, closed_above: i64) -> f64 {
    let Some(k) = order(n) else { return 0.0 };
    let size = (k + k) as f64 + 1.0;
    if x.abs() == 1.0 {
        return if x > 0.0 { 1.0 } else { parity(k) * size };
    }
    if k > closed_above && x.abs() < 1.0 {
        let angle = x.acos();
        if (angle / 2.0).sin() != 1.0 {
            return ((k as f64 + 0.5) * angle).cos() / (angle / 2.0).cos();
        }
        return parity(k) * size;
    }
    chebyshev_recurrence(x, k, x + x - 1.0)
}

fn fourth_kind(x: f64, n: f64, closed_above: i64) -> f64 {
    let Some(k) = order(n) else { return 0.0 };
    let size = (k + k) as f64 + 1.0;
    if x.abs() == 1.0 {
        return if x > 0.0 { size } else { parity(k) };
    }
    if k > closed_above && x.abs() < 1.0 {
        let angle = x.acos();
        if (angle / 2.0).cos() != 1.0 {
            return ((k as f64 + 0.5) * angle).sin() / (angle / 2.0).sin();
        }
        return if x > 0.0 { size } else { parity(k) };
    }
    chebyshev_recurrence(x, k, x + x + 1.0)
}

pub fn chebyshev_polynomial_u(x: f64, n: f64) -> f64 {
    second_kind(x, n, 8)
}

pub fn chebyshev_polynomial_v(x: f64, n: f64) -> f64 {
    third_kind(x, n, 8)
}

pub fn chebyshev_polynomial_w(x: f64, n: f64) -> f64 {
    fourth_kind(x, n, 8)
}

pub fn shifted_chebyshev_polynomial_t(x: f64, n: f64) -> f64 {
    chebyshev_polynomial_t(x + x - 1.0, n)
}

pub fn shifted_chebyshev_polynomial_u(x: f64, n: f64) -> f64 {
    second_kind(x + x - 1.0, n, 6)
}

pub fn shifted_chebyshev_polynomial_v(x: f64, n: f64) -> f64 {
    third_kind(x + x - 1.0, n, 6)
}

pub fn shifted_chebyshev_polynomial_w(x: f64, n: f64) -> f64 {
    fourth_kind(x + x - 1.0, n, 4)
}

/// Polynomials of order above it overflow; PyTorch answers NaN.
const HERMITE_LIMIT: i64 = 512;

fn hermite(x: f64, n: f64, first: f64, step: f64, factor: f64) -> f64 {
    let Some(n) = order(n) else { return 0.0 };
    if n == 0 {
        return 1.0;
    }
    if n > HERMITE_LIMIT {
        return f64::NAN;
    }
    let (mut p, mut q) = (1.0, first);
    for k in 1..n {
        (p, q) = (q, step * x * q - factor * k as f64 * p);
    }
    q
}

pub fn hermite_polynomial_h(x: f64, n: f64) -> f64 {
    hermite(x, n, x + x, 2.0, 2.0)
}

pub fn hermite_polynomial_he(x: f64, n: f64) -> f64 {
    hermite(x, n, x, 1.0, 1.0)
}

pub fn laguerre_polynomial_l(x: f64, n: f64) -> f64 {
    let Some(n) = order(n) else { return 0.0 };
    if x == 0.0 || n == 0 {
        return 1.0;
    }
    let (mut p, mut q) = (1.0, 1.0 - x);
    for k in 1..n {
        let k = k as f64;
        if q.is_nan() {
            break;
        }
        (p, q) = (q, ((k + k + (1.0 - x)) * q - k * p) / (k + 1.0));
    }
    q
}

pub fn legendre_polynomial_p(x: f64, n: f64) -> f64 {
    let Some(n) = order(n) else { return 0.0 };
    if x.abs() == 1.0 {
        return if x > 0.0 { 1.0 } else { parity(n) };
    }
    if n == 0 {
        return 1.0;
    }
    let (mut p, mut q) = (1.0, x);
    for k in 1..n {
        let k = k as f64;
        if q.is_nan() {
            break;
        }
        (p, q) = (q, ((k + k + 1.0) * x * q - k * p) / (k + 1.0));
    }
    q
}
