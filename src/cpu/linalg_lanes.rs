//! LU of small matrices, one in every lane of a vector: the steps are those of [`super::linalg::lu`] on one matrix, with
//! choices in the place of branches, so that a result does not depend on its neighbours.

use super::linalg_batch::{Batch, Report, SMALL};
use super::number::{Accumulator, Real};
use super::pool::{self, grain};
use super::reduce::Pointer;
use super::simd::{self, Float, Simd, transpose};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// Splits a batch over threads; `work` multiply-adds a matrix.
fn spread(count: usize, work: usize, body: impl Fn(Range<usize>) + Sync) {
    pool::parallel_for(count, grain::GEMM / work.max(1) + 1, body);
}

/// # Safety
/// As for [`super::linalg_batch::lu`]; the matrices are square and small.
pub unsafe fn lu_lanes<T: Float>(a: Batch<T>, report: Report) {
    let n = a.rows;
    assert!(n <= SMALL);
    spread(a.count, n * n * n, |range| {
        simd::run::<T>(Factorise { a, report, range });
    });
}

/// # Safety
/// As for [`super::linalg_batch::lu_solve`]; the matrices are small.
pub unsafe fn lu_solve_lanes<T: Float>(lu: Batch<T>, pivots: Pointer<i32>, b: Batch<T>) {
    let n = lu.rows;
    assert!(n <= SMALL);
    spread(lu.count, n * n * (b.cols + n), |range| {
        let task = Solve {
            lu,
            pivots,
            b,
            range,
        };
        simd::run::<T>(task);
    });
}

/// As many matrices as a vector has lanes, element after element.
struct Group<V: Simd> {
    numbers: Vec<V::T>,
    rows: usize,
    cols: usize,
}

impl<V: Simd> Group<V> {
    #[inline(always)]
    fn new(like: &Batch<V::T>) -> Self {
        Group {
            numbers: vec![V::T::ZERO; like.rows * like.cols * V::LANES],
            rows: like.rows,
            cols: like.cols,
        }
    }

    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> usize {
        debug_assert!(i < self.rows && j < self.cols);
        (i * self.cols + j) * V::LANES
    }

    #[inline(always)]
    fn get(&self, i: usize, j: usize) -> V {
        // SAFETY: the methods of this module keep to the rows and columns.
        unsafe { V::load(self.numbers.as_ptr().add(self.at(i, j))) }
    }

    #[inline(always)]
    fn set(&mut self, i: usize, j: usize, x: V) {
        let at = self.at(i, j);
        // SAFETY: as above.
        unsafe { x.store(self.numbers.as_mut_ptr().add(at)) };
    }

    /// Takes matrices of a batch; lanes beyond them keep what they had.
    ///
    /// # Safety
    /// They are in the batch, which has the group's sizes.
    #[inline(always)]
    unsafe fn gather(&mut self, from: &Batch<V::T>, range: &Range<usize>) {
        let size = self.rows * self.cols;
        let (from, to) = (from.at(range.start), self.numbers.as_mut_ptr());
        // SAFETY: the caller's promise.
        unsafe { transpose::<V>(from, (range.len(), size), size, to, V::LANES) };
    }

