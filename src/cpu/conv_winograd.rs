//! Convolutions of floats by 3x3 kernels that move by one: Winograd's F(2x2, 3x3), which multiplies 16 times where the sums
//! over windows multiply 36 times.
//!
//! The input is cut into overlapping tiles of 4x4, two apart; lanes are tiles. A tile with an infinity or NaN would spread
//! it to its neighbours' outputs: where an output is not finite, the caller computes everything directly.

use super::conv::Geometry;
use super::conv_direct::Tile;
use super::conv_plan::{bands, blocks, largest};
use super::frame::{Axis, Frame, SLACK, Scratch, Spot};
use super::number::Accumulator;
use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd::{self, Float, Simd};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Filters whose products lie in the cache together.
const FILTERS: usize = 32;
/// Vectors of tiles that are multiplied together.
const TOGETHER: usize = 3;
/// Bytes of transformed tiles.
const TILES: usize = 768 << 10;

/// A batch of images with groups, and the weight: distances between filters, channels and groups.
pub struct Shape {
    pub images: usize,
    pub groups: usize,
    pub channels: usize,
    pub filters: usize,
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub padding: [isize; 2],
    pub by_filter: usize,
    pub by_channel: usize,
    pub by_group: usize,
    /// Is the kernel turned by half a turn?
    pub turned: bool,
}

/// How a convolution ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    /// Not every output is finite.
    Wild,
    NoMemory,
}

/// Tiles of a vector that lie in one row of an image.
struct Stretch {
    vector: usize,
    lane: usize,
    image: usize,
    /// The first output of the upper row, and how many there are.
    to: usize,
    count: usize,
}

struct Plan<'a> {
    shape: &'a Shape,
    frame: Frame,
    spots: Vec<Spot>,
    /// Images, tiles of each, and vectors of tiles that a task takes.
    together: usize,
    tiles: usize,
    vectors: usize,
    stretches: Vec<Stretch>,
    bands: Vec<usize>,
    blocks: Vec<(usize, usize)>,
    /// Elements between channels of transformed tiles, and between the 16 parts.
    pitch: usize,
    part: usize,
}

impl Shape {
    /// The forward pass of a geometry, if tiles serve it and pay.
    pub fn forward(g: &Geometry) -> Option<Shape> {
        Shape {
            images: g.batch,
            groups: g.groups,
            channels: g.channels,
            filters: g.filters,
            input: [g.input[1], g.input[2]],
            output: [g.output[1], g.output[2]],
            padding: [g.window.padding[1] as isize, g.window.padding[2] as isize],
            by_filter: 9 * g.channels,
            by_channel: 9,
            by_group: 9 * g.filters * g.channels,
            turned: false,
        }
        .if_it_pays(g)
    }

    /// The adjoint in the input: a convolution of the output by the turned kernels.
    pub fn adjoint(g: &Geometry) -> Option<Shape> {
        Shape {
            channels: g.filters,
            filters: g.channels,
            input: [g.output[1], g.output[2]],
            output: [g.input[1], g.input[2]],
            padding: [
                2 - g.window.padding[1] as isize,
                2 - g.window.padding[2] as isize,
            ],
            by_filter: 9,
            by_channel: 9 * g.channels,
            turned: true,
            ..Shape::forward(g)?
        }
        .if_it_pays(g)
    }

    fn if_it_pays(self, g: &Geometry) -> Option<Shape> {
        let w = &g.window;
        let serves = w.kernel == [1, 3, 3]
            && w.stride == [1; 3]
            && w.dilation == [1; 3]
            && w.padding[0] == 0
            && g.input[0] == 1;
        let worth = self.channels * self.filters > 8 * (self.channels + self.filters);
        (serves && worth && self.output.iter().all(|&n| n >= 4)).then_some(self)
    }
}

