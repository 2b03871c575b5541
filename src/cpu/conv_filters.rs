//! Convolutions of floats whose lanes are filters: no lane is lost at the ends of rows, but the outputs come out transposed.

use super::conv_plan::Part;
use super::simd::{Float, Simd, transpose};
use std::ops::Range;

/// Outputs that are transposed together.
pub const TOGETHER: usize = 48;

/// Sums for one or two vectors of filters.
pub struct FilterTile<'a, T> {
    pub part: &'a Part,
    pub channels: usize,
    /// Cells of a channel.
    pub pitch: usize,
    pub weights: *const T,
    pub cells: *const T,
    pub bias: Option<*const T>,
    pub output: *mut T,
    pub by_filter: usize,
    /// Filters that there are.
    pub filters: usize,
}

impl<T: Float> FilterTile<'_, T> {
    #[inline(always)]
    pub unsafe fn by_size<V: Simd<T = T>>(&self, filters: usize, outputs: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            match (filters == 2 * V::LANES, V::MANY) {
                (true, true) => self.each::<V, 8, 2>(outputs),
                (false, true) => self.each::<V, 8, 1>(outputs),
                (true, false) => self.each::<V, 4, 2>(outputs),
                (false, false) => self.each::<V, 4, 1>(outputs),
            }
        }
    }

    #[inline(always)]
    unsafe fn each<V: Simd<T = T>, const M: usize, const N: usize>(&self, outputs: Range<usize>) {
        let width = N * V::LANES;
        let mut turned = [T::ZERO; TOGETHER * 32];
        let mut bias = [V::splat(T::ZERO); N];
        if let Some(from) = self.bias {
            for (n, bias) in bias.iter_mut().enumerate() {
                let first = (n * V::LANES).min(self.filters);
                // SAFETY: the caller's promise.
                *bias =
                    unsafe { V::load_part(from.add(first), V::LANES.min(self.filters - first)) };
            }
        }
        for first in outputs.clone().step_by(M) {
            let cells = &self.part.cells[first..outputs.end.min(first + M)];
            let to = turned[(first - outputs.start) * width..].as_mut_ptr();
            // SAFETY: the caller's promise; `turned` has room for the outputs.
            unsafe { self.compute::<V, M, N>(cells, bias, to) };
        }
        // SAFETY: as above.
        unsafe { self.store::<V>(&turned, width, outputs) };
    }

    /// Up to `M` outputs of `N` vectors of filters.
    #[inline(always)]
    unsafe fn compute<V: Simd<T = T>, const M: usize, const N: usize>(
        &self,
        cells: &[usize],
        bias: [V; N],
        to: *mut T,
    ) {
        let mut sums = [bias; M];
        // The last output is computed again to fill the block.
        let mut from = [self.cells; M];
        for m in 0..M {
            from[m] = self.cells.wrapping_add(cells[m.min(cells.len() - 1)]);
        }
        let mut weights = self.weights;
        for channel in 0..self.channels {
            for &tap in &self.part.taps {
                let at = channel * self.pitch + tap;
                let mut weight = [bias[0]; N];
                for n in 0..N {
                    // SAFETY: the caller's promise.
                    weight[n] = unsafe { V::load(weights.wrapping_add(n * V::LANES)) };
                }
                for m in 0..M {
                    // SAFETY: the caller's promise: the cells of outputs lie in the frame.
                    let cell = V::splat(unsafe { *from[m].wrapping_add(at) });
                    for n in 0..N {
                        sums[m][n] = cell.mul_add(weight[n], sums[m][n]);
                    }
                }
                weights = weights.wrapping_add(N * V::LANES);
            }
        }
        // What is indexed by a variable lies in memory: a copy, so that the sums above do not.
        let mut done = [bias; M];
        for m in 0..M {
            for n in 0..N {
                done[m][n] = sums[m][n];
            }
        }
        for (m, sums) in done.iter().enumerate().take(cells.len()) {
            for (n, sum) in sums.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { sum.store(to.add((m * N + n) * V::LANES)) };
            }
        }
    }

    /// Outputs x filters as filters x outputs.
    #[inline(always)]
    unsafe fn store<V: Simd<T = T>>(&self, turned: &[T], width: usize, outputs: Range<usize>) {
        let size = (outputs.len(), self.filters);
        // SAFETY: the caller's promise.
        unsafe {
            let Some(places) = &self.part.places else {
                let to = self.output.add(outputs.start);
                return transpose::<V>(turned.as_ptr(), size, width, to, self.by_filter);
            };
            for (row, &place) in turned.chunks_exact(width).zip(&places[outputs]) {
                for (f, &value) in row[..self.filters].iter().enumerate() {
                    *self.output.add(f * self.by_filter + place) = value;
                }
            }
        }
    }
}
