//! Elementary functions of `f32`, branch-free, within about two units in the last place. The
//! frequent ones compute in `f32`, the others in `f64`, which costs half the lanes.

use super::{math64, math64_inverse, math64_more};

/// Adding and subtracting it rounds to the nearest integer, which then stands in the low bits.
pub(super) const MAGIC: f32 = 12_582_912.0;
/// Above it the trigonometric functions need the exact reduction of [`super::lanes::Exact`].
pub const TRIG_LIMIT: f32 = 60_000.0;

/// The sum of coefficients times powers of `x`, highest first: even and odd powers apart, so that the chain of steps
/// that wait for one another is half as long.
#[inline(always)]
pub(super) fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let square = x * x;
    let mut sums = [coefficients[0], coefficients[1]];
    let mut i = 2;
    while i < N {
        sums[i % 2] = sums[i % 2].mul_add(square, coefficients[i]);
        i += 1;
    }
    sums[N % 2].mul_add(x, sums[(N - 1) % 2])
}

/// `min(max(x, low), high)` that keeps NaN.
#[inline(always)]
pub(super) fn bound(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// 2^k for an integral `k` in -126..=127, of which `shifted` is `k + MAGIC`.
#[inline(always)]
pub(super) fn pow2(shifted: f32) -> f32 {
    f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// `u * 2^k` for `k + MAGIC`, in two steps, so that results may overflow or be subnormal.
#[inline(always)]
pub(super) fn scale(u: f32, shifted: f32) -> f32 {
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
    let k = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    let half = k >> 1;
    u * power(half) * power(k.wrapping_sub(half))
}

/// `k + MAGIC` and `r`, small beside 1, of `x + low = k ln 2 + r`, `low` being small.
#[inline(always)]
pub(super) fn reduce_ln2_sum(x: f32, low: f32) -> (f32, f32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let k = shifted - MAGIC;
    (
        shifted,
        (-k).mul_add(0.693_145_75, x) + (-k).mul_add(1.428_606_8e-6, low),
    )
}

/// [`reduce_ln2_sum`] of a single number, a step shorter.
#[inline(always)]
pub(super) fn reduce_ln2(x: f32) -> (f32, f32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let k = shifted - MAGIC;
    let r = (-k).mul_add(0.693_145_75, x);
    (shifted, (-k).mul_add(1.428_606_8e-6, r))
}

/// exp(r) - 1 for |r| <= ln(2)/2: a minimax fit.
#[inline(always)]
pub(super) fn expm1_reduced(r: f32) -> f32 {
    let q = polynomial(r, [0.0013940693, 0.008366305, 0.041666403, 0.16666546, 0.5]);
    (r * r).mul_add(q, r)
}

#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (shifted, r) = reduce_ln2(bound(x, -104.0, 89.0));
    scale(expm1_reduced(r) + 1.0, shifted)
}

#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let x = bound(x, -151.0, 129.0);
    let shifted = x + MAGIC;
    let r = (x - (shifted - MAGIC)) * std::f32::consts::LN_2;
    scale(expm1_reduced(r) + 1.0, shifted)
}

/// exp(x) - 1 for x in -20..=89, but 0 for -0.
#[inline(always)]
fn expm1_bounded(x: f32) -> f32 {
    let (shifted, r) = reduce_ln2(x);
    let half = pow2(shifted - 1.0);
    2.0 * half.mul_add(expm1_reduced(r), half - 0.5)
}

#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    expm1_bounded(bound(x, -20.0, 89.0)).copysign(x)
}

/// A positive finite `x` as `2^k * (1 + f)` with `1 + f` in sqrt(1/2)..sqrt(2).
#[inline(always)]
pub(super) fn split(x: f32) -> (f32, f32) {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let tiny = x < f32::MIN_POSITIVE;
    let x = if tiny { x * 33_554_432.0 } else { x };
    let shift = if tiny { 127.0 + 25.0 } else { 127.0 };
    let bits = x.to_bits().wrapping_add(0x3f80_0000 - SQRT_HALF);
    let k = f32::from_bits((bits >> 23) | MAGIC.to_bits()) - MAGIC - shift;
    let m = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF);
    (k, m - 1.0)
}

