//! The gradient of a convolution of floats in its weight: products of cells and outputs, summed over positions.
//!
//! Lanes are filters, for which the outputs' gradient is transposed band by band; or, where there are few filters,
//! neighbouring positions.

use super::conv::Geometry;
use super::conv_line_weight;
use super::conv_plan::{axes, cut};
use super::frame::{Frame, SLACK, Scratch, Source};
use super::number::Accumulator;
use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd::{self, Float, Simd, transpose};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Positions after which it pays to load and store sums.
const ENOUGH: usize = 512;

/// Positions of a band whose cells and outputs lie side by side.
struct Row {
    cell: usize,
    position: usize,
    count: usize,
}

struct Plan<'a> {
    g: &'a Geometry,
    frame: Frame,
    rows: Vec<Row>,
    taps: Vec<usize>,
    axis: usize,
    bands: Vec<usize>,
    /// Positions from one output along the axis to the next, and of a band.
    step: usize,
    positions: usize,
    /// Are lanes filters? And the filters with those that fill the last vector.
    by_filter: bool,
    width: usize,
    /// Images whose sums stay in registers together.
    together: usize,
}

impl<'a> Plan<'a> {
    fn new<T: Float>(g: &'a Geometry) -> Self {
        let mut axes = axes(g);
        let (axis, bands) = cut(&mut axes, g.channels + g.filters, size_of::<T>());
        let frame = Frame::new(&axes);
        let [depth, height, width] = axes.map(|a| a.output);
        let mut rows: Vec<Row> = Vec::new();
        for row in 0..depth * height {
            let cell = frame.cell([row / height, row % height, 0]);
            match rows.last_mut() {
                Some(last) if last.cell + last.count == cell => last.count += width,
                _ => rows.push(Row {
                    cell,
                    position: row * width,
                    count: width,
                }),
            }
        }
        let lanes = simd::lanes::<T>();
        let by_filter = 2 * g.filters > lanes;
        let positions = depth * height * width;
        let together = if bands.len() == 1 {
            ENOUGH / positions.max(1)
        } else {
            1
        };
        Plan {
            g,
            taps: frame.taps(),
            frame,
            rows,
            axis,
            bands,
            step: g.output[axis + 1..].iter().product(),
            positions,
            together: together.clamp(1, g.batch.max(1)),
            by_filter,
            width: if by_filter {
                g.filters.next_multiple_of(lanes)
            } else {
                g.filters
            },
        }
    }

    /// Elements of the sums: channels of all groups, elements of the kernel, filters.
    fn size(&self) -> usize {
        self.g.groups * self.g.channels * self.taps.len() * self.width
    }
}

/// Writes the gradient. Returns false if scratch memory cannot be had.
///
/// # Safety
/// As for [`super::conv::grad_weight`].
pub unsafe fn grad_weight<T: Float>(
    g: &Geometry,
    input: *const T,
    output: *const T,
    weight: *mut T,
) -> bool {
    // SAFETY: the caller's promise.
    if let Some(done) = unsafe { conv_line_weight::grad_weight(g, input, output, weight) } {
        return done;
    }
    let plan = Plan::new::<T>(g);
    let (size, planes) = (plan.size(), g.groups * g.channels);
    let work = g.batch * g.positions() * size;
    let threads = pool::threads().min(work / grain::GEMM + 1);
    // Few images are shared by channels, which need no sums of their own.
    let by_image = g.batch >= threads;
    let copies = if by_image { threads } else { 1 };
    let Some(sums) = Scratch::<T>::new(size * copies) else {
        return false;
    };
    let all = Pointer(sums.ptr());
    let (input, output) = (Pointer(input.cast_mut()), Pointer(output.cast_mut()));
    let failed = AtomicBool::new(false);
    let part = |n: usize, i: usize| n * i / threads..n * (i + 1) / threads;
    pool::parallel_for(threads, 1, |range| {
        for i in range {
            let (images, planes) = if by_image {
                (part(g.batch, i), 0..planes)
            } else {
                (0..g.batch, part(planes, i))
            };
            simd::run::<T>(Run {
                plan: &plan,
                input: input.at(0),
                output: output.at(0),
                sums: all.at(if by_image { i * size } else { 0 }),
                images,
                planes,
                failed: &failed,
            });
        }
    });
    // SAFETY: the caller's promise; the sums were written.
    unsafe { collect(&plan, sums.ptr(), copies, weight) };
    !failed.load(Relaxed)
}

