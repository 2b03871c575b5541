//! Writing through an index: one loop serves `scatter*`, `index_add`, `index_copy`, `index_fill`, `put` and `x[tensor] = y`.

use crate::cpu::index::{Operand, for_rows};
use crate::cpu::iter::Plan;
use crate::cpu::number::{Accumulator, Number, Ordered};
use crate::cpu::pool::grain;
use crate::cpu::reduce::Pointer;
use crate::dispatch;
use crate::tensor::{DType, Dims};

/// How a value is combined with the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    Set,
    Add,
    Mul,
    Min,
    Max,
}

/// The geometry of a scatter: the shape of the index, the dimension, and the operands' strides.
/// The target's stride along the dimension is `step`; several indices may name one place there.
pub struct Scatter<'a> {
    pub shape: &'a [i64],
    pub dim: usize,
    pub step: i64,
    pub target: Operand<'a, u8>,
    pub index: Operand<'a, i64>,
    pub source: Operand<'a, u8>,
}

/// Combines sources into the places that the index names, in ascending order along the dimension.
///
/// # Safety
/// Every offset that shape, strides and index reach is valid for elements of the dtype; the target
/// overlaps neither index nor source.
pub unsafe fn scatter(s: &Scatter, dtype: DType, combine: Combine) {
    // SAFETY: passed on to the caller.
    unsafe {
        match combine {
            Combine::Set => dispatch!(bytes dtype, T => run::<T>(s, |_, new| new)),
            Combine::Add => dispatch!(all dtype, T => run::<T>(s, |old, new| {
                T::narrow(old.widen().add(new.widen()))
            })),
            Combine::Mul => dispatch!(all dtype, T => run::<T>(s, |old, new| {
                T::narrow(old.widen().mul(new.widen()))
            })),
            Combine::Min => run_extreme::<false>(s, dtype),
            Combine::Max => run_extreme::<true>(s, dtype),
        }
    }
}

/// The larger (or smaller) of two; a NaN stays.
fn extreme<T: Ordered, const LARGEST: bool>(old: T, new: T) -> T {
    let beats = if LARGEST {
        new.rank() > old.rank()
    } else {
        new.rank() < old.rank()
    };
    if !old.is_nan() && (new.is_nan() || beats) {
        new
    } else {
        old
    }
}

unsafe fn run_extreme<const LARGEST: bool>(s: &Scatter, dtype: DType) {
    // SAFETY: passed on to the caller of `scatter`.
    unsafe {
        dispatch!(bits dtype, T => run::<T>(s, extreme::<T, LARGEST>), else {
            dispatch!(float dtype, T => run::<T>(s, extreme::<T, LARGEST>), else ());
        });
    }
}

unsafe fn run<T: Copy>(s: &Scatter, combine: impl Fn(T, T) -> T + Sync) {
    let without = |strides: &[i64]| {
        let mut rest = Dims::from_slice(strides);
        rest.remove(s.dim);
        rest
    };
    let n = s.shape[s.dim];
    let (along_index, along_source) = (s.index.strides[s.dim], s.source.strides[s.dim]);
    let (target, index, source) = (
        without(s.target.strides),
        without(s.index.strides),
        without(s.source.strides),
    );
    let plan = Plan::new(&without(s.shape), [&target, &index, &source]);
    let (size, steps) = plan.inner();
    let pointers = (
        Pointer(s.target.ptr.cast::<T>()),
        Pointer(s.index.ptr),
        Pointer(s.source.ptr.cast::<T>()),
    );
    let step = s.step;
    // Where the index varies along rows, or rows are far apart, it is better to finish one place at a time.
    let dim_inside = steps[0].abs() > step.abs();
    let rows = |[t, i, f]: [i64; 3], from: i64, to: i64| {
        let (Pointer(target), Pointer(index), Pointer(source)) =
            (&pointers.0, &pointers.1, &pointers.2);
        // SAFETY: promised by the caller.
        let one = |d: i64, j: i64| unsafe {
            let i = *index.offset((i + d * along_index + j * steps[1]) as isize);
            let place = target.offset((t + i * step + j * steps[0]) as isize);
            *place = combine(
                *place,
                *source.offset((f + d * along_source + j * steps[2]) as isize),
            );
        };
        if dim_inside {
            (from..to).for_each(|j| (0..n).for_each(|d| one(d, j)));
        } else if steps[1] == 0 {
            for d in 0..n {
                // SAFETY: promised by the caller.
                unsafe {
                    let i = *index.offset((i + d * along_index) as isize);
                    let place = target.offset((t + i * step + from * steps[0]) as isize);
                    let source = source.offset((f + d * along_source + from * steps[2]) as isize);
                    combine_row(
                        (to - from) as usize,
                        place,
                        steps[0],
                        source,
                        steps[2],
                        &combine,
                    );
                }
            }
        } else {
            (0..n).for_each(|d| (from..to).for_each(|j| one(d, j)));
        }
    };
    if n > 0 {
        for_rows(&plan, size, (grain::INDEX / n as usize).max(1), &rows);
    }
}

/// One row into one row.
unsafe fn combine_row<T: Copy>(
    size: usize,
    target: *mut T,
    step_t: i64,
    source: *const T,
    step_s: i64,
    combine: &impl Fn(T, T) -> T,
) {
    // SAFETY: promised by the caller of `scatter`.
    unsafe {
        if step_t == 1 && step_s == 1 {
            for j in 0..size {
                *target.add(j) = combine(*target.add(j), *source.add(j));
            }
        } else {
            for j in 0..size as isize {
                let place = target.offset(j * step_t as isize);
                *place = combine(*place, *source.offset(j * step_s as isize));
            }
        }
    }
}
