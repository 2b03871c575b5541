//! Matrix products: `C = alpha * A @ B + beta * C` for every numeric type, any strides, one or a batch.
//!
//! Floats take the blocked products of [`super::gemm_blocked`] once they are large, and the `gemm` crate where
//! those have no instructions; small ones, and integers of all sizes, take the register tiles of [`super::tiles`].
//! Half precision is summed in f32 and rounded once.

#[cfg(target_arch = "x86_64")]
use super::gemm_blocked::{self as blocked, Kernel, Panels};
#[cfg(target_arch = "x86_64")]
use super::gemm_kernels::{self as kernels, Simd};
#[cfg(target_arch = "x86_64")]
use super::multiversion::{Isa, isa};
use super::pool::{self, grain};
use super::tiles;
use half::{bf16, f16};
use num_complex::Complex;

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

macro_rules! element_at {
    ($($P:ty),*) => {$(
        impl<T> Mat<$P> {
            /// The matrix from row `i` and column `j` on.
            #[inline(always)]
            #[must_use]
            pub fn at(self, i: usize, j: usize) -> Self {
                let offset = i as isize * self.row + j as isize * self.col;
                Mat { ptr: self.ptr.wrapping_offset(offset), ..self }
            }
        }
    )*};
}

element_at!(*const T, *mut T);

impl<T> From<Mat<*mut T>> for Mat<*const T> {
    fn from(m: Mat<*mut T>) -> Self {
        Mat::new(m.ptr.cast_const(), m.row, m.col)
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
    pub start: isize,
}

/// A type with a matrix product.
pub trait Gemm: Copy + PartialEq + Send + Sync + 'static {
    const ZERO: Self;
    const ONE: Self;

    /// Computes the product on at most `threads` threads.
    ///
    /// # Safety
    /// The matrices lie in live memory; `c` overlaps neither `a` nor `b` nor itself.
    unsafe fn gemm(product: &Product<Self>, threads: usize) {
        // SAFETY: the caller's promise.
        unsafe { Self::gemm_from(product, product.c.into(), threads) };
    }

    /// As [`Gemm::gemm`], but `beta` scales `start`: a matrix of the result's size, which may have steps of zero.
    ///
    /// # Safety
    /// As for [`Gemm::gemm`]; `start` is `c`, or does not overlap it.
    unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize);

    /// A right operand of `k` rows and `n` columns for many products.
    ///
    /// # Safety
    /// `b` lies in live memory, unchanged, as long as the operand is used.
    unsafe fn fixed(b: Mat<*const Self>, k: usize, n: usize) -> Box<dyn Fixed<Self>> {
        let _ = (k, n);
        Box::new(Loose(b))
    }
}

/// A right operand that is multiplied many times.
pub trait Fixed<T>: Send + Sync {
    /// Computes the product, whose own right operand is not read, on one thread. It may take fewer rows and columns
    /// of the fixed operand, from the first on.
    ///
    /// # Safety
    /// As for [`Gemm::gemm_from`].
    unsafe fn multiply(&self, product: &Product<T>, start: Mat<*const T>);
}

/// An operand as it lies.
struct Loose<T>(Mat<*const T>);

// SAFETY: the pointer is only followed in `multiply`, whose caller vouches for it on every thread.
unsafe impl<T: Send> Send for Loose<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Loose<T> {}

impl<T: Gemm> Fixed<T> for Loose<T> {
    unsafe fn multiply(&self, product: &Product<T>, start: Mat<*const T>) {
        let product = Product {
            b: self.0,
            ..*product
        };
        // SAFETY: the caller's promise.
        unsafe { T::gemm_from(&product, start, 1) };
    }
}

/// Computes `batch` products that lie `steps` apart, in parallel over the batch or inside each product.
///
/// # Safety
/// As for [`Gemm::gemm_from`], for each product of the batch.
pub unsafe fn batched<T: Gemm>(
    batch: usize,
    first: &Product<T>,
    start: Mat<*const T>,
    steps: BatchSteps,
) {
    let one = |index: usize, threads: usize| {
        let mut start = start;
        start.ptr = start.ptr.wrapping_offset(index as isize * steps.start);
        // SAFETY: the caller's promise; products of a batch write disjoint matrices.
        unsafe { T::gemm_from(&first.step(index, steps), start, threads) };
    };
    let work = first.work().max(first.m * first.n).max(1);
    let threads = if work.saturating_mul(batch) < 2 * grain::GEMM {
        1
    } else {
        pool::threads()
    };
    if batch == 1 || threads == 1 || (batch < threads && work > grain::GEMM) {
        return (0..batch).for_each(|index| one(index, threads));
    }
    let shared = Shared(&one);
    pool::parallel_for(batch, grain::GEMM / work + 1, |range| {
        let shared = &shared;
        range.for_each(|index| (shared.0)(index, 1));
    });
}

