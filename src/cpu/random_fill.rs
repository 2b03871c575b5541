//! Fills slices with samples of the distributions, one draw (or as many as PyTorch takes) per element, in order.
//!
//! Integers are drawn as i64 and most floats as f64, whatever they are stored as: PyTorch, too, computes them
//! wide and rounds once, and so few types have to be compiled.

use super::math64::{log, log1p, tan};
use super::multiversion::multiversion;
use super::random::{Generator, unit_f32, unit_f64};
use super::random_normal::{self, BLOCK, NormalBlock};
use crate::tensor::{DType, Element};

/// From this range on integers are drawn from 64 bits, so that `%` stays within 5 % of uniform.
const WIDE_RANGE: u64 = 1 << 28;

/// The value, or `from` where rounding reached the open end `to`.
#[inline(always)]
fn below<T: PartialEq>(value: T, to: T, from: T) -> T {
    if value == to { from } else { value }
}

/// Rounds values to half precision; where that reaches the open end `to`, `from` takes its place.
pub fn round_below(out: &mut [f32], from: f32, to: f32, round: fn(f32) -> f32) {
    let (low, high) = (round(from), round(to));
    out.iter_mut()
        .for_each(|v| *v = below(round(*v), high, low));
}

/// Uniform on [from, to), in f32 as half precision and float32 are drawn.
pub fn uniform_f32(generator: &mut Generator, out: &mut [f32], from: f32, to: f32) {
    let span = to - from;
    generator.map_u32(out, |w| below(unit_f32(w).mul_add(span, from), to, from));
}

/// Uniform on [from, to).
pub fn uniform_f64(generator: &mut Generator, out: &mut [f64], from: f64, to: f64) {
    let span = to - from;
    generator.map_u64(out, |w| below(unit_f64(w).mul_add(span, from), to, from));
}

/// Normal samples computed in the type itself, for sixteen or more elements.
pub fn normal_blocks<T: NormalBlock>(generator: &mut Generator, out: &mut [T], mean: T, std: T) {
    random_normal::fill(generator, out, mean, std);
}

/// Normal samples for half precision: each block draws and computes by itself, the last one from its own draws.
pub fn normal_blocks_apart(generator: &mut Generator, out: &mut [f32], mean: f32, std: f32) {
    let (whole, last) = (out.len() / BLOCK * BLOCK, out.len() - BLOCK);
    for block in out[..whole].chunks_exact_mut(BLOCK) {
        random_normal::fill(generator, block, mean, std);
    }
    if whole < out.len() {
        random_normal::fill(generator, &mut out[last..], mean, std);
    }
}

/// Normal samples one by one, as PyTorch draws fewer than sixteen, or into memory with gaps.
pub fn normal_each(generator: &mut Generator, out: &mut [f64], mean: f64, std: f64) {
    out.fill_with(|| generator.normal().mul_add(std, mean));
}

/// `exp` of normal samples.
pub fn log_normal(generator: &mut Generator, out: &mut [f64], mean: f64, std: f64) {
    out.fill_with(|| generator.normal().mul_add(std, mean).exp());
}

/// Integers from `base` to `base + range - 1`.
pub fn integers(generator: &mut Generator, out: &mut [i64], range: u64, base: i64) {
    if range >= WIDE_RANGE {
        return generator.map_u64(out, |w| ((w % range) as i64).wrapping_add(base));
    }
    // Lemire's remainder by a fixed divisor: exact for 32-bit words, and two products instead of a division.
    let inverse = (u64::MAX / range).wrapping_add(1);
    generator.map_u32(out, |w| {
        let fraction = inverse.wrapping_mul(u64::from(w));
        let rest = (u128::from(fraction) * u128::from(range)) >> 64;
        (rest as i64).wrapping_add(base)
    });
}

/// Integers of the whole range of i64.
pub fn integers_64(generator: &mut Generator, out: &mut [i64]) {
    generator.map_u64(out, |w| w as i64);
}

