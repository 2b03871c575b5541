//! LU of batches of matrices.

use super::gemm::Gemm;
use super::linalg::{self, Field, Matrix};
use super::pool::{self, grain};
use super::reduce::Pointer;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Row-major matrices one after another.
#[derive(Debug)]
pub struct Batch<T> {
    ptr: *mut T,
    pub count: usize,
    pub rows: usize,
    pub cols: usize,
}

impl<T> Clone for Batch<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Batch<T> {}
// SAFETY: tasks use matrices of their own, as `new` asks.
unsafe impl<T: Send> Sync for Batch<T> {}

impl<T: Copy> Batch<T> {
    /// # Safety
    /// As for [`Matrix::new`], for each of the matrices.
    pub unsafe fn new(ptr: *mut T, count: usize, rows: usize, cols: usize) -> Self {
        Batch {
            ptr,
            count,
            rows,
            cols,
        }
    }

    pub fn matrix(&self, index: usize) -> Matrix<T> {
        assert!(index < self.count);
        // SAFETY: `new` promised the memory.
        unsafe { Matrix::new(self.at(index), self.rows, self.cols, self.cols as isize, 1) }
    }

    pub(super) fn at(&self, index: usize) -> *mut T {
        self.ptr.wrapping_add(index * self.rows * self.cols)
    }
}

impl<T: Field> Batch<T> {
    /// Makes every matrix, which is square, the identity.
    pub fn set_identity(&self) {
        let (n, size) = (self.rows, self.rows * self.cols);
        assert!(n == self.cols);
        pool::parallel_for(self.count, grain::POINTWISE / size.max(1) + 1, |range| {
            let len = range.len() * size;
            // SAFETY: `new` promised the memory; every task has matrices of its own.
            let numbers = unsafe { std::slice::from_raw_parts_mut(self.at(range.start), len) };
            numbers.fill(<T as Gemm>::ZERO);
            for matrix in numbers.chunks_exact_mut(size.max(1)) {
                let diagonal = matrix.iter_mut().step_by(n + 1);
                diagonal.for_each(|x| *x = <T as Gemm>::ONE);
            }
        });
    }
}

/// What LAPACK tells of every matrix beside its factors: tasks fill rows of their own.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// The rows that were exchanged, counted from one: as many a matrix as it has steps.
    pub pivots: Pointer<i32>,
    pub infos: &'a [AtomicI32],
}

/// Rows and columns of matrices for lanes at the most.
pub(super) const SMALL: usize = 16;
/// Matrices from which on lanes pay.
const FEW: usize = 4;

/// LU with partial pivoting of every matrix, in place.
///
/// # Safety
/// The report has room for all matrices.
pub unsafe fn lu<T: Field>(a: Batch<T>, report: Report) {
    let steps = a.rows.min(a.cols);
    assert!(report.infos.len() >= a.count);
    // SAFETY: the caller's promise.
    if unsafe { a.rows == a.cols && a.rows <= SMALL && a.count >= FEW && T::lu_lanes(a, report) } {
        return;
    }
    linalg::for_each_matrix(a.count, a.rows * a.cols * steps, |i, threads| {
        // SAFETY: the caller's promise; one row per matrix.
        let pivots = unsafe { std::slice::from_raw_parts_mut(report.pivots.at(i * steps), steps) };
        let info = linalg::lu(&a.matrix(i), pivots, threads);
        report.infos[i].store(info as i32, Relaxed);
    });
}

/// `b = a^-1 b` for every matrix, with the results of [`lu`].
///
/// # Safety
/// There are `pivots` for all matrices, which are as many and as large as those of `b`.
pub unsafe fn lu_solve<T: Field>(lu: Batch<T>, pivots: Pointer<i32>, b: Batch<T>) {
    let n = lu.rows;
    assert!(lu.cols == n && b.rows == n && b.count == lu.count);
    let small = n <= SMALL && b.cols <= SMALL && b.count >= FEW;
    // SAFETY: the caller's promise.
    if small && unsafe { T::lu_solve_lanes(lu, pivots, b) } {
        return;
    }
    linalg::for_each_matrix(lu.count, 2 * n * n * b.cols, |i, threads| {
        // SAFETY: the caller's promise; they are only read.
        let pivots = unsafe { std::slice::from_raw_parts(pivots.at(i * n), n) };
        linalg::lu_solve(&lu.matrix(i), pivots, &b.matrix(i), threads);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers: pivots that tie, zero pivots, and sometimes a NaN.
    fn numbers(n: usize) -> Vec<f32> {
        let number = |i: usize| match i.wrapping_mul(2_654_435_761) >> 7 & 0x3f {
            0 => f32::NAN,
            x => (x % 7) as f32 - 3.0,
        };
        (0..n).map(number).collect()
    }

    #[test]
    fn lanes_do_what_one_matrix_does() {
        for (n, cols) in [(1, 2), (2, 2), (3, 1), (5, 3), (12, 2), (3, 0), (0, 2)] {
            let count = 37;
            let (mut a, mut b) = (numbers(count * n * n), numbers(count * n * cols));
            let (mut one, mut one_b) = (a.clone(), b.clone());
            let mut pivots = vec![0; count * n];
            let infos: Vec<_> = (0..count).map(|_| AtomicI32::new(0)).collect();
            // SAFETY: the vectors outlive the batches.
            unsafe {
                let (a, b) = (
                    Batch::new(a.as_mut_ptr(), count, n, n),
                    Batch::new(b.as_mut_ptr(), count, n, cols),
                );
                let report = Report {
                    pivots: Pointer(pivots.as_mut_ptr()),
                    infos: &infos,
                };
                lu(a, report);
                lu_solve(a, report.pivots, b);
            }
            for i in 0..count {
                let mut order = vec![0; n];
                // SAFETY: the vectors outlive the views.
                let (a, b) = unsafe {
                    (
                        Matrix::over(&mut one[i * n * n..], n, n),
                        Matrix::over(&mut one_b[i * n * cols..], n, cols),
                    )
                };
                assert_eq!(
                    linalg::lu(&a, &mut order, 1),
                    infos[i].load(Relaxed) as usize
                );
                assert_eq!(order, pivots[i * n..][..n], "n = {n}, matrix {i}");
                linalg::lu_solve(&a, &order, &b, 1);
            }
            let same = |x: &[f32], y: &[f32]| {
                let mut pairs = x.iter().zip(y);
                pairs.all(|(x, y)| x == y || x.is_nan() && y.is_nan())
            };
            // After a zero pivot numbers are not defined; infinities and NaNs stand there.
            let regular = |i: usize| infos[i].load(Relaxed) == 0;
            for i in (0..count).filter(|&i| regular(i)) {
                assert!(same(&a[i * n * n..][..n * n], &one[i * n * n..][..n * n]));
                let (at, size) = (i * n * cols, n * cols);
                assert!(same(&b[at..][..size], &one_b[at..][..size]));
            }
            assert!((0..count).any(regular));
        }
    }
}
