//! Dense linear algebra on single matrices: the number trait, matrix views, triangular solves and LU.
//!
//! LU is recursive over the matrix product. It pivots as LAPACK does and goes on after a zero pivot, which
//! `faer`'s does not.

use super::gemm::{Gemm, Mat, Product};
pub use super::linalg_field::Field;
use super::linalg_substitute::Triangle;
use super::pool::{self, grain};
use num_traits::Float;
use std::ops::Range;

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

    /// Sets some columns of row `i`.
    pub fn fill(&self, i: usize, cols: Range<usize>, value: T) {
        assert!(i < self.rows && cols.end <= self.cols);
        let row = self.ptr.wrapping_offset(i as isize * self.row);
        for j in cols {
            // SAFETY: the indices were checked; `new` promised the memory.
            unsafe { *row.offset(j as isize * self.col) = value };
        }
    }

    /// Copies some columns of row `i` of another matrix.
    pub fn copy_row(&self, i: usize, cols: Range<usize>, other: &Self) {
        assert!(i < self.rows && cols.end <= self.cols && i < other.rows);
        assert!(cols.end <= other.cols || cols.is_empty());
        let (to, from) = (
            self.ptr.wrapping_offset(i as isize * self.row),
            other.ptr.wrapping_offset(i as isize * other.row),
        );
        for j in cols {
            // SAFETY: as above.
            unsafe { *to.offset(j as isize * self.col) = *from.offset(j as isize * other.col) };
        }
    }

    pub fn swap_rows(&self, a: usize, b: usize) {
        assert!(a < self.rows && b < self.rows);
        if a == b {
            return;
        }
        let (x, y) = (
            self.ptr.wrapping_offset(a as isize * self.row),
            self.ptr.wrapping_offset(b as isize * self.row),
        );
        // SAFETY: the indices were checked; `new` promised the memory.
        unsafe {
            if self.col == 1 {
                return std::ptr::swap_nonoverlapping(x, y, self.cols);
            }
            for j in 0..self.cols as isize {
                std::ptr::swap(x.offset(j * self.col), y.offset(j * self.col));
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
            self.fill(i, 0..self.cols, <T as Gemm>::ZERO);
            if i < self.cols {
                self.set(i, i, <T as Gemm>::ONE);
            }
        }
    }

    /// Makes this the transpose of another matrix.
    pub fn set_transposed(&self, other: &Self) {
        assert!(self.rows == other.cols && self.cols == other.rows);
        if self.col != 1 || other.col != 1 {
            let columns = other.transposed();
            return (0..self.rows).for_each(|i| self.copy_row(i, 0..self.cols, &columns));
        }
        let (by_from, by_to) = (other.row as usize, self.row as usize);
        // SAFETY: the sizes were compared; `new` promised the memory.
        unsafe {
            T::transpose(
                other.ptr,
                (other.rows, other.cols),
                by_from,
                self.ptr,
                by_to,
            );
        };
    }

    pub fn is_finite(&self) -> bool {
        let finite = |x: &T| x.re().is_finite() & x.im().is_finite();
        if self.col == 1 {
            return (0..self.rows).all(|i| {
                let row = self.ptr.wrapping_offset(i as isize * self.row);
                // SAFETY: `new` promised the memory, which nobody writes meanwhile.
                let row = unsafe { std::slice::from_raw_parts(row, self.cols) };
                row.iter().fold(true, |all, x| all & finite(x))
            });
        }
        (0..self.rows).all(|i| (0..self.cols).all(|j| finite(&self.get(i, j))))
    }

    pub fn faer(&self) -> faer::MatRef<'_, T> {
        // SAFETY: `new` promised the memory.
        unsafe { faer::MatRef::from_raw_parts(self.ptr, self.rows, self.cols, self.row, self.col) }
    }

    pub fn faer_mut(&self) -> faer::MatMut<'_, T> {
        // SAFETY: as above.
        unsafe {
            faer::MatMut::from_raw_parts_mut(self.ptr, self.rows, self.cols, self.row, self.col)
        }
    }

    /// Conjugates all elements.
    pub fn conjugate(&self) {
        for i in 0..self.rows {
            (0..self.cols).for_each(|j| self.set(i, j, self.get(i, j).conjugate()));
        }
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

/// Columns of a tall matrix that LU takes one by one.
const PANEL: usize = 16;
/// Below this size triangular solves and LU are plain loops.
const PLAIN: usize = 12;
/// Right-hand sides up to which columns that lie in runs are faster.
const COLUMNS: usize = 4;

/// `b = a^-1 b` in place, with the triangle of `a` that `upper` names, with ones on its diagonal if `unit`.
pub fn solve_triangular<T: Field>(
    a: &Matrix<T>,
    b: &Matrix<T>,
    upper: bool,
    unit: bool,
    threads: usize,
) {
    if !T::REAL || b.cols > COLUMNS || a.rows <= PLAIN {
        return solve_halves(a, b, upper, unit, threads);
    }
    let mut store = vec![<T as Gemm>::ZERO; b.rows * b.cols];
    // SAFETY: the vector outlives the view.
    let turned = unsafe { Matrix::over(&mut store, b.cols, b.rows) };
    turned.set_transposed(b);
    if a.col == 1 {
        let triangle = Triangle {
            first: a.ptr.cast_const(),
            by: a.row,
            n: a.rows,
            upper,
            unit,
        };
        // SAFETY: `new` promised the memory.
        unsafe { T::substitute(triangle, &mut store) };
    } else {
        solve_halves(a, &turned.transposed(), upper, unit, threads);
    }
    b.set_transposed(&turned);
}

fn solve_halves<T: Field>(a: &Matrix<T>, b: &Matrix<T>, upper: bool, unit: bool, threads: usize) {
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
        solve_halves(&last, &bottom, upper, unit, threads);
        top.multiply(
            minus,
            &a.block(0, half, half, n - half),
            &bottom,
            one,
            threads,
        );
        solve_halves(&first, &top, upper, unit, threads);
    } else {
        solve_halves(&first, &top, upper, unit, threads);
        bottom.multiply(minus, &a.block(half, 0, n - half, half), &top, one, threads);
        solve_halves(&last, &bottom, upper, unit, threads);
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

/// LU with partial pivoting in place. Row `i` was exchanged with `pivots[i]`, which counts from one as LAPACK does.
/// Returns LAPACK's info: the number of the first zero pivot, counted from one, or zero.
pub fn lu<T: Field>(a: &Matrix<T>, pivots: &mut [i32], threads: usize) -> usize {
    let steps = a.rows.min(a.cols);
    if a.cols <= PANEL && a.rows > PANEL {
        return lu_turned(a, pivots);
    }
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
    pivots[half..].iter_mut().for_each(|p| *p += half as i32);
    match (first, second) {
        (0, 0) => 0,
        (0, second) => second + half,
        (first, _) => first,
    }
}

/// LU of a tall matrix, in columns that are contiguous.
fn lu_turned<T: Field>(a: &Matrix<T>, pivots: &mut [i32]) -> usize {
    let mut columns = vec![<T as Gemm>::ZERO; a.rows * a.cols];
    // SAFETY: the vector outlives the view.
    let turned = unsafe { Matrix::over(&mut columns, a.cols, a.rows) };
    turned.set_transposed(a);
    let info = T::lu_panel(&mut columns, a.rows, pivots);
    a.set_transposed(&turned);
    info
}

pub(super) fn lu_plain<T: Field>(a: &Matrix<T>, pivots: &mut [i32]) -> usize {
    let mut info = 0;
    for j in 0..a.rows.min(a.cols) {
        let mut pivot = j;
        for i in j + 1..a.rows {
            if a.get(i, j).size() > a.get(pivot, j).size() {
                pivot = i;
            }
        }
        pivots[j] = pivot as i32 + 1;
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

/// Exchanges row `i` with `pivots[i]`, counted from one, in order.
fn exchange<T: Copy>(a: &Matrix<T>, pivots: &[i32]) {
    pivots
        .iter()
        .enumerate()
        .for_each(|(i, &pivot)| a.swap_rows(i, pivot as usize - 1));
}

/// `b = (P L U)^-1 b` with the result of [`lu`].
pub fn lu_solve<T: Field>(lu: &Matrix<T>, pivots: &[i32], b: &Matrix<T>, threads: usize) {
    exchange(b, pivots);
    solve_triangular(lu, b, false, true, threads);
    solve_triangular(lu, b, true, false, threads);
}