/// `ln(1 + f) - f` by the polynomial of Cephes' logf.
#[inline(always)]
fn log_tail(f: f32) -> f32 {
    let z = f * f;
    let p = polynomial(
        f,
        [
            7.037_683_6e-2,
            -1.151_461_03e-1,
            1.167_699_87e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333_1e-1,
        ],
    );
    (f * z).mul_add(p, -0.5 * z)
}

/// Replaces what `log` computed where its argument is zero, negative, infinite or NaN.
#[inline(always)]
fn log_edges(x: f32, y: f32) -> f32 {
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

#[inline(always)]
pub fn log(x: f32) -> f32 {
    let (k, f) = split(x);
    let tail = k.mul_add(-2.121_944_4e-4, log_tail(f));
    log_edges(x, k.mul_add(0.693_359_4, tail + f))
}

#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let (k, m) = split(u);
    let lost = if u > 2.0 {
        1.0 - (u - x)
    } else {
        x - (u - 1.0)
    } / u;
    let (f, lost) = if k == 0.0 { (x, 0.0) } else { (m, lost) };
    let tail = k.mul_add(-2.121_944_4e-4, log_tail(f)) + lost;
    let y = k.mul_add(0.693_359_4, tail + f);
    log_edges(u, if x == 0.0 { x } else { y })
}

#[inline(always)]
pub fn log2(x: f32) -> f32 {
    let (k, f) = split(x);
    let tail = log_tail(f);
    // log2(e) - 1, so that f itself enters exactly.
    let rest = tail.mul_add(0.442_695_04, f * 0.442_695_04) + tail;
    log_edges(x, rest + f + k)
}

#[inline(always)]
pub fn log10(x: f32) -> f32 {
    let (k, f) = split(x);
    let tail = log_tail(f);
    // The logarithms of 2 and e, each in a part of few bits and the rest.
    let low = k.mul_add(2.487_456_6e-4, (tail + f) * 7.007_319_3e-4);
    let high = f.mul_add(0.433_593_75, tail.mul_add(0.433_593_75, low));
    log_edges(x, k.mul_add(0.300_781_25, high))
}

/// Quadrant and reduced argument of `x`, |x| < [`TRIG_LIMIT`].
#[inline(always)]
fn reduce_pio2(x: f32) -> (u32, f32) {
    let shifted = x.mul_add(std::f32::consts::FRAC_2_PI, MAGIC);
    let k = shifted - MAGIC;
    let r = (-k).mul_add(std::f32::consts::FRAC_PI_2, x);
    let r = (-k).mul_add(-4.371_139e-8, r);
    (shifted.to_bits(), (-k).mul_add(-1.715_124_7e-15, r))
}

#[inline(always)]
fn sin_reduced(r: f32) -> f32 {
    let z = r * r;
    let p = polynomial(z, [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1]);
    (z * r).mul_add(p, r)
}

#[inline(always)]
fn cos_reduced(r: f32) -> f32 {
    let z = r * r;
    let p = polynomial(z, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]);
    (z * z).mul_add(p, z.mul_add(-0.5, 1.0))
}

#[inline(always)]
fn negate_if_bit1(value: f32, quadrant: u32) -> f32 {
    f32::from_bits(value.to_bits() ^ ((quadrant & 2) << 30))
}

#[inline(always)]
pub fn sin(x: f32) -> f32 {
    let (q, r) = reduce_pio2(x);
    let (s, c) = (sin_reduced(r), cos_reduced(r));
    let y = negate_if_bit1(if q & 1 == 0 { s } else { c }, q);
    // The reduction loses the sign of zero.
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub fn cos(x: f32) -> f32 {
    let (q, r) = reduce_pio2(x);
    let (s, c) = (sin_reduced(r), cos_reduced(r));
    negate_if_bit1(if q & 1 == 0 { c } else { s }, q.wrapping_add(1))
}

/// `t / (t + 2)` with `t = e^2x - 1`, the quotient corrected by what it and the divisor lost.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let t = expm1_bounded(2.0 * if a > 10.0 { 10.0 } else { a });
    let divisor = t + 2.0;
    let lost = t - (divisor - 2.0);
    let inverse = 1.0 / divisor;
    let y = t * inverse;
    let rest = (-y).mul_add(lost, (-y).mul_add(divisor, t));
    rest.mul_add(inverse, y).copysign(x)
}

