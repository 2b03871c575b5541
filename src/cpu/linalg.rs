//! Dense linear algebra on single matrices: the number trait, matrix views, triangular solves and LU.
//!
//! LU is recursive over the matrix product. It pivots as LAPACK does and goes on after a zero pivot, which
//! `faer`'s does not.

use super::gemm::{Gemm, Mat, Product};
use super::pool::{self, grain};
use num_complex::Complex;
use num_traits::{Float, NumAssign};
use std::ops::{Neg, Range};

/// A real or complex number of LAPACK.
pub trait Field:
    Gemm + NumAssign + Neg<Output = Self> + faer::traits::ComplexField<Real = Self::Part>
{
    type Part: Float + NumAssign + Gemm + faer::traits::RealField + std::iter::Sum + std::fmt::Debug;
    fn conjugate(self) -> Self;
    fn re(self) -> Self::Part;
    fn im(self) -> Self::Part;
    fn of(re: Self::Part) -> Self;
    fn of_parts(re: Self::Part, im: Self::Part) -> Self;
    /// The size by which LAPACK chooses pivots.
    fn size(self) -> Self::Part {
        Float::abs(self.re()) + Float::abs(self.im())
    }
    fn norm_squared(self) -> Self::Part {
        self.re() * self.re() + self.im() * self.im()
    }
    fn modulus(self) -> Self::Part {
        Float::hypot(self.re(), self.im())
    }
}

macro_rules! fields {
    ($($R:ty),*) => {$(
        impl Field for $R {
            type Part = $R;
            fn conjugate(self) -> Self {
                self
            }
            fn re(self) -> $R {
                self
            }
            fn im(self) -> $R {
                0.0
            }
            fn of(re: $R) -> Self {
                re
            }
            fn of_parts(re: $R, _: $R) -> Self {
                re
            }
        }
        impl Field for Complex<$R> {
            type Part = $R;
            fn conjugate(self) -> Self {
                self.conj()
            }
            fn re(self) -> $R {
                self.re
            }
            fn im(self) -> $R {
                self.im
            }
            fn of(re: $R) -> Self {
                Complex::new(re, 0.0)
            }
            fn of_parts(re: $R, im: $R) -> Self {
                Complex::new(re, im)
            }
        }
    )*};
}

fields!(f32, f64);

/// A strided matrix in memory that outlives the view and that nobody else writes meanwhile: what the `unsafe`
/// constructor asks. Indices are checked.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<T> {
    ptr: *mut T,
    pub rows: usize,
    pub cols: usize,
    row: isize,
    col: isize,
}

impl<T: Copy> Matrix<T> {
    /// # Safety
    /// All elements lie in memory that lives and is not accessed otherwise while the matrix and its copies are used.
    pub unsafe fn new(ptr: *mut T, rows: usize, cols: usize, row: isize, col: isize) -> Self {
        Matrix {
            ptr,
            rows,
            cols,
            row,
            col,
        }
    }

    /// A row-major matrix over a slice, which must outlive it.
    ///
    /// # Safety
    /// As for [`Matrix::new`].
    pub unsafe fn over(data: &mut [T], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols);
        Matrix {
            ptr: data.as_mut_ptr(),
            rows,
            cols,
            row: cols as isize,
            col: 1,
        }
    }

    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> *mut T {
        assert!(i < self.rows && j < self.cols);
        self.ptr
            .wrapping_offset(i as isize * self.row + j as isize * self.col)
    }

    #[inline(always)]
    pub fn get(&self, i: usize, j: usize) -> T {
        // SAFETY: the index is checked; `new` promised the memory.
        unsafe { *self.at(i, j) }
    }

    #[inline(always)]
    pub fn set(&self, i: usize, j: usize, value: T) {
        // SAFETY: the index is checked; `new` promised the memory.
        unsafe { *self.at(i, j) = value }
    }

    /// Rows `i .. i + rows`, columns `j .. j + cols`.
    #[must_use]
    pub fn block(&self, i: usize, j: usize, rows: usize, cols: usize) -> Self {
        assert!(i + rows <= self.rows && j + cols <= self.cols);
        let ptr = self
            .ptr
            .wrapping_offset(i as isize * self.row + j as isize * self.col);
        Matrix {
            ptr,
            rows,
            cols,
            ..*self
        }
    }

    #[must_use]
    pub fn transposed(&self) -> Self {
        Matrix {
            ptr: self.ptr,
            rows: self.cols,
            cols: self.rows,
            row: self.col,
            col: self.row,
        }
    }

    pub fn copy_from(&self, other: &Self) {
        for i in 0..self.rows {
            for j in 0..self.cols {
                self.set(i, j, other.get(i, j));
            }
        }
    }

    pub fn swap_rows(&self, a: usize, b: usize) {
        if a != b {
            for j in 0..self.cols {
                let kept = self.get(a, j);
                self.set(a, j, self.get(b, j));
                self.set(b, j, kept);
            }
        }
    }
}

