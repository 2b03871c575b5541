//! Convolutions of floats without columns: blocks of filters times vectors of outputs, whose sums stay in registers.

use super::conv::Geometry;
use super::conv_filters::FilterTile;
use super::conv_lines::Lines;
use super::conv_plan::{Part, Plan, adjoint_plan, forward_plan, largest};
use super::conv_winograd::{self, End, Shape};
use super::frame::{SLACK, Scratch, Source, Spot};
use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd::{self, Float, Simd};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes of weights that are used together.
const WEIGHTS: usize = 256 << 10;

/// Vectors of outputs that are computed together.
const TOGETHER: usize = 24;

/// The operands of a plan.
struct Operands<T> {
    input: Pointer<T>,
    weight: Pointer<T>,
    bias: Option<Pointer<T>>,
    output: Pointer<T>,
}

/// Convolves. Returns false if scratch memory cannot be had.
///
/// # Safety
/// As for [`super::conv::forward`].
pub unsafe fn forward<T: Float>(
    g: &Geometry,
    input: *const T,
    weight: *const T,
    bias: Option<*const T>,
    output: *mut T,
) -> bool {
    let shape = conv_winograd::Shape::forward(g);
    // SAFETY: the caller's promise.
    if let Some(done) = unsafe { by_tiles(shape, input, weight, bias, output) } {
        return done;
    }
    if let Some(lines) = Lines::forward(g) {
        // SAFETY: as above.
        unsafe { lines.convolve(input, weight, bias, output) };
        return true;
    }
    let plan = forward_plan::<T>(g);
    // SAFETY: the caller's promise.
    unsafe { carry_out(&plan, input, weight, bias, output) }
}

/// The adjoint in the input, with a bias per channel of it.
///
/// # Safety
/// As for [`super::conv::grad_input`].
pub unsafe fn grad_input<T: Float>(
    g: &Geometry,
    output: *const T,
    weight: *const T,
    bias: Option<*const T>,
    input: *mut T,
) -> bool {
    let shape = conv_winograd::Shape::adjoint(g);
    // SAFETY: the caller's promise.
    if let Some(done) = unsafe { by_tiles(shape, output, weight, bias, input) } {
        return done;
    }
    if let Some(lines) = Lines::adjoint(g) {
        // SAFETY: as above.
        unsafe { lines.convolve(output, weight, bias, input) };
        return true;
    }
    let plan = adjoint_plan::<T>(g);
    // SAFETY: the caller's promise.
    unsafe { carry_out(&plan, output, weight, bias, input) }
}

/// Convolves by tiles where that pays and every output is finite, else `None`.
unsafe fn by_tiles<T: Float>(
    shape: Option<Shape>,
    input: *const T,
    weight: *const T,
    bias: Option<*const T>,
    output: *mut T,
) -> Option<bool> {
    // SAFETY: the caller's promise.
    match unsafe { conv_winograd::convolve(&shape?, input, weight, bias, output) } {
        End::Done => Some(true),
        End::NoMemory => Some(false),
        End::Wild => None,
    }
}

unsafe fn carry_out<T: Float>(
    plan: &Plan,
    input: *const T,
    weight: *const T,
    bias: Option<*const T>,
    output: *mut T,
) -> bool {
    let blocks = plan.blocks::<T>();
    let size = |part: &Part| plan.width * plan.channels * part.taps.len();
    let per_group: usize = plan.parts.iter().map(size).sum();
    let Some(packed) = Scratch::<T>::new(plan.groups * per_group) else {
        return false;
    };
    let operands = Operands {
        input: Pointer(input.cast_mut()),
        weight: Pointer(packed.ptr()),
        bias: bias.map(|b| Pointer(b.cast_mut())),
        output: Pointer(output),
    };
    let source = Pointer(weight.cast_mut());
    pool::parallel_for(plan.groups, grain::COPY / per_group.max(1) + 1, |groups| {
        for group in groups {
            let mut at = group * per_group;
            for part in &plan.parts {
                // SAFETY: the caller's promise; groups have their own room.
                unsafe {
                    plan.pack(
                        part,
                        &blocks,
                        source.at(group * plan.by_group),
                        operands.weight.at(at),
                    );
                };
                at += size(part);
            }
        }
    });
    let cuts = plan.images * plan.groups * plan.bands.len();
    let wanted = (pool::threads() * 4).div_ceil(cuts.max(1));
    let chunks = if pool::threads() == 1 {
        1
    } else {
        wanted.min(blocks.len())
    };
    let failed = AtomicBool::new(false);
    let grain = grain::GEMM * chunks / plan.work().max(1) + 1;
    pool::parallel_for(cuts * chunks, grain, |tasks| {
        let run = Run {
            plan,
            operands: &operands,
            blocks: &blocks,
            chunks,
            tasks,
            failed: &failed,
        };
        simd::run::<T>(run);
    });
    !failed.load(Relaxed)
}

