//! Copies between strided tensors, with conversion of dtype and of lazy bits.

use std::mem::MaybeUninit;

use crate::Result;
use crate::cpu::convert::{Convert, Rect, converter};
use crate::cpu::half_bits::{narrow_bf16, narrow_f16, widen_bf16, widen_f16};
use crate::cpu::iter::Plan;
use crate::cpu::pool;
use crate::cpu::stream::{self, Line};
use crate::tensor::{Bool, DType, Tensor, bf16, c64, c128, f16};

/// Conversion of an element, as a C cast does it.
pub trait Cast<S>: Copy {
    fn cast(value: S) -> Self;
}

/// The whole part of a number. Floats beyond the integer's range, and NaN, become its least value, as the processor's
/// conversions have it: Rust's own, which saturate, do not vectorise.
trait Whole: Copy {
    fn int(self) -> i32;
    fn long(self) -> i64;
}

macro_rules! whole_integers {
    ($($T:ty)*) => { $(
        impl Whole for $T {
            #[inline(always)]
            fn int(self) -> i32 {
                self as i32
            }
            #[inline(always)]
            fn long(self) -> i64 {
                self as i64
            }
        }
    )* };
}
whole_integers!(u8 i8 i16 i32 i64 u16 u32 u64);

macro_rules! whole_floats {
    ($($F:ident)*) => { $(
        impl Whole for $F {
            #[inline(always)]
            fn int(self) -> i32 {
                const LEAST: $F = i32::MIN as $F;
                // Between the bounds, fractions included, the whole part fits.
                let inside = self > LEAST - 1.0 && self < -LEAST;
                // SAFETY: the value is finite and its whole part fits.
                unsafe { (if inside { self } else { LEAST }).to_int_unchecked() }
            }
            #[inline(always)]
            fn long(self) -> i64 {
                const LEAST: $F = i64::MIN as $F;
                let inside = (LEAST..-LEAST).contains(&self);
                // SAFETY: as above.
                unsafe { (if inside { self } else { LEAST }).to_int_unchecked() }
            }
        }
    )* };
}
whole_floats!(f32 f64);

