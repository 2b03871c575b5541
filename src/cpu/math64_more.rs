//! Functions of `f64` built on the elementary ones: hyperbolic, error and power functions.

use super::math64::{exp, expm1, expm1_reduced, horner, log, log1p, reduce_ln2, scale};

const LN_2: f64 = std::f64::consts::LN_2;

/// `min(x, high)` that keeps NaN.
#[inline(always)]
fn at_most(x: f64, high: f64) -> f64 {
    if x > high { high } else { x }
}

#[inline(always)]
pub fn tanh(x: f64) -> f64 {
    let t = expm1(2.0 * at_most(x.abs(), 22.0));
    (t / (t + 2.0)).copysign(x)
}

#[inline(always)]
pub fn sinh(x: f64) -> f64 {
    let a = x.abs();
    let t = expm1(at_most(a, 709.0));
    let near = 0.5 * (t + t / (t + 1.0));
    let root = exp(0.5 * a);
    (if a > 709.0 { 0.5 * root * root } else { near }).copysign(x)
}

#[inline(always)]
pub fn cosh(x: f64) -> f64 {
    let a = x.abs();
    let t = exp(at_most(a, 709.0));
    let root = exp(0.5 * a);
    if a > 709.0 {
        0.5 * root * root
    } else {
        0.5 * t + 0.5 / t
    }
}

#[inline(always)]
pub fn asinh(x: f64) -> f64 {
    let a = x.abs();
    let square = a * a;
    let near = log1p(a + square / (1.0 + (square + 1.0).sqrt()));
    (if a > 1e8 { log(a) + LN_2 } else { near }).copysign(x)
}

#[inline(always)]
pub fn acosh(x: f64) -> f64 {
    let t = x - 1.0;
    let near = log1p(t + (2.0 * t + t * t).sqrt());
    let y = if x > 1e8 { log(x) + LN_2 } else { near };
    if x >= 1.0 { y } else { f64::NAN }
}

#[inline(always)]
pub fn atanh(x: f64) -> f64 {
    let a = x.abs();
    (0.5 * log1p(2.0 * a / (1.0 - a))).copysign(x)
}

#[inline(always)]
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// `x sigmoid(x)`
#[inline(always)]
pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// `exp(x²) erfc(x)` for `x >= 0` as a number and what it lost by rounding, given `1 + x/4` as such a pair. The quotient
/// of it and `u = 1 / (1 + x/4)` is a Chebyshev fit in u.
#[inline(always)]
fn erfcx_pair((sum, sum_lost): (f64, f64)) -> (f64, f64) {
    let u = 1.0 / sum;
    let t = u - 0.44732666015625;
    let slope = horner(
        t,
        [
            -0.0007514107160207826,
            0.0011103968184518877,
            0.0016233141747806427,
            -0.002808173771017358,
            -0.0029040777008282046,
            0.004303641770906913,
            0.005974146054911824,
            -0.004674265384512728,
            -0.012720315090603411,
            2.7511023624688197e-06,
            0.023769664162071782,
            0.02220112421641512,
            -0.024738973547971964,
            -0.08093659160347665,
            -0.06617700659252035,
            0.08382507530470232,
            0.3617285620362881,
            0.6844147182901812,
            0.940743880028807,
            1.0518638859752125,
            1.003529684999576,
            0.838144483286385,
            0.6224075746192094,
            0.41510003884647845,
        ],
    );
    let q = slope.mul_add(t, 0.2502766923081096);
    let q_lost = slope.mul_add(t, 0.2502766923081096 - q);
    // What u lost matters as that times the logarithmic derivative of u q, which is near 1 + 0.6 u + 2.9 u².
    let u_lost = (-u).mul_add(sum_lost, (-u).mul_add(sum, 1.0));
    let gain = u.mul_add(u.mul_add(2.9, 0.6), 1.0) * u_lost;
    let product = u * q;
    let lost = u.mul_add(q_lost, u.mul_add(q, -product));
    (product, product.mul_add(gain, lost))
}

/// `2^k erfc(x)` for `x >= 0` with `k` small, given `1 + x/4` and `x²`, each as a number and what it lost by rounding.
#[inline(always)]
pub(super) fn upper_tail(sum: (f64, f64), (square, square_lost): (f64, f64), k: f64) -> f64 {
    let (factor, lost) = erfcx_pair(sum);
    let (exponent, r) = reduce_ln2(-square, -square_lost);
    let p = expm1_reduced(r);
    let tail = p.mul_add(factor, p.mul_add(lost, lost)) + factor;
    scale(tail, exponent + k)
}

/// erf(x) for |x| <= 1: a Chebyshev fit of `erf(x)/x - 1` in `x²`.
#[inline(always)]
fn erf_near(x: f64) -> f64 {
    let p = horner(
        x * x,
        [
            -7.795_898_827_002_142e-10,
            1.372_006_454_677_676_8e-8,
            -1.620_848_380_187_170_5e-7,
            1.644_742_470_331_743_6e-6,
            -1.492_473_690_741_966e-5,
            1.205_529_490_483_970_7e-4,
            -8.548_325_975_389_692e-4,
            5.223_977_607_116_422_5e-3,
            -2.686_617_064_323_777e-2,
            1.128_379_167_094_500_6e-1,
            -3.761_263_890_318_354_3e-1,
            1.283_791_670_955_125_6e-1,
        ],
    );
    x.mul_add(p, x)
}

/// `1 + x/4` and what it lost by rounding.
#[inline(always)]
fn quarter_sum(x: f64) -> (f64, f64) {
    let sum = x.mul_add(0.25, 1.0);
    (sum, x.mul_add(0.25, 1.0 - sum))
}

/// erfc(x) for x >= 0.
#[inline(always)]
fn erfc_positive(x: f64) -> f64 {
    let x = at_most(x, 28.0);
    let square = x * x;
    upper_tail(quarter_sum(x), (square, x.mul_add(x, -square)), 0.0)
}

#[inline(always)]
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    let far = (1.0 - erfc_positive(a)).copysign(x);
    if a < 1.0 { erf_near(x) } else { far }
}

#[inline(always)]
pub fn erfc(x: f64) -> f64 {
    let tail = erfc_positive(x.abs());
    if x < 0.0 { 2.0 - tail } else { tail }
}

#[inline(always)]
pub fn erfcx(x: f64) -> f64 {
    let (positive, lost) = erfcx_pair(quarter_sum(x.abs()));
    let positive = positive + lost;
    if x < 0.0 {
        2.0 * exp(x * x) - positive
    } else {
        positive
    }
}

#[inline(always)]
pub fn hypot(x: f64, y: f64) -> f64 {
    let (a, b) = (x.abs(), y.abs());
    let (big, small) = if a > b { (a, b) } else { (b, a) };
    let factor = if big > 1e150 {
        1e-160
    } else if big < 1e-140 {
        1e160
    } else {
        1.0
    };
    let (s, t) = (big * factor, small * factor);
    let r = s.mul_add(s, t * t).sqrt() / factor;
    let r = if x.is_nan() | y.is_nan() { f64::NAN } else { r };
    if x.is_infinite() | y.is_infinite() {
        f64::INFINITY
    } else {
        r
    }
}
