//! Writing a value where a mask is set.

use super::index::for_blocks;
use super::iter::Plan;
use super::multiversion::multiversion;
use super::pool::grain;
use super::reduce::Pointer;
use crate::dispatch;
use crate::tensor::Tensor;

/// Fills `out` with the value (of its dtype, 0-dim) where the mask is set, with `x` elsewhere. All have
/// the same sizes; `x` is `out` or does not overlap it.
pub fn fill(out: &Tensor, x: &Tensor, mask: &Tensor, value: &Tensor) {
    let plan = Plan::new(out.shape(), [out.strides(), x.strides(), mask.strides()]);
    let (_, inner) = plan.inner();
    let outer = match plan.dims.len() {
        0 | 1 => [0; 3],
        n => plan.dims[n - 2].1,
    };
    dispatch!(bytes out.dtype(), T => {
        // SAFETY: the value has the dtype's size.
        let value = unsafe { value.data_ptr().cast::<T>().read() };
        let pointers = (Pointer(out.data_ptr().cast::<T>()), Pointer(x.data_ptr().cast::<T>()), Pointer(mask.data_ptr()));
        for_blocks(&plan, grain::POINTWISE, &move |starts, rows, columns| {
            let (Pointer(out), Pointer(x), Pointer(mask)) = (&pointers.0, &pointers.1, &pointers.2);
            let n = (columns.end - columns.start) as usize;
            for r in 0..rows as i64 {
                let at = |k: usize| (starts[k] + r * outer[k] + columns.start * inner[k]) as isize;
                // SAFETY: the plan walks layouts that lie within their storages.
                unsafe { fill_row(n, inner, out.offset(at(0)), x.offset(at(1)), mask.offset(at(2)), value) };
            }
        });
    });
}

unsafe fn fill_row<T: Copy>(
    n: usize,
    [so, sx, sm]: [i64; 3],
    out: *mut T,
    x: *const T,
    mask: *const u8,
    value: T,
) {
    // SAFETY: n elements of each operand.
    unsafe {
        match (so, sx, sm) {
            (1, 1, 1) if out.cast_const() == x => fill_dense_in_place(n, out, mask, value),
            (1, 1, 1) => fill_dense(n, out, x, mask, value),
            (1, 1, 0) if *mask != 0 => std::slice::from_raw_parts_mut(out, n).fill(value),
            (1, 1, 0) => std::ptr::copy(x, out, n),
            _ => {
                for j in 0..n as isize {
                    let old = *x.offset(j * sx as isize);
                    let set = *mask.offset(j * sm as isize) != 0;
                    *out.offset(j * so as isize) = if set { value } else { old };
                }
            }
        }
    }
}

multiversion! {
unsafe fn fill_dense[T: Copy](n: usize, out: *mut T, x: *const T, mask: *const u8, value: T) {
    for j in 0..n {
        // SAFETY: n elements of each operand.
        unsafe {
            let old = *x.add(j);
            *out.add(j) = if *mask.add(j) != 0 { value } else { old };
        }
    }
}
}

multiversion! {
unsafe fn fill_dense_in_place[T: Copy](n: usize, out: *mut T, mask: *const u8, value: T) {
    for j in 0..n {
        // SAFETY: n elements of each operand.
        unsafe {
            let old = *out.add(j);
            *out.add(j) = if *mask.add(j) != 0 { value } else { old };
        }
    }
}
}
