//! Factorisations by `faer`: Cholesky, eigenvalues, singular values.

use super::buffer::Buffer;
use super::gemm::Gemm;
use super::linalg::{Field, Matrix};
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::evd::{
    ComputeEigenvectors, SelfAdjointEvdParams, self_adjoint_evd, self_adjoint_evd_scratch,
};
use faer::linalg::svd::{ComputeSvdVectors, SvdParams, svd_scratch};
use faer::{Auto, Col, Mat, Par, Side};
use num_complex::Complex;
use num_traits::{Float, Zero};

/// Why a factorisation gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The input has a NaN or an infinity.
    NotFinite,
    /// The iteration did not converge.
    NoConvergence,
}

type Outcome = Result<(), Failure>;

pub(super) fn par(threads: usize) -> Par {
    if threads > 1 {
        Par::rayon(threads)
    } else {
        Par::Seq
    }
}

/// Tells `faer` how many threads to use.
fn use_threads(threads: usize) {
    faer::set_global_parallelism(par(threads));
}

/// The lower Cholesky factor of the lower triangle of `a`, into `a` (with a zero upper triangle). Returns LAPACK's info: the
/// order of the first leading minor that is not positive, or zero.
pub fn cholesky<T: Field>(a: &Matrix<T>, threads: usize) -> usize {
    let n = a.rows;
    let info = if n <= 24 {
        cholesky_plain(a)
    } else {
        cholesky_faer(a, threads)
    };
    for i in 0..n {
        (i + 1..n).for_each(|j| a.set(i, j, <T as Gemm>::ZERO));
    }
    info
}

fn cholesky_plain<T: Field>(a: &Matrix<T>) -> usize {
    for j in 0..a.rows {
        let square = (0..j).fold(a.get(j, j).re(), |sum, p| sum - a.get(j, p).norm_squared());
        if !(square > T::Part::zero()) {
            return j + 1;
        }
        let pivot = Float::sqrt(square);
        a.set(j, j, T::of(pivot));
        for i in j + 1..a.rows {
            let sum = (0..j).fold(a.get(i, j), |sum, p| {
                sum - a.get(i, p) * a.get(j, p).conjugate()
            });
            a.set(i, j, sum / T::of(pivot));
        }
    }
    0
}

fn cholesky_faer<T: Field>(a: &Matrix<T>, threads: usize) -> usize {
    use_threads(threads);
    match a.faer().llt(Side::Lower) {
        Ok(factor) => {
            copy_lower(factor.L(), a);
            0
        }
        Err(faer::linalg::cholesky::llt::factor::LltError::NonPositivePivot { index }) => index + 1,
    }
}

/// Copies a lower triangle, in squares: one of the two lies by columns.
fn copy_lower<T: Field>(from: faer::MatRef<'_, T>, to: &Matrix<T>) {
    const SQUARE: usize = 16;
    assert!(from.nrows() >= to.rows && from.ncols() >= to.cols);
    for first in (0..to.rows).step_by(SQUARE) {
        for start in (0..to.cols.min(first + SQUARE)).step_by(SQUARE) {
            for i in first..(first + SQUARE).min(to.rows) {
                for j in start..(start + SQUARE).min(i + 1).min(to.cols) {
                    // SAFETY: the sizes were compared.
                    to.set(i, j, unsafe { *from.get_unchecked(i, j) });
                }
            }
        }
    }
}

/// Memory for the steps of a factorisation.
pub(super) fn stack(memory: &mut Buffer<u8>, need: StackReq) -> &mut MemStack {
    MemStack::new(memory.uninit(need.unaligned_bytes_required()))
}

/// Matrices of this size and larger are divided: `faer` does so later, at the cost of accuracy.
const DIVIDE: usize = 64;