impl<T: Field> Matrix<T> {
    /// Subtracts `factor` times row `p` of `other` from row `i`, in the columns `cols`.
    #[inline(always)]
    fn subtract_row(&self, i: usize, factor: T, (other, p): (&Self, usize), cols: Range<usize>) {
        assert!(i < self.rows && p < other.rows && cols.end <= self.cols && cols.end <= other.cols);
        let (to, from) = (
            self.ptr.wrapping_offset(i as isize * self.row),
            other.ptr.wrapping_offset(p as isize * other.row),
        );
        for j in cols.start as isize..cols.end as isize {
            // SAFETY: the indices were checked; `new` promised the memory.
            unsafe {
                let to = to.offset(j * self.col);
                *to -= factor * *from.offset(j * other.col);
            }
        }
    }

    pub fn set_identity(&self) {
        for i in 0..self.rows {
            for j in 0..self.cols {
                self.set(
                    i,
                    j,
                    if i == j {
                        <T as Gemm>::ONE
                    } else {
                        <T as Gemm>::ZERO
                    },
                );
            }
        }
    }

    pub fn is_finite(&self) -> bool {
        (0..self.rows).all(|i| {
            (0..self.cols)
                .all(|j| self.get(i, j).re().is_finite() && self.get(i, j).im().is_finite())
        })
    }

    pub fn faer(&self) -> faer::MatRef<'_, T> {
        // SAFETY: `new` promised the memory.
        unsafe { faer::MatRef::from_raw_parts(self.ptr, self.rows, self.cols, self.row, self.col) }
    }

    /// `self = alpha * a @ b + beta * self`.
    pub fn multiply(&self, alpha: T, a: &Self, b: &Self, beta: T, threads: usize) {
        assert!(a.rows == self.rows && b.cols == self.cols && a.cols == b.rows);
        let product = Product {
            m: self.rows,
            n: self.cols,
            k: a.cols,
            a: Mat::new(a.ptr.cast_const(), a.row, a.col),
            b: Mat::new(b.ptr.cast_const(), b.row, b.col),
            c: Mat::new(self.ptr, self.row, self.col),
            alpha,
            beta,
        };
        // SAFETY: the sizes match; `new` promised the memory.
        unsafe { T::gemm(&product, threads) };
    }
}

/// Tasks' worth of work up to which several threads on one matrix only wait for each other.
const ONE_THREAD: usize = 768;

/// Runs `body` for every matrix of a batch; `work` operations each. The body learns how many threads it may use.
pub fn for_each_matrix(batch: usize, work: usize, body: impl Fn(usize, usize) + Sync) {
    let threads = pool::threads();
    if batch < threads && work > ONE_THREAD * grain::LINALG {
        pool::run_inside(|| (0..batch).for_each(|i| body(i, threads)));
    } else {
        let grain = grain::LINALG / work.max(1) + 1;
        pool::parallel_for(batch, grain, |range| range.for_each(|i| body(i, 1)));
    }
}

/// Below this size triangular solves and LU are plain loops.
const PLAIN: usize = 12;

