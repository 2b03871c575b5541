//! Copies between strided tensors, with conversion of dtype and of lazy bits.

use crate::cpu::iter::Plan;
use crate::cpu::{pool, transpose};
use crate::tensor::{Bool, DType, Element, Tensor, bf16, c64, c128, f16};
use crate::{Result, dispatch};

/// Conversion of an element, as a C cast does it.
pub trait Cast<S>: Copy {
    fn cast(value: S) -> Self;
}

macro_rules! casts {
    (@from $S:ty, $v:ident => $real:expr, $re:expr, $im:expr, $truth:expr) => {
        casts!(@to $S, $v => $real; u8 i8 i16 i32 i64 u16 u32 u64 f32 f64);
        impl Cast<$S> for Bool { #[inline(always)] fn cast($v: $S) -> Self { Bool::from($truth) } }
        impl Cast<$S> for f16 { #[inline(always)] fn cast($v: $S) -> Self { f16::from_f32($real as f32) } }
        impl Cast<$S> for bf16 { #[inline(always)] fn cast($v: $S) -> Self { bf16::from_f32($real as f32) } }
        impl Cast<$S> for c64 { #[inline(always)] fn cast($v: $S) -> Self { c64::new($re as f32, $im as f32) } }
        impl Cast<$S> for c128 { #[inline(always)] fn cast($v: $S) -> Self { c128::new($re as f64, $im as f64) } }
    };
    (@to $S:ty, $v:ident => $real:expr; $($T:tt)*) => {
        $(impl Cast<$S> for $T { #[inline(always)] fn cast($v: $S) -> Self { casts!(@as $T, $real) } })*
    };
    // A float beyond the target's range wraps as PyTorch's casts through int64 do.
    (@as u8, $e:expr) => { ($e as i64) as u8 };
    (@as i8, $e:expr) => { ($e as i64) as i8 };
    (@as i16, $e:expr) => { ($e as i64) as i16 };
    (@as u16, $e:expr) => { ($e as i64) as u16 };
    (@as $T:ty, $e:expr) => { $e as $T };
}

macro_rules! plain_sources {
    ($($S:ty)*) => {$( casts!(@from $S, v => v, v, 0u8, v != (0 as $S)); )*};
}
plain_sources!(u8 i8 i16 i32 i64 u16 u32 u64 f32 f64);
casts!(@from Bool, v => u8::from(v.get()), u8::from(v.get()), 0u8, v.get());
casts!(@from f16, v => v.to_f32(), v.to_f32(), 0u8, v.to_f32() != 0.0);
casts!(@from bf16, v => v.to_f32(), v.to_f32(), 0u8, v.to_f32() != 0.0);
casts!(@from c64, v => v.re, v.re, v.im, v.re != 0.0 || v.im != 0.0);
casts!(@from c128, v => v.re, v.re, v.im, v.re != 0.0 || v.im != 0.0);

/// Copies `source` into `target`: equal sizes, both on the CPU, any strides and dtypes.
pub fn copy(target: &Tensor, source: &Tensor) -> Result<()> {
    let conj = source.lazy().conj != target.lazy().conj && source.dtype().is_complex();
    let neg = source.lazy().neg != target.lazy().neg;
    let plan = Plan::new(target.shape(), [target.strides(), source.strides()]);
    if plan.dims.iter().any(|&(size, _)| size == 0) {
        return Ok(());
    }
    if target.dtype() == source.dtype() && !conj && !neg {
        dispatch!(bytes target.dtype(), T => {
            let (to, from) = (target.data_ptr().cast::<T>(), source.data_ptr().cast::<T>());
            // SAFETY: the plan walks layouts that lie within their storages; a partial overlap was refused.
            if !unsafe { transpose::copy(&plan, to, from) } {
                run::<T, T>(&plan, to, from, |v| v);
            }
        });
        return Ok(());
    }
    dispatch!(all source.dtype(), S => {
        let source_ptr = source.ptr::<S>();
        dispatch!(all target.dtype(), T => {
            if conj || neg {
                run(&plan, target.ptr::<T>(), source_ptr, move |v: S| <T as Cast<S>>::cast(transform(v, conj, neg)));
            } else {
                run(&plan, target.ptr::<T>(), source_ptr, <T as Cast<S>>::cast);
            }
        });
    });
    Ok(())
}

/// Carries out the lazy bits of one element.
fn transform<S: Element>(value: S, conj: bool, neg: bool) -> S {
    let mut value = value;
    let bytes = bytemuck::bytes_of_mut(&mut value);
    let half = bytes.len() / 2;
    match S::DTYPE {
        DType::C64 | DType::C128 => {
            // The sign bit is the top one of each part (little-endian).
            bytes[half - 1] ^= if neg { 0x80 } else { 0 };
            let last = bytes.len() - 1;
            bytes[last] ^= if neg == conj { 0 } else { 0x80 };
        }
        _ if neg => {
            let last = bytes.len() - 1;
            bytes[last] ^= 0x80;
        }
        _ => {}
    }
    value
}

struct Pair<T, S>(*mut T, *const S);
// SAFETY: disjoint ranges of the target are written by different tasks, the source is only read.
unsafe impl<T, S> Sync for Pair<T, S> {}

fn run<T: Copy, S: Copy>(
    plan: &Plan<2>,
    target: *mut T,
    source: *const S,
    convert: impl Fn(S) -> T + Sync,
) {
    let (size, [step_t, step_s]) = plan.inner();
    let pair = Pair(target, source);
    let pair = &pair;
    let row = |t: i64, s: i64, from: i64, to: i64| {
        // SAFETY: the plan walks layouts that lie within their storages.
        unsafe {
            let (t, s) = (pair.0.offset(t as isize), pair.1.offset(s as isize));
            if step_t == 1 && step_s == 1 {
                for i in from as usize..to as usize {
                    *t.add(i) = convert(*s.add(i));
                }
            } else {
                for i in from as isize..to as isize {
                    *t.offset(i * step_t as isize) = convert(*s.offset(i * step_s as isize));
                }
            }
        }
    };
    let rows = plan.outer_count();
    if rows == 1 {
        pool::parallel_for(size as usize, pool::grain::COPY, |range| {
            row(0, 0, range.start as i64, range.end as i64);
        });
        return;
    }
    let grain = (pool::grain::COPY as i64 / size.max(1)).max(1) as usize;
    pool::parallel_for(rows as usize, grain, |range| {
        plan.for_each_outer(range.start as i64..range.end as i64, |[t, s]| {
            row(t, s, 0, size);
        });
    });
}
