//! Writing through an index: one loop serves `scatter*`, `index_add`, `index_copy`, `index_fill`, `put` and `x[tensor] = y`.

use crate::cpu::index::{Operand, extremes, for_rows, prefetch};
use crate::cpu::iter::Plan;
use crate::cpu::number::{Accumulator, Number, Ordered};
use crate::cpu::pool::{grain, parallel_for, threads};
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
    if n == 0 {
        return;
    }
    let (target, index, source) = (
        without(s.target.strides),
        without(s.index.strides),
        without(s.source.strides),
    );
    let plan = Plan::new(&without(s.shape), [&target, &index, &source]);
    let lines = Lines {
        n,
        along: [s.step, s.index.strides[s.dim], s.source.strides[s.dim]],
        steps: plan.inner().1,
        pointers: (
            Pointer(s.target.ptr.cast::<T>()),
            Pointer(s.index.ptr),
            Pointer(s.source.ptr.cast::<T>()),
        ),
        combine,
    };
    let size = plan.inner().0;
    let is_large = n as usize * size as usize > grain::INDEX && threads() > 1;
    let is_narrow = size < if lines.is_shared() { WIDE } else { 64 };
    if is_large && is_narrow && plan.outer_count() == 1 && !lines.are_dense() {
        // SAFETY: promised by the caller.
        return unsafe { lines.by_target(size) };
    }
    for_rows(
        &plan,
        size,
        (grain::INDEX / n as usize).max(1),
        &|starts, from, to| {
            // SAFETY: promised by the caller.
            unsafe { lines.run(starts, from, to) };
        },
    );
}

/// Rows from this length on are shared between tasks.
const WIDE: i64 = 4096;
/// Indices that a task looks through at once for places of its own.
const CHUNK: usize = 1024;
/// Places that are asked for before they are written.
const AHEAD: usize = 8;

/// Lines along the dimension, side by side: the steps of target, index and source along them and between them.
struct Lines<T, F> {
    n: i64,
    along: [i64; 3],
    steps: [i64; 3],
    pointers: (Pointer<T>, Pointer<i64>, Pointer<T>),
    combine: F,
}

impl<T: Copy, F: Fn(T, T) -> T + Sync> Lines<T, F> {
    #[inline(always)]
    unsafe fn one(&self, [t, i, f]: [i64; 3], d: i64, j: i64) {
        // SAFETY: promised by the caller of `scatter`.
        unsafe {
            let (at, steps) = (self.along, self.steps);
            let i = *self
                .pointers
                .1
                .0
                .offset((i + d * at[1] + j * steps[1]) as isize);
            let place = self
                .pointers
                .0
                .0
                .offset((t + i * at[0] + j * steps[0]) as isize);
            let new = *self
                .pointers
                .2
                .0
                .offset((f + d * at[2] + j * steps[2]) as isize);
            *place = (self.combine)(*place, new);
        }
    }

    /// The row of the source at `d` into the row that its index names.
    #[inline(always)]
    unsafe fn row(&self, [t, i, f]: [i64; 3], d: i64, from: i64, to: i64) {
        // SAFETY: promised by the caller of `scatter`.
        unsafe {
            let (at, steps) = (self.along, self.steps);
            let i = *self.pointers.1.0.offset((i + d * at[1]) as isize);
            let place = self
                .pointers
                .0
                .0
                .offset((t + i * at[0] + from * steps[0]) as isize);
            let source = self
                .pointers
                .2
                .0
                .offset((f + d * at[2] + from * steps[2]) as isize);
            combine_row(
                (to - from) as usize,
                place,
                steps[0],
                source,
                steps[2],
                &self.combine,
            );
        }
    }

    /// Does one index serve a whole row?
    fn is_shared(&self) -> bool {
        self.steps[1] == 0
    }

    /// Where the target's lines are dense, it is better to finish one at a time.
    fn are_dense(&self) -> bool {
        self.steps[0].abs() > self.along[0].abs()
    }

    unsafe fn run(&self, starts: [i64; 3], from: i64, to: i64) {
        // SAFETY: promised by the caller of `scatter`.
        unsafe {
            if self.are_dense() {
                for j in from..to {
                    for d in 0..self.n {
                        self.one(starts, d, j);
                    }
                }
            } else if self.is_shared() && to - from > 1 {
                for d in 0..self.n {
                    self.row(starts, d, from, to);
                }
            } else {
                for d in 0..self.n {
                    for j in from..to {
                        self.one(starts, d, j);
                    }
                }
            }
        }
    }

    /// Each task takes the places in a range of its own, in the order of the index: no two tasks write
    /// one place, and the result does not depend on their number.
    unsafe fn by_target(&self, size: i64) {
        let shared = self.is_shared();
        let (low, high) = self.range(if shared { 1 } else { size });
        let parts = threads() as i64;
        let width = ((high - low) / parts + 1).max(1);
        parallel_for(parts as usize, 1, |range| {
            for part in range {
                let first = low + part as i64 * width;
                // SAFETY: promised by the caller of `scatter`; parts name different places.
                unsafe {
                    if shared {
                        self.rows_between(first, width, size);
                    } else {
                        self.elements_between(first, width, size);
                    }
                }
            }
        });
    }

    /// The least and greatest index in so many columns.
    fn range(&self, columns: i64) -> (i64, i64) {
        let (along, between) = (self.along[1], self.steps[1]);
        if along == 1 && columns == 1 {
            // SAFETY: promised by the caller of `scatter`.
            return extremes(unsafe {
                std::slice::from_raw_parts(self.pointers.1.0, self.n as usize)
            });
        }
        let mut range = (i64::MAX, i64::MIN);
        for d in 0..self.n {
            for j in 0..columns {
                // SAFETY: promised by the caller of `scatter`.
                let i = unsafe { *self.pointers.1.0.offset((d * along + j * between) as isize) };
                range = (range.0.min(i), range.1.max(i));
            }
        }
        range
    }

    unsafe fn rows_between(&self, first: i64, width: i64, size: i64) {
        let mut own = [0u32; CHUNK];
        // SAFETY: promised by the caller of `scatter`.
        let index = |d: i64| unsafe { *self.pointers.1.0.offset((d * self.along[1]) as isize) };
        let bytes = (size as usize * size_of::<T>()).min(512);
        for start in (0..self.n).step_by(CHUNK) {
            let mut count = 0;
            for k in 0..CHUNK.min((self.n - start) as usize) {
                own[count] = k as u32;
                count += usize::from(((index(start + k as i64) - first) as u64) < width as u64);
            }
            for (k, &next) in own[..count].iter().enumerate() {
                if let Some(&later) = own[..count].get(k + AHEAD) {
                    let place = index(start + i64::from(later)) * self.along[0];
                    prefetch(self.pointers.0.0.wrapping_offset(place as isize), bytes);
                }
                // SAFETY: promised by the caller of `scatter`.
                unsafe {
                    if size == 1 {
                        self.one([0; 3], start + i64::from(next), 0);
                    } else {
                        self.row([0; 3], start + i64::from(next), 0, size);
                    }
                }
            }
        }
    }

    unsafe fn elements_between(&self, first: i64, width: i64, size: i64) {
        for d in 0..self.n {
            for j in 0..size {
                let at = d * self.along[1] + j * self.steps[1];
                // SAFETY: promised by the caller of `scatter`.
                unsafe {
                    let i = *self.pointers.1.0.offset(at as isize);
                    if ((i - first) as u64) < width as u64 {
                        self.one([0; 3], d, j);
                    }
                }
            }
        }
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
