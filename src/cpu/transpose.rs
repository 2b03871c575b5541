//! Copies that transpose: read along columns, written along rows, in tiles that stay in the cache.

use crate::cpu::iter::Plan;
use crate::cpu::pool::{self, grain};
use crate::cpu::reduce::Pointer;

/// Rows and columns of a tile; 32 x 32 of the widest elements fill half of a first-level cache.
const TILE: i64 = 32;

/// The outer dimension along which the source is dense, where the target is dense along the innermost.
fn crossing(plan: &Plan<2>) -> Option<usize> {
    let (cols, [step_t, step_s]) = plan.inner();
    let outer = &plan.dims[..plan.dims.len() - 1];
    let wanted = step_t == 1 && step_s != 1 && cols >= TILE;
    let dense = |&(rows, [_, step]): &(i64, [i64; 2])| step == 1 && rows >= TILE;
    wanted.then(|| outer.iter().position(dense))?
}

/// Copies tile by tile if the plan is one of a transpose; else does nothing.
///
/// # Safety
/// Every offset of the plan is valid for both pointers, and the two do not overlap.
pub unsafe fn copy<T: Copy>(plan: &Plan<2>, target: *mut T, source: *const T) -> bool {
    let Some(crossing) = crossing(plan) else {
        return false;
    };
    let (rows, [row_t, _]) = plan.dims[crossing];
    let (cols, [_, col_s]) = plan.inner();
    let mut rest = Plan {
        dims: plan.dims.clone(),
    };
    rest.dims.remove(crossing);
    if let Some(last) = rest.dims.last_mut() {
        *last = (1, [0, 0]);
    }
    let bands = (rows + TILE - 1) / TILE;
    let pointers = (Pointer(target), Pointer(source.cast_mut()));
    let units = (rest.outer_count() * bands) as usize;
    let grain = (grain::COPY as i64 / (cols * TILE)).max(1) as usize;
    pool::parallel_for(units, grain, |range| {
        let (target, source) = (&pointers.0, &pointers.1);
        for unit in range.start as i64..range.end as i64 {
            let (block, first) = (unit / bands, unit % bands * TILE);
            rest.for_each_outer(block..block + 1, |[t, s]| {
                let band = first..(first + TILE).min(rows);
                // SAFETY: promised by the caller.
                unsafe {
                    let (target, source) =
                        (target.0.offset(t as isize), source.0.offset(s as isize));
                    copy_band(target, source, band, cols, row_t, col_s);
                }
            });
        }
    });
    true
}

/// A band of rows, one tile of columns after the other.
unsafe fn copy_band<T: Copy>(
    target: *mut T,
    source: *const T,
    band: std::ops::Range<i64>,
    cols: i64,
    row_t: i64,
    col_s: i64,
) {
    for start in (0..cols).step_by(TILE as usize) {
        let end = (start + TILE).min(cols);
        for row in band.clone() {
            for col in start..end {
                // SAFETY: promised by the caller of `copy`.
                unsafe {
                    *target.offset((row * row_t + col) as isize) =
                        *source.offset((row + col * col_s) as isize);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element() {
        let (rows, cols) = (70i64, 45i64);
        let source: Vec<i64> = (0..2 * rows * cols).collect();
        let mut target = vec![-1i64; source.len()];
        let plan = Plan::new(
            &[2, rows, cols],
            [&[rows * cols, cols, 1], &[rows * cols, 1, rows]],
        );
        // SAFETY: both hold as many elements as the plan walks.
        assert!(unsafe { copy(&plan, target.as_mut_ptr(), source.as_ptr()) });
        for b in 0..2 {
            for r in 0..rows {
                for c in 0..cols {
                    let got = target[((b * rows + r) * cols + c) as usize];
                    assert_eq!(got, (b * cols + c) * rows + r);
                }
            }
        }
    }
}
