//! Orthogonal polynomials, as PyTorch defines them.

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
