//! Which elements are not zero: positions, and what a mask selects.

use crate::cpu::number::Number;
use crate::cpu::pool;
use crate::cpu::reduce::Pointer;
use crate::dispatch;
use crate::tensor::{Dims, Tensor};

/// Elements per task: counted in one pass, written in a second.
const CHUNK: usize = 16 * 1024;

/// How many elements of each chunk are set, as the position where its results start; the total comes last.
fn starts(n: usize, set: &(impl Fn(usize) -> bool + Sync)) -> Vec<usize> {
    let chunks = n.div_ceil(CHUNK);
    let mut counts = vec![0usize; chunks + 1];
    let slots = Pointer(counts.as_mut_ptr());
    pool::parallel_for(chunks, 1, |range| {
        let slots = &slots;
        for chunk in range {
            let (from, to) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(n));
            let count = (from..to).map(|i| usize::from(set(i))).sum();
            // SAFETY: each chunk has its own slot.
            unsafe { *slots.0.add(chunk) = count }
        }
    });
    let mut total = 0;
    for slot in &mut counts {
        total += std::mem::replace(slot, total);
    }
    counts
}

/// Writes `value(i)` for every set element, in order; `out` has room for `starts`' total.
fn compress<T: Copy>(
    n: usize,
    starts: &[usize],
    set: &(impl Fn(usize) -> bool + Sync),
    value: &(impl Fn(usize) -> T + Sync),
    out: *mut T,
) {
    let out = Pointer(out);
    pool::parallel_for(starts.len() - 1, 1, |range| {
        let out = &out;
        for chunk in range {
            let (mut k, end) = (starts[chunk], starts[chunk + 1]);
            let mut i = chunk * CHUNK;
            // Writes every candidate and keeps the set ones: no branch to mispredict.
            while k < end && i < n {
                // SAFETY: `k` stays within this chunk's part of the output.
                unsafe { *out.0.add(k) = value(i) }
                k += usize::from(set(i));
                i += 1;
            }
        }
    });
}

/// Row-major positions of the elements that are not zero; `x` is contiguous.
#[must_use]
pub fn positions(x: &Tensor) -> Vec<i64> {
    let n = x.numel() as usize;
    dispatch!(all x.dtype(), T => {
        let source = Pointer(x.ptr::<T>());
        let source = &source;
        // SAFETY: a contiguous tensor of `n` elements.
        let set = move |i: usize| !unsafe { *source.0.add(i) }.is_zero();
        let starts = starts(n, &set);
        let mut out = Vec::with_capacity(starts[starts.len() - 1]);
        compress(n, &starts, &set, &|i| i as i64, out.as_mut_ptr());
        // SAFETY: `compress` wrote as many.
        unsafe { out.set_len(starts[starts.len() - 1]) }
        out
    })
}

/// The elements of `x` where the mask (bool) is set; both are contiguous and of one size.
pub fn select(x: &Tensor, mask: &Tensor) -> crate::Result<Tensor> {
    let n = x.numel() as usize;
    let bits = Pointer(mask.data_ptr());
    let bits = &bits;
    // SAFETY: the mask has as many elements.
    let set = move |i: usize| unsafe { *bits.0.add(i) } != 0;
    let starts = starts(n, &set);
    let out = Tensor::empty(&[starts[starts.len() - 1] as i64], x.dtype())?;
    dispatch!(bytes x.dtype(), T => {
        let source = Pointer(x.data_ptr().cast::<T>());
        let source = &source;
        // SAFETY: `x` has `n` elements.
        compress::<T>(n, &starts, &set, &move |i| unsafe { *source.0.add(i) }, out.data_ptr().cast());
    });
    Ok(out)
}

/// Writes `source`'s elements, in order, to where the mask is set; all are contiguous.
pub fn fill_from(out: &Tensor, mask: &Tensor, source: &Tensor) {
    let n = out.numel() as usize;
    let bits = Pointer(mask.data_ptr());
    let bits = &bits;
    // SAFETY: the mask has as many elements.
    let set = move |i: usize| unsafe { *bits.0.add(i) } != 0;
    let starts = starts(n, &set);
    dispatch!(bytes out.dtype(), T => {
        let (target, source) = (Pointer(out.data_ptr().cast::<T>()), Pointer(source.data_ptr().cast::<T>()));
        pool::parallel_for(starts.len() - 1, 1, |range| {
            let (target, source) = (&target, &source);
            for chunk in range {
                let mut k = starts[chunk];
                for i in chunk * CHUNK..((chunk + 1) * CHUNK).min(n) {
                    if set(i) {
                        // SAFETY: the op checked that the source has enough elements.
                        unsafe { *target.0.add(i) = *source.0.add(k) }
                        k += 1;
                    }
                }
            }
        });
    });
}

/// How many elements of a contiguous bool tensor are set.
#[must_use]
pub fn count(mask: &Tensor) -> usize {
    let bits = Pointer(mask.data_ptr());
    let bits = &bits;
    // SAFETY: a contiguous tensor of `numel` one-byte elements.
    let starts = starts(
        mask.numel() as usize,
        &move |i| unsafe { *bits.0.add(i) } != 0,
    );
    starts[starts.len() - 1]
}

/// Calls `visit(n, index)` with the multi-dimensional index of the `n`th position; positions ascend.
fn for_each_index(positions: &[i64], shape: &[i64], mut visit: impl FnMut(usize, &[i64])) {
    let mut index: Dims = smallvec::smallvec![0; shape.len()];
    let mut last = 0;
    for (n, &position) in positions.iter().enumerate() {
        let mut carry = position - last;
        last = position;
        for d in (0..shape.len()).rev() {
            index[d] += carry;
            if index[d] < shape[d] {
                break;
            }
            carry = index[d] / shape[d];
            index[d] %= shape[d];
        }
        visit(n, &index);
    }
}

/// The rows of `nonzero`: one index per position.
pub fn rows(positions: &[i64], shape: &[i64], out: &mut [i64]) {
    let ndim = shape.len();
    for_each_index(positions, shape, |n, index| {
        out[n * ndim..(n + 1) * ndim].copy_from_slice(index);
    });
}

/// Element offsets of positions under other strides.
#[must_use]
pub fn offsets(positions: Vec<i64>, shape: &[i64], strides: &[i64]) -> Vec<i64> {
    if strides == &crate::tensor::contiguous_strides(shape)[..] {
        return positions;
    }
    let mut out = vec![0; positions.len()];
    for_each_index(&positions, shape, |n, index| {
        out[n] = index.iter().zip(strides).map(|(i, s)| i * s).sum();
    });
    out
}
