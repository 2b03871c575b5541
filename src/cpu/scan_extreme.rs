//! Running maxima and minima along a dimension, with their positions.

use std::ops::Range;

use super::multiversion::multiversion;
use super::number::Ordered;
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Lines, Walk};

/// Neighbouring lines that advance together.
const COLUMNS: usize = 64;

/// Running maximum (or minimum) with the position of its latest occurrence; NaN stays.
///
/// # Safety
/// `src` and the outputs, which share their strides, are valid for every offset of `lines`.
pub unsafe fn extreme_scan<T: Ordered>(
    is_max: bool,
    src: *const T,
    lines: &Lines,
    values: *mut T,
    indices: *mut i64,
) {
    let (src, values, indices) = (Pointer(src.cast_mut()), Pointer(values), Pointer(indices));
    parallel_for(
        lines.plan.outputs(),
        (grain::REDUCE / lines.size.max(1)).max(1),
        |range| {
            let (src, values, indices) = (src, values, indices);
            // SAFETY: every range of lines is written by one task only.
            unsafe {
                if is_max {
                    scan_lines::<T, true>(src.0, lines, range, values.0, indices.0);
                } else {
                    scan_lines::<T, false>(src.0, lines, range, values.0, indices.0);
                }
            }
        },
    );
}

/// Elements of which one test tells that none takes over.
const BLOCK: usize = 32;

multiversion! {
/// A dense line to dense results.
unsafe fn scan_dense[T: Ordered, F: Fn(T, T) -> bool](src: *const T, n: usize, values: *mut T, indices: *mut i64, takes_over: F) {
    // SAFETY: the caller passes `n` elements of each.
    unsafe {
        let (mut best, mut index) = (*src, 0);
        for start in (0..n).step_by(BLOCK) {
            let end = n.min(start + BLOCK);
            let any = |hit, i| hit | takes_over(*src.add(start + i), best);
            if end - start == BLOCK && !(0..BLOCK).fold(false, any) {
                for i in start..start + BLOCK {
                    *values.add(i) = best;
                    *indices.add(i) = index;
                }
                continue;
            }
            for i in start..end {
                if i == 0 || takes_over(*src.add(i), best) {
                    (best, index) = (*src.add(i), i as i64);
                }
                *values.add(i) = best;
                *indices.add(i) = index;
            }
        }
    }
}
}

/// Lines that are neighbours in memory advance together, others one by one.
unsafe fn scan_lines<T: Ordered, const MAX: bool>(
    src: *const T,
    lines: &Lines,
    range: Range<usize>,
    values: *mut T,
    indices: *mut i64,
) {
    let (mut next, inner) = (range.start, lines.plan.kept.last());
    while next < range.end {
        let walk = Walk::starting_at(&lines.plan.kept, next);
        let (width, step, out_step) = match inner {
            Some(inner) if lines.plan.is_vertical() => (
                COLUMNS
                    .min(inner.size - next % inner.size)
                    .min(range.end - next),
                inner.stride,
                inner.out,
            ),
            _ => (1, 0, 0),
        };
        // SAFETY: `width` lines from here lie in one run of the innermost kept dimension.
        unsafe {
            let (src, values, indices) = (
                src.offset(walk.input),
                values.offset(walk.output),
                indices.offset(walk.output),
            );
            if width == 1 && lines.stride == 1 && lines.out == 1 {
                scan_dense(src, lines.size, values, indices, takes_over::<T, MAX>);
                next += 1;
                continue;
            }
            let mut best = [(*src, 0i64); COLUMNS];
            for i in 0..lines.size as isize {
                for (c, best) in best[..width].iter_mut().enumerate() {
                    let x = *src.offset(i * lines.stride + c as isize * step);
                    if i == 0 || takes_over::<T, MAX>(x, best.0) {
                        *best = (x, i as i64);
                    }
                    let to = i * lines.out + c as isize * out_step;
                    *values.offset(to) = best.0;
                    *indices.offset(to) = best.1;
                }
            }
        }
        next += width;
    }
}

#[inline(always)]
fn takes_over<T: Ordered, const MAX: bool>(new: T, old: T) -> bool {
    let (new, old) = (new.rank(), old.rank());
    let is_nan = |x: T::Rank| x.partial_cmp(&x).is_none();
    let reaches = if MAX { new >= old } else { new <= old };
    is_nan(new) | (!is_nan(old) & reaches)
}
