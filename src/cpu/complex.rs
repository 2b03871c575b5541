//! Functions of complex numbers in `f64`, by Kahan's formulas where branch cuts, signed zeros and
//! infinities matter.

use num_complex::Complex;
use std::f64::consts::{FRAC_PI_2, LN_2, LN_10, PI};

use crate::tensor::c128;

fn c(re: f64, im: f64) -> c128 {
    Complex::new(re, im)
}

/// `i z`
fn times_i(z: c128) -> c128 {
    c(-z.im, z.re)
}

/// `-i z`
fn over_i(z: c128) -> c128 {
    c(z.im, -z.re)
}

pub fn exp(z: c128) -> c128 {
    if z.im == 0.0 {
        return c(z.re.exp(), z.im);
    }
    if z.re == f64::NEG_INFINITY && !z.im.is_finite() {
        return c(0.0, 0.0);
    }
    if z.re == f64::INFINITY && !z.im.is_finite() {
        return c(f64::INFINITY, f64::NAN);
    }
    let (sin, cos) = z.im.sin_cos();
    // Two factors, so that e^re may overflow where the result does not.
    let (half, rest) = if z.re > 700.0 {
        ((z.re - 700.0).exp(), 700f64.exp())
    } else {
        (z.re.exp(), 1.0)
    };
    c(half * cos * rest, half * sin * rest)
}

pub fn exp2(z: c128) -> c128 {
    exp(z * LN_2)
}

pub fn expm1(z: c128) -> c128 {
    let half = (0.5 * z.im).sin();
    let e = z.re.exp_m1();
    let re = e * z.im.cos() - 2.0 * half * half;
    let im = if z.im == 0.0 {
        z.im
    } else {
        z.re.exp() * z.im.sin()
    };
    c(re, im)
}

pub fn log(z: c128) -> c128 {
    c(log_abs(z), z.im.atan2(z.re))
}

/// ln|z|, exact near the unit circle and free of overflow.
fn log_abs(z: c128) -> f64 {
    let (a, b) = (z.re.abs().max(z.im.abs()), z.re.abs().min(z.im.abs()));
    if a.is_infinite() {
        return f64::INFINITY;
    }
    if z.re.is_nan() || z.im.is_nan() {
        return f64::NAN;
    }
    if a > 0.5 && a < 2.0 {
        return 0.5 * ((a - 1.0) * (a + 1.0) + b * b).ln_1p();
    }
    a.hypot(b).ln()
}

pub fn log2(z: c128) -> c128 {
    let l = log(z);
    c(l.re / LN_2, l.im / LN_2)
}

pub fn log10(z: c128) -> c128 {
    let l = log(z);
    c(l.re / LN_10, l.im / LN_10)
}

pub fn log1p(z: c128) -> c128 {
    let im = z.im.atan2(1.0 + z.re);
    if z.re.abs() < 0.5 && z.im.abs() < 0.5 {
        return c(0.5 * (z.re * (2.0 + z.re) + z.im * z.im).ln_1p(), im);
    }
    c(log_abs(c(1.0 + z.re, z.im)), im)
}

pub fn sqrt(z: c128) -> c128 {
    let (x, y) = (z.re, z.im);
    if x == 0.0 && y == 0.0 {
        return c(0.0, y);
    }
    if y.is_infinite() {
        return c(f64::INFINITY, y);
    }
    if x.is_nan() {
        return c(x, if y.is_nan() { y } else { f64::NAN });
    }
    if x.is_infinite() {
        let other = if y.is_nan() { y } else { 0.0 };
        return if x < 0.0 {
            c(other.abs(), f64::INFINITY.copysign(y))
        } else {
            c(x, other.copysign(y))
        };
    }
    let scale = if x.abs().max(y.abs()) > 1e300 {
        0.25
    } else if x.abs().max(y.abs()) < 1e-290 {
        2f64.powi(200)
    } else {
        1.0
    };
    let (x, y) = (x * scale, y * scale);
    let t = ((x.abs() + x.hypot(y)) * 0.5).sqrt();
    let (re, im) = if x >= 0.0 {
        (t, y / (2.0 * t))
    } else {
        (y.abs() / (2.0 * t), t.copysign(y))
    };
    let back = 1.0 / scale.sqrt();
    c(re * back, im * back)
}

