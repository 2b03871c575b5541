//! Reductions of neighbouring outputs together, row by row.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::multiversion::multiversion;
use super::reduce::Reduction;
use super::reduce_plan::{Dim, Walk};

/// Columns that accumulators are kept for.
pub(super) const COLUMNS: usize = 256;
/// Rows folded into one level before it moves to the next.
const LEVEL_ROWS: usize = 16;
const LEVELS: usize = 4;

/// Neighbouring outputs that are reduced together, row by row.
pub(super) struct Columns<T> {
    pub src: *const T,
    pub stride: isize,
    pub width: usize,
}

impl<T: Copy> Columns<T> {
    pub unsafe fn fold<R: Reduction<T>>(
        &self,
        r: R,
        reduced: &[Dim],
        units: Range<usize>,
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        let mut levels = [[MaybeUninit::uninit(); COLUMNS]; LEVELS];
        for level in &mut levels {
            level[..self.width].fill(MaybeUninit::new(r.identity()));
        }
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
        let mut walk = Walk::starting_at(outer, units.start);
        let mut rows = 0usize;
        for _ in units {
            for i in 0..inner.size {
                // SAFETY: the row lies inside the reduced dimensions; the levels are initialised up to `width`.
                unsafe {
                    self.add_row(
                        r,
                        self.src.offset(walk.input + i as isize * inner.stride),
                        &mut levels[0],
                    )
                };
                rows += 1;
                let mut full = rows;
                for low in 0..LEVELS - 1 {
                    if full % LEVEL_ROWS != 0 {
                        break;
                    }
                    full /= LEVEL_ROWS;
                    // SAFETY: as above.
                    unsafe { self.carry(r, &mut levels, low) };
                }
            }
            walk.advance();
        }
        for low in 0..LEVELS - 1 {
            // SAFETY: as above.
            unsafe { self.carry(r, &mut levels, low) };
        }
        *acc = levels[LEVELS - 1];
    }

    #[inline]
    unsafe fn add_row<R: Reduction<T>>(
        &self,
        r: R,
        row: *const T,
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        // SAFETY: `width` elements from row on; acc is initialised up to `width`.
        unsafe {
            if R::SIMD && self.stride == 1 {
                add_vector(r, row, &mut acc[..self.width]);
            } else {
                add_strided(r, row, self.stride, &mut acc[..self.width]);
            }
        }
    }

    /// Moves level `low` into the next one.
    unsafe fn carry<R: Reduction<T>>(
        &self,
        r: R,
        levels: &mut [[MaybeUninit<R::Acc>; COLUMNS]; LEVELS],
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

multiversion! {
unsafe fn add_vector[T: Copy, R: Reduction<T>](r: R, row: *const T, acc: &mut [MaybeUninit<R::Acc>]) {
    // SAFETY: as the caller's.
    unsafe { add_strided(r, row, 1, acc) }
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