/// A closure over pointers that lead to parts of their own for each thread.
struct Shared<F>(F);

// SAFETY: by the promise of the type's use.
unsafe impl<F> Sync for Shared<F> {}

/// Writes `start` into the result, for products that can only add to that.
///
/// # Safety
/// As for [`Gemm::gemm_from`].
unsafe fn begin<T: Gemm>(p: &Product<T>, start: Mat<*const T>) {
    if p.beta == T::ZERO || std::ptr::eq(start.ptr, p.c.ptr) {
        return;
    }
    for i in 0..p.m {
        for j in 0..p.n {
            // SAFETY: the caller's promise.
            unsafe { *p.c.at(i, j).ptr = *start.at(i, j).ptr };
        }
    }
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
    ($($T:ty, $lanes:literal, $Avx512:ident $Wide:ident, $Avx2:ident $Narrow:ident;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            #[inline]
            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                let (product, start) = row_major(*product, start);
                // SAFETY: the caller's promise; the instruction set is there.
                unsafe {
                    if product.m == 1 && product.n == 1 {
                        begin(&product, start);
                        return dot(&product, threads, |part| {
                            #[cfg(target_arch = "x86_64")]
                            if part.a.col == 1 && part.b.row == 1 && isa() > Isa::Plain {
                                let (n, a, b) = (part.k, part.a.ptr, part.b.ptr);
                                let sum = match isa() {
                                    Isa::Avx512 => kernels::$Wide::dot(n, a, b),
                                    _ => kernels::$Narrow::dot(n, a, b),
                                };
                                return tiles::store(part, part.c.ptr, sum);
                            }
                            tiles::dot::<$T, $lanes>(part);
                        });
                    }
                    if product.work() <= SMALL && product.n > 1 {
                        begin(&product, start);
                        return tiles::multiply::<$T, $lanes>(&product);
                    }
                    #[cfg(target_arch = "x86_64")]
                    if product.m > 1 && product.n > 1 && product.k > 2 && isa() > Isa::Plain {
                        let threads = useful_threads(&product, threads);
                        return match isa() {
                            Isa::Avx512 => blocked::multiply::<blocked::$Avx512>(&product, start, threads),
                            _ => blocked::multiply::<blocked::$Avx2>(&product, start, threads),
                        };
                    }
                    begin(&product, start);
                    large(&product, threads);
                }
            }

            #[cfg(target_arch = "x86_64")]
            unsafe fn fixed(b: Mat<*const Self>, k: usize, n: usize) -> Box<dyn Fixed<Self>> {
                // SAFETY: the caller's promise; the instruction set is there.
                unsafe {
                    match isa() {
                        Isa::Avx512 => Box::new(Panels::<blocked::$Avx512>::new(b, k, n)),
                        Isa::Avx2 => Box::new(Panels::<blocked::$Avx2>::new(b, k, n)),
                        Isa::Plain => Box::new(Loose(b)),
                    }
                }
            }
        }
    )*};
}

float_gemm! {
    f32, 16, F32Avx512 F32x16, F32Avx2 F32x8;
    f64, 8, F64Avx512 F64x8, F64Avx2 F64x4;
}

/// Steps of a dot product that are summed by themselves: the same ones on any number of threads.
const DOT: usize = 2 * grain::REDUCE;

/// A product of one row and one column; `serial` computes a part.
///
/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn dot<T: Gemm + std::ops::Add<Output = T> + std::ops::Mul<Output = T>>(
    p: &Product<T>,
    threads: usize,
    serial: impl Fn(&Product<T>) + Sync,
) {
    if p.k <= DOT {
        return serial(p);
    }
    let mut sums = vec![T::ZERO; p.k.div_ceil(DOT)];
    let target = Mat::new(sums.as_mut_ptr(), 1, 1);
    let whole = Product {
        c: target,
        alpha: T::ONE,
        beta: T::ZERO,
        ..*p
    };
    let parts = |range: std::ops::Range<usize>| {
        // The whole structure, which may go to another thread, not its pointers one by one.
        let whole = &whole;
        for i in range {
            serial(&Product {
                k: DOT.min(whole.k - i * DOT),
                a: whole.a.at(0, i * DOT),
                b: whole.b.at(i * DOT, 0),
                c: whole.c.at(i, 0),
                ..*whole
            });
        }
    };
    if threads > 1 {
        pool::parallel_for(sums.len(), 1, parts);
    } else {
        parts(0..sums.len());
    }
    let sum = sums.into_iter().fold(T::ZERO, |sum, part| sum + part);
    // SAFETY: the caller's promise.
    unsafe {
        let old = if p.beta == T::ZERO {
            T::ZERO
        } else {
            p.beta * *p.c.ptr
        };
        *p.c.ptr = p.alpha * sum + old;
    }
}