/// Some of the tasks: images x groups x bands x chunks of filters.
struct Run<'a, T> {
    plan: &'a Plan,
    operands: &'a Operands<T>,
    blocks: &'a [(usize, usize)],
    chunks: usize,
    tasks: Range<usize>,
    failed: &'a AtomicBool,
}

impl<T: Float> simd::Task<T> for Run<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let plan = self.plan;
        let direct = plan.frame.is_input(V::LANES);
        let len = plan.frame.volume();
        let size = if direct {
            0
        } else {
            len * plan.channels + SLACK
        };
        let Some(cells) = Scratch::<T>::new(size) else {
            return self.failed.store(true, Relaxed);
        };
        let mut source: Option<(usize, Source)> = None;
        let mut filled = None;
        for task in self.tasks.clone() {
            let (rest, chunk) = (task / self.chunks, task % self.chunks);
            let (image, band) = (rest / plan.bands.len(), rest % plan.bands.len());
            let input = self.operands.input.at(image * plan.channels * plan.input);
            let start = plan.bands[band];
            if !direct && filled != Some(rest) {
                if source.as_ref().is_none_or(|s| s.0 != band) {
                    let mut origin = [0; 3];
                    origin[plan.axis] = start;
                    source = Some((band, plan.frame.source(origin)));
                }
                if let Some((_, source)) = &source {
                    // SAFETY: the scratch has room for the channels.
                    unsafe { source.fill::<V>(input, plan.channels, T::ZERO, cells.ptr()) };
                }
                filled = Some(rest);
            }
            let output = self.operands.output.at(0);
            let output =
                output.wrapping_add(image * plan.filters * plan.output + start * plan.step);
            let from = if direct { input } else { cells.ptr() };
            // SAFETY: the caller's promise; tasks write their own outputs.
            unsafe { self.filters::<V>(image % plan.groups, chunk, from, output) };
        }
    }
}

impl<T: Float> Run<'_, T> {
    /// A chunk of the filters for the outputs of a band.
    #[inline(always)]
    unsafe fn filters<V: Simd<T = T>>(
        &self,
        group: usize,
        chunk: usize,
        cells: *const T,
        output: *mut T,
    ) {
        let plan = self.plan;
        let count = self.blocks.len();
        let blocks = &self.blocks[count * chunk / self.chunks..count * (chunk + 1) / self.chunks];
        let per_filter = plan.channels * plan.parts.iter().map(|p| p.taps.len()).sum::<usize>();
        let mut weights = self.operands.weight.at(group * per_filter * plan.width);
        for part in &plan.parts {
            let depth = plan.channels * part.taps.len();
            let together = WEIGHTS / (depth * largest::<T>() * size_of::<T>()).max(1);
            for blocks in blocks.chunks(together.max(1)) {
                let some = Share {
                    part,
                    blocks,
                    group,
                    weights,
                    cells,
                    output,
                };
                // SAFETY: the caller's promise.
                unsafe {
                    if plan.by_filters {
                        self.by_filters::<V>(&some);
                    } else {
                        self.by_outputs::<V>(&some);
                    }
                }
            }
            weights = weights.wrapping_add(plan.width * depth);
        }
    }

    #[inline(always)]
    unsafe fn by_outputs<V: Simd<T = T>>(&self, some: &Share<'_, T>) {
        let plan = self.plan;
        let depth = plan.channels * some.part.taps.len();
        for spots in some.part.spots.chunks(TOGETHER) {
            for &(first, size) in some.blocks {
                let tile = Tile {
                    taps: &some.part.taps,
                    channels: plan.channels,
                    pitch: plan.frame.volume(),
                    weights: some.weights.wrapping_add(first * depth),
                    cells: some.cells,
                    bias: self.bias(some.group, first),
                    output: some.output.wrapping_add(first * plan.output),
                    by_filter: plan.output,
                    places: some.part.places.as_deref(),
                };
                // SAFETY: the caller's promise.
                unsafe { tile.by_size::<V>(size, spots) };
            }
        }
    }

    #[inline(always)]
    unsafe fn by_filters<V: Simd<T = T>>(&self, some: &Share<'_, T>) {
        let plan = self.plan;
        let depth = plan.channels * some.part.taps.len();
        let count = some.part.cells.len();
        for start in (0..count).step_by(super::conv_filters::TOGETHER) {
            let outputs = start..count.min(start + super::conv_filters::TOGETHER);
            for &(first, size) in some.blocks {
                let tile = FilterTile {
                    part: some.part,
                    channels: plan.channels,
                    pitch: plan.frame.volume(),
                    weights: some.weights.wrapping_add(first * depth),
                    cells: some.cells,
                    bias: self.bias(some.group, first),
                    output: some.output.wrapping_add(first * plan.output),
                    by_filter: plan.output,
                    filters: size.min(plan.filters - first),
                };
                // SAFETY: the caller's promise.
                unsafe { tile.by_size::<V>(size, outputs.clone()) };
            }
        }
    }

    fn bias(&self, group: usize, first: usize) -> Option<*const T> {
        let at = group * self.plan.filters + first;
        self.operands.bias.map(|bias| bias.at(at).cast_const())
    }
}

