//! The extreme element along a dimension with its position: the first of equal ones, and NaN before all.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::multiversion::multiversion;
use super::number::Ordered;
use super::pool::{grain, parallel_for};
use super::reduce::{Pointer, Reduction};
use super::reduce_kinds::{Max, Min};
use super::reduce_plan::{Dim, Plan, Walk};

/// Elements searched for a new extreme at once; only the winning block is searched for its position.
const BLOCK: usize = 2048;
/// Elements compared at once.
const LANES: usize = 64;
const COLUMNS: usize = 128;

/// Which extreme, and when a later element replaces an earlier one.
pub trait Extreme<T: Ordered>: Reduction<T, Acc = T::Rank, Out = T> {
    fn beats(&self, new: T::Rank, old: T::Rank) -> bool;
}

impl<T: Ordered> Extreme<T> for Max {
    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn beats(&self, new: T::Rank, old: T::Rank) -> bool {
        (new > old) | ((new != new) & (old == old))
    }
}

impl<T: Ordered> Extreme<T> for Min {
    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn beats(&self, new: T::Rank, old: T::Rank) -> bool {
        (new < old) | ((new != new) & (old == old))
    }
}

/// Where the results go: either may be absent. Both have the plan's output strides.
pub struct Found<T> {
    pub values: Option<Pointer<T>>,
    pub indices: Option<Pointer<i64>>,
}

impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Found<T> {}

impl<T> Found<T> {
    #[inline(always)]
    unsafe fn put(&self, offset: isize, value: T, index: i64) {
        // SAFETY: the offset comes from the plan.
        unsafe {
            if let Some(values) = self.values {
                *values.0.offset(offset) = value;
            }
            if let Some(indices) = self.indices {
                *indices.0.offset(offset) = index;
            }
        }
    }
}

/// Reduces one dimension, `plan.reduced`, which is not empty.
///
/// # Safety
/// `src` and the outputs are valid for every offset that `plan` reaches, and do not overlap.
pub unsafe fn extreme<T: Ordered, E: Extreme<T>>(
    e: E,
    src: *const T,
    plan: &Plan,
    found: Found<T>,
) {
    let src = Pointer(src.cast_mut());
    let line = plan.reduced.last().copied().unwrap_or(Dim {
        size: 1,
        stride: 0,
        out: 0,
    });
    parallel_for(
        plan.outputs(),
        (grain::REDUCE / line.size.max(1)).max(1),
        |range| {
            let src = src;
            // SAFETY: every range of outputs is written by one task only.
            unsafe {
                if plan.is_vertical() {
                    columns(e, src.0, plan, line, range, found);
                } else {
                    rows(e, src.0, plan, line, range, found);
                }
            }
        },
    );
}

unsafe fn rows<T: Ordered, E: Extreme<T>>(
    e: E,
    src: *const T,
    plan: &Plan,
    line: Dim,
    outputs: Range<usize>,
    found: Found<T>,
) {
    let mut walk = Walk::starting_at(&plan.kept, outputs.start);
    for _ in outputs {
        // SAFETY: the walk stays inside the plan.
        unsafe {
            let row = src.offset(walk.input);
            let index = if line.stride == 1 && line.size >= LANES {
                row_position(e, row, line.size)
            } else {
                strided_position(e, row, line)
            };
            found.put(
                walk.output,
                *row.offset(index as isize * line.stride),
                index as i64,
            );
        }
        walk.advance();
    }
}

unsafe fn row_position<T: Ordered, E: Extreme<T>>(e: E, row: *const T, n: usize) -> usize {
    // SAFETY: n elements from row on.
    unsafe {
        let (mut best, mut block) = ((*row).rank(), 0);
        for start in (0..n).step_by(BLOCK) {
            let (at, len) = (row.add(start), BLOCK.min(n - start));
            let here = if E::SIMD {
                block_vector(e, at, len)
            } else {
                block_extreme(e, at, len)
            };
            if e.beats(here, best) {
                (best, block) = (here, start);
            }
        }
        let (at, len) = (row.add(block), BLOCK.min(n - block));
        block
            + if E::SIMD {
                find_vector(at, len, best)
            } else {
                find(at, len, best)
            }
    }
}

multiversion! {
unsafe fn find_vector[T: Ordered](src: *const T, n: usize, wanted: T::Rank) -> usize {
    // SAFETY: as the caller's.
    unsafe { find(src, n, wanted) }
}
}

