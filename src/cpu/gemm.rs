//! Matrix products: `C = alpha * A @ B + beta * C` for every numeric type, any strides, one or a batch.
//!
//! Floats go to the `gemm` crate once they are large; small ones, and integers of all sizes, take the
//! register tiles of [`super::tiles`]. Half precision is computed in f32 and rounded once.

use super::pool::{self, grain};
use super::tiles;
use half::{bf16, f16};
use num_complex::Complex;
use smallvec::SmallVec;

/// A strided matrix: where it starts, and the distance in elements between rows and between columns.
#[derive(Clone, Copy, Debug)]
pub struct Mat<P> {
    pub ptr: P,
    pub row: isize,
    pub col: isize,
}

impl<P> Mat<P> {
    pub fn new(ptr: P, row: isize, col: isize) -> Self {
        Mat { ptr, row, col }
    }

    #[must_use]
    pub fn transposed(self) -> Self {
        Mat {
            ptr: self.ptr,
            row: self.col,
            col: self.row,
        }
    }
}

/// One product: `c = alpha * a @ b + beta * c`, where `a` is m x k, `b` is k x n. `c` is not read if `beta` is zero.
#[derive(Clone, Copy, Debug)]
pub struct Product<T> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Mat<*const T>,
    pub b: Mat<*const T>,
    pub c: Mat<*mut T>,
    pub alpha: T,
    pub beta: T,
}

// SAFETY: the pointers are only followed in `gemm`, whose caller vouches for them on every thread.
unsafe impl<T: Send> Send for Product<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Product<T> {}

impl<T: Copy> Product<T> {
    /// Multiply-adds.
    pub fn work(&self) -> usize {
        self.m.saturating_mul(self.n).saturating_mul(self.k)
    }

    /// The same product with its rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        let (m, n) = (self.n, self.m);
        let (a, b) = (self.b.transposed(), self.a.transposed());
        Product {
            m,
            n,
            a,
            b,
            c: self.c.transposed(),
            ..self
        }
    }

    /// The rows `start .. start + m` of the product.
    fn rows(&self, start: usize, m: usize) -> Self {
        let start = start as isize;
        let mut part = *self;
        part.m = m;
        part.a.ptr = self.a.ptr.wrapping_offset(start * self.a.row);
        part.c.ptr = self.c.ptr.wrapping_offset(start * self.c.row);
        part
    }

    /// The product `index` steps further in a batch.
    fn step(&self, index: usize, steps: BatchSteps) -> Self {
        let index = index as isize;
        let mut part = *self;
        part.a.ptr = self.a.ptr.wrapping_offset(index * steps.a);
        part.b.ptr = self.b.ptr.wrapping_offset(index * steps.b);
        part.c.ptr = self.c.ptr.wrapping_offset(index * steps.c);
        part
    }
}

/// Distances in elements between the matrices of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchSteps {
    pub a: isize,
    pub b: isize,
    pub c: isize,
}

/// A type with a matrix product.
pub trait Gemm: Copy + Send + Sync + 'static {
    const ZERO: Self;
    const ONE: Self;

    /// Computes the product on at most `threads` threads.
    ///
    /// # Safety
    /// The matrices lie in live memory; `c` overlaps neither `a` nor `b` nor itself.
    unsafe fn gemm(product: &Product<Self>, threads: usize);
}

/// Computes `batch` products that lie `steps` apart, in parallel over the batch or inside each product.
///
/// # Safety
/// As for [`Gemm::gemm`], for each product of the batch.
pub unsafe fn batched<T: Gemm>(batch: usize, first: &Product<T>, steps: BatchSteps) {
    let work = first.work().max(first.m * first.n).max(1);
    let threads = if work.saturating_mul(batch) < 2 * grain::GEMM {
        1
    } else {
        pool::threads()
    };
    if batch == 1 || threads == 1 || (batch < threads && work > grain::GEMM) {
        for index in 0..batch {
            // SAFETY: the caller's promise.
            unsafe { T::gemm(&first.step(index, steps), threads) };
        }
        return;
    }
    pool::parallel_for(batch, grain::GEMM / work + 1, |range| {
        for index in range {
            // SAFETY: the caller's promise; products of a batch write disjoint matrices.
            unsafe { T::gemm(&first.step(index, steps), 1) };
        }
    });
}

/// Splits the rows over threads; `serial` computes one part.
fn by_rows<T: Gemm>(product: &Product<T>, threads: usize, serial: impl Fn(&Product<T>) + Sync) {
    if threads <= 1 || product.work() < 2 * grain::GEMM {
        return serial(product);
    }
    let rows = grain::GEMM / (product.n * product.k).max(1) + 1;
    pool::parallel_for(product.m, rows.next_multiple_of(8), |range| {
        serial(&product.rows(range.start, range.len()));
    });
}

/// Products up to this many multiply-adds stay in the register tiles: packing would cost more.
const SMALL: usize = 22 * 22 * 22;

macro_rules! float_gemm {
    ($($T:ty, $lanes:literal;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            #[inline]
            unsafe fn gemm(product: &Product<Self>, threads: usize) {
                let product = row_major(*product);
                // SAFETY: the caller's promise.
                unsafe {
                    if product.m == 1 && product.n == 1 {
                        tiles::dot::<$T, $lanes>(&product);
                    } else if product.work() <= SMALL && product.n > 1 {
                        tiles::multiply::<$T, $lanes>(&product);
                    } else {
                        large(&product, threads);
                    }
                }
            }
        }
    )*};
}