/// The weight as filters x channels x elements, from the sums of all threads.
unsafe fn collect<T: Float>(plan: &Plan, sums: *mut T, copies: usize, weight: *mut T) {
    let (weight, sums, size) = (Pointer(weight), Pointer(sums), plan.size());
    let column = plan.g.channels * plan.taps.len();
    let grain = grain::POINTWISE / plan.width.max(1) + 1;
    pool::parallel_for(plan.g.groups * column, grain, |rows| {
        let range = rows.start * plan.width..rows.end * plan.width;
        for copy in 1..copies {
            for i in range.clone() {
                // SAFETY: the caller's promise: every copy has `size` sums.
                unsafe { *sums.at(i) = (*sums.at(i)).add(*sums.at(copy * size + i)) };
            }
        }
        simd::run::<T>(Turn {
            plan,
            rows,
            sums: sums.at(0),
            weight: weight.at(0),
        });
    });
}

/// Turns some rows of the sums, which belong to elements of the kernel, into columns of the weight.
struct Turn<'a, T> {
    plan: &'a Plan<'a>,
    rows: Range<usize>,
    sums: *const T,
    weight: *mut T,
}

impl<T: Float> simd::Task<T> for Turn<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let (g, width) = (self.plan.g, self.plan.width);
        let column = g.channels * self.plan.taps.len();
        let mut row = self.rows.start;
        while row < self.rows.end {
            let (group, k) = (row / column, row % column);
            let count = (column - k).min(self.rows.end - row);
            let from = self.sums.wrapping_add(row * width);
            let to = self.weight.wrapping_add(group * g.filters * column + k);
            // SAFETY: the maker's promise.
            unsafe { transpose::<V>(from, (count, g.filters), width, to, column) };
            row += count;
        }
    }
}

/// The sums of some images and channels.
struct Run<'a, T> {
    plan: &'a Plan<'a>,
    input: *const T,
    output: *const T,
    sums: *mut T,
    images: Range<usize>,
    planes: Range<usize>,
    failed: &'a AtomicBool,
}

impl<T: Float> simd::Task<T> for Run<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let (plan, g) = (self.plan, self.plan.g);
        let direct = plan.frame.is_input(1);
        let cells = if direct {
            0
        } else {
            plan.together * plan.frame.volume() * g.channels + SLACK
        };
        let turned = if plan.by_filter {
            plan.together * plan.positions * plan.width
        } else {
            0
        };
        let (Some(cells), Some(turned)) = (Scratch::<T>::new(cells), Scratch::<T>::new(turned))
        else {
            return self.failed.store(true, Relaxed);
        };
        let per_plane = plan.taps.len() * plan.width;
        // SAFETY: the sums of these channels are this task's.
        unsafe {
            let first = self.sums.add(self.planes.start * per_plane);
            std::slice::from_raw_parts_mut(first, self.planes.len() * per_plane).fill(T::ZERO);
        }
        for (band, &start) in plan.bands.iter().enumerate() {
            let skip = if band + 1 == plan.bands.len() {
                self.overlap()
            } else {
                0
            };
            let mut origin = [0; 3];
            origin[plan.axis] = start;
            let source = plan.frame.source(origin);
            for first in self.images.clone().step_by(plan.together) {
                let images = first..self.images.end.min(first + plan.together);
                for group in 0..g.groups {
                    let channels = self.channels_of(group);
                    if channels.is_empty() {
                        continue;
                    }
                    let band = Band {
                        run: &self,
                        source: &source,
                        group,
                        channels,
                        skip,
                        cells: (!direct).then(|| cells.ptr()),
                        turned: turned.ptr(),
                        images: images.clone(),
                        start,
                    };
                    // SAFETY: the caller's promise.
                    unsafe { band.add::<V>() };
                }
            }
        }
    }
}

impl<T: Float> Run<'_, T> {
    /// The channels of a group that belong to this task.
    fn channels_of(&self, group: usize) -> Range<usize> {
        let channels = self.plan.g.channels;
        let bound = |plane: usize| plane.saturating_sub(group * channels).min(channels);
        bound(self.planes.start)..bound(self.planes.end)
    }

    /// Positions of the last band that the one before it has seen.
    fn overlap(&self) -> usize {
        let (plan, bands) = (self.plan, &self.plan.bands);
        let len = plan.positions / plan.step.max(1);
        let before = bands.len().checked_sub(2).map_or(0, |i| bands[i] + len);
        (before.saturating_sub(bands[bands.len() - 1])) * plan.step
    }
}

