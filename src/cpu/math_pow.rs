//! Powers as C defines them: `2^(y log2 x)`, with the logarithm to more digits than the result has.

use super::math32;
use super::math64::{bound, horner, polynomial, pow2, round_magic, scale, split, split_normal};

/// The exponent `k` of `x >= 0`, or log2(x) itself where it is infinite or NaN.
#[inline(always)]
fn edges(x: f64, k: f64) -> f64 {
    let k = if x == 0.0 { f64::NEG_INFINITY } else { k };
    if x < f64::INFINITY { k } else { x }
}

/// log2(x) of `x >= 0`, 0 or normal, to 35 bits: a minimax fit of `log2(1 + f) / f`.
#[inline(always)]
fn log2_wide(x: f64) -> f64 {
    let (k, f) = split_normal(x);
    let k = edges(x, k);
    let p = polynomial(
        f,
        [
            0.06831287598529351,
            -0.13725558432031656,
            0.14650517377597522,
            -0.14457341095056833,
            0.15866399310795956,
            -0.18016754523600373,
            0.2061770478316095,
            -0.2404587286231143,
            0.28853731333778,
            -0.3606735785590215,
            0.4808983610793691,
            -0.7213475213373679,
            1.4426950408686052,
        ],
    );
    f.mul_add(p, k)
}

/// 2^x for |x| <= 1000 to 29 bits: a minimax fit.
#[inline(always)]
fn exp2_wide(x: f64) -> f64 {
    let k = round_magic(x);
    let p = polynomial(
        x - k,
        [
            0.00015345741521978994,
            0.001339996963027432,
            0.009618490178118753,
            0.05550328709712449,
            0.24022646876510506,
            0.6931472057595575,
            1.000000000555141,
        ],
    );
    p * pow2(k)
}

/// `base` and `exponent` with what C says of zeros, infinities, NaN and negative bases.
macro_rules! power {
    ($name:ident $t:ident $raw:ident) => {
        #[inline(always)]
        pub fn $name(x: $t, y: $t) -> $t {
            let a = x.abs();
            let r = $raw(a, y);
            let integral = y == y.trunc();
            let half = 0.5 * y;
            let odd = integral & (half != half.trunc());
            let r = if odd { r.copysign(x) } else { r };
            let undefined = (x < 0.0) & (x > $t::NEG_INFINITY) & !integral;
            let r = if undefined { $t::NAN } else { r };
            if (y == 0.0) | (x == 1.0) { 1.0 } else { r }
        }
    };
}
power!(pow32 f32 raw32);
power!(pow64 f64 raw64);

#[inline(always)]
fn raw32(a: f32, y: f32) -> f32 {
    // Infinite exponents stay apart from a base of 1, whose logarithm is 0.
    let y = math32::bound(y, f32::MIN, f32::MAX);
    exp2_wide(bound(f64::from(y) * log2_wide(f64::from(a)), -200.0, 200.0)) as f32
}

/// log2(x) of `x >= 0` as a sum of two doubles, to about 64 bits: `log2(m) = 2 atanh(s) / ln 2` with
/// `s = (m - 1) / (m + 1)`, the series fitted from its third term on.
#[inline(always)]
fn log2_pair(x: f64) -> (f64, f64) {
    const THIRD_LOW: f64 = 1.850371707708594e-17;
    const SCALE: f64 = 2.8853900817779268;
    const SCALE_LOW: f64 = 4.0710547481862066e-17;
    let (k, f) = split(x);
    let k = edges(x, k);
    let den = 2.0 + f;
    let den_low = f - (den - 2.0);
    let inverse = 1.0 / den;
    let s = f * inverse;
    let s_low = ((-s).mul_add(den, f) - s * den_low) * inverse;
    let z = s * s;
    let z_low = s.mul_add(s, -z) + 2.0 * s * s_low;
    let tail = z * horner(
        z,
        [
            0.05970074113121049,
            0.058408513929883804,
            0.06667959208184907,
            0.07692284558116819,
            0.09090909328711595,
            0.11111111109803022,
            0.14285714285717446,
            0.19999999999999998,
        ],
    );
    let third = 1.0 / 3.0;
    let u = third + tail;
    let u_low = tail - (u - third) + THIRD_LOW;
    let w = z * s;
    let w_low = z.mul_add(s, -w) + z.mul_add(s_low, z_low * s);
    let v = w * u;
    let v_low = w.mul_add(u, -v) + w.mul_add(u_low, w_low * u);
    let t = s + v;
    let t_low = (s - t) + v + (s_low + v_low);
    let h = t * SCALE;
    let h_low = t.mul_add(SCALE, -h) + t.mul_add(SCALE_LOW, t_low * SCALE);
    let sum = k + h;
    (sum, (k - sum) + h + h_low)
}

/// 2^(high + low), `low` being small against 1: a minimax fit of `(2^r - 1 - r ln 2) / r²`.
#[inline(always)]
fn exp2_pair(high: f64, low: f64) -> f64 {
    let low = if high.abs() < 1100.0 { low } else { 0.0 };
    let high = bound(high, -1100.0, 1100.0);
    let k = round_magic(high);
    let r = (high - k) + low;
    let q = horner(
        r,
        [
            4.477538542891365e-10,
            7.0920712698661655e-9,
            1.0177901091321642e-7,
            1.32153250978444e-6,
            1.5252734248173877e-5,
            0.00015403530685095438,
            0.0013333558145946845,
            0.009618129107409362,
            0.055504108664823686,
            0.2402265069591059,
        ],
    );
    const LN_2_LOW: f64 = 2.319046813846299558e-17;
    let p = r.mul_add(LN_2_LOW, r * r * q);
    scale(r.mul_add(std::f64::consts::LN_2, p) + 1.0, k)
}

#[inline(always)]
fn raw64(a: f64, y: f64) -> f64 {
    let (l, l_low) = log2_pair(a);
    let y = bound(y, -1e300, 1e300);
    let p = y * l;
    exp2_pair(p, y.mul_add(l, -p) + y * l_low)
}
