//! Blocked products: operands are packed into panels that stay in the cache, tiles of the result are summed in
//! registers, and scaled, added and rounded once when they are complete.

use super::alloc;
use super::convert::{narrow_bf16, narrow_f16, widen_bf16, widen_f16};
use super::gemm::{Fixed, Mat, Product};
use super::gemm_kernels::{Bf16x32, F32x8, F32x16, F64x4, F64x8, Simd};
use super::gemm_pack::{Pack, SLACK, Square, Strip, pack};
use super::pool::{self, grain};
use half::{bf16, f16};
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::ops::{Add, Mul, Range};
use std::ptr::NonNull;

type Packed<K> = <K as Pack>::Packed;
type Sum<K> = <<K as Kernel>::Simd as Simd>::Sum;

/// An element type on an instruction set.
pub trait Kernel: Pack<Packed: Send + Sync> + 'static {
    type Simd: Simd<Packed = <Self as Pack>::Packed, Sum: Number>;
    fn widen(x: Self::Element) -> Sum<Self>;
    fn narrow(x: Sum<Self>) -> Self::Element;

    /// # Safety
    /// As for [`pack`], and the instruction set is there.
    unsafe fn pack_rows(strip: &Strip<Self::Element>, out: *mut Packed<Self>);
    /// # Safety
    /// As for [`pack`], and the instruction set is there.
    unsafe fn pack_columns(strip: &Strip<Self::Element>, out: *mut Packed<Self>);
    /// # Safety
    /// As for [`finish`], and the instruction set is there.
    unsafe fn finish(tile: *const Sum<Self>, size: (usize, usize), out: &Output<Self>);
}

/// What sums are made of.
pub trait Number: Copy + PartialEq + Add<Output = Self> + Mul<Output = Self> + Send + Sync {
    const ZERO: Self;
}

impl Number for f32 {
    const ZERO: Self = 0.0;
}

impl Number for f64 {
    const ZERO: Self = 0.0;
}

/// Where a tile goes: `c = alpha * tile + beta * start`.
pub struct Output<K: Kernel + ?Sized> {
    c: Mat<*mut K::Element>,
    start: Mat<*const K::Element>,
    alpha: Sum<K>,
    beta: Sum<K>,
}

/// Steps of a panel that are multiplied at once: a panel of columns and a band of rows stay in the cache.
const DEPTH: usize = 512;
/// Bands of rows that a thread packs at once.
const BANDS: usize = 12;
/// Rows and columns of a part of the result that is computed by itself, which bounds the memory for panels.
const PART: usize = 3072;

const fn rows<K: Kernel>() -> usize {
    <K::Simd as Simd>::ROWS
}

