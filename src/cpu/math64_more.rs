//! Functions of `f64` built on the elementary ones: hyperbolic, error and power functions.

use super::math64::{exp, expm1, horner, log, log1p};

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

/// `exp(x²) erfc(x)` for `x >= 0`: a Chebyshev fit in `(x - 3.75) / (x + 3.75)`.
#[inline(always)]
fn erfcx_positive(x: f64) -> f64 {
    let t = 1.0 - 7.5 / (x + 3.75);
    let p = horner(
        t,
        [
            -2.729_394_133_253_385_5e-9,
            -1.952_790_162_974_837e-9,
            3.256_499_083_798_513e-8,
            1.877_850_115_646_879_5e-8,
            -2.499_653_803_740_524_3e-7,
            -5.081_691_181_169_822e-8,
            1.743_857_741_135_918e-6,
            -9.792_975_290_991_53e-7,
            -1.143_961_526_007_595e-5,
            2.238_759_272_534_769e-5,
            5.164_737_123_871_838e-5,
            -2.901_553_656_394_713e-4,
            2.937_140_877_722_768_5e-4,
            1.755_626_169_227_672_2e-3,
            -9.746_579_620_815_09e-3,
            2.836_227_737_137_004_4e-2,
            -5.869_339_858_449_184_5e-2,
            9.230_432_116_435_616e-2,
            -1.088_039_301_419_391_5e-1,
            8.227_673_848_999_159e-2,
            3.585_415_485_466_306_7e-3,
            -1.402_405_985_855_452_2e-1,
            1.237_512_630_837_827_5,
        ],
    );
    p / (1.0 + 2.0 * x)
}

/// `exp(-x²)` with the rounding error of the square made good.
#[inline(always)]
fn exp_minus_square(x: f64) -> f64 {
    let square = x * x;
    let lost = x.mul_add(x, -square);
    let e = exp(-square);
    (-e).mul_add(lost, e)
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

/// erfc(x) for x >= 0.
#[inline(always)]
fn erfc_positive(x: f64) -> f64 {
    let x = at_most(x, 28.0);
    exp_minus_square(x) * erfcx_positive(x)
}

#[inline(always)]
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    let far = (1.0 - erfc_positive(a)).copysign(x);
    if a < 1.0 { erf_near(x) } else { far }
}

#[inline(always)]
pub fn erfc(x: f64) -> f64 {
    let a = x.abs();
    let far = erfc_positive(a);
    let far = if x < 0.0 { 2.0 - far } else { far };
    if a < 0.5 { 1.0 - erf_near(x) } else { far }
}

#[inline(always)]
pub fn erfcx(x: f64) -> f64 {
    let positive = erfcx_positive(x.abs());
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