impl<'a> Plan<'a> {
    fn new<T: Float>(shape: &'a Shape) -> Self {
        let lanes = simd::lanes::<T>();
        let [high, wide] = shape.output.map(|n| n.div_ceil(2));
        let per_tile = 16 * shape.channels * size_of::<T>();
        let most = (TILES / per_tile).max(lanes * TOGETHER);
        let (rows, bands) = bands(high, (most / wide).max(1));
        let axis = |i: usize, output: usize| Axis {
            input: shape.input[i],
            output,
            kernel: 4,
            stride: 2,
            dilation: 1,
            padding: shape.padding[i],
        };
        let frame = Frame::new(&[Axis::NONE, axis(0, rows), axis(1, wide)]);
        let tiles = rows * wide;
        let share = shape.images.div_ceil(pool::threads());
        let together = (most / tiles).clamp(1, share.max(1));
        let vectors = (together * tiles).div_ceil(lanes);
        let pitch = vectors * lanes;
        let mut plan = Plan {
            shape,
            spots: frame.spots([1, rows, wide], lanes),
            frame,
            together,
            tiles,
            vectors,
            stretches: Vec::new(),
            bands,
            blocks: blocks(shape.filters, largest::<T>()),
            pitch,
            // Parts that lie a multiple of the page size apart would share lines of the cache.
            part: shape.channels * pitch + lanes,
        };
        plan.stretches = plan.stretch(wide, lanes);
        plan
    }

    fn stretch(&self, wide: usize, lanes: usize) -> Vec<Stretch> {
        let [_, width] = self.shape.output;
        let mut stretches = Vec::new();
        let (mut tile, all) = (0, self.together * self.tiles);
        while tile < all {
            let (image, at) = (tile / self.tiles, tile % self.tiles);
            let (row, column) = (at / wide, at % wide);
            let count = (wide - column).min(lanes - tile % lanes);
            stretches.push(Stretch {
                vector: tile / lanes,
                lane: tile % lanes,
                image,
                to: 2 * (row * width + column),
                count: (2 * count).min(width - 2 * column),
            });
            tile += count;
        }
        stretches
    }

    fn output(&self) -> usize {
        self.shape.output.iter().product()
    }
}

/// Some blocks of filters of a group, as 16 parts: channels, filters of the block.
struct Weights<'a, T> {
    plan: &'a Plan<'a>,
    blocks: Range<usize>,
    weight: *const T,
    parts: *mut T,
}

impl<T: Float> simd::Task<T> for Weights<'_, T> {
    /// Lanes are neighbours in the parts.
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let s = self.plan.shape;
        let half = V::splat(T::ONE.div(T::ONE.add(T::ONE)));
        for &(first, size) in &self.plan.blocks[self.blocks] {
            let all = s.channels * size;
            for start in (0..all).step_by(V::LANES) {
                let count = V::LANES.min(all - start);
                let mut kernels = [[T::ZERO; 16]; 9];
                let (mut c, mut f) = (start / size, start % size);
                for lane in 0..count {
                    let from = (first + f) * s.by_filter + c * s.by_channel;
                    for (k, lanes) in kernels.iter_mut().enumerate() {
                        let k = if s.turned { 8 - k } else { k };
                        // SAFETY: the maker's promise: the weight has the shape's sizes.
                        lanes[lane] = unsafe { *self.weight.add(from + k) };
                    }
                    f += 1;
                    if f == size {
                        (c, f) = (c + 1, 0);
                    }
                }
                // SAFETY: as above; the parts have room for the blocks.
                unsafe {
                    let to = self.parts.add(first * s.channels + start);
                    spread_kernels::<V>(&kernels, half, to, s.filters * s.channels, count);
                }
            }
        }
    }
}

/// Transforms a vector of kernels and stores `count` lanes of each of the 16 parts.
#[inline(always)]
unsafe fn spread_kernels<V: Simd>(
    kernels: &[[V::T; 16]; 9],
    half: V,
    to: *mut V::T,
    part: usize,
    count: usize,
) {
    let mut rows = [[half; 3]; 4];
    for j in 0..3 {
        let mut column = [half; 3];
        for i in 0..3 {
            // SAFETY: a vector has at most 16 lanes.
            column[i] = unsafe { V::load(kernels[3 * i + j].as_ptr()) };
        }
        let column = spread(column, half);
        for i in 0..4 {
            rows[i][j] = column[i];
        }
    }
    for i in 0..4 {
        let row = spread(rows[i], half);
        for j in 0..4 {
            // SAFETY: the caller's promise.
            unsafe { row[j].store_part(to.add((4 * i + j) * part), count) };
        }
    }
}

/// Three weights as four.
#[inline(always)]
fn spread<V: Simd>([a, b, c]: [V; 3], half: V) -> [V; 4] {
    let ends = a.add(c);
    [a, ends.add(b).mul(half), ends.sub(b).mul(half), c]
}

