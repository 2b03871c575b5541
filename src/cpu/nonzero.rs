//! Which elements are not zero: positions, and what a mask selects.

use std::ops::Range;

use crate::cpu::bits::{WORD, for_each_bit, word};
use crate::cpu::buffer::Buffer;
use crate::cpu::number::Number;
use crate::cpu::pool::{self, grain};
use crate::cpu::reduce::Pointer;
use crate::dispatch;
use crate::tensor::{DType, Dims, Tensor};

/// Elements per task: counted in one pass, written in a second.
const CHUNK: usize = 16 * 1024;
/// The set elements of a sequence, as words of bits.
trait Bits: Sync {
    /// The bits of the elements from `start` on, a whole word of them.
    fn whole(&self, start: usize) -> u64;
    fn single(&self, i: usize) -> bool;

    #[inline(always)]
    fn word(&self, start: usize, end: usize) -> u64 {
        if end - start >= WORD {
            return self.whole(start);
        }
        (start..end).fold(0, |bits, i| bits | u64::from(self.single(i)) << (i - start))
    }
}

/// A mask of bytes.
struct Mask(*const u8);

// SAFETY: the bytes are only read.
unsafe impl Sync for Mask {}

impl Bits for Mask {
    #[inline(always)]
    fn whole(&self, start: usize) -> u64 {
        // SAFETY: the sequence has a word of bytes from there on.
        word(unsafe { &*self.0.add(start).cast() })
    }
    #[inline(always)]
    fn single(&self, i: usize) -> bool {
        // SAFETY: i lies in the sequence.
        unsafe { *self.0.add(i) != 0 }
    }
}

/// Elements that are compared with zero.
struct Elements<T>(*const T);

// SAFETY: the elements are only read.
unsafe impl<T> Sync for Elements<T> {}

impl<T: Number> Bits for Elements<T> {
    #[inline(always)]
    fn whole(&self, start: usize) -> u64 {
        let mut bytes = [0; WORD];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from(self.single(start + i));
        }
        word(&bytes)
    }
    #[inline(always)]
    fn single(&self, i: usize) -> bool {
        // SAFETY: i lies in the sequence.
        unsafe { !(*self.0.add(i)).is_zero() }
    }
}

#[inline(always)]
fn words(chunk: usize, n: usize) -> impl Iterator<Item = Range<usize>> {
    let end = ((chunk + 1) * CHUNK).min(n);
    (chunk * CHUNK..end)
        .step_by(WORD)
        .map(move |start| start..(start + WORD).min(end))
}

/// How many elements of each chunk are set, as the position where its results start; the total comes last.
fn starts(n: usize, set: &impl Bits) -> Vec<usize> {
    let chunks = n.div_ceil(CHUNK);
    let mut counts = vec![0usize; chunks + 1];
    let slots = Pointer(counts.as_mut_ptr());
    pool::parallel_for(chunks, 4, |range| {
        let slots = &slots;
        for chunk in range {
            let count = words(chunk, n)
                .map(|w| set.word(w.start, w.end).count_ones() as usize)
                .sum();
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

/// Calls `visit(k, i)` for the `k`th set element, `i`, in order within each chunk.
fn for_each_set(
    n: usize,
    starts: &[usize],
    set: &impl Bits,
    visit: &(impl Fn(usize, usize) + Sync),
) {
    pool::parallel_for(starts.len() - 1, 4, |range| {
        for chunk in range {
            let mut k = starts[chunk];
            for w in words(chunk, n) {
                for_each_bit(set.word(w.start, w.end), |bit| {
                    visit(k, w.start + bit);
                    k += 1;
                });
            }
        }
    });
}

/// Row-major positions of the elements that are not zero, as a vector; `x` is contiguous.
pub fn positions(x: &Tensor) -> crate::Result<Tensor> {
    fn found(n: usize, set: &impl Bits) -> crate::Result<Tensor> {
        let starts = starts(n, set);
        let out = Tensor::empty(&[starts[starts.len() - 1] as i64], DType::I64)?;
        let target = Pointer(out.ptr::<i64>());
        for_each_set(n, &starts, set, &move |k, i| {
            let target = &target;
            // SAFETY: there are as many places as set elements.
            unsafe { *target.0.add(k) = i as i64 }
        });
        Ok(out)
    }
    let n = x.numel() as usize;
    if x.dtype().size() == 1 {
        return found(n, &Mask(x.data_ptr()));
    }
    dispatch!(all x.dtype(), T => found(n, &Elements(x.ptr::<T>())))
}

/// The elements of `x` where the mask (bool) is set; both are contiguous and of one size.
pub fn select(x: &Tensor, mask: &Tensor) -> crate::Result<Tensor> {
    let (n, set) = (x.numel() as usize, Mask(mask.data_ptr()));
    let starts = starts(n, &set);
    let out = Tensor::empty(&[starts[starts.len() - 1] as i64], x.dtype())?;
    dispatch!(bytes x.dtype(), T => {
        let (target, source) = (Pointer(out.data_ptr().cast::<T>()), Pointer(x.data_ptr().cast::<T>()));
        for_each_set(n, &starts, &set, &move |k, i| {
            let (target, source) = (&target, &source);
            // SAFETY: `x` has `n` elements, and there are as many places as set elements.
            unsafe { *target.0.add(k) = *source.0.add(i) }
        });
    });
    Ok(out)
}

/// Writes `source`'s elements, in order, to where the mask is set; all are contiguous.
pub fn fill_from(out: &Tensor, mask: &Tensor, source: &Tensor) {
    let (n, set) = (out.numel() as usize, Mask(mask.data_ptr()));
    let starts = starts(n, &set);
    dispatch!(bytes out.dtype(), T => {
        let (target, source) = (Pointer(out.data_ptr().cast::<T>()), Pointer(source.data_ptr().cast::<T>()));
        for_each_set(n, &starts, &set, &move |k, i| {
            let (target, source) = (&target, &source);
            // SAFETY: the op checked that the source has enough elements.
            unsafe { *target.0.add(i) = *source.0.add(k) }
        });
    });
}

/// How many elements of a contiguous bool tensor are set.
#[must_use]
pub fn count(mask: &Tensor) -> usize {
    let starts = starts(mask.numel() as usize, &Mask(mask.data_ptr()));
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
    let Some((&width, outer)) = shape.split_last() else {
        return;
    };
    let (ndim, out) = (shape.len(), Pointer(out.as_mut_ptr()));
    pool::parallel_for(positions.len(), grain::INDEX, |range| {
        let mut next = range.start;
        while next < range.end {
            let line = positions[next] / width;
            let first = line * width;
            // SAFETY: every position has a row of its own, with a place for each dimension.
            let put = |n: usize, d: usize, i: i64| unsafe { *out.at(n * ndim + d) = i };
            let start = next;
            while next < range.end && positions[next] < first + width {
                put(next, ndim - 1, positions[next] - first);
                next += 1;
            }
            let mut rest = line;
            for (d, &size) in outer.iter().enumerate().rev() {
                (start..next).for_each(|n| put(n, d, rest % size));
                rest /= size;
            }
        }
    });
}

/// Element offsets of positions under other strides.
#[must_use]
pub fn offsets(positions: &[i64], shape: &[i64], strides: &[i64]) -> Buffer<i64> {
    let mut out = Buffer::new();
    out.fill_with(positions.len(), |_| 0);
    for_each_index(positions, shape, |n, index| {
        out[n] = index.iter().zip(strides).map(|(i, s)| i * s).sum();
    });
    out
}
