//! Reductions of neighbouring outputs together, row by row.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::multiversion::multiversion;
use super::reduce::Reduction;
use super::reduce_plan::{Dim, Walk};

/// Columns that accumulators are kept for.
pub(super) const COLUMNS: usize = 1024;
/// Rows added together, and batches of them in one level before it moves to the next.
const LEVEL_ROWS: usize = 16;
const LEVELS: usize = 3;

/// Neighbouring outputs that are reduced together, row by row.
pub(super) struct Columns<T> {
    pub src: *const T,
    pub stride: isize,
    pub width: usize,
}

impl<T: Copy> Columns<T> {
    /// Folds `units` of the reduced dimensions.
    pub unsafe fn fold<R: Reduction<T>>(
        &self,
        r: R,
        reduced: &[Dim],
        units: Range<usize>,
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        let joined = match reduced {
            [only] if self.stride == 1 && only.stride == self.width as isize => {
                (COLUMNS / self.width).min(units.len() / LEVEL_ROWS)
            }
            _ => 0,
        };
        // SAFETY: as the caller's.
        unsafe {
            if joined >= 4 {
                self.fold_joined(r, reduced[0], units, joined, acc);
            } else {
                self.fold_rows(r, reduced, units, acc);
            }
        }
    }

    /// Short rows without gaps: `joined` of them are one long row, and its accumulators meet in the end.
    unsafe fn fold_joined<R: Reduction<T>>(
        &self,
        r: R,
        line: Dim,
        units: Range<usize>,
        joined: usize,
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        let rows = units.len() / joined;
        let (width, start) = (self.width, units.start as isize * line.stride);
        let long = Columns {
            src: self.src.wrapping_offset(start),
            stride: 1,
            width: width * joined,
        };
        let lines = [Dim {
            size: rows,
            stride: long.width as isize,
            out: 0,
        }];
        let mut rest = [MaybeUninit::uninit(); COLUMNS];
        // SAFETY: as the caller's; folding initialises the accumulators up to the width.
        unsafe {
            long.fold_rows(r, &lines, 0..rows, acc);
            self.fold_rows(
                r,
                &[line],
                units.start + rows * joined..units.end,
                &mut rest,
            );
            let mut groups = joined;
            while groups > 1 {
                let half = groups.div_ceil(2);
                let (low, high) = acc[..groups * width].split_at_mut(half * width);
                for (low, high) in low.iter_mut().zip(high) {
                    low.write(r.combine(low.assume_init(), high.assume_init()));
                }
                groups = half;
            }
            for (acc, rest) in acc[..width].iter_mut().zip(&rest) {
                acc.write(r.combine(acc.assume_init(), rest.assume_init()));
            }
        }
    }

    unsafe fn fold_rows<R: Reduction<T>>(
        &self,
        r: R,
        reduced: &[Dim],
        units: Range<usize>,
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        let (outer, inner) = match reduced {
            [outer @ .., inner] if !outer.is_empty() => (outer, *inner),
            _ => (
                reduced,
                Dim {
                    size: 1,
                    stride: 0,
                    out: 0,
                },
            ),
        };
        let rows = units.len() * inner.size;
        let mut walk = Walk::starting_at(outer, units.start);
        if rows <= LEVEL_ROWS {
            let mut offsets = [0; LEVEL_ROWS];
            for (k, offset) in offsets[..rows].iter_mut().enumerate() {
                *offset = walk.input + (k % inner.size) as isize * inner.stride;
                if (k + 1) % inner.size == 0 {
                    walk.advance();
                }
            }
            acc[..self.width].fill(MaybeUninit::new(r.identity()));
            // SAFETY: the rows lie inside the reduced dimensions; the accumulators are initialised.
            return unsafe { self.add_rows(r, &offsets[..rows], acc) };
        }
        let depth = if rows <= LEVEL_ROWS * LEVEL_ROWS {
            2
        } else {
            LEVELS
        };
        let mut levels = [[MaybeUninit::uninit(); COLUMNS]; LEVELS];
        for level in &mut levels[..depth] {
            level[..self.width].fill(MaybeUninit::new(r.identity()));
        }
        let mut batch = Batch {
            rows: [0; LEVEL_ROWS],
            filled: 0,
            done: 0,
        };
        for _ in units {
            for i in 0..inner.size {
                if batch.is_filled_by(walk.input + i as isize * inner.stride) {
                    // SAFETY: the rows lie inside the reduced dimensions; the levels are initialised up to `width`.
                    unsafe { self.add_batch(r, &mut batch, &mut levels[..depth]) };
                }
            }
            walk.advance();
        }
        // SAFETY: as above.
        unsafe { self.add_rows(r, &batch.rows[..batch.filled], &mut levels[0]) };
        for low in 0..depth - 1 {
            // SAFETY: as above.
            unsafe { self.carry(r, &mut levels, low) };
        }
        acc[..self.width].copy_from_slice(&levels[depth - 1][..self.width]);
    }

