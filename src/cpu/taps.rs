//! Weighted look-ups along one dimension, and their adjoint: `y[o] = sum of weight[k, o] * x[index[k, o]]`.

use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd::{self, Float, Simd};
use std::ops::Range;

/// The taps of `outputs` positions: one list of indices below `inputs` and of weights per tap, of which there are 1, 2 or 4.
pub struct Taps<'a, T> {
    pub index: &'a [i64],
    pub weight: &'a [T],
    pub outputs: usize,
    pub inputs: usize,
    /// Elements behind each position.
    pub inner: usize,
}

/// Looks up `outer` slices of inputs.
///
/// # Safety
/// `from` has `outer * inputs * inner` elements, `to` so many with outputs.
pub unsafe fn look_up<T: Float>(taps: &Taps<T>, outer: usize, from: *const T, to: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(taps, outer, from, to, false) };
}

/// The adjoint of [`look_up`].
///
/// # Safety
/// `from` has `outer * outputs * inner` elements, `to` so many with inputs.
pub unsafe fn put_back<T: Float>(taps: &Taps<T>, outer: usize, from: *const T, to: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(taps, outer, from, to, true) };
}

unsafe fn run<T: Float>(taps: &Taps<T>, outer: usize, from: *const T, to: *mut T, back: bool) {
    let (from, to) = (Pointer(from.cast_mut()), Pointer(to));
    let work = taps.outputs.max(taps.inputs) * taps.inner * 2;
    pool::parallel_for(outer, grain::INDEX / work.max(1) + 1, |slices| {
        simd::run::<T>(Run {
            taps,
            slices,
            from: from.at(0),
            to: to.at(0),
            back,
        });
    });
}

struct Run<'a, T> {
    taps: &'a Taps<'a, T>,
    slices: Range<usize>,
    from: *const T,
    to: *mut T,
    back: bool,
}

impl<T: Float> simd::Task<T> for Run<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let taps = self.taps;
        let (inputs, outputs) = (taps.inputs * taps.inner, taps.outputs * taps.inner);
        for slice in self.slices {
            // SAFETY: the maker's promise; slices are written by one task.
            unsafe {
                match (self.back, taps.inner) {
                    (false, 1) => {
                        taps.gather(self.from.add(slice * inputs), self.to.add(slice * outputs));
                    }
                    (false, _) => taps
                        .add_rows::<V>(self.from.add(slice * inputs), self.to.add(slice * outputs)),
                    (true, _) => {
                        let to = self.to.add(slice * inputs);
                        std::slice::from_raw_parts_mut(to, inputs).fill(T::ZERO);
                        taps.scatter::<V>(self.from.add(slice * outputs), to);
                    }
                }
            }
        }
    }
}

impl<T: Float> Taps<'_, T> {
    fn count(&self) -> usize {
        self.index.len() / self.outputs.max(1)
    }

    /// The tap `k` of an output.
    ///
    /// # Safety
    /// Both are in range.
    #[inline(always)]
    unsafe fn tap(&self, k: usize, o: usize) -> (usize, T) {
        let at = k * self.outputs + o;
        // SAFETY: the caller's promise.
        unsafe {
            (
                *self.index.get_unchecked(at) as usize,
                *self.weight.get_unchecked(at),
            )
        }
    }

    /// Single elements.
    #[inline(always)]
    unsafe fn gather(&self, from: *const T, to: *mut T) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.count() {
                1 => self.gather_some::<1>(from, to),
                2 => self.gather_some::<2>(from, to),
                _ => self.gather_some::<4>(from, to),
            }
        }
    }

    /// Single elements from `K` taps.
    #[inline(always)]
    unsafe fn gather_some<const K: usize>(&self, from: *const T, to: *mut T) {
        for o in 0..self.outputs {
            let mut sum = T::ZERO;
            for k in 0..K {
                // SAFETY: the caller's promise: indices are below the number of inputs.
                unsafe {
                    let (at, weight) = self.tap(k, o);
                    let part = (*from.add(at)).mul(weight);
                    sum = if k == 0 { part } else { sum.add(part) };
                }
            }
            // SAFETY: the caller's promise.
            unsafe { *to.add(o) = sum };
        }
    }

    /// Rows of neighbouring elements.
    #[inline(always)]
    unsafe fn add_rows<V: Simd<T = T>>(&self, from: *const T, to: *mut T) {
        let count = self.count();
        for o in 0..self.outputs {
            for start in (0..self.inner).step_by(V::LANES) {
                let lanes = V::LANES.min(self.inner - start);
                let mut sum = V::splat(T::ZERO);
                for k in 0..count {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let (at, weight) = self.tap(k, o);
                        let x = V::load_part(from.add(at * self.inner + start), lanes);
                        let part = x.mul(V::splat(weight));
                        sum = if k == 0 { part } else { sum.add(part) };
                    }
                }
                // SAFETY: the caller's promise.
                unsafe { sum.store_part(to.add(o * self.inner + start), lanes) };
            }
        }
    }

    /// Adds outputs, or rows of them, to what they were made of.
    #[inline(always)]
    unsafe fn scatter<V: Simd<T = T>>(&self, from: *const T, to: *mut T) {
        for k in 0..self.count() {
            for o in 0..self.outputs {
                // SAFETY: the caller's promise: indices are below the number of inputs.
                unsafe {
                    let (at, weight) = self.tap(k, o);
                    if self.inner == 1 {
                        *to.add(at) = (*to.add(at)).add((*from.add(o)).mul(weight));
                        continue;
                    }
                    for start in (0..self.inner).step_by(V::LANES) {
                        let lanes = V::LANES.min(self.inner - start);
                        let x = V::load_part(from.add(o * self.inner + start), lanes);
                        let to = to.add(at * self.inner + start);
                        let sum = x.mul_add(V::splat(weight), V::load_part(to, lanes));
                        sum.store_part(to, lanes);
                    }
                }
            }
        }
    }
}