/// Convolves.
///
/// # Safety
/// The pointers lead to contiguous arrays of the shape's sizes; `bias` has one element per filter of all groups.
pub unsafe fn convolve<T: Float>(
    shape: &Shape,
    input: *const T,
    weight: *const T,
    bias: Option<*const T>,
    output: *mut T,
) -> End {
    let plan = Plan::new::<T>(shape);
    let per_group = 16 * shape.filters * shape.channels;
    let Some(packed) = Scratch::<T>::new(shape.groups * per_group) else {
        return End::NoMemory;
    };
    let (input, weight) = (Pointer(input.cast_mut()), Pointer(weight.cast_mut()));
    let (parts, output) = (Pointer(packed.ptr()), Pointer(output));
    let bias = bias.map(|b| Pointer(b.cast_mut()));
    let count = plan.blocks.len();
    let grain = grain::REDUCE / (per_group / count.max(1)).max(1) + 1;
    for group in 0..shape.groups {
        pool::parallel_for(count, grain, |blocks| {
            simd::run::<T>(Weights {
                plan: &plan,
                blocks,
                weight: weight.at(group * shape.by_group),
                parts: parts.at(group * per_group),
            });
        });
    }
    let chunks = shape.images.div_ceil(plan.together);
    let end = AtomicU8::new(0);
    let work = plan.vectors * simd::lanes::<T>() * per_group;
    let cuts = shape.groups * chunks * plan.bands.len();
    // Where there are few images, threads share the filters.
    let shares = (2 * pool::threads()).div_ceil(cuts.max(1));
    let shares = if pool::threads() == 1 {
        1
    } else {
        shares.min(count)
    };
    pool::parallel_for(
        cuts * shares,
        grain::GEMM * shares / work.max(1) + 1,
        |tasks| {
            let run = Run {
                plan: &plan,
                input: input.at(0),
                parts: parts.at(0),
                bias: bias.map(|b| b.at(0).cast_const()),
                output: output.at(0),
                tasks,
                shares,
                end: &end,
            };
            simd::run::<T>(run);
        },
    );
    match end.load(Relaxed) {
        0 => End::Done,
        1 => End::Wild,
        _ => End::NoMemory,
    }
}

/// Some of the tasks: groups x chunks of images x bands x shares of the filters.
struct Run<'a, T> {
    plan: &'a Plan<'a>,
    input: *const T,
    parts: *const T,
    bias: Option<*const T>,
    output: *mut T,
    tasks: Range<usize>,
    shares: usize,
    end: &'a AtomicU8,
}

/// The images of a task.
struct Chunk<T> {
    group: usize,
    first: usize,
    count: usize,
    /// The first row of tiles.
    row: usize,
    tiles: *mut T,
    products: *mut T,
}

impl<T: Float> simd::Task<T> for Run<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let (plan, s) = (self.plan, self.plan.shape);
        let wide = TOGETHER * V::LANES;
        let (Some(cells), Some(tiles), Some(products)) = (
            Scratch::<T>::new(plan.frame.volume() + SLACK),
            Scratch::<T>::new(16 * plan.part + SLACK),
            Scratch::<T>::new(FILTERS * 16 * wide),
        ) else {
            return self.end.store(2, Relaxed);
        };
        let chunks = s.images.div_ceil(plan.together);
        let mut seen = None;
        let mut check = V::splat(T::ZERO);
        for task in self.tasks.clone() {
            let (rest, share) = (task / self.shares, task % self.shares);
            let (band, chunk) = (rest % plan.bands.len(), rest / plan.bands.len());
            let first = chunk % chunks * plan.together;
            let chunk = Chunk {
                group: chunk / chunks,
                first,
                count: plan.together.min(s.images - first),
                row: plan.bands[band],
                tiles: tiles.ptr(),
                products: products.ptr(),
            };
            // SAFETY: the caller's promise; tasks write their own outputs.
            unsafe {
                if seen != Some(rest) {
                    self.transform::<V>(&chunk, cells.ptr());
                    seen = Some(rest);
                }
                check = check.add(self.multiply::<V>(&chunk, share));
            }
        }
        if check.total() != T::ZERO {
            self.end.fetch_max(1, Relaxed);
        }
    }
}