/// Singular values, largest first; `vectors` are U and the conjugate transpose of V, whole or thin as their sizes tell.
pub fn svd<T: Field>(
    a: &Matrix<T>,
    values: &mut [T::Part],
    vectors: Option<(&Matrix<T>, &Matrix<T>)>,
    threads: usize,
) -> Outcome {
    if !a.is_finite() {
        return Err(Failure::NotFinite);
    }
    let params = SvdParams {
        recursion_threshold: DIVIDE,
        ..Auto::<T>::auto()
    };
    let thin = vectors.is_none_or(|(u, vh)| u.cols == values.len() && vh.rows == values.len());
    let wanted = match (vectors, thin) {
        (None, _) => ComputeSvdVectors::No,
        (_, true) => ComputeSvdVectors::Thin,
        (_, false) => ComputeSvdVectors::Full,
    };
    let (par, params) = (par(threads), params.into());
    let need = svd_scratch::<T>(a.cols, a.rows, wanted, wanted, par, params);
    let (mut memory, mut columns) = (Buffer::new(), Buffer::new());
    let mut diagonal = Col::<T>::zeros(values.len());
    // The transpose lies by columns. Its factors are the conjugates of V and U: the first lies as V^H does by rows.
    let (first, second) = vectors.unzip();
    let second = second.map(|vh| vh.transposed());
    columns.fill_with(first.map_or(0, |u| u.rows * u.cols), |_| <T as Gemm>::ZERO);
    // SAFETY: the buffer outlives the view.
    let turned = first.map(|u| unsafe { Matrix::over(&mut columns, u.cols, u.rows) });
    let of_turned = turned.map(|u| u.transposed());
    faer::linalg::svd::svd(
        a.transposed().faer(),
        diagonal.as_mut().as_diagonal_mut(),
        second.as_ref().map(Matrix::faer_mut),
        of_turned.as_ref().map(Matrix::faer_mut),
        par,
        stack(&mut memory, need),
        params,
    )
    .map_err(|_| Failure::NoConvergence)?;
    let found = diagonal.iter().zip(values);
    found.for_each(|(x, value)| *value = x.re());
    if let (Some(u), Some(turned)) = (first, turned) {
        u.set_transposed(&turned);
        if !T::REAL {
            u.conjugate();
        }
    }
    Ok(())
}

/// Eigenvalues of a Hermitian matrix, smallest first, from the triangle that `lower` names; `vectors` gets them as columns.
/// `a` is overwritten.
pub fn eigh<T: Field>(
    a: &Matrix<T>,
    lower: bool,
    values: &mut [T::Part],
    vectors: Option<&Matrix<T>>,
    threads: usize,
) -> Outcome {
    if !a.is_finite() {
        return Err(Failure::NotFinite);
    }
    let n = a.rows;
    for i in 0..n {
        // LAPACK takes the diagonal of a Hermitian matrix to be real.
        a.set(i, i, T::of(a.get(i, i).re()));
        if !lower {
            (0..i).for_each(|j| a.set(i, j, a.get(j, i).conjugate()));
        }
    }
    let params = SelfAdjointEvdParams {
        recursion_threshold: DIVIDE,
        ..Auto::<T>::auto()
    };
    let wanted = match vectors {
        Some(_) => ComputeEigenvectors::Yes,
        None => ComputeEigenvectors::No,
    };
    let (par, params) = (par(threads), params.into());
    let need = self_adjoint_evd_scratch::<T>(n, wanted, par, params);
    let (mut memory, mut columns) = (Buffer::new(), Buffer::new());
    let mut diagonal = Col::<T>::zeros(n);
    columns.fill_with(vectors.map_or(0, |_| n * n), |_| <T as Gemm>::ZERO);
    // SAFETY: the buffer outlives the view.
    let rows = vectors.map(|_| unsafe { Matrix::over(&mut columns, n, n) });
    let found = rows.map(|rows| rows.transposed());
    self_adjoint_evd(
        a.faer(),
        diagonal.as_mut().as_diagonal_mut(),
        found.as_ref().map(Matrix::faer_mut),
        par,
        stack(&mut memory, need),
        params,
    )
    .map_err(|_| Failure::NoConvergence)?;
    let found = diagonal.iter().zip(values);
    found.for_each(|(x, value)| *value = x.re());
    if let (Some(vectors), Some(rows)) = (vectors, rows) {
        vectors.set_transposed(&rows);
    }
    Ok(())
}

/// Eigenvalues, and eigenvectors as columns.
type Eigen<P> = (Vec<Complex<P>>, Mat<Complex<P>>);