/// Integers from 0 to the largest that a dtype and all below it hold exactly, for `random_` without bounds.
pub fn integers_of(generator: &mut Generator, out: &mut [i64], dtype: DType) {
    let count = match dtype {
        DType::I64 => return generator.map_u64(out, |w| (w & (u64::MAX >> 1)) as i64),
        DType::F64 => return generator.map_u64(out, |w| (w % ((1 << 53) + 1)) as i64),
        DType::F32 => (1 << 24) + 1,
        DType::F16 => (1 << 11) + 1,
        DType::BF16 => (1 << 8) + 1,
        DType::Bool => 2,
        DType::I8 => 1 << 7,
        DType::U8 => 1 << 8,
        DType::I16 => 1 << 15,
        _ => 1_u32 << 31,
    };
    generator.map_u32(out, |w| i64::from(w % count));
}

/// Ones with probability `p`, else zeros.
pub fn bernoulli<T: Copy + From<u8>>(generator: &mut Generator, out: &mut [T], p: f64) {
    generator.map_u64(out, |w| T::from(u8::from(unit_f64(w) < p)));
}

/// A type in which probabilities are compared with uniform samples.
pub trait Probability: Element + PartialOrd {
    const ZERO: Self;
    const ONE: Self;
    fn uniform(generator: &mut Generator, out: &mut [Self]);
}

/// One word per element.
impl Probability for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn uniform(generator: &mut Generator, out: &mut [f32]) {
        generator.map_u32(out, unit_f32);
    }
}

/// Two words per element.
impl Probability for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn uniform(generator: &mut Generator, out: &mut [f64]) {
        generator.map_u64(out, unit_f64);
    }
}

/// Elements whose samples are drawn before they are compared.
const STRIP: usize = 512;

/// Are these probabilities?
#[must_use]
pub fn are_probabilities<P: Probability>(p: &[P]) -> bool {
    // SAFETY: the count is that of a slice.
    p.chunks(STRIP)
        .all(|p| unsafe { inside(p.as_ptr(), p.len()) })
}

/// Ones with the probability that `p` has for each element, else zeros.
pub fn bernoulli_each<T: From<u8>, P: Probability>(
    generator: &mut Generator,
    out: &mut [T],
    p: &[P],
) {
    let mut drawn = [P::ZERO; STRIP];
    for (out, p) in out.chunks_mut(STRIP).zip(p.chunks(STRIP)) {
        let drawn = &mut drawn[..out.len()];
        P::uniform(generator, drawn);
        // SAFETY: the three have the same length.
        unsafe { compare(drawn.as_ptr(), p.as_ptr(), out.as_mut_ptr(), out.len()) };
    }
}

multiversion! {
    unsafe fn inside[P: Probability](p: *const P, count: usize) -> bool {
        // SAFETY: the caller passes `count` of them.
        let at = |i| unsafe { *p.add(i) };
        (0..count).fold(true, |all, i| all & (at(i) >= P::ZERO) & (at(i) <= P::ONE))
    }
}

multiversion! {
    unsafe fn compare[T: From<u8>, P: Probability](drawn: *const P, p: *const P, out: *mut T, count: usize) {
        for i in 0..count {
            // SAFETY: the caller passes `count` of each.
            unsafe { out.add(i).write(T::from(u8::from(*drawn.add(i) < *p.add(i)))) };
        }
    }
}

/// The number of trials up to the first success.
pub fn geometric(generator: &mut Generator, out: &mut [f64], p: f64) {
    let log_failure = (-p).ln_1p();
    generator.map_u64(out, |w| (log(unit_f64(w)) / log_failure).ceil());
}

/// With `exact`, to the last bit of a double; else to what any narrower type keeps.
pub fn exponential(generator: &mut Generator, out: &mut [f64], lambda: f64, exact: bool) {
    let scale = -1.0 / lambda;
    if exact {
        generator.map_u64(out, |w| scale * (-unit_f64(w)).ln_1p());
    } else {
        generator.map_u64(out, |w| scale * log1p(-unit_f64(w)));
    }
}

/// With `exact`, to the last bit of a double; else to what any narrower type keeps.
pub fn cauchy(generator: &mut Generator, out: &mut [f64], median: f64, sigma: f64, exact: bool) {
    let angle = |w| std::f64::consts::PI * (unit_f64(w) - 0.5);
    if exact {
        generator.map_u64(out, |w| sigma.mul_add(angle(w).tan(), median));
    } else {
        generator.map_u64(out, |w| sigma.mul_add(tan(angle(w)), median));
    }
}
