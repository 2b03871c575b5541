//! Elementary functions of `f64`: branch-free, so that a loop over them vectorises, and within
//! about two units in the last place. The polynomials are those of fdlibm and SLEEF, or Chebyshev
//! fits where the comment says so.

/// Adding and subtracting it rounds to the nearest integer, which then stands in the low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;
const LN2_HI: f64 = 6.931_471_803_691_238_2e-1;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
pub(super) const PIO2_HI: f64 = std::f64::consts::FRAC_PI_2;
pub(super) const PIO2_LO: f64 = 6.123_233_995_736_766e-17;
/// Above it the trigonometric functions need the exact reduction of [`super::lanes::Exact`].
pub const TRIG_LIMIT: f64 = 1.073_741_824e9;

#[inline(always)]
pub(super) fn horner<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[0];
    let mut i = 1;
    while i < N {
        sum = sum.mul_add(x, coefficients[i]);
        i += 1;
    }
    sum
}

/// The sum of coefficients times powers of `x`, highest first, by Estrin's scheme: neighbours are joined, then pairs
/// of them and so on, so that few steps wait for one another.
#[inline(always)]
pub(super) fn polynomial<const N: usize>(x: f64, mut sums: [f64; N]) -> f64 {
    let (mut power, mut apart) = (x, 1);
    while apart < N {
        let mut i = N - 1;
        loop {
            if i >= apart {
                sums[i] = sums[i - apart].mul_add(power, sums[i]);
            }
            if i < 2 * apart {
                break;
            }
            i -= 2 * apart;
        }
        power *= power;
        apart *= 2;
    }
    sums[N - 1]
}

#[inline(always)]
pub(super) fn round_magic(x: f64) -> f64 {
    (x + MAGIC) - MAGIC
}

/// `min(max(x, low), high)` that keeps NaN.
#[inline(always)]
pub(super) fn bound(x: f64, low: f64, high: f64) -> f64 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// 2^k for an integral `k` in -1022..=1023.
#[inline(always)]
pub(super) fn pow2(k: f64) -> f64 {
    f64::from_bits(((k + MAGIC).to_bits() << 52).wrapping_add(1023 << 52))
}

/// `u * 2^k` in two steps, so that results may overflow or be subnormal.
#[inline(always)]
pub(super) fn scale(u: f64, k: f64) -> f64 {
    let half = round_magic(k * 0.5);
    u * pow2(half) * pow2(k - half)
}

/// exp(r) - 1 for |r| <= ln(2)/2: a minimax fit.
#[inline(always)]
pub(super) fn expm1_reduced(r: f64) -> f64 {
    let q = horner(
        r,
        [
            2.091_475_532_589_32e-9,
            2.510_531_272_962_210_3e-8,
            2.755_727_347_871_858e-7,
            2.755_725_517_000_089e-6,
            2.480_158_732_567_746e-5,
            1.984_126_987_500_228e-4,
            1.388_888_888_888_371_1e-3,
            8.333_333_333_326_084e-3,
            4.166_666_666_666_667e-2,
            1.666_666_666_666_666_7e-1,
            0.5,
        ],
    );
    (r * r).mul_add(q, r)
}

/// `k` and `r`, small beside 1, of `x + low = k ln 2 + r`, `low` being small.
#[inline(always)]
pub(super) fn reduce_ln2(x: f64, low: f64) -> (f64, f64) {
    let k = round_magic(x * std::f64::consts::LOG2_E);
    // The first step is exact: LN2_HI has 33 bits.
    (k, (-k).mul_add(LN2_HI, x) + (-k).mul_add(LN2_LO, low))
}

#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let (k, r) = reduce_ln2(bound(x, -750.0, 750.0), 0.0);
    scale(expm1_reduced(r) + 1.0, k)
}

#[inline(always)]
pub fn exp2(x: f64) -> f64 {
    let x = bound(x, -1080.0, 1080.0);
    let k = round_magic(x);
    scale(expm1_reduced((x - k) * std::f64::consts::LN_2) + 1.0, k)
}

