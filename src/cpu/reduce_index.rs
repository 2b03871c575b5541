//! The extreme element along a dimension with its position: the first of equal ones, and NaN before all.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::multiversion::multiversion;
use super::number::Ordered;
use super::pool::{grain, parallel_for, parallel_parts, threads};
use super::reduce::{Pointer, Reduction};
use super::reduce_kinds::{Max, Min};
use super::reduce_plan::{Dim, Plan, Walk};

/// Elements searched for a new extreme at once; only the winning block is searched for its position.
const BLOCK: usize = 2048;
/// Elements compared at once.
const LANES: usize = 64;
/// Columns that are searched together: long pieces of rows are read faster than short ones.
const COLUMNS: usize = 1024;
/// Columns that short rows are joined to.
const JOINED: usize = 128;

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
                if plan.folds_columns() {
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
            let index = if line.stride == 1 && line.size >= 2 * PART && plan.outputs() < threads() {
                position_in_parts(e, row, line.size)
            } else if line.stride == 1 && line.size >= LANES {
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

/// Elements of a part, where few rows are searched by several threads.
const PART: usize = 64 * 1024;

/// The position in a long row, whose parts are searched in parallel; the first of equal ones.
unsafe fn position_in_parts<T: Ordered, E: Extreme<T>>(e: E, row: *const T, n: usize) -> usize {
    let mut found = vec![0usize; n.div_ceil(PART)];
    let (places, row) = (Pointer(found.as_mut_ptr()), Pointer(row.cast_mut()));
    parallel_parts(found.len(), |range| {
        let (places, row) = (places, row);
        for i in range {
            let start = i * PART;
            // SAFETY: n elements from row on; every part has a place of its own.
            unsafe {
                let at = row_position(e, row.0.add(start), PART.min(n - start));
                *places.0.add(i) = start + at;
            }
        }
    });
    // SAFETY: as above.
    let rank = |i: usize| unsafe { (*row.0.add(i)).rank() };
    let better = |best: usize, i: usize| {
        if e.beats(rank(i), rank(best)) {
            i
        } else {
            best
        }
    };
    found.into_iter().reduce(better).unwrap_or(0)
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
        if E::EXACT || n < LANES {
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
            let mut best = Best::NONE;
            best.begin(block, inner.stride, width);
            let is_dense = inner.stride == 1 && line.stride == width as isize;
            if is_dense && width <= JOINED / 4 && line.size >= JOINED {
                narrow_columns(e, block, line.size, width, &mut best);
            } else {
                scan_columns(e, block, inner.stride, line, width, &mut best);
            }
            for c in 0..width {
                let (rank, index) = best.at(c);
                found.put(at.output + c as isize * inner.out, T::of_rank(rank), index);
            }
        }
        next += width;
    }
}

/// The best elements of neighbouring columns so far, and their rows.
struct Best<R> {
    rank: [MaybeUninit<R>; COLUMNS],
    index: [MaybeUninit<i64>; COLUMNS],
}

impl<R: Copy> Best<R> {
    const NONE: Self = Best {
        rank: [MaybeUninit::uninit(); COLUMNS],
        index: [MaybeUninit::uninit(); COLUMNS],
    };

    /// Starts with the first row.
    ///
    /// # Safety
    /// It has so many elements, so far apart.
    unsafe fn begin<T: Ordered<Rank = R>>(&mut self, src: *const T, step: isize, width: usize) {
        for c in 0..width {
            // SAFETY: the caller's promise.
            self.put(c, unsafe { (*src.offset(c as isize * step)).rank() }, 0);
        }
    }

    #[inline(always)]
    fn put(&mut self, c: usize, rank: R, index: i64) {
        self.rank[c].write(rank);
        self.index[c].write(index);
    }

    /// # Safety
    /// The column is one of those that the search began with.
    #[inline(always)]
    unsafe fn at(&self, c: usize) -> (R, i64) {
        // SAFETY: the caller's promise.
        unsafe { (self.rank[c].assume_init(), self.index[c].assume_init()) }
    }
}

/// Short rows without gaps: several are one long row, and its columns meet in the end.
unsafe fn narrow_columns<T: Ordered, E: Extreme<T>>(
    e: E,
    src: *const T,
    rows: usize,
    width: usize,
    best: &mut Best<T::Rank>,
) {
    let joined = JOINED / width;
    let long = Dim {
        size: rows / joined,
        stride: (joined * width) as isize,
        out: 0,
    };
    // SAFETY: the rows lie in the plan; `Best` and the scan initialise as many ranks as they are wide.
    unsafe {
        let mut wide = Best::NONE;
        wide.begin(src, 1, joined * width);
        scan_columns(e, src, 1, long, joined * width, &mut wide);
        let mut meet = |c: usize, rank: T::Rank, row: i64| {
            let (old, index) = best.at(c);
            if e.beats(rank, old) || (row < index && !e.beats(old, rank)) {
                best.put(c, rank, row);
            }
        };
        for place in 0..joined * width {
            let (rank, row) = wide.at(place);
            let row = row * joined as i64 + (place / width) as i64;
            meet(place % width, rank, row);
        }
        for row in long.size * joined..rows {
            for c in 0..width {
                meet(c, (*src.add(row * width + c)).rank(), row as i64);
            }
        }
    }
}

unsafe fn scan_columns<T: Ordered, E: Extreme<T>>(
    e: E,
    src: *const T,
    step: isize,
    line: Dim,
    width: usize,
    best: &mut Best<T::Rank>,
) {
    // SAFETY: as the caller's.
    unsafe {
        if E::SIMD {
            scan_vector(e, src, step, line, width, best);
        } else {
            scan_block(e, src, step, line, width, best);
        }
    }
}

multiversion! {
unsafe fn scan_vector[T: Ordered, E: Extreme<T>](e: E, src: *const T, step: isize, line: Dim, width: usize, best: &mut Best<T::Rank>) {
    // SAFETY: as the caller's.
    unsafe {
        if step == 1 {
            scan_block(e, src, 1, line, width, best);
        } else {
            scan_block(e, src, step, line, width, best);
        }
    }
}
}

/// Rows whose extremes are found first; only the winning ones are searched for the position.
const ROWS: usize = 16;

#[inline(always)]
unsafe fn scan_block<T: Ordered, E: Extreme<T>>(
    e: E,
    src: *const T,
    step: isize,
    line: Dim,
    width: usize,
    best: &mut Best<T::Rank>,
) {
    // SAFETY: rows and columns lie inside the plan.
    let at = |i: usize, c: usize| unsafe {
        let row = src.offset(i as isize * line.stride);
        (*row.offset(c as isize * step)).rank()
    };
    let mut here = [MaybeUninit::uninit(); COLUMNS];
    let here = &mut here[..width];
    for start in (1..line.size).step_by(ROWS) {
        for (c, here) in here.iter_mut().enumerate() {
            here.write(at(start, c));
        }
        for i in start + 1..line.size.min(start + ROWS) {
            for (c, here) in here.iter_mut().enumerate() {
                // SAFETY: the first of these rows was written to it.
                here.write(e.combine(unsafe { here.assume_init() }, at(i, c)));
            }
        }
        for (c, here) in here.iter().enumerate() {
            // SAFETY: as above; the caller began with so many columns.
            let (here, (old, _)) = unsafe { (here.assume_init(), best.at(c)) };
            if e.beats(here, old) {
                best.put(c, here, start as i64);
            }
        }
    }
    for c in 0..width {
        // SAFETY: as above.
        let (rank, start) = unsafe { best.at(c) };
        let rows = start as usize..line.size.min(start as usize + ROWS);
        if let Some(i) = rows
            .into_iter()
            .find(|&i| start > 0 && is_same(at(i, c), rank))
        {
            best.put(c, at(i, c), i as i64);
        }
    }
}
