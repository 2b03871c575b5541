//! Factorisations by `faer`: Cholesky, eigenvalues, singular values.

use super::gemm::Gemm;
use super::linalg::{Field, Matrix};
use faer::{Mat, Par, Side};
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

/// Tells `faer` how many threads to use.
fn use_threads(threads: usize) {
    faer::set_global_parallelism(if threads > 1 {
        Par::rayon(threads)
    } else {
        Par::Seq
    });
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

fn copy_lower<T: Field>(from: faer::MatRef<'_, T>, to: &Matrix<T>) {
    copy_where(from, to, |i, j| j <= i);
}

fn copy<T: Field>(from: faer::MatRef<'_, T>, to: &Matrix<T>) {
    copy_where(from, to, |_, _| true);
}

/// Copies the elements that are wanted, in squares: one of the two lies by columns.
fn copy_where<T: Field>(
    from: faer::MatRef<'_, T>,
    to: &Matrix<T>,
    wanted: impl Fn(usize, usize) -> bool,
) {
    const SQUARE: usize = 16;
    assert!(from.nrows() >= to.rows && from.ncols() >= to.cols);
    for first in (0..to.rows).step_by(SQUARE) {
        for start in (0..to.cols).step_by(SQUARE) {
            for i in first..(first + SQUARE).min(to.rows) {
                for j in start..(start + SQUARE).min(to.cols) {
                    if wanted(i, j) {
                        // SAFETY: the sizes were compared.
                        to.set(i, j, unsafe { *from.get_unchecked(i, j) });
                    }
                }
            }
        }
    }
}

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
    use_threads(threads);
    let Some((u, vh)) = vectors else {
        let found = a
            .faer()
            .singular_values()
            .map_err(|_| Failure::NoConvergence)?;
        found.iter().zip(values).for_each(|(x, value)| *value = *x);
        return Ok(());
    };
    let thin = u.cols == values.len() && vh.rows == values.len();
    let found = if thin {
        a.faer().thin_svd()
    } else {
        a.faer().svd()
    }
    .map_err(|_| Failure::NoConvergence)?;
    let diagonal = found.S().column_vector();
    values
        .iter_mut()
        .enumerate()
        .for_each(|(i, value)| *value = diagonal[i].re());
    copy(found.U(), u);
    let v = found.V();
    for i in 0..vh.rows {
        (0..vh.cols).for_each(|j| vh.set(i, j, v[(j, i)].conjugate()));
    }
    Ok(())
}

/// Eigenvalues of a Hermitian matrix, smallest first, from the triangle that `lower` names; `vectors` gets them as columns.
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
    // LAPACK takes the diagonal of a Hermitian matrix to be real.
    (0..a.rows).for_each(|i| a.set(i, i, T::of(a.get(i, i).re())));
    use_threads(threads);
    let side = if lower { Side::Lower } else { Side::Upper };
    match vectors {
        None => {
            let found = a
                .faer()
                .self_adjoint_eigenvalues(side)
                .map_err(|_| Failure::NoConvergence)?;
            found.iter().zip(values).for_each(|(x, value)| *value = *x);
        }
        Some(vectors) => {
            let found = a
                .faer()
                .self_adjoint_eigen(side)
                .map_err(|_| Failure::NoConvergence)?;
            let diagonal = found.S().column_vector();
            values
                .iter_mut()
                .enumerate()
                .for_each(|(i, value)| *value = diagonal[i].re());
            copy(found.U(), vectors);
        }
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
        for n in [1, 5, 30, 101] {
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
