//! Inverse trigonometric functions of `f64`, by fdlibm's polynomials.

use super::math64::{PIO2_HI, PIO2_LO, bound, horner};

/// `(asin(sqrt z) - sqrt z) / sqrt z`, z <= 1/4.
#[inline(always)]
fn asin_tail(z: f64) -> f64 {
    let p = horner(
        z,
        [
            3.479_331_075_960_212e-5,
            7.915_349_942_898_145e-4,
            -4.005_553_450_067_941e-2,
            2.012_125_321_348_629_3e-1,
            -3.255_658_186_224_009e-1,
            1.666_666_666_666_666_6e-1,
        ],
    );
    let q = horner(
        z,
        [
            7.703_815_055_590_194e-2,
            -6.882_839_716_054_533e-1,
            2.020_945_760_233_505_7,
            -2.403_394_911_734_414,
            1.0,
        ],
    );
    z * p / q
}

#[inline(always)]
pub fn asin(x: f64) -> f64 {
    let a = x.abs();
    let big = a >= 0.5;
    let z = if big { (1.0 - a) * 0.5 } else { x * x };
    let s = if big { z.sqrt() } else { a };
    let tail = asin_tail(z);
    let far = PIO2_HI - (2.0 * s.mul_add(tail, s) - PIO2_LO);
    (if big { far } else { s.mul_add(tail, s) }).copysign(x)
}

#[inline(always)]
pub fn acos(x: f64) -> f64 {
    let a = x.abs();
    let big = a >= 0.5;
    let z = if big { (1.0 - a) * 0.5 } else { x * x };
    let tail = asin_tail(z);
    let s = z.sqrt();
    let near = PIO2_HI - (x - (PIO2_LO - x * tail));
    let upper = 2.0 * s.mul_add(tail, s);
    let lower = 2.0 * (PIO2_HI - (s + (tail * s - PIO2_LO)));
    let far = if x < 0.0 { lower } else { upper };
    if big { far } else { near }
}

/// atan(num / den) for `num >= 0`, `den >= 0`, in 0..=pi/2.
#[inline(always)]
fn atan_ratio(num: f64, den: f64) -> f64 {
    let above = num > 2.414_213_562_373_095 * den;
    let middle = num > 0.414_213_562_373_095_03 * den;
    let n = if above {
        -den
    } else if middle {
        num - den
    } else {
        num
    };
    let d = if above {
        num
    } else if middle {
        num + den
    } else {
        den
    };
    let base = if above {
        PIO2_HI
    } else if middle {
        PIO2_HI * 0.5
    } else {
        0.0
    };
    let rest = if above {
        PIO2_LO
    } else if middle {
        PIO2_LO * 0.5
    } else {
        0.0
    };
    let t = n / d;
    let z = t * t;
    let p = z * horner(
        z,
        [
            1.628_582_011_536_578_2e-2,
            -3.653_157_274_421_691_6e-2,
            4.976_877_994_615_932_4e-2,
            -5.833_570_133_790_573_5e-2,
            6.661_073_137_387_531e-2,
            -7.691_876_205_044_83e-2,
            9.090_887_133_436_507e-2,
            -1.111_111_040_546_235_6e-1,
            1.428_571_427_250_346_6e-1,
            -1.999_999_999_987_648_3e-1,
            3.333_333_333_333_293e-1,
        ],
    );
    base - ((t * p - rest) - t)
}

#[inline(always)]
pub fn atan(x: f64) -> f64 {
    let a = bound(x.abs(), 0.0, 1e300);
    atan_ratio(a, 1.0).copysign(x)
}

#[inline(always)]
pub fn atan2(y: f64, x: f64) -> f64 {
    let both = x.is_infinite() & y.is_infinite();
    let (num, den) = if both { (1.0, 1.0) } else { (y.abs(), x.abs()) };
    // Scaled against overflow of the sum and underflow of the quotient.
    let large = (num > 1e300) | (den > 1e300);
    let factor = if large { 1e-10 } else { 1.0 };
    let small = (num < 1e-290) & (den < 1e-290);
    let factor = if small { 1e10 } else { factor };
    let den_infinite = den == f64::INFINITY;
    let angle = atan_ratio(num * factor, den * factor);
    let angle = if (num == 0.0) | den_infinite {
        0.0
    } else {
        angle
    };
    let angle = if (num == f64::INFINITY) & !both {
        PIO2_HI
    } else {
        angle
    };
    let left = x.is_sign_negative();
    let angle = if left {
        std::f64::consts::PI - (angle - 2.0 * PIO2_LO)
    } else {
        angle
    };
    let angle = if x.is_nan() | y.is_nan() {
        f64::NAN
    } else {
        angle
    };
    angle.copysign(y)
}
