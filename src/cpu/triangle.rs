//! Triangles of matrices.

use super::bytes;
use super::iter::for_each_offset;
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use crate::dispatch;
use crate::tensor::{Layout, Tensor};

/// Offsets of the matrices in a stack of them.
fn matrices(layout: &Layout) -> Vec<i64> {
    let lead = layout.ndim() - 2;
    let mut starts = Vec::new();
    for_each_offset(&layout.shape[..lead], &layout.strides[..lead], |offset| {
        starts.push(offset);
    });
    starts
}

/// Copies the lower (or upper) triangle up to diagonal `k` of each matrix, and clears the rest. `x` is
/// `out` or does not overlap it, and has the same sizes.
pub fn triangle(out: &Tensor, x: &Tensor, k: i64, lower: bool) {
    let (to, from) = (matrices(out.layout()), matrices(x.layout()));
    let n = out.ndim();
    let (rows, cols) = (out.shape()[n - 2], out.shape()[n - 1]);
    let [to_steps, from_steps] = [out, x].map(|t| [t.strides()[n - 2], t.strides()[n - 1]]);
    if rows == 0 || cols == 0 {
        return;
    }
    dispatch!(bytes out.dtype(), T => {
        let (target, source) = (Pointer(out.data_ptr().cast::<T>()), Pointer(x.data_ptr().cast::<T>()));
        let grain = (grain::COPY as i64 / cols).max(1) as usize;
        parallel_for(to.len() * rows as usize, grain, |range| {
            let (target, source) = (&target, &source);
            for at in range {
                let (matrix, row) = (at / rows as usize, (at % rows as usize) as i64);
                let edge = row.saturating_add(k).saturating_add(i64::from(lower)).clamp(0, cols);
                let (kept, cleared) = if lower { (0..edge, edge..cols) } else { (edge..cols, 0..edge) };
                // SAFETY: rows and columns lie within the tensors' sizes.
                unsafe {
                    let to = target.0.offset((to[matrix] + row * to_steps[0]) as isize);
                    let from = source.0.offset((from[matrix] + row * from_steps[0]) as isize);
                    if to.cast_const() != from.cast_const() || to_steps != from_steps {
                        copy_row(to, to_steps[1], from, from_steps[1], kept);
                    }
                    for col in cleared {
                        *to.offset((col * to_steps[1]) as isize) = bytemuck::Zeroable::zeroed();
                    }
                }
            }
        });
    });
}

unsafe fn copy_row<T: Copy>(
    to: *mut T,
    to_step: i64,
    from: *const T,
    from_step: i64,
    columns: std::ops::Range<i64>,
) {
    // SAFETY: the columns lie in both rows.
    unsafe {
        if to_step == 1 && from_step == 1 {
            let (start, count) = (
                columns.start as usize,
                (columns.end - columns.start) as usize,
            );
            bytes::copy(from.add(start), to.add(start), count);
        } else {
            for col in columns {
                *to.offset((col * to_step) as isize) = *from.offset((col * from_step) as isize);
            }
        }
    }
}
