//! Blocked products: operands are packed into panels that stay in the cache, tiles of the result are summed in
//! registers, and scaled, added and rounded once when they are complete.

use super::alloc;
use super::gemm::{Fixed, Mat, Product};
use super::gemm_pack::{SLACK, Strip};
use super::gemm_tile::{Kernel, Number, Packed, Sum, Tile, Tiles, cols, rows};
use super::pool::{self, grain};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

/// Where a tile goes: `c = alpha * tile + beta * start`.
pub struct Output<K: Kernel + ?Sized> {
    pub(super) c: Mat<*mut K::Element>,
    pub(super) start: Mat<*const K::Element>,
    pub(super) alpha: Sum<K>,
    pub(super) beta: Sum<K>,
}

/// Bands of rows that a thread packs at once.
const BANDS: usize = 12;
/// Rows and columns of a part of the result that is computed by itself, which bounds the memory for panels.
const PART: usize = 3072;

/// Steps of a product that are multiplied before its sums are stored.
const fn most_steps<K: Kernel>() -> usize {
    <K::Unit as Tiles>::DEPTH * K::STEPS
}

/// Multiply-adds that are worth a task.
const fn task<K: Kernel>() -> usize {
    grain::GEMM * <K::Unit as Tiles>::SPEED
}

/// Computes the product, with `beta * start` in the place of `beta * c`.
///
/// # Safety
/// As for [`super::gemm::Gemm::gemm`]; `start` is `c`, or a matrix of its size that does not overlap it. The
/// instruction set of the kernel is there.
pub unsafe fn multiply<K: Kernel>(
    p: &Product<K::Element>,
    start: Mat<*const K::Element>,
    threads: usize,
) {
    let threads = if p.work() < 2 * task::<K>() {
        1
    } else {
        threads
    };
    for i in (0..p.m).step_by(PART) {
        for j in (0..p.n).step_by(PART) {
            let mut part = *p;
            (part.m, part.n) = (PART.min(p.m - i), PART.min(p.n - j));
            part.a = p.a.at(i, 0);
            part.b = p.b.at(0, j);
            part.c = p.c.at(i, j);
            // SAFETY: the caller's promise.
            unsafe { multiply_part::<K>(&part, start.at(i, j), threads) };
        }
    }
}

/// # Safety
/// As for [`multiply`].
unsafe fn multiply_part<K: Kernel>(
    p: &Product<K::Element>,
    start: Mat<*const K::Element>,
    threads: usize,
) {
    let (depth, panels) = (p.k.div_ceil(K::STEPS), p.n.div_ceil(cols::<K>()));
    let columns =
        Scratch::<Packed<K>>::new(panels * cols::<K>() * depth.min(K::Unit::DEPTH) + SLACK);
    let pack = |steps: &Range<usize>| {
        let stride = cols::<K>() * steps.len().div_ceil(K::STEPS);
        let grain = grain::COPY / (stride * K::STEPS).max(1) + 1;
        spread(panels, grain, threads, |range| {
            // SAFETY: the caller's promise; each task packs panels of its own.
            range.for_each(|j| unsafe {
                pack_panel::<K>(right(p), j, steps.clone(), columns.at(j * stride));
            });
        });
        (columns.at(0).cast_const(), stride)
    };
    // SAFETY: the caller's promise; the panels have just been packed.
    unsafe { in_blocks::<K>(p, start, threads, pack) };
}

/// The right operand and its columns.
fn right<T>(p: &Product<T>) -> (Mat<*const T>, usize) {
    (p.b, p.n)
}

/// A right operand that is multiplied many times, packed once.
pub struct Panels<K: Kernel> {
    columns: Scratch<Packed<K>>,
    depth: usize,
}

impl<K: Kernel> Panels<K> {
    /// # Safety
    /// `b` has `k` rows and `n` columns in live memory; the instruction set of the kernel is there.
    pub unsafe fn new(b: Mat<*const K::Element>, k: usize, n: usize) -> Self {
        let (depth, panels) = (k.div_ceil(K::STEPS), n.div_ceil(cols::<K>()));
        let columns = Scratch::new(panels * cols::<K>() * depth + SLACK);
        for j in 0..panels {
            // SAFETY: the caller's promise; there is room for every panel.
            unsafe { pack_panel::<K>((b, n), j, 0..k, columns.at(j * cols::<K>() * depth)) };
        }
        Panels { columns, depth }
    }
}

impl<K: Kernel> Fixed<K::Element> for Panels<K> {
    unsafe fn multiply(&self, p: &Product<K::Element>, start: Mat<*const K::Element>) {
        let place = |steps: &Range<usize>| {
            let first = self.columns.at(steps.start / K::STEPS * cols::<K>());
            (first.cast_const(), self.depth * cols::<K>())
        };
        // SAFETY: the caller's promise.
        unsafe { in_blocks::<K>(p, start, 1, place) };
    }
}

