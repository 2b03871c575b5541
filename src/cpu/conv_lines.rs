//! Convolutions of single channels of floats by windows that move by one: several rows of outputs at once, so that every
//! vector of cells is loaded once for all of them.

use super::simd::{Float, Simd};

/// Rows of outputs that are computed together.
pub const ROWS: usize = 4;

/// The outputs of a filter in a band.
pub struct LineTile<'a, T> {
    /// The cells of the first row of the kernel, and cells from row to row.
    pub taps: &'a [usize],
    pub pitch: usize,
    /// Height and width of the outputs.
    pub size: (usize, usize),
    pub weights: *const T,
    pub cells: *const T,
    pub bias: Option<*const T>,
    pub output: *mut T,
}

/// Is there a kernel for windows of this height?
pub fn serves(height: usize) -> bool {
    matches!(height, 3 | 5 | 7)
}

impl<T: Float> LineTile<'_, T> {
    /// All outputs, for windows of `height`.
    #[inline(always)]
    pub unsafe fn run<V: Simd<T = T>>(&self, height: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match height {
                3 => self.all::<V, 3>(),
                5 => self.all::<V, 5>(),
                _ => self.all::<V, 7>(),
            }
        }
    }

    #[inline(always)]
    unsafe fn all<V: Simd<T = T>, const K: usize>(&self) {
        let (height, width) = self.size;
        // What is left over at the ends is computed with what lies before it once more.
        let last = width.saturating_sub(V::LANES);
        for row in (0..height).step_by(ROWS) {
            let row = row.min(height - ROWS);
            let mut w = 0;
            while w < width {
                // SAFETY: the caller's promise.
                unsafe {
                    if w + V::LANES < width {
                        self.compute::<V, K, 2>(row, [w.min(last), (w + V::LANES).min(last)]);
                        w += 2 * V::LANES;
                    } else {
                        self.compute::<V, K, 1>(row, [w.min(last)]);
                        w += V::LANES;
                    }
                }
            }
        }
    }

    /// `N` vectors of `ROWS` rows.
    #[inline(always)]
    unsafe fn compute<V: Simd<T = T>, const K: usize, const N: usize>(
        &self,
        row: usize,
        columns: [usize; N],
    ) {
        let bias = match self.bias {
            // SAFETY: the caller's promise.
            Some(bias) => V::splat(unsafe { *bias }),
            None => V::splat(T::ZERO),
        };
        let mut sums = [[bias; N]; ROWS];
        let mut from = [self.cells; N];
        for n in 0..N {
            from[n] = self.cells.wrapping_add(row * self.pitch + columns[n]);
        }
        // SAFETY: the caller's promise.
        unsafe {
            self.add::<V, K, N, 0>(from, &mut sums);
            self.add::<V, K, N, 1>(from, &mut sums);
            self.add::<V, K, N, 2>(from, &mut sums);
            self.add::<V, K, N, 3>(from, &mut sums);
            self.add::<V, K, N, 4>(from, &mut sums);
            self.add::<V, K, N, 5>(from, &mut sums);
            self.add::<V, K, N, 6>(from, &mut sums);
            self.add::<V, K, N, 7>(from, &mut sums);
            self.add::<V, K, N, 8>(from, &mut sums);
            self.add::<V, K, N, 9>(from, &mut sums);
            let (_, width) = self.size;
            for r in 0..ROWS {
                for n in 0..N {
                    let to = self.output.wrapping_add((row + r) * width + columns[n]);
                    if width < V::LANES {
                        sums[r][n].store_part(to, width);
                    } else {
                        sums[r][n].store(to);
                    }
                }
            }
        }
    }

    /// What row `I` of the cells adds to the rows of outputs that see it.
    #[inline(always)]
    unsafe fn add<V: Simd<T = T>, const K: usize, const N: usize, const I: usize>(
        &self,
        from: [*const T; N],
        sums: &mut [[V; N]; ROWS],
    ) {
        if I >= ROWS + K - 1 {
            return;
        }
        let across = self.taps.len();
        for (k, &tap) in self.taps.iter().enumerate() {
            let mut cells = [V::splat(T::ZERO); N];
            for n in 0..N {
                // SAFETY: the caller's promise: the cells of outputs lie in the frame.
                cells[n] = unsafe { V::load(from[n].wrapping_add(I * self.pitch + tap)) };
            }
            for r in 0..ROWS {
                if r <= I && I < r + K {
                    // SAFETY: the caller's promise: there are `K` rows of weights.
                    let weight =
                        V::splat(unsafe { *self.weights.wrapping_add((I - r) * across + k) });
                    for n in 0..N {
                        sums[r][n] = weight.mul_add(cells[n], sums[r][n]);
                    }
                }
            }
        }
    }
}
