//! Fills slices with samples of the distributions, one draw (or as many as PyTorch takes) per element, in order.

use crate::tensor::{Bool, bf16, f16};

use super::random::{Generator, unit_f32, unit_f64};
use super::random_normal::{self, BLOCK};

/// From this range on integers are drawn from 64 bits, so that `%` stays within 5 % of uniform.
const WIDE_RANGE: u64 = 1 << 28;

/// An element that can hold a sample.
pub trait Sample: Copy {
    fn from_f64(value: f64) -> Self;
    fn from_i64(value: i64) -> Self;
    /// An integer of the range that the type holds exactly, for `random_` without bounds.
    fn whole(generator: &mut Generator, out: &mut [Self]);
}

/// A floating-point element.
pub trait Real: Sample {
    /// Uniform on [from, to).
    fn uniform(generator: &mut Generator, out: &mut [Self], from: f64, to: f64);
    /// Normal samples for sixteen or more elements.
    fn normal_blocks(generator: &mut Generator, out: &mut [Self], mean: f64, std: f64);
}

macro_rules! sample {
    ($($t:ty: $from_f64:expr, $from_i64:expr, $draw:ident $whole:expr;)*) => {$(
        impl Sample for $t {
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                $from_f64(value)
            }
            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                $from_i64(value)
            }
            fn whole(generator: &mut Generator, out: &mut [Self]) {
                generator.$draw(out, $whole);
            }
        }
    )*};
}

sample! {
    Bool: |v| Bool::from(v != 0.0), |v| Bool::from(v != 0), map_u32 |w| Bool::from(w & 1 == 1);
    u8: |v: f64| v as i64 as u8, |v| v as u8, map_u32 |w| w as u8;
    i8: |v: f64| v as i32 as i8, |v| v as i8, map_u32 |w| (w & 0x7f) as i8;
    i16: |v: f64| v as i32 as i16, |v| v as i16, map_u32 |w| (w & 0x7fff) as i16;
    i32: |v| v as i32, |v| v as i32, map_u32 |w| (w & 0x7fff_ffff) as i32;
    u16: |v: f64| v as i64 as u16, |v| v as u16, map_u32 |w| w as u16;
    u32: |v: f64| v as i64 as u32, |v| v as u32, map_u32 |w| w;
    u64: |v| v as u64, |v| v as u64, map_u64 |w| w;
    i64: |v| v as i64, |v| v, map_u64 |w| (w & 0x7fff_ffff_ffff_ffff) as i64;
    f16: |v: f64| f16::from_f32(v as f32), |v| f16::from_f32(v as f32), map_u32 |w| f16::from_f32((w % 2049) as f32);
    bf16: |v: f64| bf16::from_f32(v as f32), |v| bf16::from_f32(v as f32), map_u32 |w| bf16::from_f32((w % 257) as f32);
    f32: |v| v as f32, |v| v as f32, map_u32 |w| (w % 16_777_217) as f32;
    f64: |v| v, |v| v as f64, map_u64 |w| (w % ((1 << 53) + 1)) as f64;
}

macro_rules! real {
    ($($t:ty, $compute:ty, $draw:ident, $unit:ident, $narrow:expr, $normal:ident;)*) => {$(
        impl Real for $t {
            fn uniform(generator: &mut Generator, out: &mut [Self], from: f64, to: f64) {
                let (low, high) = ($narrow(from as $compute), $narrow(to as $compute));
                let (from, span) = (from as $compute, to as $compute - from as $compute);
                generator.$draw(out, |w| {
                    let value = $narrow($unit(w).mul_add(span, from));
                    // Rounding may reach the open end.
                    if value == high { low } else { value }
                });
            }
            fn normal_blocks(generator: &mut Generator, out: &mut [Self], mean: f64, std: f64) {
                $normal(generator, out, mean as $compute, std as $compute);
            }
        }
    )*};
}

use random_normal::fill as normal_direct;

real! {
    f16, f32, map_u32, unit_f32, f16::from_f32, normal_narrowed;
    bf16, f32, map_u32, unit_f32, bf16::from_f32, normal_narrowed;
    f32, f32, map_u32, unit_f32, std::convert::identity, normal_direct;
    f64, f64, map_u64, unit_f64, std::convert::identity, normal_direct;
}