/// # Safety
/// `b` has `n` columns and all `steps` in live memory; there is room for them in `out`.
unsafe fn pack_panel<K: Kernel>(
    (b, n): (Mat<*const K::Element>, usize),
    j: usize,
    steps: Range<usize>,
    out: *mut Packed<K>,
) {
    let width = cols::<K>();
    let strip = Strip {
        ptr: b.at(steps.start, j * width).ptr,
        lane: b.col,
        step: b.row,
        lanes: width.min(n - j * width),
        steps: steps.len(),
    };
    // SAFETY: the caller's promise.
    unsafe { K::pack_columns(&strip, out) };
}

/// Computes a product some steps at a time. `panels` says where the panels of these steps are, and the distance
/// between them.
///
/// # Safety
/// As for [`multiply`]; the panels are packed.
unsafe fn in_blocks<K: Kernel>(
    p: &Product<K::Element>,
    start: Mat<*const K::Element>,
    threads: usize,
    panels: impl Fn(&Range<usize>) -> (*const Packed<K>, usize),
) {
    let (bands, count) = (p.m.div_ceil(rows::<K>()), p.n.div_ceil(cols::<K>()));
    // Sums of tiles whose panels come in several blocks.
    let several = p.k > most_steps::<K>();
    let tiles = several.then(|| Scratch::new(bands * count * rows::<K>() * cols::<K>()));
    let mut done = 0;
    loop {
        let steps = done..(done + most_steps::<K>()).min(p.k);
        let (columns, stride) = panels(&steps);
        let block = Block::<K> {
            product: p,
            start,
            columns,
            stride,
            tiles: tiles.as_ref(),
            steps,
            panels: count,
        };
        // SAFETY: the caller's promise.
        unsafe { block.run(bands, threads) };
        done += most_steps::<K>();
        if done >= p.k {
            break;
        }
    }
}

/// Some steps of a product.
struct Block<'a, K: Kernel> {
    product: &'a Product<K::Element>,
    start: Mat<*const K::Element>,
    /// The first panel, and the distance to the next.
    columns: *const Packed<K>,
    stride: usize,
    tiles: Option<&'a Scratch<Sum<K>>>,
    steps: Range<usize>,
    panels: usize,
}

// SAFETY: threads write parts of their own of what the pointers lead to.
unsafe impl<K: Kernel> Sync for Block<'_, K> {}

impl<K: Kernel> Block<'_, K> {
    fn depth(&self) -> usize {
        self.steps.len().div_ceil(K::STEPS)
    }

    /// # Safety
    /// As for [`multiply`].
    unsafe fn run(&self, bands: usize, threads: usize) {
        // Few bands leave threads idle unless the columns are split as well.
        let groups = if threads > 1 && bands < 4 * threads {
            (8 * threads).div_ceil(bands).min(self.panels)
        } else {
            1
        };
        let work = rows::<K>() * cols::<K>() * self.steps.len() * self.panels.div_ceil(groups);
        spread(
            bands * groups,
            task::<K>() / work.max(1) + 1,
            threads,
            |range| {
                let mut at = range.start;
                while at < range.end {
                    let (group, band) = (at / bands, at % bands);
                    let count = (range.end - at).min(bands - band).min(BANDS);
                    let panels = group * self.panels / groups..(group + 1) * self.panels / groups;
                    // SAFETY: the caller's promise; each task writes tiles of its own.
                    unsafe { self.multiply(band..band + count, panels) };
                    at += count;
                }
            },
        );
    }

    /// Packs some bands and multiplies them with some panels.
    ///
    /// # Safety
    /// As for [`multiply`].
    unsafe fn multiply(&self, bands: Range<usize>, panels: Range<usize>) {
        let (p, height, depth) = (self.product, rows::<K>(), self.depth());
        let packed = Scratch::<Packed<K>>::new(bands.len() * height * depth + SLACK);
        for (slot, i) in bands.clone().enumerate() {
            let strip = Strip {
                ptr: p.a.at(i * height, self.steps.start).ptr,
                lane: p.a.row,
                step: p.a.col,
                lanes: height.min(p.m - i * height),
                steps: self.steps.len(),
            };
            // SAFETY: the caller's promise; there is room for each band.
            unsafe { K::pack_rows(&strip, packed.at(slot * height * depth)) };
        }
        let one = Scratch::<Sum<K>>::new(height * cols::<K>());
        // SAFETY: the caller's promise.
        let _ready = unsafe { K::Unit::ready() };
        for j in panels {
            for (slot, i) in bands.clone().enumerate() {
                let tile = match self.tiles {
                    Some(tiles) => tiles.at((i * self.panels + j) * height * cols::<K>()),
                    None => one.at(0),
                };
                // SAFETY: the caller's promise.
                unsafe { self.tile((i, j), packed.at(slot * height * depth), tile) };
            }
        }
    }

    /// # Safety
    /// As for [`multiply`]; `band` is packed, and nobody else uses the tile.
    unsafe fn tile(&self, (i, j): (usize, usize), band: *const Packed<K>, tile: *mut Sum<K>) {
        let (p, depth) = (self.product, self.depth());
        let (row, col) = (i * rows::<K>(), j * cols::<K>());
        let size = (rows::<K>().min(p.m - row), cols::<K>().min(p.n - col));
        let panel = self.columns.wrapping_add(j * self.stride);
        let out = Output::<K> {
            c: p.c.at(row, col),
            start: self.start.at(row, col),
            alpha: K::widen(p.alpha),
            beta: K::widen(p.beta),
        };
        let in_place = out.is_in_place(size);
        let width = cols::<K>() as isize;
        let (mut from, mut from_row) = (tile.cast_const(), width);
        if self.steps.start == 0 {
            from = std::ptr::null();
            if in_place && out.beta != Sum::<K>::ZERO {
                (from, from_row) = (out.start.ptr.cast(), out.start.row);
            }
        }
        let last = self.steps.end == p.k;
        let (to, to_row) = if in_place && last {
            (out.c.ptr.cast(), out.c.row)
        } else {
            (tile, width)
        };
        let sums = Tile {
            from,
            from_row,
            to,
            to_row,
        };
        // SAFETY: the caller's promise.
        unsafe {
            K::Unit::tile(size, depth, band, panel, sums);
            if last && !in_place {
                K::finish(tile, size, &out);
            }
        }
    }
}