/// `b = a^-1 b` in place, with the triangle of `a` that `upper` names, with ones on its diagonal if `unit`.
pub fn solve_triangular<T: Field>(
    a: &Matrix<T>,
    b: &Matrix<T>,
    upper: bool,
    unit: bool,
    threads: usize,
) {
    let n = a.rows;
    if n <= PLAIN {
        return solve_triangular_plain(a, b, upper, unit);
    }
    let half = n / 2;
    let (top, bottom) = (
        b.block(0, 0, half, b.cols),
        b.block(half, 0, n - half, b.cols),
    );
    let (first, last) = (
        a.block(0, 0, half, half),
        a.block(half, half, n - half, n - half),
    );
    let (minus, one) = (-<T as Gemm>::ONE, <T as Gemm>::ONE);
    if upper {
        solve_triangular(&last, &bottom, upper, unit, threads);
        top.multiply(
            minus,
            &a.block(0, half, half, n - half),
            &bottom,
            one,
            threads,
        );
        solve_triangular(&first, &top, upper, unit, threads);
    } else {
        solve_triangular(&first, &top, upper, unit, threads);
        bottom.multiply(minus, &a.block(half, 0, n - half, half), &top, one, threads);
        solve_triangular(&last, &bottom, upper, unit, threads);
    }
}

fn solve_triangular_plain<T: Field>(a: &Matrix<T>, b: &Matrix<T>, upper: bool, unit: bool) {
    let n = a.rows;
    for step in 0..n {
        let i = if upper { n - 1 - step } else { step };
        let solved = if upper { i + 1..n } else { 0..i };
        for p in solved {
            b.subtract_row(i, a.get(i, p), (b, p), 0..b.cols);
        }
        if !unit {
            let pivot = a.get(i, i);
            (0..b.cols).for_each(|j| b.set(i, j, b.get(i, j) / pivot));
        }
    }
}

/// LU with partial pivoting in place; row `i` was exchanged with `pivots[i]`. Returns LAPACK's info: the number of the
/// first zero pivot, counted from one, or zero.
pub fn lu<T: Field>(a: &Matrix<T>, pivots: &mut [usize], threads: usize) -> usize {
    let steps = a.rows.min(a.cols);
    if steps <= PLAIN {
        return lu_plain(a, pivots);
    }
    let half = steps / 2;
    let (left, right) = (
        a.block(0, 0, a.rows, half),
        a.block(0, half, a.rows, a.cols - half),
    );
    let first = lu(&left, &mut pivots[..half], threads);
    exchange(&right, &pivots[..half]);
    let top = right.block(0, 0, half, right.cols);
    solve_triangular(&left.block(0, 0, half, half), &top, false, true, threads);
    let rest = right.block(half, 0, a.rows - half, right.cols);
    let below = left.block(half, 0, a.rows - half, half);
    rest.multiply(-<T as Gemm>::ONE, &below, &top, <T as Gemm>::ONE, threads);
    let second = lu(&rest, &mut pivots[half..], threads);
    exchange(&below, &pivots[half..]);
    pivots[half..].iter_mut().for_each(|p| *p += half);
    match (first, second) {
        (0, 0) => 0,
        (0, second) => second + half,
        (first, _) => first,
    }
}

fn lu_plain<T: Field>(a: &Matrix<T>, pivots: &mut [usize]) -> usize {
    let mut info = 0;
    for j in 0..a.rows.min(a.cols) {
        let mut pivot = j;
        for i in j + 1..a.rows {
            if a.get(i, j).size() > a.get(pivot, j).size() {
                pivot = i;
            }
        }
        pivots[j] = pivot;
        if a.get(pivot, j) == <T as Gemm>::ZERO {
            info = if info == 0 { j + 1 } else { info };
            continue;
        }
        a.swap_rows(j, pivot);
        let top = a.get(j, j);
        for i in j + 1..a.rows {
            let factor = a.get(i, j) / top;
            a.set(i, j, factor);
            a.subtract_row(i, factor, (a, j), j + 1..a.cols);
        }
    }
    info
}

/// Exchanges row `i` with `pivots[i]`, in order.
pub fn exchange<T: Copy>(a: &Matrix<T>, pivots: &[usize]) {
    pivots
        .iter()
        .enumerate()
        .for_each(|(i, &pivot)| a.swap_rows(i, pivot));
}

/// Undoes [`exchange`].
pub fn exchange_back<T: Copy>(a: &Matrix<T>, pivots: &[usize]) {
    pivots
        .iter()
        .enumerate()
        .rev()
        .for_each(|(i, &pivot)| a.swap_rows(i, pivot));
}

/// `b = (P L U)^-1 b` with the result of [`lu`].
pub fn lu_solve<T: Field>(lu: &Matrix<T>, pivots: &[usize], b: &Matrix<T>, threads: usize) {
    exchange(b, pivots);
    solve_triangular(lu, b, false, true, threads);
    solve_triangular(lu, b, true, false, threads);
}
