//! Reading through an index: one gather serves `gather`, `index_select`, `take` and `x[tensor]`.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use crate::cpu::bytes;
use crate::cpu::iter::{Plan, for_each_offset};
use crate::cpu::multiversion::multiversion;
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
/// along the indexed dimension, `step` is its stride there. With a limit, indices outside `0..limit` are
/// looked for on the way, and are not followed; false if there are any.
///
/// # Safety
/// Every offset that shape, strides and index reach is valid, with a limit those of other indices; `out`
/// overlaps neither of the others.
pub unsafe fn gather<T: Copy>(
    shape: &[i64],
    out: Operand<T>,
    index: Operand<i64>,
    source: Operand<T>,
    step: i64,
    limit: Option<i64>,
) -> bool {
    let plan = Plan::new(shape, [out.strides, index.strides, source.strides]);
    let inner = plan.inner().1;
    let outer = match plan.dims.len() {
        0 | 1 => [0; 3],
        n => plan.dims[n - 2].1,
    };
    let pointers = (Pointer(out.ptr), Pointer(index.ptr), Pointer(source.ptr));
    let in_range = AtomicBool::new(true);
    for_blocks(&plan, grain::INDEX, &|starts, rows, columns: Range<i64>| {
        let (Pointer(out), Pointer(index), Pointer(source)) =
            (&pointers.0, &pointers.1, &pointers.2);
        let size = (columns.end - columns.start) as usize;
        // Pieces that are still in cache when the indices are read a second time.
        let together = limit.map_or(rows, |_| (PIECE / size).max(1));
        for row in (0..rows).step_by(together) {
            let at =
                |k: usize| (starts[k] + row as i64 * outer[k] + columns.start * inner[k]) as isize;
            let block = Block {
                rows: together.min(rows - row),
                size,
                outer,
                inner,
                step,
            };
            // SAFETY: promised by the caller.
            unsafe {
                let index = index.offset(at(1)).cast_const();
                if limit.is_some_and(|limit| !block.is_in_range(index, limit)) {
                    return in_range.store(false, Relaxed);
                }
                gather_block(&block, out.offset(at(0)), index, source.offset(at(2)));
            }
        }
    });
    in_range.into_inner()
}

/// Indices that are checked at once before they are followed.
const PIECE: usize = 4096;

/// Rows of a gather and the steps of its operands between rows and within them.
struct Block {
    rows: usize,
    size: usize,
    outer: [i64; 3],
    inner: [i64; 3],
    step: i64,
}

impl Block {
    /// Do all its indices lie in `0..limit`?
    unsafe fn is_in_range(&self, index: *const i64, limit: i64) -> bool {
        let [between, along] = [self.outer[1] as isize, self.inner[1] as isize];
        let is_inside = |values: &[i64]| {
            // SAFETY: no contract beyond the slice's.
            let (low, high) = unsafe { extremes_of(values) };
            values.is_empty() || (low >= 0 && high < limit)
        };
        // SAFETY: promised by the caller of `gather`.
        unsafe {
            if along == 1 && (between == self.size as isize || self.rows == 1) {
                return is_inside(std::slice::from_raw_parts(index, self.rows * self.size));
            }
            (0..self.rows as isize).all(|r| {
                let row = index.offset(r * between);
                (0..self.size as isize).all(|j| (0..limit).contains(&*row.offset(j * along)))
            })
        }
    }
}

/// Rows whose sources are asked for before they are copied.
const AHEAD: usize = 8;
/// Bytes of a row that are asked for ahead; the machine sees the rest coming.
const AHEAD_BYTES: usize = 512;

unsafe fn gather_block<T: Copy>(b: &Block, out: *mut T, index: *const i64, source: *const T) {
    // SAFETY: promised by the caller of `gather`.
    unsafe {
        match b.inner {
            [1, 0, 1] => copy_rows(b, out, index, source),
            [1, 1, 0] => {
                for r in 0..b.rows as isize {
                    let at = |k: usize| r * b.outer[k] as isize;
                    let (out, index, source) =
                        (out.offset(at(0)), index.offset(at(1)), source.offset(at(2)));
                    for j in 0..b.size {
                        *out.add(j) = *source.offset((*index.add(j) * b.step) as isize);
                    }
                }
            }
            [so, si, ss] => {
                for r in 0..b.rows as i64 {
                    let (o, i, s) = (r * b.outer[0], r * b.outer[1], r * b.outer[2]);
                    for j in 0..b.size as i64 {
                        let place = *index.offset((i + j * si) as isize) * b.step;
                        *out.offset((o + j * so) as isize) =
                            *source.offset((s + j * ss + place) as isize);
                    }
                }
            }
        }
    }
}

/// Copies a row per index.
unsafe fn copy_rows<T: Copy>(b: &Block, out: *mut T, index: *const i64, source: *const T) {
    let bytes = (b.size * size_of::<T>()).min(AHEAD_BYTES);
    let from = |r: usize| {
        let r = r as i64;
        // SAFETY: promised by the caller of `gather`.
        let place = unsafe { *index.offset((r * b.outer[1]) as isize) } * b.step;
        source.wrapping_offset((r * b.outer[2] + place) as isize)
    };
    for r in 0..b.rows {
        if r + AHEAD < b.rows {
            prefetch(from(r + AHEAD), bytes);
        }
        let to = out.wrapping_offset(r as isize * b.outer[0] as isize);
        // SAFETY: promised by the caller of `gather`.
        unsafe { bytes::copy(from(r), to, b.size) };
    }
}