    /// Adds a full batch, and moves the levels that are full.
    unsafe fn add_batch<R: Reduction<T>>(
        &self,
        r: R,
        batch: &mut Batch,
        levels: &mut [[MaybeUninit<R::Acc>; COLUMNS]],
    ) {
        // SAFETY: as the caller's.
        unsafe {
            self.add_rows(r, &batch.rows, &mut levels[0]);
            batch.filled = 0;
            batch.done += 1;
            let mut full = batch.done;
            for low in 0..levels.len() - 1 {
                if !full.is_multiple_of(LEVEL_ROWS) {
                    break;
                }
                full /= LEVEL_ROWS;
                self.carry(r, levels, low);
            }
        }
    }

    #[inline]
    unsafe fn add_rows<R: Reduction<T>>(
        &self,
        r: R,
        rows: &[isize],
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        let acc = &mut acc[..self.width];
        // SAFETY: `width` elements from each row on; acc is initialised up to `width`.
        unsafe {
            if R::SIMD && self.stride == 1 {
                add_vector(r, self.src, rows, acc);
            } else if R::SIMD {
                add_vector_strided(r, self.src, self.stride, rows, acc);
            } else {
                for &row in rows {
                    add_strided(r, self.src.offset(row), self.stride, acc);
                }
            }
        }
    }

    /// Moves level `low` into the next one.
    unsafe fn carry<R: Reduction<T>>(
        &self,
        r: R,
        levels: &mut [[MaybeUninit<R::Acc>; COLUMNS]],
        low: usize,
    ) {
        let (below, above) = levels.split_at_mut(low + 1);
        for (from, to) in below[low][..self.width]
            .iter_mut()
            .zip(&mut above[0][..self.width])
        {
            // SAFETY: levels are initialised up to `width`.
            unsafe { to.write(r.combine(to.assume_init(), from.assume_init())) };
            from.write(r.identity());
        }
    }
}

/// Offsets of rows that are added together.
struct Batch {
    rows: [isize; LEVEL_ROWS],
    filled: usize,
    /// Full batches so far.
    done: usize,
}

impl Batch {
    #[inline]
    fn is_filled_by(&mut self, row: isize) -> bool {
        self.rows[self.filled] = row;
        self.filled += 1;
        self.filled == LEVEL_ROWS
    }
}

multiversion! {
unsafe fn add_vector[T: Copy, R: Reduction<T>](r: R, src: *const T, rows: &[isize], acc: &mut [MaybeUninit<R::Acc>]) {
    let (width, acc) = (acc.len(), acc.as_mut_ptr());
    let mut start = 0;
    // SAFETY: as the caller's.
    unsafe {
        while start + 64 <= width {
            add_block::<T, R, 64>(r, src.add(start), rows, acc.add(start));
            start += 64;
        }
        while start + 8 <= width {
            add_block::<T, R, 8>(r, src.add(start), rows, acc.add(start));
            start += 8;
        }
        while start < width {
            add_block::<T, R, 1>(r, src.add(start), rows, acc.add(start));
            start += 1;
        }
    }
}
}

/// A block of columns of constant width, so that its sums stay in registers.
#[inline(always)]
unsafe fn add_block<T: Copy, R: Reduction<T>, const WIDTH: usize>(
    r: R,
    src: *const T,
    rows: &[isize],
    acc: *mut MaybeUninit<R::Acc>,
) {
    let mut sums = [r.identity(); WIDTH];
    // SAFETY: as the caller's; the accumulators are initialised.
    unsafe {
        for &row in rows {
            let row = src.offset(row);
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = r.combine(*sum, r.map(*row.add(lane)));
            }
        }
        for lane in 0..WIDTH {
            let acc = &mut *acc.add(lane);
            acc.write(r.combine(acc.assume_init(), sums[lane]));
        }
    }
}

multiversion! {
unsafe fn add_vector_strided[T: Copy, R: Reduction<T>](
    r: R, src: *const T, stride: isize, rows: &[isize], acc: &mut [MaybeUninit<R::Acc>],
) {
    for &row in rows {
        // SAFETY: as the caller's.
        unsafe { add_strided(r, src.offset(row), stride, acc) };
    }
}
}

#[inline(always)]
unsafe fn add_strided<T: Copy, R: Reduction<T>>(
    r: R,
    row: *const T,
    stride: isize,
    acc: &mut [MaybeUninit<R::Acc>],
) {
    for (i, a) in acc.iter_mut().enumerate() {
        // SAFETY: the row is as long as `acc`, which is initialised.
        unsafe { a.write(r.combine(a.assume_init(), r.map(*row.offset(i as isize * stride)))) };
    }
}