float_gemm! {
    f32, 16;
    f64, 8;
}

macro_rules! int_gemm {
    ($($T:ty, $lanes:literal;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = 0;
            const ONE: Self = 1;

            unsafe fn gemm(product: &Product<Self>, threads: usize) {
                let product = row_major(*product);
                by_rows(&product, threads, |part| {
                    // SAFETY: the caller's promise; parts write disjoint rows.
                    unsafe { tiles::multiply::<$T, $lanes>(part) }
                });
            }
        }
    )*};
}

int_gemm! {
    u8, 64;
    i8, 64;
    u16, 32;
    i16, 32;
    u32, 16;
    i32, 16;
    u64, 8;
    i64, 8;
}

macro_rules! complex_gemm {
    ($($T:ty),*) => {$(
        impl Gemm for Complex<$T> {
            const ZERO: Self = Complex::new(0.0, 0.0);
            const ONE: Self = Complex::new(1.0, 0.0);

            unsafe fn gemm(product: &Product<Self>, threads: usize) {
                // SAFETY: the caller's promise.
                unsafe { large(&row_major(*product), threads) };
            }
        }
    )*};
}

complex_gemm!(f32, f64);

/// The product turned so that the result is row-major: the tiles write rows.
#[inline]
fn row_major<T: Copy>(product: Product<T>) -> Product<T> {
    let narrow = product.n == 1 && product.m > 1;
    if narrow || (product.m > 1 && product.n > 1 && product.c.row.abs() < product.c.col.abs()) {
        product.transposed()
    } else {
        product
    }
}

/// The product by the `gemm` crate.
///
/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn large<T: Gemm + PartialEq>(p: &Product<T>, threads: usize) {
    if p.m == 1 || p.n == 1 || p.k <= 2 {
        let p = if p.m == 1 { p.transposed() } else { *p };
        // The crate runs these on one thread; they are bound by memory, which several threads read faster.
        // SAFETY: the caller's promise; parts write disjoint rows.
        return by_rows(&p, threads, |part| unsafe {
            one_gemm(part, gemm::Parallelism::None);
        });
    }
    if threads <= 1 || p.work() < 2 * grain::GEMM {
        // SAFETY: the caller's promise.
        return unsafe { one_gemm(p, gemm::Parallelism::None) };
    }
    // SAFETY: the caller's promise.
    pool::run_inside(|| unsafe { one_gemm(p, gemm::Parallelism::Rayon(threads)) });
}

/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn one_gemm<T: Gemm + PartialEq>(p: &Product<T>, parallelism: gemm::Parallelism) {
    // SAFETY: the caller's promise. The crate scales what it reads by its `alpha`: our `beta`.
    unsafe {
        gemm::gemm(
            p.m,
            p.n,
            p.k,
            p.c.ptr,
            p.c.col,
            p.c.row,
            p.beta != T::ZERO,
            p.a.ptr,
            p.a.col,
            p.a.row,
            p.b.ptr,
            p.b.col,
            p.b.row,
            p.beta,
            p.alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}

type Scratch = SmallVec<[f32; 256]>;

macro_rules! half_gemm {
    ($($T:ident),*) => {$(
        impl Gemm for $T {
            const ZERO: Self = $T::ZERO;
            const ONE: Self = $T::ONE;

            unsafe fn gemm(p: &Product<Self>, threads: usize) {
                // SAFETY: the caller's promise.
                unsafe {
                    let a = widen(p.m, p.k, p.a);
                    let b = widen(p.k, p.n, p.b);
                    let (alpha, beta) = (p.alpha.to_f32(), p.beta.to_f32());
                    let c = Mat::new(p.c.ptr.cast_const(), p.c.row, p.c.col);
                    let mut wide = if beta == 0.0 { zeros(p.m * p.n) } else { widen(p.m, p.n, c) };
                    let product = Product {
                        m: p.m,
                        n: p.n,
                        k: p.k,
                        a: Mat::new(a.as_ptr(), p.k as isize, 1),
                        b: Mat::new(b.as_ptr(), p.n as isize, 1),
                        c: Mat::new(wide.as_mut_ptr(), p.n as isize, 1),
                        alpha,
                        beta,
                    };
                    f32::gemm(&product, threads);
                    for (i, row) in wide.chunks_exact(p.n.max(1)).enumerate() {
                        for (j, &value) in row.iter().enumerate() {
                            let at = i as isize * p.c.row + j as isize * p.c.col;
                            *p.c.ptr.offset(at) = $T::from_f32(value);
                        }
                    }
                }
            }
        }
    )*};
}

half_gemm!(f16, bf16);

fn zeros(n: usize) -> Scratch {
    let mut buffer = Scratch::new();
    buffer.resize(n, 0.0);
    buffer
}

/// A contiguous copy in f32.
///
/// # Safety
/// The matrix lies in live memory.
unsafe fn widen<T: Into<f32> + Copy>(rows: usize, cols: usize, m: Mat<*const T>) -> Scratch {
    let mut out = Scratch::with_capacity(rows * cols);
    for i in 0..rows as isize {
        // SAFETY: the caller's promise.
        out.extend(
            (0..cols as isize).map(|j| unsafe { (*m.ptr.offset(i * m.row + j * m.col)).into() }),
        );
    }
    out
}