/// A band of one group of some images.
struct Band<'a, T> {
    run: &'a Run<'a, T>,
    source: &'a Source,
    group: usize,
    channels: Range<usize>,
    skip: usize,
    /// Room for cells, unless the input serves.
    cells: Option<*mut T>,
    turned: *mut T,
    images: Range<usize>,
    start: usize,
}

impl<T: Float> Band<'_, T> {
    #[inline(always)]
    unsafe fn add<V: Simd<T = T>>(&self) {
        let (plan, g) = (self.run.plan, self.run.plan.g);
        let pixels: usize = g.input.iter().product();
        let channels = self.channels.len();
        let plane = self.images.start * g.groups + self.group;
        let input = (plane * g.channels + self.channels.start) * pixels;
        let output = plane * g.filters * g.positions() + self.start * plan.step;
        let (input, output) = (
            self.run.input.wrapping_add(input),
            self.run.output.wrapping_add(output),
        );
        let (next_input, next_output) = (
            g.groups * g.channels * pixels,
            g.groups * g.filters * g.positions(),
        );
        let at = (self.group * g.channels + self.channels.start) * plan.taps.len() * plan.width;
        let mut tile = Tile {
            plan,
            cells: input,
            channels,
            images: self.images.len(),
            by_image: (next_input, next_output),
            skip: self.skip,
            sums: self.run.sums.wrapping_add(at),
        };
        // SAFETY: the caller's promise; the scratch has room for the images.
        unsafe {
            if let Some(cells) = self.cells {
                let size = channels * plan.frame.volume();
                for i in 0..tile.images {
                    let (from, to) = (input.add(i * next_input), cells.add(i * size));
                    self.source.fill::<V>(from, channels, T::ZERO, to);
                }
                (tile.cells, tile.by_image.0) = (cells.cast_const(), size);
            }
            if !plan.by_filter {
                return tile.positions::<V>(output);
            }
            let size = plan.positions * plan.width;
            for i in 0..tile.images {
                turn::<V>(plan, output.add(i * next_output), self.turned.add(i * size));
            }
            tile.by_image.1 = plan.positions;
            tile.filters::<V>(self.turned);
        }
    }
}

/// Filters x positions as positions x filters, with zeros for the filters that fill the last vector.
#[inline(always)]
unsafe fn turn<V: Simd>(plan: &Plan, output: *const V::T, turned: *mut V::T) {
    let (width, filters) = (plan.width, plan.g.filters);
    let size = (filters, plan.positions);
    // SAFETY: the caller's promise.
    unsafe {
        transpose::<V>(output, size, plan.g.positions(), turned, width);
        for p in 0..plan.positions {
            for f in filters..width {
                *turned.add(p * width + f) = V::T::ZERO;
            }
        }
    }
}

/// What the sums of a band are made of.
struct Tile<'a, T> {
    plan: &'a Plan<'a>,
    cells: *const T,
    channels: usize,
    images: usize,
    /// Cells and positions (of outputs: elements) from one image to the next.
    by_image: (usize, usize),
    /// Positions that another band has added.
    skip: usize,
    sums: *mut T,
}