/// A field whose matrices have eigenvalues in `Complex<Part>`.
pub trait General: Field {
    fn eigen(a: faer::MatRef<'_, Self>) -> Option<Eigen<Self::Part>>;
}

macro_rules! general {
    ($($R:ty),*) => {$(
        impl General for $R {
            fn eigen(a: faer::MatRef<'_, Self>) -> Option<(Vec<Complex<$R>>, Mat<Complex<$R>>)> {
                let found = a.eigen().ok()?;
                let values = (0..a.nrows()).map(|i| found.S().column_vector()[i]).collect();
                Some((values, found.U().to_owned()))
            }
        }
        impl General for Complex<$R> {
            fn eigen(a: faer::MatRef<'_, Self>) -> Option<(Vec<Complex<$R>>, Mat<Complex<$R>>)> {
                let found = a.eigen().ok()?;
                let values = (0..a.nrows()).map(|i| found.S().column_vector()[i]).collect();
                Some((values, found.U().to_owned()))
            }
        }
    )*};
}

general!(f32, f64);

/// Eigenvalues of a square matrix, and its eigenvectors as columns of length one.
pub fn eig<T: General>(
    a: &Matrix<T>,
    values: &mut [Complex<T::Part>],
    vectors: &Matrix<Complex<T::Part>>,
    threads: usize,
) -> Outcome {
    if !a.is_finite() {
        return Err(Failure::NotFinite);
    }
    use_threads(threads);
    let (found, columns) = T::eigen(a.faer()).ok_or(Failure::NoConvergence)?;
    values.copy_from_slice(&found);
    for j in 0..a.cols {
        let squares = (0..a.rows).map(|i| {
            columns[(i, j)].re * columns[(i, j)].re + columns[(i, j)].im * columns[(i, j)].im
        });
        let length = Float::sqrt(squares.sum::<T::Part>());
        for i in 0..a.rows {
            let x = columns[(i, j)];
            vectors.set(i, j, Complex::new(x.re / length, x.im / length));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::linalg::{lu, lu_solve};
    use super::super::linalg_qr::qr;
    use super::*;

    /// Numbers without a pattern, from a linear congruence.
    fn random(n: usize) -> Vec<f64> {
        let mut state = 1u64;
        let step = |s: &mut u64| {
            *s = s
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*s >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        (0..n).map(|_| step(&mut state)).collect()
    }

    fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
        let entry = |i: usize, j: usize| (0..k).map(|q| a[i * k + q] * b[q * n + j]).sum();
        (0..m * n).map(|at| entry(at / n, at % n)).collect()
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-9)
    }

    #[test]
    fn lu_solves() {
        for n in [1, 5, 17, 30, 101] {
            let (a, x) = (random(n * n), random(n * 3));
            let mut b = product(&a, &x, (n, n, 3));
            let mut factors = a.clone();
            let mut pivots = vec![0; n];
            // SAFETY: the vectors outlive the views.
            let (factors, b_view) =
                unsafe { (Matrix::over(&mut factors, n, n), Matrix::over(&mut b, n, 3)) };
            assert_eq!(lu(&factors, &mut pivots, 1), 0);
            lu_solve(&factors, &pivots, &b_view, 1);
            assert!(close(&b, &x), "n = {n}");
        }
    }

    #[test]
    fn qr_and_svd_reproduce_the_matrix() {
        for (m, n) in [(4, 4), (7, 3), (3, 7), (60, 50)] {
            let steps = m.min(n);
            let a = random(m * n);
            let (mut work, mut q, mut r) = (a.clone(), vec![0.0; m * steps], vec![0.0; steps * n]);
            let (mut u, mut vh, mut s) =
                (vec![0.0; m * steps], vec![0.0; steps * n], vec![0.0; steps]);
            // SAFETY: the vectors outlive the views.
            unsafe {
                let work = Matrix::over(&mut work, m, n);
                let (u, vh) = (
                    Matrix::over(&mut u, m, steps),
                    Matrix::over(&mut vh, steps, n),
                );
                svd(&work, &mut s, Some((&u, &vh)), 1).unwrap();
                qr(
                    &work,
                    Some(&Matrix::over(&mut q, m, steps)),
                    &Matrix::over(&mut r, steps, n),
                    1,
                );
            }
            assert!(close(&product(&q, &r, (m, steps, n)), &a), "qr {m}x{n}");
            let scaled: Vec<f64> = u
                .iter()
                .enumerate()
                .map(|(i, x)| x * s[i % steps])
                .collect();
            assert!(
                close(&product(&scaled, &vh, (m, steps, n)), &a),
                "svd {m}x{n}"
            );
        }
    }
}