    /// Undoes [`Group::gather`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn scatter(&self, to: &Batch<V::T>, range: &Range<usize>) {
        let size = self.rows * self.cols;
        let to = to.at(range.start);
        // SAFETY: the caller's promise.
        unsafe {
            transpose::<V>(
                self.numbers.as_ptr(),
                (size, range.len()),
                V::LANES,
                to,
                size,
            );
        };
    }

    /// Exchanges row `i` with the row that `with` names, which is not above it.
    #[inline(always)]
    fn exchange(&mut self, i: usize, with: V) {
        for r in i + 1..self.rows {
            let gap = with.sub(index(r));
            let here = V::splat(V::T::ONE).above(gap.mul(gap));
            for j in 0..self.cols {
                let (upper, lower) = (self.get(i, j), self.get(r, j));
                self.set(i, j, V::select(here, lower, upper));
                self.set(r, j, V::select(here, upper, lower));
            }
        }
    }

    /// Subtracts `factor` times row `p` of itself from row `i`, from column `start` on.
    #[inline(always)]
    fn subtract_row(&mut self, i: usize, factor: V, p: usize, start: usize) {
        for j in start..self.cols {
            self.set(i, j, self.get(i, j).sub(factor.mul(self.get(p, j))));
        }
    }

    /// Row and size of the pivot of column `j`: the first of the largest numbers, or a NaN on the diagonal.
    #[inline(always)]
    fn pivot(&self, j: usize) -> (V, V) {
        let (none, infinity) = (V::splat(V::T::of_f64(-1.0)), V::splat(V::T::INFINITY));
        let (mut place, mut largest) = (index(j), size(self.get(j, j), infinity));
        for i in j + 1..self.rows {
            let here = size(self.get(i, j), none);
            let larger = here.above(largest);
            largest = V::select(larger, here, largest);
            place = V::select(larger, index(i), place);
        }
        (place, largest)
    }

    /// LU in place: pivots, and the first zero pivot counted from one, or zero.
    #[inline(always)]
    fn lu(&mut self, pivots: &mut [V; SMALL]) -> V {
        let (zero, one) = (V::splat(V::T::ZERO), V::splat(V::T::ONE));
        let mut info = zero;
        for j in 0..self.rows {
            let (place, size) = self.pivot(j);
            pivots[j] = place;
            self.exchange(j, place);
            let regular = size.above(zero);
            let now = V::select(regular, info, index(j + 1));
            info = V::select(info.above(zero), info, now);
            let top = V::select(regular, self.get(j, j), one);
            for i in j + 1..self.rows {
                let factor = self.get(i, j).div(top);
                self.set(i, j, factor);
                self.subtract_row(i, factor, j, j + 1);
            }
        }
        info
    }

    /// Solves with the packed factors `lu`, in place.
    #[inline(always)]
    fn solve(&mut self, lu: &Self) {
        let n = self.rows;
        for i in 0..n {
            for p in 0..i {
                self.subtract_row(i, lu.get(i, p), p, 0);
            }
        }
        for i in (0..n).rev() {
            for p in i + 1..n {
                self.subtract_row(i, lu.get(i, p), p, 0);
            }
            let pivot = lu.get(i, i);
            for j in 0..self.cols {
                self.set(i, j, self.get(i, j).div(pivot));
            }
        }
    }
}

/// A number of a row, in all lanes.
#[inline(always)]
fn index<V: Simd>(i: usize) -> V {
    V::splat(V::T::of_f64(i as f64))
}

/// Absolute values, with another number in the place of NaN.
#[inline(always)]
pub(super) fn size<V: Simd>(x: V, of_nan: V) -> V {
    let zero = V::splat(V::T::ZERO);
    let size = V::select(x.above(zero), x, zero.sub(x));
    V::select(size.above(V::splat(V::T::INFINITY)), of_nan, size)
}

/// The lanes of a vector.
#[inline(always)]
pub(super) fn lanes<V: Simd>(x: V) -> [V::T; 16] {
    let mut lanes = [V::T::ZERO; 16];
    // SAFETY: there are at most 16 lanes.
    unsafe { x.store(lanes.as_mut_ptr()) };
    lanes
}

fn groups(range: Range<usize>, lanes: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(lanes)
        .map(move |first| first..(first + lanes).min(end))
}

/// LU of some matrices of a batch.
struct Factorise<'a, T> {
    a: Batch<T>,
    report: Report<'a>,
    range: Range<usize>,
}

impl<T: Float> simd::Task<T> for Factorise<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let (n, mut group) = (self.a.rows, Group::<V>::new(&self.a));
        let mut pivots = [V::splat(T::ZERO); SMALL];
        for range in groups(self.range, V::LANES) {
            // SAFETY: the matrices and their reports are this task's.
            unsafe {
                group.gather(&self.a, &range);
                let infos = lanes(group.lu(&mut pivots));
                group.scatter(&self.a, &range);
                for (j, &row) in pivots[..n].iter().enumerate() {
                    for (&row, i) in lanes(row).iter().zip(range.clone()) {
                        *self.report.pivots.at(i * n + j) = row.to_f64() as i32 + 1;
                    }
                }
                for (info, slot) in infos.iter().zip(&self.report.infos[range]) {
                    slot.store(info.to_f64() as i32, Relaxed);
                }
            }
        }
    }
}

/// Solutions for some matrices of a batch.
struct Solve<T> {
    lu: Batch<T>,
    pivots: Pointer<i32>,
    b: Batch<T>,
    range: Range<usize>,
}

impl<T: Float> simd::Task<T> for Solve<T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let n = self.lu.rows;
        let (mut lu, mut b) = (Group::<V>::new(&self.lu), Group::<V>::new(&self.b));
        for range in groups(self.range, V::LANES) {
            // SAFETY: the matrices are this task's, and the factors are only read.
            unsafe {
                lu.gather(&self.lu, &range);
                b.gather(&self.b, &range);
                for j in 0..n {
                    let mut rows = [T::ZERO; 16];
                    for (row, i) in rows.iter_mut().zip(range.clone()) {
                        *row = T::of_f64(f64::from(*self.pivots.at(i * n + j) - 1));
                    }
                    b.exchange(j, V::load(rows.as_ptr()));
                }
                b.solve(&lu);
                b.scatter(&self.b, &range);
            }
        }
    }
}
