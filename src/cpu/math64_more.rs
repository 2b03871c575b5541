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

/// The rational start and two Newton steps of PyTorch's erfinv.
#[inline(always)]
pub fn erfinv(y: f64) -> f64 {
    let a = y.abs();
    let z = y * y;
    let num = horner(z, [-0.140543331, 0.914624893, -1.645349621, 0.886226899]);
    let den = horner(
        z,
        [0.012229801, -0.329097515, 1.442710462, -2.118377725, 1.0],
    );
    let central = y * num / den;
    let t = (-log((1.0 - a) * 0.5)).sqrt();
    let num = horner(t, [1.641345311, 3.429567803, -1.62490649, -1.970840454]);
    let den = horner(t, [1.637067800, 3.543889200, 1.0]);
    let tail = (num / den).copysign(y);
    let mut x = if a <= 0.7 { central } else { tail };
    let slope = std::f64::consts::FRAC_2_SQRT_PI;
    x -= (erf(x) - y) / (slope * exp(-x * x));
    x -= (erf(x) - y) / (slope * exp(-x * x));
    let x = if a == 1.0 {
        f64::INFINITY.copysign(y)
    } else {
        x
    };
    if a <= 1.0 { x } else { f64::NAN }
}

/// A value as the unevaluated sum of two doubles.
#[derive(Clone, Copy)]
struct Pair(f64, f64);

impl Pair {
    #[inline(always)]
    fn quick(high: f64, low: f64) -> Pair {
        let sum = high + low;
        Pair(sum, (high - sum) + low)
    }

    #[inline(always)]
    fn sum(a: f64, b: f64) -> Pair {
        let sum = a + b;
        let v = sum - a;
        Pair(sum, (a - (sum - v)) + (b - v))
    }

    #[inline(always)]
    fn add(self, o: Pair) -> Pair {
        let s = Pair::sum(self.0, o.0);
        Pair::quick(s.0, s.1 + (self.1 + o.1))
    }

    #[inline(always)]
    fn mul(self, o: Pair) -> Pair {
        let p = self.0 * o.0;
        let e = self.0.mul_add(o.0, -p);
        Pair::quick(p, e + (self.0 * o.1 + self.1 * o.0))
    }

    #[inline(always)]
    fn div(self, o: Pair) -> Pair {
        let q = self.0 / o.0;
        let r = (-q).mul_add(o.0, self.0) + (self.1 - q * o.1);
        Pair::quick(q, r / o.0)
    }
}

/// ln(x) of a positive finite `x` to about 65 bits; the series of ln((1+s)/(1-s)) fitted from its third term on.
#[inline(always)]
fn log_pair(x: f64) -> Pair {
    let (k, m) = super::math64::exponent_and_mantissa(x);
    let s = Pair::sum(m, -1.0).div(Pair::sum(m, 1.0));
    let z = s.mul(s);
    let t = horner(
        z.0,
        [
            0.107_628_674_236_432_12,
            0.104_562_783_757_782_07,
            0.117_668_153_034_060_82,
            0.133_332_964_839_732_92,
            0.153_846_157_618_126_1,
            0.181_818_181_796_525_15,
            0.222_222_222_222_284_44,
            0.285_714_285_714_285_64,
            0.4,
        ],
    );
    let c = Pair(0.666_666_666_666_666_63, 3.700_743_415_417_188e-17);
    let p = Pair(k, 0.0).mul(Pair(std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17));
    let cube = z.mul(s);
    p.add(Pair(2.0 * s.0, 2.0 * s.1))
        .add(cube.mul(c))
        .add(z.mul(cube).mul(Pair(t, 0.0)))
}

/// `pow` as C defines it.
#[inline(always)]
pub fn pow(x: f64, y: f64) -> f64 {
    let a = x.abs();
    let l = log_pair(a);
    let p = l.mul(Pair(y, 0.0));
    let mut r = super::math64::exp_two(p.0, p.1);
    let integral = y == y.trunc();
    let odd = integral & ((0.5 * y) != (0.5 * y).trunc());
    let sign = if odd { 1.0f64.copysign(x) } else { 1.0 };
    r *= if x >= 0.0 {
        1.0
    } else if integral {
        sign
    } else {
        f64::NAN
    };
    let edge_base = (x == 0.0) | (a == f64::INFINITY);
    let to_zero = (x == 0.0) ^ (y < 0.0);
    r = if edge_base {
        sign * if to_zero { 0.0 } else { f64::INFINITY }
    } else {
        r
    };
    let grows = (a > 1.0) == (y > 0.0);
    let at_infinity = if a == 1.0 {
        1.0
    } else if grows {
        f64::INFINITY
    } else {
        0.0
    };
    r = if y.is_infinite() { at_infinity } else { r };
    r = if x.is_nan() | y.is_nan() { f64::NAN } else { r };
    if (y == 0.0) | (x == 1.0) { 1.0 } else { r }
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