#[inline(always)]
pub fn expm1(x: f64) -> f64 {
    let (k, r) = reduce_ln2(bound(x, -50.0, 710.0), 0.0);
    let half = pow2(k - 1.0);
    (2.0 * half.mul_add(expm1_reduced(r), half - 0.5)).copysign(x)
}

/// A positive finite `x` as `2^k * (1 + f)` with `1 + f` in sqrt(1/2)..sqrt(2).
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let scaled = x * 18_014_398_509_481_984.0;
    let (k, f) = split_normal(if tiny { scaled } else { x });
    (k - if tiny { 54.0 } else { 0.0 }, f)
}

/// [`split`] for numbers that are not subnormal.
#[inline(always)]
pub(super) fn split_normal(x: f64) -> (f64, f64) {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let bits = x.to_bits().wrapping_add(0x3ff0_0000_0000_0000 - SQRT_HALF);
    let k = f64::from_bits((bits >> 52) | MAGIC.to_bits()) - (MAGIC + 1023.0);
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) + SQRT_HALF);
    (k, m - 1.0)
}

/// `(f²/2, ln(1 + f) - f + f²/2)` of fdlibm's log.
#[inline(always)]
fn log_tail(f: f64) -> (f64, f64) {
    log_tail_by(f, f / (2.0 + f))
}

/// The same, given `f / (2 + f)`.
#[inline(always)]
fn log_tail_by(f: f64, s: f64) -> (f64, f64) {
    let half_square = 0.5 * f * f;
    let z = s * s;
    let r = z * horner(
        z,
        [
            1.479_819_860_511_658_6e-1,
            1.531_383_769_920_937_3e-1,
            1.818_357_216_161_805e-1,
            2.222_219_843_214_978_4e-1,
            2.857_142_874_366_239e-1,
            3.999_999_999_940_942e-1,
            6.666_666_666_666_735e-1,
        ],
    );
    (half_square, s * (half_square + r))
}

/// Replaces what `log` computed where its argument is zero, negative, infinite or NaN.
#[inline(always)]
fn log_edges(x: f64, y: f64) -> f64 {
    let y = if x == f64::INFINITY { x } else { y };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f64::NAN }
}

#[inline(always)]
pub fn log(x: f64) -> f64 {
    let (k, f) = split(x);
    let (half_square, tail) = log_tail(f);
    log_edges(x, k * LN2_HI - ((half_square - (tail + k * LN2_LO)) - f))
}

/// Logarithms of two positive numbers, neither subnormal nor infinite, by one division.
#[inline(always)]
pub(super) fn log_pair(x: f64, y: f64) -> (f64, f64) {
    let ((j, f), (k, g)) = (split_normal(x), split_normal(y));
    let inverse = 1.0 / ((2.0 + f) * (2.0 + g));
    let one = |k: f64, f: f64, s: f64| {
        let (half_square, tail) = log_tail_by(f, s);
        k * LN2_HI - ((half_square - (tail + k * LN2_LO)) - f)
    };
    let (s, t) = (f * (2.0 + g) * inverse, g * (2.0 + f) * inverse);
    (one(j, f, s), one(k, g, t))
}

#[inline(always)]
pub fn log1p(x: f64) -> f64 {
    let u = 1.0 + x;
    let (k, m) = split(u);
    let lost = if u > 2.0 {
        1.0 - (u - x)
    } else {
        x - (u - 1.0)
    } / u;
    let (f, lost) = if k == 0.0 { (x, 0.0) } else { (m, lost) };
    let (half_square, tail) = log_tail(f);
    let y = k * LN2_HI - ((half_square - (tail + (k * LN2_LO + lost))) - f);
    let y = if x == 0.0 { x } else { y };
    log_edges(u, y)
}

/// `ln(1 + f)` as a value with 32 significant bits and the rest.
#[inline(always)]
fn log_parts(f: f64) -> (f64, f64) {
    let (half_square, tail) = log_tail(f);
    let high = f64::from_bits((f - half_square).to_bits() & 0xffff_ffff_0000_0000);
    (high, (f - high) - half_square + tail)
}