impl<K: Kernel> Output<K> {
    /// Can registers start from what is added, and end where the result is?
    fn is_in_place(&self, (rows, cols): (usize, usize)) -> bool {
        let added = self.beta == Sum::<K>::ONE && self.start.col == 1;
        K::IN_PLACE
            && self.c.col == 1
            && self.alpha == Sum::<K>::ONE
            && (self.beta == Sum::<K>::ZERO || added)
            && K::Unit::is_exact(rows, cols)
    }
}

/// `parallel_for`, unless there is one thread only.
pub fn spread(n: usize, grain: usize, threads: usize, body: impl Fn(Range<usize>) + Sync) {
    if threads > 1 {
        pool::parallel_for(n, grain, body);
    } else {
        body(0..n);
    }
}

/// Writes a tile where it belongs.
///
/// # Safety
/// The tile has `size` rows and columns, and so have the matrices of the output.
#[inline(always)]
pub unsafe fn finish<K: Kernel>(
    tile: *const Sum<K>,
    (height, width): (usize, usize),
    out: &Output<K>,
) {
    let (alpha, beta) = (out.alpha, out.beta);
    for i in 0..height {
        let (c, start) = (out.c.at(i, 0), out.start.at(i, 0));
        // SAFETY: the caller's promise.
        unsafe {
            let sums = tile.add(i * cols::<K>());
            if beta == Sum::<K>::ZERO {
                if c.col == 1 {
                    for j in 0..width {
                        *c.ptr.add(j) = K::narrow(alpha * *sums.add(j));
                    }
                } else {
                    for j in 0..width {
                        *c.at(0, j).ptr = K::narrow(alpha * *sums.add(j));
                    }
                }
            } else if c.col == 1 && start.col == 1 {
                for j in 0..width {
                    let old = K::widen(*start.ptr.add(j));
                    *c.ptr.add(j) = K::narrow(alpha * *sums.add(j) + beta * old);
                }
            } else {
                for j in 0..width {
                    let old = K::widen(*start.at(0, j).ptr);
                    *c.at(0, j).ptr = K::narrow(alpha * *sums.add(j) + beta * old);
                }
            }
        }
    }
}

/// Memory of the caching allocator for the length of a product.
struct Scratch<T> {
    block: NonNull<u8>,
    bytes: usize,
    of: PhantomData<T>,
}

// SAFETY: it is memory, which its users share as they promise.
unsafe impl<T: Send> Send for Scratch<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Scratch<T> {}

impl<T> Scratch<T> {
    fn new(n: usize) -> Self {
        let bytes = n * size_of::<T>();
        let layout = std::alloc::Layout::array::<u8>(bytes);
        let block = alloc::alloc(bytes).unwrap_or_else(|| {
            std::alloc::handle_alloc_error(layout.unwrap_or(std::alloc::Layout::new::<T>()))
        });
        Scratch {
            block,
            bytes,
            of: PhantomData,
        }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> *mut T {
        self.block.as_ptr().cast::<T>().wrapping_add(index)
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        // SAFETY: the block came from `alloc` with the same size.
        unsafe { alloc::dealloc(self.block, self.bytes) };
    }
}