/// Dividend and divisor of `1 / (1 + e^-x)`: with `-x = k ln 2 + r` they are `2^-k` and `2^-k + e^r`, both times 2^32,
/// so that the quotient may be subnormal where they are not.
#[inline(always)]
fn logistic(x: f32) -> (f32, f32) {
    const FACTOR: f32 = 4_294_967_296.0;
    let (shifted, r) = reduce_ln2(-x);
    let power = f32::from_bits(((127_u32 + 32) << 23).wrapping_sub(shifted.to_bits() << 23));
    let sum = power + FACTOR;
    let lost = power - (sum - FACTOR);
    (power, expm1_reduced(r).mul_add(FACTOR, lost) + sum)
}

#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let (dividend, divisor) = logistic(bound(x, -105.0, 17.5));
    dividend / divisor
}

/// `x sigmoid(x)`
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    let (dividend, divisor) = logistic(x);
    let y = x * dividend / divisor;
    let y = if x < -110.0 { 0.0 * x } else { y };
    if x > 20.0 { x } else { y }
}

#[inline(always)]
pub fn atanh(x: f32) -> f32 {
    let a = x.abs();
    (0.5 * log1p(2.0 * a / (1.0 - a))).copysign(x)
}

/// atan(num / den) for `num >= 0`, `den >= 0`, in 0..=pi/2, by the polynomial of Cephes.
#[inline(always)]
fn atan_ratio(num: f32, den: f32) -> f32 {
    const QUARTER: f32 = std::f32::consts::FRAC_PI_4;
    const QUARTER_LOW: f32 = -2.185_569_5e-8;
    let above = num > 2.414_213_6 * den;
    let middle = num > 0.414_213_57 * den;
    let (n, d) = if middle {
        (num - den, num + den)
    } else {
        (num, den)
    };
    let (n, d) = if above { (-den, num) } else { (n, d) };
    let quarters = if middle { 1.0 } else { 0.0 };
    let quarters = if above { 2.0 } else { quarters };
    let t = n / d;
    let z = t * t;
    let p = polynomial(
        z,
        [
            8.053_744_5e-2,
            -1.387_768_5e-1,
            1.997_771_1e-1,
            -3.333_295e-1,
        ],
    );
    let tail = (p * z).mul_add(t, quarters * QUARTER_LOW);
    quarters.mul_add(QUARTER, tail + t)
}

#[inline(always)]
pub fn atan(x: f32) -> f32 {
    atan_ratio(bound(x.abs(), 0.0, 1e30), 1.0).copysign(x)
}

#[inline(always)]
pub fn atan2(y: f32, x: f32) -> f32 {
    use std::f32::consts::{FRAC_PI_2, PI};
    const PI_LOW: f32 = -8.742_278e-8;
    let both = x.is_infinite() & y.is_infinite();
    let (num, den) = if both { (1.0, 1.0) } else { (y.abs(), x.abs()) };
    // Scaled against overflow of the sum and underflow of the quotient.
    let large = (num > 1e37) | (den > 1e37);
    let small = (num < 1e-30) & (den < 1e-30);
    let factor = if large { 1e-8 } else { 1.0 };
    let factor = if small { 1e15 } else { factor };
    let angle = atan_ratio(num * factor, den * factor);
    let flat = (num == 0.0) | (den == f32::INFINITY);
    let angle = if flat { 0.0 } else { angle };
    let upright = (num == f32::INFINITY) & !both;
    let angle = if upright { FRAC_PI_2 } else { angle };
    let left = x.is_sign_negative();
    let angle = if left { PI - (angle - PI_LOW) } else { angle };
    let angle = if x.is_nan() | y.is_nan() {
        f32::NAN
    } else {
        angle
    };
    angle.copysign(y)
}

/// Functions computed in `f64` and rounded.
macro_rules! through_f64 {
    ($module:ident: $($name:ident)*) => { $(
        #[inline(always)]
        pub fn $name(x: f32) -> f32 {
            $module::$name(f64::from(x)) as f32
        }
    )* };
    ($module:ident, 2: $($name:ident)*) => { $(
        #[inline(always)]
        pub fn $name(x: f32, y: f32) -> f32 {
            $module::$name(f64::from(x), f64::from(y)) as f32
        }
    )* };
}

through_f64!(math64: tan);
through_f64!(math64_inverse: asin acos);
through_f64!(math64_more: sinh cosh asinh acosh erfcx);
through_f64!(math64_more, 2: hypot);