macro_rules! casts {
    (@from $S:ty, $v:ident => $real:expr, $re:expr, $im:expr, $truth:expr) => {
        casts!(@to $S, $v => $real; u8 i8 i16 i32 i64 u16 u32 u64 f32 f64);
        impl Cast<$S> for Bool { #[inline(always)] fn cast($v: $S) -> Self { Bool::from($truth) } }
        impl Cast<$S> for f16 { #[inline(always)] fn cast($v: $S) -> Self { f16::from_bits(narrow_f16($real as f32)) } }
        impl Cast<$S> for bf16 { #[inline(always)] fn cast($v: $S) -> Self { bf16::from_bits(narrow_bf16($real as f32)) } }
        impl Cast<$S> for c64 { #[inline(always)] fn cast($v: $S) -> Self { c64::new($re as f32, $im as f32) } }
        impl Cast<$S> for c128 { #[inline(always)] fn cast($v: $S) -> Self { c128::new($re as f64, $im as f64) } }
    };
    (@to $S:ty, $v:ident => $real:expr; $($T:tt)*) => {
        $(impl Cast<$S> for $T { #[inline(always)] fn cast($v: $S) -> Self { casts!(@as $T, $real) } })*
    };
    // A float beyond the target's range wraps as PyTorch's casts through int64 do.
    (@as u8, $e:expr) => { $e.long() as u8 };
    (@as i8, $e:expr) => { $e.long() as i8 };
    (@as i16, $e:expr) => { $e.long() as i16 };
    (@as u16, $e:expr) => { $e.long() as u16 };
    (@as u32, $e:expr) => { $e.long() as u32 };
    (@as i32, $e:expr) => { $e.int() };
    (@as i64, $e:expr) => { $e.long() };
    (@as $T:ty, $e:expr) => { $e as $T };
}

macro_rules! plain_sources {
    ($($S:ty)*) => {$( casts!(@from $S, v => v, v, 0u8, v != (0 as $S)); )*};
}
plain_sources!(u8 i8 i16 i32 i64 u16 u32 u64 f32 f64);
casts!(@from Bool, v => u8::from(v.get()), u8::from(v.get()), 0u8, v.get());
casts!(@from f16, v => widen_f16(v.to_bits()), widen_f16(v.to_bits()), 0u8, widen_f16(v.to_bits()) != 0.0);
casts!(@from bf16, v => widen_bf16(v.to_bits()), widen_bf16(v.to_bits()), 0u8, widen_bf16(v.to_bits()) != 0.0);
casts!(@from c64, v => v.re, v.re, v.im, v.re != 0.0 || v.im != 0.0);
casts!(@from c128, v => v.re, v.re, v.im, v.re != 0.0 || v.im != 0.0);

/// Copies `source` into `target`: equal sizes, both on the CPU, any strides and dtypes.
pub fn copy(target: &Tensor, source: &Tensor) -> Result<()> {
    let conj = source.lazy().conj != target.lazy().conj && source.dtype().is_complex();
    let neg = source.lazy().neg != target.lazy().neg;
    let mut plan = Plan::new(target.shape(), [target.strides(), source.strides()]);
    let onto_itself =
        target.data_ptr() == source.data_ptr() && target.strides() == source.strides();
    let unchanged = target.dtype() == source.dtype() && !(conj || neg);
    if (onto_itself && unchanged) || plan.dims.iter().any(|&(size, _)| size == 0) {
        return Ok(());
    }
    let sides = Sides {
        target: target.data_ptr(),
        target_size: target.dtype().size(),
        source: source.data_ptr(),
        source_size: source.dtype().size(),
    };
    let convert = converter(source.dtype(), target.dtype());
    if conj || neg {
        let signs = signs(source.dtype(), conj, neg);
        let gather = converter(source.dtype(), source.dtype());
        let finish = (source.dtype() != target.dtype()).then_some(convert);
        transformed(&plan, &sides, gather, signs, finish);
        return Ok(());
    }
    let (size, steps) = plan.inner();
    if plan.dims.len() == 1 {
        let around = source.dtype() != target.dtype()
            && steps == [1, 1]
            && stream::pays(size as usize * (sides.source_size + sides.target_size))
            && (sides.target as usize).is_multiple_of(sides.target_size);
        pool::parallel_for(size as usize, pool::grain::COPY, |range| {
            let start = range.start as i64;
            let rect = sides.rect(&plan, [start * steps[0], start * steps[1]], 1, range.len());
            // SAFETY: the plan walks layouts that lie within their storages.
            unsafe {
                if around {
                    convert_around(&sides, &rect, convert);
                } else {
                    convert(&rect);
                }
            }
        });
        return Ok(());
    }
    let crossing = plan.crossing(1, sides.source_size);
    plan.group(crossing.unwrap_or_else(|| plan.longest_outer()));
    let grain = (pool::grain::COPY / size as usize).max(1);
    pool::parallel_for(plan.outer_count() as usize, grain, |range| {
        plan.for_each_stretch(range, usize::MAX >> 1, |offsets, rows| {
            let rect = sides.rect(&plan, offsets, rows, size as usize);
            // SAFETY: the plan walks layouts that lie within their storages.
            unsafe { convert(&rect) };
        });
    });
    Ok(())
}

/// Converts a contiguous row in strips, which go around the caches.
///
/// # Safety
/// As [`Convert`]; both sides are contiguous, the target is aligned for its elements.
unsafe fn convert_around(sides: &Sides, row: &Rect, convert: Convert) {
    const STRIP: usize = 1024;
    let mut aside = Line([0_u8; STRIP]);
    let (store, size) = (stream::store(), sides.target_size);
    let mut done = 0;
    while done < row.cols {
        let source = row.source.wrapping_add(done * sides.source_size);
        let target = row.target.wrapping_add(done * size);
        let head = stream::to_line(target) / size;
        let count = if head > 0 { head } else { STRIP / size };
        // SAFETY: `count` elements at most are left on both sides and fit the strip.
        unsafe {
            if head > 0 || done + count > row.cols {
                let count = count.min(row.cols - done);
                convert(&Rect::line(source, 1, target, 1, count));
            } else {
                convert(&Rect::line(source, 1, aside.0.as_mut_ptr(), 1, count));
                store(aside.0.as_ptr(), target, STRIP);
            }
        }
        done += count;
    }
    stream::finish();
}

/// Where the two tensors of a copy lie.
struct Sides {
    target: *mut u8,
    target_size: usize,
    source: *const u8,
    source_size: usize,
}

// SAFETY: disjoint ranges of the target are written by different tasks, the source is only read.
unsafe impl Sync for Sides {}

impl Sides {
    fn rect(&self, plan: &Plan<2>, [t, s]: [i64; 2], rows: usize, cols: usize) -> Rect {
        let (_, inner) = plan.inner();
        let outer = match plan.dims.len() {
            1 => [0, 0],
            n => plan.dims[n - 2].1,
        };
        Rect {
            rows,
            cols,
            source: self
                .source
                .wrapping_offset(s as isize * self.source_size as isize),
            source_steps: [outer[1] as isize, inner[1] as isize],
            target: self
                .target
                .wrapping_offset(t as isize * self.target_size as isize),
            target_steps: [outer[0] as isize, inner[0] as isize],
        }
    }
}

/// The sign bits to turn in every sixteen bytes of elements, to carry out their lazy bits.
fn signs(dtype: DType, conj: bool, neg: bool) -> u128 {
    let part = dtype.to_real().size();
    let imaginary = neg != (conj && dtype.is_complex());
    (0..16 / part).fold(0, |signs, i| {
        let turns = if dtype.is_complex() && i % 2 == 1 {
            imaginary
        } else {
            neg
        };
        // The sign bit is the top one of each part (little-endian).
        signs | u128::from(turns) << (8 * part * (i + 1) - 1)
    })
}

/// A copy that turns signs before its conversion, if it has one, in blocks.
fn transformed(
    plan: &Plan<2>,
    sides: &Sides,
    gather: Convert,
    signs: u128,
    finish: Option<Convert>,
) {
    const BLOCK: usize = 256;
    let (size, steps) = plan.inner();
    let in_place = finish.is_none() && steps[0] == 1 && sides.source != sides.target.cast_const();
    let run = |[t, s]: [i64; 2], range: std::ops::Range<usize>| {
        let mut block = [MaybeUninit::<u128>::uninit(); BLOCK];
        for start in range.clone().step_by(BLOCK) {
            let n = BLOCK.min(range.end - start);
            let at = [t + start as i64 * steps[0], s + start as i64 * steps[1]];
            let rect = sides.rect(plan, at, 1, n);
            let turned = if in_place {
                rect.target
            } else {
                block.as_mut_ptr().cast()
            };
            // SAFETY: the plan walks layouts that lie within their storages; the block holds `n` elements.
            unsafe {
                gather(&Rect::line(rect.source, steps[1] as isize, turned, 1, n));
                turn_signs(
                    std::slice::from_raw_parts_mut(turned, n * sides.source_size),
                    signs,
                );
                if !in_place {
                    let finish = finish.unwrap_or(gather);
                    finish(&Rect::line(turned, 1, rect.target, steps[0] as isize, n));
                }
            }
        }
    };
    let size = size as usize;
    if plan.dims.len() == 1 {
        return pool::parallel_for(size, pool::grain::COPY, |range| run([0, 0], range));
    }
    let grain = (pool::grain::COPY / size).max(1);
    pool::parallel_for(plan.outer_count() as usize, grain, |range| {
        plan.for_each_outer(range.start as i64..range.end as i64, |at| run(at, 0..size));
    });
}

fn turn_signs(bytes: &mut [u8], signs: u128) {
    let mut words = bytes.chunks_exact_mut(16);
    for word in &mut words {
        let mut turned = signs.to_ne_bytes();
        turned
            .iter_mut()
            .zip(&*word)
            .for_each(|(sign, byte)| *sign ^= byte);
        word.copy_from_slice(&turned);
    }
    for (byte, sign) in words.into_remainder().iter_mut().zip(signs.to_ne_bytes()) {
        *byte ^= sign;
    }
}
