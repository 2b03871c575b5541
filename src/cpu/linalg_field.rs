//! The numbers of linear algebra, and the steps that have vectors for some of them.

use super::gemm::Gemm;
use super::linalg::{Matrix, lu_plain};
use super::linalg_batch::{Batch, Report};
use super::linalg_lanes::{lu_lanes, lu_solve_lanes};
use super::linalg_panel::lu_panel;
use super::linalg_reflect::{reflect, squares};
use super::linalg_substitute::{Triangle, substitute};
use super::reduce::Pointer;
use super::simd;
use num_complex::Complex;
use num_traits::{Float, NumAssign};
use std::ops::Neg;

/// A real or complex number of LAPACK.
pub trait Field:
    Gemm + NumAssign + Neg<Output = Self> + faer::traits::ComplexField<Real = Self::Part>
{
    const REAL: bool;
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
    fn modulus(self) -> Self::Part;
    /// Rows as columns: `size` is rows and columns of the source, whose rows lie `by_from` apart.
    ///
    /// # Safety
    /// Both can be accessed.
    unsafe fn transpose(
        from: *const Self,
        (rows, columns): (usize, usize),
        by_from: usize,
        to: *mut Self,
        by_to: usize,
    ) {
        for i in 0..rows {
            for j in 0..columns {
                // SAFETY: the caller's promise.
                unsafe { *to.add(j * by_to + i) = *from.add(i * by_from + j) };
            }
        }
    }
    /// The sum of the squares of absolute values.
    fn squares(numbers: &[Self]) -> Self::Part {
        numbers.iter().map(|x| x.norm_squared()).sum()
    }
    /// Subtracts `factor` times `v v^H` times each of `count` columns, which lie `by` apart, from them.
    fn reflect(v: &[Self], factor: Self, columns: &mut [Self], by: usize, count: usize) {
        for column in columns.chunks_mut(by).take(count) {
            let dot = v.iter().zip(&*column).map(|(&v, &x)| v.conjugate() * x);
            let product = factor * dot.fold(Self::zero(), |sum, x| sum + x);
            column
                .iter_mut()
                .zip(v)
                .for_each(|(x, &v)| *x -= product * v);
        }
    }
    /// Solves a real triangular system in place for columns that lie one after another.
    ///
    /// # Safety
    /// The triangle lies in live memory.
    unsafe fn substitute(_: Triangle<Self>, _: &mut [Self]) {
        unreachable!("complex systems are solved by halves");
    }
    /// LU of columns of so many `rows`, in place, as [`super::linalg::lu`].
    fn lu_panel(a: &mut [Self], rows: usize, pivots: &mut [i32]) -> usize {
        // SAFETY: the slice outlives the view.
        let turned = unsafe { Matrix::over(a, pivots.len(), rows) };
        lu_plain(&turned.transposed(), pivots)
    }
    /// [`lu_lanes`], for types that have vectors.
    ///
    /// # Safety
    /// As there.
    unsafe fn lu_lanes(_: Batch<Self>, _: Report) -> bool {
        false
    }
    /// [`lu_solve_lanes`], for types that have vectors.
    ///
    /// # Safety
    /// As there.
    unsafe fn lu_solve_lanes(_: Batch<Self>, _: Pointer<i32>, _: Batch<Self>) -> bool {
        false
    }
}

macro_rules! fields {
    ($($R:ty),*) => {$(
        impl Field for $R {
            const REAL: bool = true;
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
            fn modulus(self) -> $R {
                self.abs()
            }
            unsafe fn transpose(
                from: *const $R,
                size: (usize, usize),
                by_from: usize,
                to: *mut $R,
                by_to: usize,
            ) {
                // SAFETY: the caller's promise.
                unsafe { simd::turn(from, size, by_from, to, by_to) };
            }
            fn squares(numbers: &[$R]) -> $R {
                squares(numbers)
            }
            fn reflect(v: &[$R], factor: $R, columns: &mut [$R], by: usize, count: usize) {
                reflect(v, factor, columns, by, count);
            }
            unsafe fn substitute(a: Triangle<$R>, columns: &mut [$R]) {
                // SAFETY: the caller's promise.
                unsafe { substitute(a, columns) };
            }
            fn lu_panel(a: &mut [$R], rows: usize, pivots: &mut [i32]) -> usize {
                lu_panel(a, rows, pivots)
            }
            unsafe fn lu_lanes(a: Batch<$R>, report: Report) -> bool {
                // SAFETY: the caller's promise.
                unsafe { lu_lanes(a, report) };
                true
            }
            unsafe fn lu_solve_lanes(lu: Batch<$R>, pivots: Pointer<i32>, b: Batch<$R>) -> bool {
                // SAFETY: the caller's promise.
                unsafe { lu_solve_lanes(lu, pivots, b) };
                true
            }
        }
        impl Field for Complex<$R> {
            const REAL: bool = false;
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
            fn modulus(self) -> $R {
                self.norm()
            }
        }
    )*};
}

fields!(f32, f64);
