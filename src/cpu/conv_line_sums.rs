//! The sums of [`super::conv_lines`]: a column of the kernel at a time, whose weights stay in registers, as the sums do.

use super::conv_bands::{Band, Column, Cut, by_shape, by_window, each_row};
use super::conv_lines::Lines;
use super::conv_plan::Phase;
use super::simd::{self, Float, Simd};
use std::ops::Range;

/// The outputs of some planes that belong to a phase along the height.
pub struct Rows<'a, T> {
    pub lines: &'a Lines,
    pub cut: &'a Cut,
    pub phase: &'a Phase,
    pub bands: &'a [Band],
    pub input: *const T,
    pub weight: *const T,
    pub bias: Option<*const T>,
    pub output: *mut T,
    pub planes: Range<usize>,
}

impl<T: Float> Rows<'_, T> {
    pub fn run(self) {
        by_window!(self.lines, self.phase, Windows<T>(self));
    }
}

struct Windows<'a, T, const K: usize, const S: usize, const EVEN: bool>(Rows<'a, T>);

impl<T: Float, const K: usize, const S: usize, const EVEN: bool> simd::Task<T>
    for Windows<'_, T, K, S, EVEN>
{
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        // SAFETY: the maker's promise.
        unsafe { by_shape!(self.0.cut, K, self.planes::<V>) };
    }
}

/// The operands of a plane of outputs.
struct Plane<T> {
    input: *const T,
    /// The first element of the kernel, and the distance to that of its next row.
    weight: *const T,
    by_row: isize,
    bias: T,
    /// The first output, and the distance to the next row.
    output: *mut T,
    apart: usize,
}

