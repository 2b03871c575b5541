//! The gradient in the weight of the convolutions of [`super::conv_lines`]: a column of the kernel at a time, whose sums
//! stay in registers, as the outputs of a band do.

use super::conv::Geometry;
use super::conv_bands::{Band, Column, Cut, Strip, by_shape, by_window, each_row};
use super::conv_lines::Lines;
use super::frame::Scratch;
use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd::{self, Float, Simd};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Writes the gradient and returns false if scratch memory cannot be had; `None` if lines do not serve the geometry.
///
/// # Safety
/// As for [`super::conv::grad_weight`].
pub unsafe fn grad_weight<T: Float>(
    g: &Geometry,
    input: *const T,
    output: *const T,
    weight: *mut T,
) -> Option<bool> {
    let lines = Lines::forward(g)?;
    let kernels = g.groups * g.filters * g.channels;
    // Threads share kernels, not images.
    if pool::threads() > 1 && kernels < 4 * pool::threads() {
        return None;
    }
    let cut = Cut::new::<T>(&lines);
    let bands = cut.bands(&lines, &lines.rows[0]);
    let (input, output) = (Pointer(input.cast_mut()), Pointer(output.cast_mut()));
    let weight = Pointer(weight);
    let failed = AtomicBool::new(false);
    let work = g.batch * g.positions() * lines.by_channel;
    pool::parallel_for(kernels, grain::GEMM / work.max(1) + 1, |kernels| {
        let size = lines.by_channel * cut.lanes;
        let Some(sums) = Scratch::<T>::new(size) else {
            return failed.store(true, Relaxed);
        };
        let some = Kernels {
            lines: &lines,
            cut: &cut,
            bands: &bands,
            input: input.at(0),
            output: output.at(0),
            weight: weight.at(0),
            sums: sums.ptr(),
            range: kernels,
        };
        by_window!(lines, lines.rows[0], Windows<T>(some));
    });
    Some(!failed.load(Relaxed))
}

/// Some of the kernels: groups x filters x channels.
struct Kernels<'a, T> {
    lines: &'a Lines,
    cut: &'a Cut,
    bands: &'a [Band],
    input: *const T,
    output: *const T,
    weight: *mut T,
    /// Vectors of sums per column of the kernel and row.
    sums: *mut T,
    range: Range<usize>,
}

struct Windows<'a, T, const K: usize, const S: usize, const EVEN: bool>(Kernels<'a, T>);

impl<T: Float, const K: usize, const S: usize, const EVEN: bool> simd::Task<T>
    for Windows<'_, T, K, S, EVEN>
{
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        // SAFETY: the maker's promise.
        unsafe { by_shape!(self.0.cut, K, self.kernels::<V>) };
    }
}

impl<T: Float, const K: usize, const S: usize, const EVEN: bool> Windows<'_, T, K, S, EVEN> {
    /// All kernels: `R` rows of up to `N` vectors at a time.
    #[inline(always)]
    unsafe fn kernels<V: Simd<T = T>, const R: usize, const N: usize>(&self) {
        let (lines, sums) = (self.0.lines, self.0.sums);
        let size = lines.by_channel;
        let [input, output] = [lines.source, lines.target].map(|[height, width]| height * width);
        for kernel in self.0.range.clone() {
            let (filter, channel) = (kernel / lines.channels, kernel % lines.channels);
            let group = filter / lines.filters;
            // SAFETY: the maker's promise: the sums are this task's own, and so is the kernel.
            unsafe {
                (0..size).for_each(|i| V::splat(T::ZERO).store(sums.add(i * V::LANES)));
                for image in 0..lines.images {
                    let planes = (
                        (image * lines.groups + group) * lines.channels + channel,
                        image * lines.groups * lines.filters + filter,
                    );
                    let from = self.0.input.wrapping_add(planes.0 * input);
                    let outputs = self.0.output.wrapping_add(planes.1 * output);
                    for band in self.0.bands {
                        for strip in &self.0.cut.strips {
                            if N > 1 && strip.vectors == N {
                                self.add_strip::<V, R, N>(from, outputs, band, strip);
                            } else {
                                self.add_strip::<V, R, 1>(from, outputs, band, strip);
                            }
                        }
                    }
                }
                for i in 0..size {
                    let element = i % K * lines.kernel + i / K;
                    let sum = V::load(sums.add(i * V::LANES)).total();
                    *self.0.weight.add(kernel * size + element) = sum;
                }
            }
        }
    }

    /// Adds the products of a strip of a band.
    #[inline(always)]
    unsafe fn add_strip<V: Simd<T = T>, const R: usize, const N: usize>(
        &self,
        input: *const T,
        output: *const T,
        band: &Band,
        strip: &Strip,
    ) {
        let lines = self.0.lines;
        let width = lines.target[1];
        let mut outputs = [[V::splat(T::ZERO); N]; R];
        for r in 0..R {
            if r < band.count {
                for n in 0..N {
                    let first = strip.first + n * V::LANES;
                    let from = output.wrapping_add((band.first + r * band.apart) * width + first);
                    // SAFETY: the caller's promise.
                    outputs[r][n] = unsafe { V::load_part(from, V::LANES.min(width - first)) };
                }
            }
        }
        let from = input.wrapping_offset(band.from + (strip.first * lines.stride[1]) as isize);
        let (taps, mut to) = (&lines.columns[0].taps, self.0.sums);
        for (&(offset, _), masks) in taps.iter().zip(strip.seen.chunks_exact(N)) {
            let mut column = Column {
                from: from.wrapping_offset(offset),
                pitch: band.pitch,
                rows: band.seen,
                seen: [0; N],
            };
            column.seen.copy_from_slice(masks);
            let mut sums = [[V::splat(T::ZERO); N]; K];
            // SAFETY: the caller's promise.
            unsafe {
                each_row!(self.add::<V, R, N>(&column, &outputs, band.count, &mut sums));
                for k in 0..K {
                    let sum = (1..N).fold(sums[k][0], |sum, n| sum.add(sums[k][n]));
                    V::load(to).add(sum).store(to);
                    to = to.wrapping_add(V::LANES);
                }
            }
        }
    }

    /// Adds the products of row `I` of a column and the `count` rows of outputs that see it.
    #[inline(always)]
    unsafe fn add<V: Simd<T = T>, const R: usize, const N: usize, const I: usize>(
        &self,
        column: &Column<T, N>,
        outputs: &[[V; N]; R],
        count: usize,
        sums: &mut [[V; N]; K],
    ) {
        if I >= (R - 1) * S + K {
            return;
        }
        // SAFETY: the caller's promise: masks leave out what lies beside the row.
        let Some(cells) = (unsafe { column.row::<V, EVEN>(I) }) else {
            return;
        };
        for r in 0..R {
            // An output that is none would make NaN of an infinite element.
            if r * S <= I && I < r * S + K && r < count {
                for n in 0..N {
                    sums[I - r * S][n] = outputs[r][n].mul_add(cells[n], sums[I - r * S][n]);
                }
            }
        }
    }
}
