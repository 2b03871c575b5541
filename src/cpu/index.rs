//! Reading through an index: one gather serves `gather`, `index_select`, `take` and `x[tensor]`.

use crate::cpu::iter::{Plan, for_each_offset};
use crate::cpu::pool::{self, grain};
use crate::cpu::reduce::Pointer;
use crate::dispatch;
use crate::tensor::{Layout, Tensor};

/// An operand of a gather or scatter: where it starts, and its strides under the common shape.
#[derive(Clone, Copy)]
pub struct Operand<'a, T> {
    pub ptr: *mut T,
    pub strides: &'a [i64],
}

/// Gathers `out[.., i, ..] = source[.., index[.., i, ..] * step, ..]`: the source's strides are 0
/// along the indexed dimension, `step` is its stride there.
///
/// # Safety
/// Every offset that shape, strides and index reach is valid; `out` overlaps neither of the others.
pub unsafe fn gather<T: Copy>(
    shape: &[i64],
    out: Operand<T>,
    index: Operand<i64>,
    source: Operand<T>,
    step: i64,
) {
    let plan = Plan::new(shape, [out.strides, index.strides, source.strides]);
    let (size, steps) = plan.inner();
    let pointers = (Pointer(out.ptr), Pointer(index.ptr), Pointer(source.ptr));
    let row = |[o, i, s]: [i64; 3], from: i64, to: i64| {
        let (out, index, source) = pointers_of(&pointers);
        // SAFETY: promised by the caller.
        unsafe {
            let at = |k: usize, n: i64| (n * steps[k]) as isize;
            let (out, index, source) = (
                out.offset(o as isize + at(0, from)),
                index.offset(i as isize + at(1, from)),
                source.offset(s as isize + at(2, from)),
            );
            gather_row((to - from) as usize, steps, out, index, source, step);
        }
    };
    for_rows(&plan, size, grain::INDEX, &row);
}

fn pointers_of<T>(
    pointers: &(Pointer<T>, Pointer<i64>, Pointer<T>),
) -> (*mut T, *const i64, *const T) {
    (pointers.0.0, pointers.1.0, pointers.2.0)
}

unsafe fn gather_row<T: Copy>(
    size: usize,
    [so, si, ss]: [i64; 3],
    out: *mut T,
    index: *const i64,
    source: *const T,
    step: i64,
) {
    // SAFETY: promised by the caller of `gather`.
    unsafe {
        if si == 0 {
            let source = source.offset((*index * step) as isize);
            if so == 1 && ss == 1 {
                std::ptr::copy_nonoverlapping(source, out, size);
                return;
            }
            for j in 0..size as isize {
                *out.offset(j * so as isize) = *source.offset(j * ss as isize);
            }
        } else if so == 1 && si == 1 && ss == 0 {
            for j in 0..size {
                *out.add(j) = *source.offset((*index.add(j) * step) as isize);
            }
        } else {
            for j in 0..size as isize {
                let i = *index.offset(j * si as isize);
                *out.offset(j * so as isize) =
                    *source.offset(j * ss as isize + (i * step) as isize);
            }
        }
    }
}

/// Runs inner loops in parallel: whole ones, or parts of a single one.
pub fn for_rows<const N: usize>(
    plan: &Plan<N>,
    size: i64,
    grain: usize,
    row: &(dyn Fn([i64; N], i64, i64) + Sync),
) {
    let rows = plan.outer_count();
    if size == 0 || rows == 0 {
        return;
    }
    if rows == 1 {
        pool::parallel_for(size as usize, grain, |range| {
            row([0; N], range.start as i64, range.end as i64);
        });
        return;
    }
    let grain = (grain / size as usize).max(1);
    pool::parallel_for(rows as usize, grain, |range| {
        plan.for_each_outer(range.start as i64..range.end as i64, |offsets| {
            row(offsets, 0, size);
        });
    });
}

/// `gather` for tensors: `index` (int64) under its strides along `shape`, in range.
pub fn gather_tensor(out: &Tensor, source: &Tensor, dim: usize, index: &Tensor, strides: &[i64]) {
    let shape = out.shape();
    let mut from = crate::tensor::Dims::from_slice(source.strides());
    let step = from.get(dim).copied().unwrap_or(1);
    if let Some(stride) = from.get_mut(dim) {
        *stride = 0;
    }
    from.resize(shape.len(), 0);
    dispatch!(bytes out.dtype(), T => {
        // SAFETY: the shapes were checked, the indices too, and outputs are fresh.
        unsafe {
            gather::<T>(
                shape,
                Operand { ptr: out.data_ptr().cast(), strides: out.strides() },
                Operand { ptr: index.ptr::<i64>(), strides },
                Operand { ptr: source.data_ptr().cast(), strides: &from },
                step,
            );
        }
    });
}

/// The first index outside `low..high`, if there is one.
#[must_use]
pub fn out_of_range(index: &Tensor, low: i64, high: i64) -> Option<i64> {
    let bad = |i: i64| i < low || i >= high;
    let layout = index.layout();
    if let Ok(values) = index.as_slice::<i64>() {
        let (min, max) = values
            .iter()
            .fold((i64::MAX, i64::MIN), |(a, b), &i| (a.min(i), b.max(i)));
        if values.is_empty() || (min >= low && max < high) {
            return None;
        }
        return values.iter().copied().find(|&i| bad(i));
    }
    let mut found = None;
    for_each_offset(&layout.shape, &layout.strides, |offset| {
        // SAFETY: the layout lies within the storage.
        let i = unsafe { *index.ptr::<i64>().offset(offset as isize) };
        if bad(i) && found.is_none() {
            found = Some(i);
        }
    });
    found
}

/// Adds `wrap(index) * stride` to each offset, in row-major order of the index's layout.
/// Fails with the first index outside `-size..size`.
pub fn add_offsets(
    offsets: &mut [i64],
    index: &Tensor,
    layout: &Layout,
    size: i64,
    stride: i64,
) -> std::result::Result<(), i64> {
    let (mut n, mut bad) = (0, None);
    for_each_offset(&layout.shape, &layout.strides, |offset| {
        // SAFETY: the layout lies within the index's storage.
        let i = unsafe { *index.ptr::<i64>().offset(offset as isize) };
        if i < -size || i >= size {
            bad.get_or_insert(i);
        }
        offsets[n] += if i < 0 { i + size } else { i } * stride;
        n += 1;
    });
    bad.map_or(Ok(()), Err)
}