const fn cols<K: Kernel>() -> usize {
    <K::Simd as Simd>::WIDE * <K::Simd as Simd>::LANES
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
    let columns = Scratch::<Packed<K>>::new(panels * cols::<K>() * depth.min(DEPTH) + SLACK);
    let pack = |steps: &Range<usize>| {
        let stride = cols::<K>() * steps.len().div_ceil(K::STEPS);
        spread(panels, grain::COPY / stride.max(1) + 1, threads, |range| {
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
    let depth = p.k.div_ceil(K::STEPS);
    // Sums of tiles whose panels come in several blocks.
    let tiles = (depth > DEPTH).then(|| Scratch::new(bands * count * rows::<K>() * cols::<K>()));
    let mut done = 0;
    loop {
        let steps = done * K::STEPS..((done + DEPTH) * K::STEPS).min(p.k);
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
        done += DEPTH;
        if done >= depth {
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
            grain::GEMM / work.max(1) + 1,
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
        // SAFETY: the caller's promise.
        unsafe {
            K::Simd::tile(size, depth, band, panel, tile, self.steps.start > 0);
            if self.steps.end == p.k {
                let out = Output::<K> {
                    c: p.c.at(row, col),
                    start: self.start.at(row, col),
                    alpha: K::widen(p.alpha),
                    beta: K::widen(p.beta),
                };
                K::finish(tile, size, &out);
            }
        }
    }
}

/// `parallel_for`, unless there is one thread only.
fn spread(n: usize, grain: usize, threads: usize, body: impl Fn(Range<usize>) + Sync) {
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
unsafe fn finish<K: Kernel>(tile: *const Sum<K>, (height, width): (usize, usize), out: &Output<K>) {
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

/// Declares the kernels of an element type: how it is packed, and the registers that multiply it.
macro_rules! kernel {
    ($name:ident: $T:ty, $Simd:ty, $features:literal, $steps:literal,
     one $one:expr, several $several:expr, widen $widen:expr, narrow $narrow:expr) => {
        pub struct $name;

        impl Pack for $name {
            type Element = $T;
            type Packed = <$Simd as Simd>::Packed;
            const STEPS: usize = $steps;

            #[inline(always)]
            unsafe fn one(from: *const $T, step: isize, steps: usize) -> Self::Packed {
                // SAFETY: the caller's promise.
                unsafe { $one(from, step, steps) }
            }
            #[inline(always)]
            unsafe fn several(from: *const $T) -> <Self::Packed as Square>::Register {
                // SAFETY: the caller's promise.
                unsafe { $several(from) }
            }
        }

        impl Kernel for $name {
            type Simd = $Simd;

            #[inline(always)]
            fn widen(x: $T) -> Sum<Self> {
                $widen(x)
            }
            #[inline(always)]
            fn narrow(x: Sum<Self>) -> $T {
                $narrow(x)
            }
            #[target_feature(enable = $features)]
            unsafe fn pack_rows(strip: &Strip<$T>, out: *mut Packed<Self>) {
                // SAFETY: the caller's promise.
                unsafe { pack::<Self>(strip, rows::<Self>(), out) }
            }
            #[target_feature(enable = $features)]
            unsafe fn pack_columns(strip: &Strip<$T>, out: *mut Packed<Self>) {
                // SAFETY: the caller's promise.
                unsafe { pack::<Self>(strip, cols::<Self>(), out) }
            }
            #[target_feature(enable = $features)]
            unsafe fn finish(tile: *const Sum<Self>, size: (usize, usize), out: &Output<Self>) {
                // SAFETY: the caller's promise.
                unsafe { finish(tile, size, out) }
            }
        }
    };
}

macro_rules! kernels {
    ($features:literal: $F32:ident $F64:ident $Bf16:ident $F16:ident, $Single:ty, $Double:ty) => {
        kernel!(
            $F32: f32, $Single, $features, 1,
            one |x: *const f32, _, _| *x, several |x| _mm256_loadu_ps(x),
            widen |x| x, narrow |x| x
        );
        kernel!(
            $F64: f64, $Double, $features, 1,
            one |x: *const f64, _, _| *x, several |x| _mm256_loadu_pd(x),
            widen |x| x, narrow |x| x
        );
        kernel!(
            $Bf16: bf16, $Single, $features, 1,
            one |x: *const bf16, _, _| widen_bf16((*x).to_bits()),
            several |x: *const bf16| {
                let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
            },
            widen |x: bf16| widen_bf16(x.to_bits()), narrow |x| bf16::from_bits(narrow_bf16(x))
        );
        kernel!(
            $F16: f16, $Single, $features, 1,
            one |x: *const f16, _, _| widen_f16((*x).to_bits()),
            several |x: *const f16| {
                let mut wide = [0.0f32; 8];
                for i in 0..8 {
                    wide[i] = widen_f16((*x.add(i)).to_bits());
                }
                _mm256_loadu_ps(wide.as_ptr())
            },
            widen |x: f16| widen_f16(x.to_bits()), narrow |x| f16::from_bits(narrow_f16(x))
        );
    };
}

kernels!("avx2,fma": F32Avx2 F64Avx2 Bf16Avx2 F16Avx2, F32x8, F64x4);
kernels!(
    "avx512f,avx512bw,avx512dq,avx512vl,fma":
    F32Avx512 F64Avx512 Bf16Avx512 F16Avx512, F32x16, F64x8
);
kernel!(
    Bf16Pairs: bf16, Bf16x32, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma", 2,
    one |x: *const bf16, step: isize, steps: usize| {
        let low = u32::from((*x).to_bits());
        if steps == 2 { low | u32::from((*x.offset(step)).to_bits()) << 16 } else { low }
    },
    several |x: *const bf16| _mm256_loadu_ps(x.cast()),
    widen |x: bf16| widen_bf16(x.to_bits()), narrow |x| bf16::from_bits(narrow_bf16(x))
);