/// One for a product that is not worth waking a second.
fn useful_threads<T: Copy>(product: &Product<T>, threads: usize) -> usize {
    if product.work() < 2 * grain::GEMM {
        1
    } else {
        threads
    }
}

macro_rules! int_gemm {
    ($($T:ty, $lanes:literal;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = 0;
            const ONE: Self = 1;

            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                let (product, start) = row_major(*product, start);
                // SAFETY: the caller's promise.
                unsafe { begin(&product, start) };
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

            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                let (product, start) = row_major(*product, start);
                // SAFETY: the caller's promise.
                unsafe {
                    begin(&product, start);
                    large(&product, threads);
                }
            }
        }
    )*};
}

complex_gemm!(f32, f64);

/// The product turned so that the result is row-major: the tiles write rows.
#[inline]
fn row_major<T: Copy>(product: Product<T>, start: Mat<*const T>) -> (Product<T>, Mat<*const T>) {
    let narrow = product.n == 1 && product.m > 1;
    if narrow || (product.m > 1 && product.n > 1 && product.c.row.abs() < product.c.col.abs()) {
        (product.transposed(), start.transposed())
    } else {
        (product, start)
    }
}

/// The product by the `gemm` crate.
///
/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn large<T: Gemm>(p: &Product<T>, threads: usize) {
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
unsafe fn one_gemm<T: Gemm>(p: &Product<T>, parallelism: gemm::Parallelism) {
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

macro_rules! half_gemm {
    ($($T:ident, $Avx512:ident, $Avx2:ident;)*) => {$(
        impl Gemm for $T {
            const ZERO: Self = $T::ZERO;
            const ONE: Self = $T::ONE;

            unsafe fn gemm_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
                let (product, start) = row_major(*product, start);
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the caller's promise; the instruction set is there.
                unsafe {
                    let threads = useful_threads(&product, threads);
                    match isa() {
                        Isa::Avx512 if $T::has_pairs() => {
                            return blocked::multiply::<<$T as Pairs>::Kernel>(&product, start, threads);
                        }
                        Isa::Avx512 => return blocked::multiply::<blocked::$Avx512>(&product, start, threads),
                        Isa::Avx2 => return blocked::multiply::<blocked::$Avx2>(&product, start, threads),
                        Isa::Plain => {}
                    }
                }
                // SAFETY: the caller's promise.
                unsafe {
                    begin(&product, start);
                    widened(&product, threads);
                }
            }
        }
    )*};
}

half_gemm! {
    f16, F16Avx512, F16Avx2;
    bf16, Bf16Avx512, Bf16Avx2;
}

/// Half precision that the machine may multiply in pairs.
#[cfg(target_arch = "x86_64")]
trait Pairs: Sized {
    type Kernel: Kernel<Element = Self>;
    fn has_pairs() -> bool;
}

#[cfg(target_arch = "x86_64")]
impl Pairs for bf16 {
    type Kernel = blocked::Bf16Pairs;
    fn has_pairs() -> bool {
        is_x86_feature_detected!("avx512bf16")
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for f16 {
    type Kernel = blocked::F16Avx512;
    fn has_pairs() -> bool {
        false
    }
}

/// The product of copies in f32.
///
/// # Safety
/// As for [`Gemm::gemm`].
unsafe fn widened<T: Gemm + Into<f32> + num_traits::FromPrimitive>(p: &Product<T>, threads: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (widen(p.m, p.k, p.a), widen(p.k, p.n, p.b));
        let mut c = widen(p.m, p.n, p.c.into());
        let product = Product {
            m: p.m,
            n: p.n,
            k: p.k,
            a: Mat::new(a.as_ptr(), p.k as isize, 1),
            b: Mat::new(b.as_ptr(), p.n as isize, 1),
            c: Mat::new(c.as_mut_ptr(), p.n as isize, 1),
            alpha: p.alpha.into(),
            beta: p.beta.into(),
        };
        f32::gemm(&product, threads);
        for (at, &value) in c.iter().enumerate() {
            if let Some(value) = T::from_f32(value) {
                *p.c.at(at / p.n, at % p.n).ptr = value;
            }
        }
    }
}

/// A contiguous copy in f32.
///
/// # Safety
/// The matrix lies in live memory.
unsafe fn widen<T: Into<f32> + Copy>(rows: usize, cols: usize, m: Mat<*const T>) -> Vec<f32> {
    let places = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
    // SAFETY: the caller's promise.
    places
        .map(|(i, j)| unsafe { (*m.at(i, j).ptr).into() })
        .collect()
}
