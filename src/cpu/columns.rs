//! Windows of images gathered into columns, and columns added back: the two ends of a convolution.

use super::conv::{Geometry, Window};
use super::gemm::Gemm;
use std::ops::{AddAssign, Range};

/// A number that columns are made of.
pub trait Sample: Gemm + AddAssign {}
impl<T: Gemm + AddAssign> Sample for T {}

/// Calls `visit(row of columns, start in it, first output position along width, count, input offset)` for each stretch
/// along the width of a block that lies inside the input, with the step of the input.
#[inline(always)]
fn stretches(
    g: &Geometry,
    block: Range<usize>,
    mut visit: impl FnMut(usize, Range<usize>, Option<usize>),
) {
    let Window {
        kernel,
        stride,
        padding,
        dilation,
    } = g.window;
    let [depth, height, width] = g.input;
    let count = block.len() * g.output[2];
    let inside = |o: usize, k: usize, axis: usize, size: usize| {
        (o * stride[axis] + k * dilation[axis])
            .checked_sub(padding[axis])
            .filter(|&i| i < size)
    };
    let mut row = 0;
    for channel in 0..g.channels {
        for (kd, kh) in (0..kernel[0]).flat_map(|d| (0..kernel[1]).map(move |h| (d, h))) {
            for kw in 0..kernel[2] {
                // Positions `low .. high` along the width see the input.
                let offset = kw * dilation[2];
                let low = padding[2]
                    .saturating_sub(offset)
                    .div_ceil(stride[2])
                    .min(g.output[2]);
                let high = (width + padding[2])
                    .saturating_sub(offset)
                    .div_ceil(stride[2])
                    .clamp(low, g.output[2]);
                for (r, outer) in block.clone().enumerate() {
                    let at = row * count + r * g.output[2];
                    let d = inside(outer / g.output[1], kd, 0, depth);
                    let h = inside(outer % g.output[1], kh, 1, height);
                    if let (Some(d), Some(h), true) = (d, h, low < high) {
                        let first = low * stride[2] + offset - padding[2];
                        visit(
                            at,
                            low..high,
                            Some(((channel * depth + d) * height + h) * width + first),
                        );
                    } else {
                        visit(at, 0..0, None);
                    }
                }
                row += 1;
            }
        }
    }
}

/// Writes the columns of the output rows `block`.
///
/// # Safety
/// `image` has the channels of a group; `columns` has room for the block.
pub unsafe fn gather<T: Sample>(
    g: &Geometry,
    image: *const T,
    block: Range<usize>,
    columns: *mut T,
) {
    let (out_width, step) = (g.output[2], g.window.stride[2]);
    stretches(g, block, |at, seen, from| {
        // SAFETY: the caller's promise; `stretches` stays inside the image.
        unsafe {
            let row = std::slice::from_raw_parts_mut(columns.add(at), out_width);
            let Some(from) = from else {
                return row.fill(T::ZERO);
            };
            row[..seen.start].fill(T::ZERO);
            row[seen.end..].fill(T::ZERO);
            let source = image.add(from);
            if step == 1 {
                row[seen.clone()].copy_from_slice(std::slice::from_raw_parts(source, seen.len()));
            } else {
                row[seen]
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, x)| *x = *source.add(i * step));
            }
        }
    });
}

/// Adds the columns of the output rows `block` to the image.
///
/// # Safety
/// As for [`gather`].
pub unsafe fn scatter<T: Sample>(
    g: &Geometry,
    columns: *const T,
    block: Range<usize>,
    image: *mut T,
) {
    let step = g.window.stride[2];
    stretches(g, block, |at, seen, from| {
        let Some(from) = from else { return };
        // SAFETY: the caller's promise; `stretches` stays inside the image.
        unsafe {
            let row = std::slice::from_raw_parts(columns.add(at + seen.start), seen.len());
            let target = image.add(from);
            row.iter()
                .enumerate()
                .for_each(|(i, &x)| *target.add(i * step) += x);
        }
    });
}

/// The columns of all images of a batch.
///
/// # Safety
/// As for a convolution, with columns [batch, column, positions].
pub unsafe fn all_columns<T: Sample>(g: &Geometry, input: *const T, columns: *mut T) {
    for image in 0..g.batch {
        let (from, to) = (
            input.wrapping_add(image * g.image()),
            columns.wrapping_add(image * g.column() * g.positions()),
        );
        // SAFETY: the caller's promise.
        unsafe { gather(g, from, 0..g.output[0] * g.output[1], to) };
    }
}

/// The adjoint of [`all_columns`].
///
/// # Safety
/// As for [`all_columns`]; here `input` is written.
pub unsafe fn add_columns<T: Sample>(g: &Geometry, columns: *const T, input: *mut T) {
    for image in 0..g.batch {
        let (to, from) = (
            input.wrapping_add(image * g.image()),
            columns.wrapping_add(image * g.column() * g.positions()),
        );
        // SAFETY: the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(to, g.image()).fill(T::ZERO);
            scatter(g, from, 0..g.output[0] * g.output[1], to);
        }
    }
}