/// The first position of a rank that occurs: whole lanes are compared at once.
#[inline(always)]
unsafe fn find<T: Ordered>(src: *const T, n: usize, wanted: T::Rank) -> usize {
    // SAFETY: n elements from src on.
    let same = |i: usize| is_same(unsafe { *src.add(i) }.rank(), wanted);
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        if (0..LANES).fold(false, |hit, lane| hit | same(start + lane)) {
            return (start..start + LANES).find(|&i| same(i)).unwrap_or(start);
        }
    }
    (whole..n).find(|&i| same(i)).unwrap_or(0)
}

#[inline(always)]
#[allow(clippy::eq_op)]
fn is_same<R: PartialOrd + Copy>(a: R, b: R) -> bool {
    (a == b) | ((a != a) & (b != b))
}

multiversion! {
unsafe fn block_vector[T: Ordered, E: Extreme<T>](e: E, src: *const T, n: usize) -> T::Rank {
    // SAFETY: as the caller's.
    unsafe { block_extreme(e, src, n) }
}
}

#[inline(always)]
unsafe fn block_extreme<T: Ordered, E: Extreme<T>>(e: E, src: *const T, n: usize) -> T::Rank {
    // SAFETY: n elements from src on.
    unsafe {
        if n < LANES {
            return (1..n).fold((*src).rank(), |best, i| {
                e.combine(best, (*src.add(i)).rank())
            });
        }
        let mut acc = [e.identity(); LANES];
        let whole = n / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            for (lane, a) in acc.iter_mut().enumerate() {
                *a = e.combine(*a, (*src.add(start + lane)).rank());
            }
        }
        let rest = (whole..n).fold(e.identity(), |best, i| {
            e.combine(best, (*src.add(i)).rank())
        });
        acc.iter().fold(rest, |best, &a| e.combine(best, a))
    }
}

unsafe fn strided_position<T: Ordered, E: Extreme<T>>(e: E, row: *const T, line: Dim) -> usize {
    // SAFETY: line.size elements from row on, line.stride apart.
    unsafe {
        let (mut best, mut index) = ((*row).rank(), 0);
        for i in 1..line.size {
            let x = (*row.offset(i as isize * line.stride)).rank();
            if e.beats(x, best) {
                (best, index) = (x, i);
            }
        }
        index
    }
}

unsafe fn columns<T: Ordered, E: Extreme<T>>(
    e: E,
    src: *const T,
    plan: &Plan,
    line: Dim,
    outputs: Range<usize>,
    found: Found<T>,
) {
    let Some(inner) = plan.kept.last() else {
        return;
    };
    let mut next = outputs.start;
    while next < outputs.end {
        let width = COLUMNS
            .min(inner.size - next % inner.size)
            .min(outputs.end - next);
        let at = Walk::starting_at(&plan.kept, next);
        // SAFETY: `width` columns from here lie in one run of the innermost kept dimension.
        unsafe {
            let block = src.offset(at.input);
            if E::SIMD {
                column_vector(e, block, *inner, line, width, at.output, found);
            } else {
                column_block(e, block, *inner, line, width, at.output, found);
            }
        }
        next += width;
    }
}

multiversion! {
unsafe fn column_vector[T: Ordered, E: Extreme<T>](e: E, src: *const T, inner: Dim, line: Dim, width: usize, out: isize, found: Found<T>) {
    // SAFETY: as the caller's.
    unsafe { column_block(e, src, inner, line, width, out, found) }
}
}

#[inline(always)]
unsafe fn column_block<T: Ordered, E: Extreme<T>>(
    e: E,
    src: *const T,
    inner: Dim,
    line: Dim,
    width: usize,
    out: isize,
    found: Found<T>,
) {
    let mut best = [MaybeUninit::<T::Rank>::uninit(); COLUMNS];
    let mut index = [0i64; COLUMNS];
    // SAFETY: rows and columns lie inside the plan; best is initialised up to `width`.
    unsafe {
        for (c, best) in best[..width].iter_mut().enumerate() {
            best.write((*src.offset(c as isize * inner.stride)).rank());
        }
        for i in 1..line.size {
            let row = src.offset(i as isize * line.stride);
            for c in 0..width {
                let x = (*row.offset(c as isize * inner.stride)).rank();
                let old = best[c].assume_init();
                let wins = e.beats(x, old);
                best[c].write(if wins { x } else { old });
                index[c] = if wins { i as i64 } else { index[c] };
            }
        }
        for c in 0..width {
            found.put(
                out + c as isize * inner.out,
                T::of_rank(best[c].assume_init()),
                index[c],
            );
        }
    }
}