/// Asks for the cache lines of `bytes` bytes.
#[inline(always)]
pub fn prefetch<T>(from: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..bytes).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast::<i8>().wrapping_add(line)) };
    }
}

/// Runs the two innermost loops of a plan in parallel: `body` gets the offsets of its first row, how many
/// rows there are, and their columns, which are all of them where there are several rows.
pub fn for_blocks<const N: usize>(
    plan: &Plan<N>,
    grain: usize,
    body: &(dyn Fn([i64; N], usize, Range<i64>) + Sync),
) {
    let (size, rows) = (plan.inner().0, plan.outer_count());
    if size == 0 || rows == 0 {
        return;
    }
    if rows == 1 {
        pool::parallel_for(size as usize, grain, |range| {
            body([0; N], 1, range.start as i64..range.end as i64);
        });
        return;
    }
    let outer = &plan.dims[..plan.dims.len() - 1];
    let per_block = outer[outer.len() - 1].0;
    pool::parallel_for(rows as usize, (grain / size as usize).max(1), |range| {
        let (mut row, end) = (range.start as i64, range.end as i64);
        while row < end {
            let count = (per_block - row % per_block).min(end - row);
            let (mut offsets, mut rest) = ([0; N], row);
            for (size, steps) in outer.iter().rev() {
                let i = rest % size;
                rest /= size;
                (0..N).for_each(|k| offsets[k] += i * steps[k]);
            }
            body(offsets, count as usize, 0..size);
            row += count;
        }
    });
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

/// `gather` for tensors, with `index` (int64) under its strides along `shape`: false if it names a place
/// that there is not.
#[must_use]
pub fn gather_tensor(
    out: &Tensor,
    source: &Tensor,
    dim: usize,
    index: &Tensor,
    strides: &[i64],
) -> bool {
    let shape = out.shape();
    let mut from = crate::tensor::Dims::from_slice(source.strides());
    let step = from.get(dim).copied().unwrap_or(1);
    let size = source.shape().get(dim).copied().unwrap_or(1);
    if let Some(stride) = from.get_mut(dim) {
        *stride = 0;
    }
    from.resize(shape.len(), 0);
    // A few indices that serve many elements are checked beforehand.
    let limit = if index.numel() == out.numel() {
        Some(size)
    } else if out_of_range(index, 0, size).is_some() {
        return false;
    } else {
        None
    };
    dispatch!(bytes out.dtype(), T => {
        // SAFETY: the shapes were checked, the indices too unless there is a limit, and outputs are fresh.
        unsafe {
            gather::<T>(
                shape,
                Operand { ptr: out.data_ptr().cast(), strides: out.strides() },
                Operand { ptr: index.ptr::<i64>(), strides },
                Operand { ptr: source.data_ptr().cast(), strides: &from },
                step,
                limit,
            )
        }
    })
}

/// The first index outside `low..high`, if there is one.
#[must_use]
pub fn out_of_range(index: &Tensor, low: i64, high: i64) -> Option<i64> {
    let bad = |i: i64| i < low || i >= high;
    let layout = index.layout();
    if let Ok(values) = index.as_slice::<i64>() {
        let (min, max) = extremes(values);
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

/// The least and the greatest of some indices.
pub fn extremes(values: &[i64]) -> (i64, i64) {
    let (low, high) = (AtomicI64::new(i64::MAX), AtomicI64::new(i64::MIN));
    pool::parallel_for(values.len(), grain::REDUCE, |range| {
        // SAFETY: no contract beyond the slice's.
        let (min, max) = unsafe { extremes_of(&values[range]) };
        low.fetch_min(min, Relaxed);
        high.fetch_max(max, Relaxed);
    });
    (low.into_inner(), high.into_inner())
}

multiversion! {
unsafe fn extremes_of[](values: &[i64]) -> (i64, i64) {
    let chunks = values.chunks_exact(32);
    let (mut low, mut high) = ([i64::MAX; 32], [i64::MIN; 32]);
    for chunk in chunks.clone() {
        for (lane, &x) in chunk.iter().enumerate() {
            low[lane] = low[lane].min(x);
            high[lane] = high[lane].max(x);
        }
    }
    let (low, high) = (low.into_iter().fold(i64::MAX, i64::min), high.into_iter().fold(i64::MIN, i64::max));
    chunks.remainder().iter().fold((low, high), |(low, high), &x| (low.min(x), high.max(x)))
}
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
    if layout.strides[..] == crate::tensor::contiguous_strides(&layout.shape)[..] {
        // SAFETY: the layout lies within the index's storage.
        let values = unsafe { std::slice::from_raw_parts(index.ptr::<i64>(), offsets.len()) };
        return add_dense_offsets(offsets, values, size, stride);
    }
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

fn add_dense_offsets(
    offsets: &mut [i64],
    index: &[i64],
    size: i64,
    stride: i64,
) -> std::result::Result<(), i64> {
    let (low, high) = extremes(index);
    if !index.is_empty() && (low < -size || high >= size) {
        let bad = |&i: &i64| i < -size || i >= size;
        return index.iter().copied().find(bad).map_or(Ok(()), Err);
    }
    let target = Pointer(offsets.as_mut_ptr());
    pool::parallel_for(index.len(), grain::POINTWISE, |range| {
        let target = &target;
        for k in range {
            let i = index[k];
            // SAFETY: there is an offset for each index, and each belongs to one task.
            unsafe { *target.0.add(k) += (i + if i < 0 { size } else { 0 }) * stride };
        }
    });
    Ok(())
}