impl<T: Float> Run<'_, T> {
    /// All tiles of a chunk, as 16 parts of channels x tiles.
    #[inline(always)]
    unsafe fn transform<V: Simd<T = T>>(&self, chunk: &Chunk<T>, cells: *mut T) {
        let (plan, s) = (self.plan, self.plan.shape);
        let source = plan.frame.source([0, chunk.row, 0]);
        let taps: [usize; 16] = taps(&plan.frame);
        let pixels: usize = s.input.iter().product();
        for c in 0..s.channels {
            let row = chunk.tiles.wrapping_add(c * plan.pitch);
            for image in 0..chunk.count {
                let plane = ((chunk.first + image) * s.groups + chunk.group) * s.channels + c;
                // SAFETY: the caller's promise; the scratch has room for a channel.
                unsafe {
                    source.fill::<V>(self.input.wrapping_add(plane * pixels), 1, T::ZERO, cells);
                    let to = row.wrapping_add(image * plan.tiles);
                    for spot in &plan.spots {
                        tile::<V>(
                            cells.add(spot.from),
                            &taps,
                            to.add(spot.to),
                            plan.part,
                            spot.lanes,
                        );
                    }
                }
            }
            // The last vector may have room for more tiles.
            for tile in chunk.count * plan.tiles..plan.pitch {
                for part in 0..16 {
                    // SAFETY: as above.
                    unsafe { *row.add(part * plan.part + tile) = T::ZERO };
                }
            }
        }
    }

    /// The outputs of a share of the filters; returns a vector of zeros if all are finite.
    #[inline(always)]
    unsafe fn multiply<V: Simd<T = T>>(&self, chunk: &Chunk<T>, share: usize) -> V {
        let (plan, s) = (self.plan, self.plan.shape);
        let count = plan.blocks.len();
        let blocks = &plan.blocks[count * share / self.shares..count * (share + 1) / self.shares];
        let size = s.filters * s.channels;
        let weights = self.parts.wrapping_add(chunk.group * 16 * size);
        let largest = largest::<T>();
        let vectors = (chunk.count * plan.tiles).div_ceil(V::LANES);
        let wide = TOGETHER * V::LANES;
        let mut check = V::splat(T::ZERO);
        for start in (0..vectors).step_by(TOGETHER) {
            let some = start..vectors.min(start + TOGETHER);
            let spot = |n: usize| Spot {
                from: (start + n.min(some.len() - 1)) * V::LANES,
                to: n * V::LANES,
                lanes: V::ALL,
            };
            let spots: [Spot; TOGETHER] = std::array::from_fn(spot);
            for blocks in blocks.chunks(FILTERS / largest) {
                let Some(&(begin, _)) = blocks.first() else {
                    continue;
                };
                for part in 0..16 {
                    for &(first, size_of_block) in blocks {
                        let tile = Tile {
                            taps: &[0],
                            channels: s.channels,
                            pitch: plan.pitch,
                            weights: weights.wrapping_add(part * size + first * s.channels),
                            cells: chunk.tiles.wrapping_add(part * plan.part),
                            bias: None,
                            output: chunk
                                .products
                                .wrapping_add(((first - begin) * 16 + part) * wide),
                            by_filter: 16 * wide,
                            places: None,
                        };
                        // SAFETY: the caller's promise.
                        unsafe { tile.by_size::<V>(size_of_block, &spots[..some.len()]) };
                    }
                }
                for &(first, size_of_block) in blocks {
                    for filter in first..first + size_of_block {
                        let products = chunk.products.wrapping_add((filter - begin) * 16 * wide);
                        // SAFETY: the caller's promise.
                        check = check.add(unsafe {
                            self.outputs::<V>(chunk, filter, some.clone(), products)
                        });
                    }
                }
            }
        }
        check
    }

    /// The outputs of some vectors of tiles of a filter.
    #[inline(always)]
    unsafe fn outputs<V: Simd<T = T>>(
        &self,
        chunk: &Chunk<T>,
        filter: usize,
        vectors: Range<usize>,
        products: *const T,
    ) -> V {
        let (plan, s) = (self.plan, self.plan.shape);
        let wide = TOGETHER * V::LANES;
        let channel = chunk.group * s.filters + filter;
        let bias = match self.bias {
            // SAFETY: the caller's promise.
            Some(bias) => V::splat(unsafe { *bias.add(channel) }),
            None => V::splat(T::ZERO),
        };
        let zero = V::splat(T::ZERO);
        let mut check = zero;
        let mut rows = [[T::ZERO; 32]; 2];
        let first = plan.stretches.partition_point(|s| s.vector < vectors.start);
        let mut stretches = plan.stretches[first..].iter().peekable();
        for (n, vector) in vectors.enumerate() {
            let from = products.wrapping_add(n * V::LANES);
            let by_row = s.output[1];
            // SAFETY: the caller's promise.
            unsafe {
                let [a, b, c, d] = gather::<V>(from, wide);
                let (a, b, c, d) = (a.add(bias), b.add(bias), c.add(bias), d.add(bias));
                for value in [a, b, c, d] {
                    check = value.mul_add(zero, check);
                }
                a.store_pairs(b, rows[0].as_mut_ptr(), 2 * V::LANES);
                c.store_pairs(d, rows[1].as_mut_ptr(), 2 * V::LANES);
                while let Some(part) = stretches.next_if(|part| part.vector == vector) {
                    if part.image >= chunk.count {
                        continue;
                    }
                    let plane = (chunk.first + part.image) * s.groups * s.filters + channel;
                    let start = plane * plan.output() + 2 * chunk.row * by_row + part.to;
                    let line = (part.to / by_row) + 2 * chunk.row;
                    for (i, row) in rows.iter().enumerate().take(s.output[0] - line) {
                        let (to, from) =
                            (self.output.add(start + i * by_row), &row[2 * part.lane..]);
                        move_part::<V>(from.as_ptr(), to, part.count);
                    }
                }
            }
        }
        check
    }
}