impl<T: Float, const K: usize, const S: usize, const EVEN: bool> Windows<'_, T, K, S, EVEN> {
    /// All planes: `R` rows of up to `N` vectors at a time.
    #[inline(always)]
    unsafe fn planes<V: Simd<T = T>, const R: usize, const N: usize>(&self) {
        let (lines, taps) = (self.0.lines, &self.0.phase.taps);
        let step = match taps[..] {
            [a, b, ..] => b.1 as isize - a.1 as isize,
            _ => 0,
        };
        let [input, output] = [lines.source, lines.target].map(|[height, width]| height * width);
        for plane in self.0.planes.clone() {
            let (image, filter) = (plane / lines.filters, plane % lines.filters);
            let group = image % lines.groups;
            let weight = group * lines.by_group + filter * lines.by_filter;
            // SAFETY: the maker's promise.
            let bias = |bias: *const T| unsafe { *bias.add(group * lines.filters + filter) };
            let first = plane * output + self.0.phase.first * lines.target[1];
            let plane = Plane {
                input: self.0.input.wrapping_add(image * lines.channels * input),
                weight: self
                    .0
                    .weight
                    .wrapping_add(weight + taps[0].1 * lines.kernel),
                by_row: step * lines.kernel as isize,
                bias: self.0.bias.map_or(T::ZERO, bias),
                output: self.0.output.wrapping_add(first),
                apart: lines.rows.len() * lines.target[1],
            };
            for band in self.0.bands {
                // SAFETY: as above.
                unsafe { self.band::<V, R, N>(&plane, band) };
            }
        }
    }

    #[inline(always)]
    unsafe fn band<V: Simd<T = T>, const R: usize, const N: usize>(
        &self,
        plane: &Plane<T>,
        band: &Band,
    ) {
        let columns = &self.0.lines.columns;
        for strip in &self.0.cut.strips {
            let mut seen = &strip.seen[..];
            // SAFETY: the caller's promise.
            unsafe {
                if N > 1 && strip.vectors == N {
                    let sums = self.sums::<V, R, N>(plane, band, &columns[0], strip.first, seen);
                    self.store(plane, band, strip.first, sums);
                    continue;
                }
                let mut both = [[[V::splat(T::ZERO); 1]; R]; 2];
                for (sums, phase) in both.iter_mut().zip(columns) {
                    *sums = self.sums::<V, R, 1>(plane, band, phase, strip.first, seen);
                    seen = &seen[phase.taps.len()..];
                }
                if columns.len() == 2 {
                    self.store_pairs(plane, band, 2 * strip.first, both);
                } else {
                    self.store(plane, band, strip.first, both[0]);
                }
            }
        }
    }

    /// The sums of the outputs from `first` on.
    #[inline(always)]
    unsafe fn sums<V: Simd<T = T>, const R: usize, const N: usize>(
        &self,
        plane: &Plane<T>,
        band: &Band,
        phase: &Phase,
        first: usize,
        seen: &[u32],
    ) -> [[V; N]; R] {
        let lines = self.0.lines;
        let mut sums = [[V::splat(plane.bias); N]; R];
        let first = band.from + (first * lines.stride[1]) as isize;
        for channel in 0..lines.channels {
            let from = channel * lines.source[0] * lines.source[1];
            let from = plane.input.wrapping_add(from).wrapping_offset(first);
            let weight = plane.weight.wrapping_add(channel * lines.by_channel);
            for (&(offset, element), masks) in phase.taps.iter().zip(seen.chunks_exact(N)) {
                let mut column = Column {
                    from: from.wrapping_offset(offset),
                    pitch: band.pitch,
                    rows: band.seen,
                    seen: [0; N],
                };
                column.seen.copy_from_slice(masks);
                let mut weights = [V::splat(T::ZERO); K];
                for k in 0..K {
                    let at = element as isize + k as isize * plane.by_row;
                    // SAFETY: the caller's promise: the kernel has these elements.
                    weights[k] = V::splat(unsafe { *weight.wrapping_offset(at) });
                }
                // SAFETY: the caller's promise.
                unsafe { each_row!(self.add::<V, R, N>(&column, &weights, &mut sums)) };
            }
        }
        sums
    }

    /// Adds row `I` of a column to the outputs that see it.
    #[inline(always)]
    unsafe fn add<V: Simd<T = T>, const R: usize, const N: usize, const I: usize>(
        &self,
        column: &Column<T, N>,
        weights: &[V; K],
        sums: &mut [[V; N]; R],
    ) {
        if I >= (R - 1) * S + K {
            return;
        }
        // SAFETY: the caller's promise: masks leave out what lies beside the row.
        let Some(cells) = (unsafe { column.row::<V, EVEN>(I) }) else {
            return;
        };
        for r in 0..R {
            if r * S <= I && I < r * S + K {
                for n in 0..N {
                    sums[r][n] = weights[I - r * S].mul_add(cells[n], sums[r][n]);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn store<V: Simd<T = T>, const R: usize, const N: usize>(
        &self,
        plane: &Plane<T>,
        band: &Band,
        first: usize,
        sums: [[V; N]; R],
    ) {
        let width = self.0.lines.target[1];
        for r in 0..R {
            if r >= band.count {
                return;
            }
            for n in 0..N {
                let first = first + n * V::LANES;
                let row = (band.first + r * band.apart) * plane.apart;
                let to = plane.output.wrapping_add(row + first);
                // SAFETY: the caller's promise.
                unsafe {
                    if first + V::LANES <= width {
                        sums[r][n].store(to);
                    } else {
                        sums[r][n].store_part(to, width - first);
                    }
                }
            }
        }
    }

    /// The sums of the even and of the odd outputs.
    #[inline(always)]
    unsafe fn store_pairs<V: Simd<T = T>, const R: usize>(
        &self,
        plane: &Plane<T>,
        band: &Band,
        first: usize,
        [even, odd]: [[[V; 1]; R]; 2],
    ) {
        let count = (self.0.lines.target[1] - first).min(2 * V::LANES);
        for r in 0..R {
            if r >= band.count {
                return;
            }
            let row = (band.first + r * band.apart) * plane.apart;
            let to = plane.output.wrapping_add(row + first);
            // SAFETY: the caller's promise.
            unsafe { even[r][0].store_pairs(odd[r][0], to, count) };
        }
    }
}