/// Some blocks of filters of a group, for a part of the outputs.
struct Share<'a, T> {
    part: &'a Part,
    blocks: &'a [(usize, usize)],
    group: usize,
    weights: *const T,
    cells: *const T,
    output: *mut T,
}

/// Sums for a block of filters.
pub(super) struct Tile<'a, T> {
    pub taps: &'a [usize],
    pub channels: usize,
    pub pitch: usize,
    pub weights: *const T,
    pub cells: *const T,
    pub bias: Option<*const T>,
    pub output: *mut T,
    pub by_filter: usize,
    pub places: Option<&'a [usize]>,
}

impl<T: Float> Tile<'_, T> {
    #[inline(always)]
    pub unsafe fn by_size<V: Simd<T = T>>(&self, filters: usize, spots: &[Spot]) {
        // SAFETY: the caller's promise.
        unsafe {
            match filters {
                8 if V::MANY => self.each::<V, 8, 3>(spots),
                4 if V::MANY => self.each::<V, 4, 6>(spots),
                4 => self.each::<V, 4, 3>(spots),
                2 => self.each::<V, 2, 6>(spots),
                _ => self.each::<V, 1, 6>(spots),
            }
        }
    }

    #[inline(always)]
    unsafe fn each<V: Simd<T = T>, const M: usize, const N: usize>(&self, spots: &[Spot]) {
        for spots in spots.chunks(N) {
            // SAFETY: the caller's promise.
            unsafe {
                if M < 4 || spots.len() == N {
                    self.compute::<V, M, N>(spots);
                } else {
                    for spot in spots.chunks(1) {
                        self.compute::<V, M, 1>(spot);
                    }
                }
            }
        }
    }

    /// `M` filters times up to `N` vectors.
    #[inline(always)]
    unsafe fn compute<V: Simd<T = T>, const M: usize, const N: usize>(&self, spots: &[Spot]) {
        let mut sums = [[V::splat(T::ZERO); N]; M];
        if let Some(bias) = self.bias {
            for (m, row) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *row = [V::splat(unsafe { *bias.add(m) }); N];
            }
        }
        let mut weights = self.weights;
        // The last vector is computed again to fill the block.
        let mut from = [self.cells; N];
        for n in 0..N {
            from[n] = self.cells.wrapping_add(spots[n.min(spots.len() - 1)].from);
        }
        for _ in 0..self.channels {
            for &tap in self.taps {
                // SAFETY: the caller's promise; a spot's cells lie in the frame.
                let mut cells = [V::splat(T::ZERO); N];
                for n in 0..N {
                    cells[n] = unsafe { V::load(from[n].wrapping_add(tap)) };
                }
                for m in 0..M {
                    // SAFETY: as above.
                    let weight = V::splat(unsafe { *weights.wrapping_add(m) });
                    for n in 0..N {
                        sums[m][n] = weight.mul_add(cells[n], sums[m][n]);
                    }
                }
                weights = weights.wrapping_add(M);
            }
            for n in 0..N {
                from[n] = from[n].wrapping_add(self.pitch);
            }
        }
        // What is indexed by a variable lies in memory: a copy, so that the sums above do not.
        let mut done = [[V::splat(T::ZERO); N]; M];
        for m in 0..M {
            for n in 0..N {
                done[m][n] = sums[m][n];
            }
        }
        for (m, row) in done.iter().enumerate() {
            let output = self.output.wrapping_add(m * self.by_filter);
            for (sum, spot) in row.iter().zip(spots) {
                // SAFETY: the lanes of a spot are outputs.
                unsafe { self.store(*sum, spot, output) };
            }
        }
    }

    #[inline(always)]
    unsafe fn store<V: Simd<T = T>>(&self, sum: V, spot: &Spot, output: *mut T) {
        // SAFETY: the caller's promise.
        unsafe {
            let Some(places) = self.places else {
                return sum.store_lanes(output.add(spot.to), spot.lanes);
            };
            let mut lanes = [T::ZERO; 16];
            sum.store_lanes(lanes.as_mut_ptr(), spot.lanes);
            let places = &places[spot.to..][..spot.lanes.count_ones() as usize];
            for (&place, &lane) in places.iter().zip(&lanes) {
                *output.add(place) = lane;
            }
        }
    }
}