/// The cells of a tile.
fn taps(frame: &Frame) -> [usize; 16] {
    let taps = frame.taps();
    std::array::from_fn(|i| taps.get(i).copied().unwrap_or(0))
}

/// Differences and sums of four.
#[inline(always)]
fn differ<V: Simd>([a, b, c, d]: [V; 4]) -> [V; 4] {
    [a.sub(c), b.add(c), c.sub(b), b.sub(d)]
}

/// Transforms a vector of tiles and stores some lanes of each of the 16 parts.
#[inline(always)]
unsafe fn tile<V: Simd>(
    cells: *const V::T,
    taps: &[usize; 16],
    to: *mut V::T,
    part: usize,
    lanes: u32,
) {
    let mut rows = [[V::splat(V::T::ZERO); 4]; 4];
    for j in 0..4 {
        let mut column = [V::splat(V::T::ZERO); 4];
        for i in 0..4 {
            // SAFETY: the caller's promise.
            column[i] = unsafe { V::load(cells.add(taps[4 * i + j])) };
        }
        let column = differ(column);
        for i in 0..4 {
            rows[i][j] = column[i];
        }
    }
    for i in 0..4 {
        let row = differ(rows[i]);
        for j in 0..4 {
            // SAFETY: the caller's promise.
            unsafe { row[j].store_lanes(to.add((4 * i + j) * part), lanes) };
        }
    }
}

/// Two sums of four.
#[inline(always)]
fn pair<V: Simd>([a, b, c, d]: [V; 4]) -> (V, V) {
    (a.add(b).add(c), b.sub(c).sub(d))
}

/// The 2x2 outputs of a vector of tiles from the 16 products.
#[inline(always)]
unsafe fn gather<V: Simd>(products: *const V::T, part: usize) -> [V; 4] {
    let mut rows = [[V::splat(V::T::ZERO); 4]; 2];
    for j in 0..4 {
        let mut column = [V::splat(V::T::ZERO); 4];
        for i in 0..4 {
            // SAFETY: the caller's promise.
            column[i] = unsafe { V::load(products.add((4 * i + j) * part)) };
        }
        (rows[0][j], rows[1][j]) = pair(column);
    }
    let ((a, b), (c, d)) = (pair(rows[0]), pair(rows[1]));
    [a, b, c, d]
}

/// Copies a part of a row.
#[inline(always)]
unsafe fn move_part<V: Simd>(from: *const V::T, to: *mut V::T, count: usize) {
    let mut i = 0;
    while i < count {
        let n = V::LANES.min(count - i);
        // SAFETY: the caller's promise.
        unsafe { V::load_part(from.add(i), n).store_part(to.add(i), n) };
        i += n;
    }
}
