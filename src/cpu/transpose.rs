//! Copies that transpose: the source is read along columns, the target written along rows.

use super::convert::Rect;
#[cfg(target_arch = "x86_64")]
use super::multiversion::{Isa, isa};

/// Rows and columns of the squares that are copied at once; they stay in the first-level cache.
const SQUARE: usize = 16;
/// Rows of a band: enough of each column of the source that its pages are not looked up in vain.
const BAND: usize = 256;

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
                        copy_full(from, col_step, to, row_step);
                    } else {
                        copy_square(from, col_step, to, row_step, rows, cols);
                    }
                }
            }
        }
    }
}

/// A square of full size, in registers where the machine has them and elements are of a fitting size.
#[inline(always)]
unsafe fn copy_full<T: Copy>(source: *const T, col_step: isize, target: *mut T, row_step: isize) {
    // SAFETY: promised by the caller of `rect`; the instructions were detected.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if isa() >= Isa::Avx2 {
            match size_of::<T>() {
                4 => return simd::square4(source.cast(), col_step, target.cast(), row_step),
                8 => return simd::square8(source.cast(), col_step, target.cast(), row_step),
                _ => {}
            }
        }
        copy_square(source, col_step, target, row_step, SQUARE, SQUARE);
    }
}

#[cfg(target_arch = "x86_64")]
mod simd {
    use super::SQUARE;
    use std::arch::x86_64::*;

    /// Elements of four bytes, 8 x 8 at a time.
    #[target_feature(enable = "avx2")]
    pub unsafe fn square4(source: *const f32, col_step: isize, target: *mut f32, row_step: isize) {
        for i in 0..(SQUARE / 8) as isize {
            for j in 0..(SQUARE / 8) as isize {
                // SAFETY: promised by the caller of `rect`.
                unsafe {
                    let from = source.offset(8 * (i + j * col_step));
                    block4(
                        from,
                        col_step,
                        target.offset(8 * (i * row_step + j)),
                        row_step,
                    );
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn block4(source: *const f32, col_step: isize, target: *mut f32, row_step: isize) {
        let zero = _mm256_setzero_ps();
        let (mut r, mut low, mut high) = ([zero; 8], [zero; 4], [zero; 4]);
        for c in 0..8 {
            // SAFETY: promised by the caller of `rect`.
            r[c] = unsafe { _mm256_loadu_ps(source.offset(c as isize * col_step)) };
        }
        for i in 0..4 {
            low[i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            high[i] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let fours = |i: usize| {
            [
                _mm256_shuffle_ps::<0x44>(low[i], low[i + 1]),
                _mm256_shuffle_ps::<0xee>(low[i], low[i + 1]),
                _mm256_shuffle_ps::<0x44>(high[i], high[i + 1]),
                _mm256_shuffle_ps::<0xee>(high[i], high[i + 1]),
            ]
        };
        let (left, right) = (fours(0), fours(2));
        for i in 0..4 {
            let upper = _mm256_permute2f128_ps::<0x20>(left[i], right[i]);
            let lower = _mm256_permute2f128_ps::<0x31>(left[i], right[i]);
            // SAFETY: promised by the caller of `rect`.
            unsafe {
                _mm256_storeu_ps(target.offset(i as isize * row_step), upper);
                _mm256_storeu_ps(target.offset((i as isize + 4) * row_step), lower);
            }
        }
    }

    /// Elements of eight bytes, 4 x 4 at a time.
    #[target_feature(enable = "avx2")]
    pub unsafe fn square8(source: *const f64, col_step: isize, target: *mut f64, row_step: isize) {
        for i in 0..(SQUARE / 4) as isize {
            for j in 0..(SQUARE / 4) as isize {
                // SAFETY: promised by the caller of `rect`.
                unsafe {
                    let from = source.offset(4 * (i + j * col_step));
                    block8(
                        from,
                        col_step,
                        target.offset(4 * (i * row_step + j)),
                        row_step,
                    );
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn block8(source: *const f64, col_step: isize, target: *mut f64, row_step: isize) {
        let mut r = [_mm256_setzero_pd(); 4];
        for c in 0..4 {
            // SAFETY: promised by the caller of `rect`.
            r[c] = unsafe { _mm256_loadu_pd(source.offset(c as isize * col_step)) };
        }
        let pairs = |i: usize| {
            [
                _mm256_unpacklo_pd(r[i], r[i + 1]),
                _mm256_unpackhi_pd(r[i], r[i + 1]),
            ]
        };
        let (left, right) = (pairs(0), pairs(2));
        for i in 0..2 {
            let upper = _mm256_permute2f128_pd::<0x20>(left[i], right[i]);
            let lower = _mm256_permute2f128_pd::<0x31>(left[i], right[i]);
            // SAFETY: promised by the caller of `rect`.
            unsafe {
                _mm256_storeu_pd(target.offset(i as isize * row_step), upper);
                _mm256_storeu_pd(target.offset((i as isize + 2) * row_step), lower);
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

    fn check<T: Copy + PartialEq + std::fmt::Debug>(of: impl Fn(usize) -> T) {
        let (rows, cols) = (301usize, 45usize);
        let source: Vec<T> = (0..rows * cols).map(&of).collect();
        let mut target = vec![of(0); source.len()];
        let whole = Rect {
            rows,
            cols,
            source: source.as_ptr().cast(),
            source_steps: [1, rows as isize],
            target: target.as_mut_ptr().cast(),
            target_steps: [cols as isize, 1],
        };
        // SAFETY: both hold as many elements.
        unsafe { rect::<T>(&whole) };
        for r in 0..rows {
            for c in 0..cols {
                assert_eq!(target[r * cols + c], source[c * rows + r]);
            }
        }
    }

    #[test]
    fn squares_cover_every_element() {
        check(|i| i as u8);
        check(|i| i as u16);
        check(|i| i as u32);
        check(|i| i as u64);
    }
}
