//! Matrix products: `C = alpha * A @ B + beta * C` for every numeric type, any strides, one or a batch.

use super::pool::{self, grain};
use std::ops::Range;

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

/// Products of a batch, computed one after another; `beta` scales `start`.
#[derive(Clone, Debug)]
pub struct Series<T> {
    pub first: Product<T>,
    pub start: Mat<*const T>,
    pub steps: BatchSteps,
    pub range: Range<usize>,
}

impl<T: Copy> Series<T> {
    pub(super) fn one(product: Product<T>) -> Self {
        let steps = BatchSteps {
            a: 0,
            b: 0,
            c: 0,
            start: 0,
        };
        Series {
            first: product,
            start: product.c.into(),
            steps,
            range: 0..1,
        }
    }

    /// Product `index`, and what `beta` scales.
    #[inline(always)]
    pub(super) fn product(&self, index: usize) -> (Product<T>, Mat<*const T>) {
        let mut start = self.start;
        start.ptr = start.ptr.wrapping_offset(index as isize * self.steps.start);
        (self.first.step(index, self.steps), start)
    }

    /// The products turned so that the results are row-major: the tiles write rows.
    pub(super) fn row_major(&self) -> Self {
        let mut series = self.clone();
        if writes_columns(&self.first) {
            (series.first, series.start) = (self.first.transposed(), self.start.transposed());
            (series.steps.a, series.steps.b) = (self.steps.b, self.steps.a);
        }
        series
    }
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

    /// As [`Gemm::gemm_from`], at the precision that was asked for ([`super::gemm_precision`]).
    ///
    /// # Safety
    /// As for [`Gemm::gemm_from`].
    unsafe fn matmul_from(product: &Product<Self>, start: Mat<*const Self>, threads: usize) {
        // SAFETY: the caller's promise.
        unsafe { Self::gemm_from(product, start, threads) };
    }

    /// Computes small products, whose calls would cost more than they do, if there is a loop for them.
    ///
    /// # Safety
    /// As for [`Gemm::gemm_from`], for each product.
    unsafe fn small(series: &Series<Self>) -> bool {
        let _ = series;
        false
    }

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
pub(super) struct Loose<T>(pub Mat<*const T>);

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

/// Computes `batch` products that lie `steps` apart, in parallel over the batch or inside each product, at the precision
/// that was asked for.
///
/// # Safety
/// As for [`Gemm::gemm_from`], for each product of the batch.
pub unsafe fn batched<T: Gemm>(
    batch: usize,
    first: &Product<T>,
    start: Mat<*const T>,
    steps: BatchSteps,
) {
    let some = |range: Range<usize>, threads: usize| {
        let series = Series {
            first: *first,
            start,
            steps,
            range,
        };
        // SAFETY: the caller's promise; products of a batch write disjoint matrices.
        unsafe {
            if series.range.len() > 1 && T::small(&series) {
                return;
            }
            for index in series.range.clone() {
                let (product, start) = series.product(index);
                T::matmul_from(&product, start, threads);
            }
        }
    };
    let work = first.work().max(first.m * first.n).max(1);
    let threads = if work.saturating_mul(batch) < 2 * grain::GEMM {
        1
    } else {
        pool::threads()
    };
    if batch == 1 || threads == 1 || (batch < threads && work > grain::GEMM) {
        return some(0..batch, threads);
    }
    let shared = Shared(&some);
    pool::parallel_for(batch, grain::GEMM / work + 1, |range| {
        let shared = &shared;
        (shared.0)(range, 1);
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
pub(super) unsafe fn begin<T: Gemm>(p: &Product<T>, start: Mat<*const T>) {
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
pub(super) fn by_rows<T: Gemm>(
    product: &Product<T>,
    threads: usize,
    serial: impl Fn(&Product<T>) + Sync,
) {
    if threads <= 1 || product.work() < 2 * grain::GEMM {
        return serial(product);
    }
    let rows = grain::GEMM / (product.n * product.k).max(1) + 1;
    pool::parallel_for(product.m, rows.next_multiple_of(8), |range| {
        serial(&product.rows(range.start, range.len()));
    });
}

/// Are the elements of a column of the result nearer to each other than those of a row?
#[inline]
fn writes_columns<T>(product: &Product<T>) -> bool {
    let narrow = product.n == 1 && product.m > 1;
    narrow || (product.m > 1 && product.n > 1 && product.c.row.abs() < product.c.col.abs())
}

/// The product turned so that the result is row-major: the tiles write rows.
#[inline]
pub(super) fn row_major<T: Copy>(
    product: Product<T>,
    start: Mat<*const T>,
) -> (Product<T>, Mat<*const T>) {
    if writes_columns(&product) {
        (product.transposed(), start.transposed())
    } else {
        (product, start)
    }
}

/// One for a product that is not worth waking a second.
pub(super) fn useful_threads<T: Copy>(product: &Product<T>, threads: usize) -> usize {
    if product.work() < 2 * grain::GEMM {
        1
    } else {
        threads
    }
}