#[inline(always)]
pub fn log2(x: f64) -> f64 {
    const SCALE_HI: f64 = 1.442_695_040_721_446_3;
    const SCALE_LO: f64 = 1.675_171_316_488_651_2e-10;
    let (k, f) = split(x);
    let (high, low) = log_parts(f);
    let value = high * SCALE_HI;
    let rest = (low + high) * SCALE_LO + low * SCALE_HI;
    let sum = k + value;
    log_edges(x, (rest + ((k - sum) + value)) + sum)
}

#[inline(always)]
pub fn log10(x: f64) -> f64 {
    const SCALE_HI: f64 = 4.342_944_818_781_689e-1;
    const SCALE_LO: f64 = 2.508_294_671_164_527_5e-11;
    let (k, f) = split(x);
    let (high, low) = log_parts(f);
    let value = high * SCALE_HI;
    let exponent = k * 3.010_299_956_636_117_7e-1;
    let rest = k * 3.694_239_077_158_931e-13 + ((low + high) * SCALE_LO + low * SCALE_HI);
    let sum = exponent + value;
    log_edges(x, (rest + ((exponent - sum) + value)) + sum)
}

/// Quadrant and reduced argument (in two parts) of `x`, |x| < [`TRIG_LIMIT`].
#[inline(always)]
fn reduce_pio2(x: f64) -> (u64, f64, f64) {
    let shifted = x.mul_add(std::f64::consts::FRAC_2_PI, MAGIC);
    let k = shifted - MAGIC;
    let high = (-k).mul_add(PIO2_HI, x);
    let w = k * PIO2_LO;
    let r = high - w;
    let rest = k.mul_add(PIO2_LO, -w) + k * -1.497_384_904_859_183_3e-33;
    (shifted.to_bits(), r, ((high - r) - w) - rest)
}

#[inline(always)]
fn sin_reduced(r: f64, low: f64) -> f64 {
    let z = r * r;
    let v = z * r;
    let p = horner(
        z,
        [
            1.589_690_995_211_55e-10,
            -2.505_076_025_340_686_3e-8,
            2.755_731_370_707_007e-6,
            -1.984_126_982_985_795e-4,
            8.333_333_333_322_49e-3,
        ],
    );
    r - ((z * (0.5 * low - v * p) - low) + v * 1.666_666_666_666_663_2e-1)
}

#[inline(always)]
fn cos_reduced(r: f64, low: f64) -> f64 {
    let z = r * r;
    let p = z * horner(
        z,
        [
            -1.135_964_755_778_819_5e-11,
            2.087_572_321_298_175e-9,
            -2.755_731_435_139_066_3e-7,
            2.480_158_728_947_673e-5,
            -1.388_888_888_887_411e-3,
            4.166_666_666_666_66e-2,
        ],
    );
    let half = 0.5 * z;
    let w = 1.0 - half;
    w + (((1.0 - w) - half) + (z * p - r * low))
}

#[inline(always)]
fn negate_if_bit1(value: f64, quadrant: u64) -> f64 {
    f64::from_bits(value.to_bits() ^ ((quadrant & 2) << 62))
}

#[inline(always)]
pub fn sin(x: f64) -> f64 {
    let (q, r, low) = reduce_pio2(x);
    let (s, c) = (sin_reduced(r, low), cos_reduced(r, low));
    negate_if_bit1(if q & 1 == 0 { s } else { c }, q)
}

#[inline(always)]
pub fn cos(x: f64) -> f64 {
    let (q, r, low) = reduce_pio2(x);
    let (s, c) = (sin_reduced(r, low), cos_reduced(r, low));
    negate_if_bit1(if q & 1 == 0 { c } else { s }, q.wrapping_add(1))
}

#[inline(always)]
pub fn tan(x: f64) -> f64 {
    let (q, r, low) = reduce_pio2(x);
    let (s, c) = (sin_reduced(r, low), cos_reduced(r, low));
    let even = q & 1 == 0;
    let (num, den) = (if even { s } else { -c }, if even { c } else { s });
    num / den
}