/// Normal samples computed in f32, block by block.
fn normal_narrowed<T: Sample>(generator: &mut Generator, out: &mut [T], mean: f32, std: f32) {
    let mut block = |target: &mut [T]| {
        let mut samples = [0.0_f32; BLOCK];
        random_normal::fill(generator, &mut samples, mean, std);
        for (t, s) in target.iter_mut().zip(samples) {
            *t = T::from_f64(f64::from(s));
        }
    };
    out.chunks_exact_mut(BLOCK).for_each(&mut block);
    if out.len() % BLOCK != 0 {
        let start = out.len() - BLOCK;
        block(&mut out[start..]);
    }
}

/// Normal samples; `blocks` says that the destination is contiguous, which decides how PyTorch draws.
pub fn normal<T: Real>(
    generator: &mut Generator,
    out: &mut [T],
    mean: f64,
    std: f64,
    blocks: bool,
) {
    if blocks && out.len() >= BLOCK {
        return T::normal_blocks(generator, out, mean, std);
    }
    for o in out {
        *o = T::from_f64(generator.normal().mul_add(std, mean));
    }
}

/// `exp` of normal samples.
pub fn log_normal<T: Sample>(generator: &mut Generator, out: &mut [T], mean: f64, std: f64) {
    for o in out {
        *o = T::from_f64(generator.normal().mul_add(std, mean).exp());
    }
}

/// Integers from `base` to `base + range - 1`.
pub fn integers<T: Sample>(generator: &mut Generator, out: &mut [T], range: u64, base: i64) {
    if range >= WIDE_RANGE {
        generator.map_u64(out, |w| {
            T::from_i64(((w % range) as i64).wrapping_add(base))
        });
        return;
    }
    // Lemire's remainder by a fixed divisor: exact for 32-bit words, and two products instead of a division.
    let inverse = (u64::MAX / range).wrapping_add(1);
    generator.map_u32(out, |w| {
        let fraction = inverse.wrapping_mul(u64::from(w));
        let rest = (u128::from(fraction) * u128::from(range)) >> 64;
        T::from_i64((rest as i64).wrapping_add(base))
    });
}

/// Integers of the whole range of i64.
pub fn integers_64<T: Sample>(generator: &mut Generator, out: &mut [T]) {
    generator.map_u64(out, |w| T::from_i64(w as i64));
}

/// Ones with probability `p`, else zeros.
pub fn bernoulli<T: Sample>(generator: &mut Generator, out: &mut [T], p: f64) {
    let (zero, one) = (T::from_i64(0), T::from_i64(1));
    generator.map_u64(out, |w| if unit_f64(w) < p { one } else { zero });
}

/// Ones with the probability that `p` has for each element, drawn in double precision.
pub fn bernoulli_each_f64<T: Sample>(generator: &mut Generator, out: &mut [T], p: &[f64]) {
    for (o, &p) in out.iter_mut().zip(p) {
        *o = T::from_i64(i64::from(generator.uniform_f64() < p));
    }
}

/// The same in single precision, which takes one word per element instead of two.
pub fn bernoulli_each_f32<T: Sample>(generator: &mut Generator, out: &mut [T], p: &[f32]) {
    for (o, &p) in out.iter_mut().zip(p) {
        *o = T::from_i64(i64::from(generator.uniform_f32() < p));
    }
}

/// The number of trials up to the first success.
pub fn geometric<T: Sample>(generator: &mut Generator, out: &mut [T], p: f64) {
    let log_failure = (-p).ln_1p();
    generator.map_u64(out, |w| {
        T::from_f64((unit_f64(w).ln() / log_failure).ceil())
    });
}

pub fn exponential<T: Sample>(generator: &mut Generator, out: &mut [T], lambda: f64) {
    generator.map_u64(out, |w| T::from_f64(-1.0 / lambda * (-unit_f64(w)).ln_1p()));
}

pub fn cauchy<T: Sample>(generator: &mut Generator, out: &mut [T], median: f64, sigma: f64) {
    generator.map_u64(out, |w| {
        let tangent = (std::f64::consts::PI * (unit_f64(w) - 0.5)).tan();
        T::from_f64(sigma.mul_add(tangent, median))
    });
}
