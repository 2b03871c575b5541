//! Copies that transpose: the source is read along columns, the target written along rows.

use super::convert::Rect;

/// Rows and columns of the squares that are copied at once; they stay in the first-level cache.
const SQUARE: usize = 16;
/// Rows of a band: a few cache lines of each column of the source.
const BAND: usize = 64;

/// Copies a rectangle whose source is dense along its rows' direction, and its target along its columns'.
///
/// # Safety
/// Both sides have that many rows and columns, and do not overlap.
pub unsafe fn rect<T: Copy>(rect: &Rect) {
    let (source, target) = (rect.source.cast::<T>(), rect.target.cast::<T>());
    let (col_step, row_step) = (rect.source_steps[1], rect.target_steps[0]);
    let square = |row: usize, col: usize| {
        let (r, c) = (row as isize, col as isize);
        let from = source.wrapping_offset(r + c * col_step);
        let to = target.wrapping_offset(r * row_step + c);
        (from, to)
    };
    for band in (0..rect.rows).step_by(BAND) {
        let end = (band + BAND).min(rect.rows);
        for col in (0..rect.cols).step_by(SQUARE) {
            let cols = SQUARE.min(rect.cols - col);
            for row in (band..end).step_by(SQUARE) {
                let rows = SQUARE.min(end - row);
                let (from, to) = square(row, col);
                // SAFETY: promised by the caller.
                unsafe {
                    if rows == SQUARE && cols == SQUARE {
                        copy_square(from, col_step, to, row_step, SQUARE, SQUARE);
                    } else {
                        copy_square(from, col_step, to, row_step, rows, cols);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn copy_square<T: Copy>(
    source: *const T,
    col_step: isize,
    target: *mut T,
    row_step: isize,
    rows: usize,
    cols: usize,
) {
    for row in 0..rows as isize {
        for col in 0..cols as isize {
            // SAFETY: promised by the caller of `rect`.
            unsafe {
                let value = source.offset(row + col * col_step).read_unaligned();
                target.offset(row * row_step + col).write_unaligned(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_cover_every_element() {
        let (rows, cols) = (150usize, 45usize);
        let source: Vec<i64> = (0..(rows * cols) as i64).collect();
        let mut target = vec![-1i64; source.len()];
        let whole = Rect {
            rows,
            cols,
            source: source.as_ptr().cast(),
            source_steps: [1, rows as isize],
            target: target.as_mut_ptr().cast(),
            target_steps: [cols as isize, 1],
        };
        // SAFETY: both hold as many elements.
        unsafe { rect::<i64>(&whole) };
        for r in 0..rows {
            for c in 0..cols {
                assert_eq!(target[r * cols + c], (c * rows + r) as i64);
            }
        }
    }
}