pub fn rsqrt(z: c128) -> c128 {
    reciprocal(sqrt(z))
}

/// Smith's division, free of branches.
#[inline(always)]
pub fn divide(a: c128, b: c128) -> c128 {
    let upright = b.re.abs() >= b.im.abs();
    let (large, small) = if upright { (b.re, b.im) } else { (b.im, b.re) };
    let ratio = small / large;
    let scale = 1.0 / (large + small * ratio);
    let re = if upright {
        a.re + a.im * ratio
    } else {
        a.re * ratio + a.im
    };
    let im = if upright {
        a.im - a.re * ratio
    } else {
        a.im * ratio - a.re
    };
    let nothing = (b.re == 0.0) & (b.im == 0.0);
    c(
        if nothing {
            a.re * f64::INFINITY
        } else {
            re * scale
        },
        if nothing {
            a.im * f64::INFINITY
        } else {
            im * scale
        },
    )
}

#[inline(always)]
pub fn reciprocal(z: c128) -> c128 {
    divide(c(1.0, 0.0), z)
}

pub fn sinh(z: c128) -> c128 {
    let (x, y) = (z.re, z.im);
    if y == 0.0 {
        return c(x.sinh(), y);
    }
    if x == 0.0 {
        return c(x, y.sin());
    }
    if x.is_infinite() && !y.is_finite() {
        return c(x, f64::NAN);
    }
    let (sin, cos) = y.sin_cos();
    if x.abs() > 710.0 {
        let e = exp(c(x.abs() - LN_2, y));
        return c(e.re.copysign(e.re * x), e.im);
    }
    c(x.sinh() * cos, x.cosh() * sin)
}

pub fn cosh(z: c128) -> c128 {
    let (x, y) = (z.re, z.im);
    if y == 0.0 || x == 0.0 {
        let (sinh, cosh) = (x.sinh(), x.cosh());
        return c(cosh * y.cos(), sinh * y.sin());
    }
    if x.is_infinite() && !y.is_finite() {
        return c(f64::INFINITY, f64::NAN);
    }
    let (sin, cos) = y.sin_cos();
    if x.abs() > 710.0 {
        let e = exp(c(x.abs() - LN_2, y));
        return c(e.re, e.im.copysign(e.im * x));
    }
    c(x.cosh() * cos, x.sinh() * sin)
}

pub fn tanh(z: c128) -> c128 {
    let (x, y) = (z.re, z.im);
    if x.is_infinite() {
        let im = if y.is_finite() {
            (0.0f64).copysign((2.0 * y).sin())
        } else {
            0.0
        };
        return c(1f64.copysign(x), im);
    }
    if x == 0.0 {
        return c(x, y.tan());
    }
    if x.abs() > 20.0 {
        let e = (-x.abs()).exp();
        return c(1f64.copysign(x), 4.0 * y.sin() * y.cos() * e * e);
    }
    let t = y.tan();
    let beta = 1.0 + t * t;
    let s = x.sinh();
    let rho = (1.0 + s * s).sqrt();
    if t.is_infinite() {
        return c(rho / s, 1.0 / t);
    }
    let d = 1.0 + beta * s * s;
    c(beta * rho * s / d, t / d)
}

pub fn sin(z: c128) -> c128 {
    over_i(sinh(times_i(z)))
}

pub fn cos(z: c128) -> c128 {
    cosh(times_i(z))
}

pub fn tan(z: c128) -> c128 {
    over_i(tanh(times_i(z)))
}

pub fn asin(z: c128) -> c128 {
    over_i(asinh(times_i(z)))
}

pub fn acos(z: c128) -> c128 {
    if z.re.abs().max(z.im.abs()) > 1e150 {
        let l = log_abs(z) + LN_2;
        return c(z.im.abs().atan2(z.re), -l.copysign(z.im));
    }
    let (minus, plus) = (sqrt(c(1.0 - z.re, -z.im)), sqrt(c(1.0 + z.re, z.im)));
    let re = 2.0 * minus.re.atan2(plus.re);
    c(re, (plus.re * minus.im - plus.im * minus.re).asinh())
}