impl<T: Float> Tile<'_, T> {
    /// The first cell of each of `M` elements from `k` on; the last again where there are no more.
    #[inline(always)]
    fn cells<const M: usize>(&self, k: usize) -> [*const T; M] {
        let (taps, last) = (&self.plan.taps, self.channels * self.plan.taps.len() - 1);
        std::array::from_fn(|m| {
            let k = (k + m).min(last);
            let (channel, tap) = (k / taps.len(), taps[k % taps.len()]);
            self.cells
                .wrapping_add(channel * self.plan.frame.volume() + tap)
        })
    }

    /// The rows of all images without those that another band has added.
    #[inline(always)]
    fn rows(&self) -> impl Iterator<Item = Row> {
        let (skip, (cells, positions)) = (self.skip, self.by_image);
        (0..self.images).flat_map(move |image| {
            self.plan.rows.iter().filter_map(move |row| {
                let seen = skip.saturating_sub(row.position).min(row.count);
                (seen < row.count).then(|| Row {
                    cell: row.cell + seen + image * cells,
                    position: row.position + seen + image * positions,
                    count: row.count - seen,
                })
            })
        })
    }

    #[inline(always)]
    unsafe fn filters<V: Simd<T = T>>(&self, turned: *const T) {
        let mut first = 0;
        while first < self.plan.width {
            let vectors = (self.plan.width - first) / V::LANES;
            // SAFETY: the caller's promise.
            first += V::LANES
                * unsafe {
                    match vectors {
                        4.. if V::MANY => self.each::<V, 6, 4>(turned, first),
                        2.. if V::MANY => self.each::<V, 12, 2>(turned, first),
                        2.. => self.each::<V, 6, 2>(turned, first),
                        _ => self.each::<V, 12, 1>(turned, first),
                    }
                };
        }
    }

    /// All elements of the kernel with `N` vectors of filters; returns `N`.
    #[inline(always)]
    unsafe fn each<V: Simd<T = T>, const M: usize, const N: usize>(
        &self,
        turned: *const T,
        first: usize,
    ) -> usize {
        let (width, all) = (self.plan.width, self.channels * self.plan.taps.len());
        for k in (0..all).step_by(M) {
            let cells = self.cells::<M>(k);
            let mut sums = [[V::splat(T::ZERO); N]; M];
            for row in self.rows() {
                let mut outputs = turned.wrapping_add(row.position * width + first);
                for i in row.cell..row.cell + row.count {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let mut output = [V::splat(T::ZERO); N];
                        for n in 0..N {
                            output[n] = V::load(outputs.wrapping_add(n * V::LANES));
                        }
                        for m in 0..M {
                            let cell = V::splat(*cells[m].wrapping_add(i));
                            for n in 0..N {
                                sums[m][n] = cell.mul_add(output[n], sums[m][n]);
                            }
                        }
                    }
                    outputs = outputs.wrapping_add(width);
                }
            }
            for (m, sums) in sums.iter().enumerate().take(all - k) {
                for (n, &sum) in sums.iter().enumerate() {
                    let to = self
                        .sums
                        .wrapping_add((k + m) * width + first + n * V::LANES);
                    // SAFETY: the caller's promise.
                    unsafe { V::load(to).add(sum).store(to) };
                }
            }
        }
        N
    }

    #[inline(always)]
    unsafe fn positions<V: Simd<T = T>>(&self, output: *const T) {
        let filters = self.plan.g.filters;
        let mut f = 0;
        while f < filters {
            // SAFETY: the caller's promise.
            f += unsafe {
                match filters - f {
                    4.. if V::MANY => self.lanes::<V, 4, 5>(output, f),
                    2.. => self.lanes::<V, 2, 5>(output, f),
                    _ => self.lanes::<V, 1, 5>(output, f),
                }
            };
        }
    }

    /// All elements of the kernel with `M` filters from `f` on; returns `M`.
    #[inline(always)]
    unsafe fn lanes<V: Simd<T = T>, const M: usize, const N: usize>(
        &self,
        output: *const T,
        f: usize,
    ) -> usize {
        let (width, all) = (self.plan.width, self.channels * self.plan.taps.len());
        let by_filter = self.plan.g.positions();
        for k in (0..all).step_by(N) {
            let cells = self.cells::<N>(k);
            let mut sums = [[V::splat(T::ZERO); N]; M];
            for row in self.rows() {
                let mut i = 0;
                while i < row.count {
                    let count = V::LANES.min(row.count - i);
                    // SAFETY: the caller's promise.
                    unsafe {
                        let mut cell = [V::splat(T::ZERO); N];
                        for n in 0..N {
                            cell[n] = V::load_part(cells[n].wrapping_add(row.cell + i), count);
                        }
                        for m in 0..M {
                            let from = (f + m) * by_filter + row.position + i;
                            let output = V::load_part(output.wrapping_add(from), count);
                            for n in 0..N {
                                sums[m][n] = output.mul_add(cell[n], sums[m][n]);
                            }
                        }
                    }
                    i += V::LANES;
                }
            }
            for (m, sums) in sums.iter().enumerate() {
                for (n, sum) in sums.iter().enumerate().take(all - k) {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let to = self.sums.add((k + n) * width + f + m);
                        *to = (*to).add(sum.total());
                    }
                }
            }
        }
        M
    }
}