pub fn asinh(z: c128) -> c128 {
    if z.re.is_nan() || z.im.is_nan() {
        return if z.re.is_infinite() {
            z
        } else {
            c(f64::NAN, if z.im == 0.0 { z.im } else { f64::NAN })
        };
    }
    if z.re.abs().max(z.im.abs()) > 1e150 {
        let l = log_abs(z) + LN_2;
        return c(l.copysign(z.re), z.im.atan2(z.re.abs()));
    }
    // asin(w) of w = i z, over i.
    let w = times_i(z);
    let (minus, plus) = (sqrt(c(1.0 - w.re, -w.im)), sqrt(c(1.0 + w.re, w.im)));
    let re = w.re.atan2(minus.re * plus.re - minus.im * plus.im);
    let im = (minus.re * plus.im - minus.im * plus.re).asinh();
    c(im, -re)
}

pub fn acosh(z: c128) -> c128 {
    let w = acos(z);
    if w.im.is_sign_negative() {
        times_i(w)
    } else {
        over_i(w)
    }
}

pub fn atanh(z: c128) -> c128 {
    let (x, y) = (z.re.abs(), z.im);
    if x > 1e150 || y.abs() > 1e150 {
        let re = if x.is_infinite() || y.is_infinite() {
            0.0
        } else {
            reciprocal(c(x, y)).re
        };
        return c(re.copysign(z.re), FRAC_PI_2.copysign(y));
    }
    if x == 1.0 && y == 0.0 {
        return c(f64::INFINITY.copysign(z.re), y);
    }
    let re = 0.25 * (4.0 * x / ((1.0 - x) * (1.0 - x) + y * y)).ln_1p();
    let im = 0.5 * (2.0 * y).atan2((1.0 - x) * (1.0 + x) - y * y);
    c(re.copysign(z.re), im)
}

pub fn atan(z: c128) -> c128 {
    over_i(atanh(times_i(z)))
}

pub fn sigmoid(z: c128) -> c128 {
    divide(c(1.0, 0.0), c(1.0, 0.0) + exp(-z))
}

pub fn silu(z: c128) -> c128 {
    z * sigmoid(z)
}

pub fn sinc(z: c128) -> c128 {
    if z.re == 0.0 && z.im == 0.0 {
        return c(1.0, 0.0);
    }
    let angle = z * PI;
    divide(sin(angle), angle)
}

pub fn pow(x: c128, y: c128) -> c128 {
    if y.re == 0.0 && y.im == 0.0 {
        return c(1.0, 0.0);
    }
    if x.re == 0.0 && x.im == 0.0 {
        return if y.re > 0.0 {
            c(0.0, 0.0)
        } else {
            c(f64::NAN, f64::NAN)
        };
    }
    if y.im == 0.0 && y.re.fract() == 0.0 && y.re.abs() <= 64.0 {
        let power = whole_power(x, y.re.abs() as u32);
        return if y.re < 0.0 { reciprocal(power) } else { power };
    }
    exp(y * log(x))
}

fn whole_power(base: c128, exponent: u32) -> c128 {
    let (mut base, mut rest, mut result) = (base, exponent, c(1.0, 0.0));
    while rest > 0 {
        if rest & 1 == 1 {
            result *= base;
        }
        rest >>= 1;
        base *= base;
    }
    result
}

pub fn logaddexp(a: c128, b: c128) -> c128 {
    let (high, low) = if a.re >= b.re { (a, b) } else { (b, a) };
    if high.re.is_infinite() && high.re == low.re && high.re < 0.0 {
        return high;
    }
    high + log1p(exp(low - high))
}

pub fn sgn(z: c128) -> c128 {
    let size = z.re.hypot(z.im);
    if size == 0.0 {
        c(0.0, 0.0)
    } else {
        c(z.re / size, z.im / size)
    }
}
