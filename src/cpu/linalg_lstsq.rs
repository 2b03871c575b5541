//! Least squares by orthogonal factorisations: LAPACK's `gelsy`, whose QR pivots columns, and `gels`.

use super::buffer::Buffer;
use super::gemm::Gemm;
use super::linalg::{Field, Matrix, solve_triangular};
use super::linalg_condition::rank;
use super::linalg_factor::{Failure, par, stack};
use super::linalg_qr::Reflectors;
use faer::Conj;
use faer::linalg::householder::{
    apply_block_householder_sequence_transpose_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj as apply_transposed,
};
use faer::linalg::qr::{col_pivoting, no_pivoting};
use num_traits::{Float, Zero};

/// The shortest `x` that minimises `|a x - b|`, where singular values below `rcond` times the largest count as zero:
/// returns the rank that is left.
pub fn gelsy<T: Field>(
    a: &Matrix<T>,
    b: &Matrix<T>,
    x: &Matrix<T>,
    rcond: T::Part,
    threads: usize,
) -> Result<usize, Failure> {
    if !a.is_finite() {
        return Err(Failure::NotFinite);
    }
    let (zero, steps) = (<T as Gemm>::ZERO, a.rows.min(a.cols));
    let largest = largest(a);
    if largest == T::Part::zero() {
        (0..x.rows).for_each(|i| x.fill(i, 0..x.cols, zero));
        return Ok(0);
    }
    let (mut left, mut right) = (Buffer::new(), Buffer::new());
    let (r, rest) = (by_columns(a, &mut left), by_columns(b, &mut right));
    // The lengths of columns must not overflow.
    let epsilon = <T::Part as Float>::epsilon();
    let huge = largest > <T::Part as Float>::max_value() * epsilon;
    let scale = T::of(if huge {
        epsilon
    } else {
        <T::Part as Gemm>::ONE
    });
    if huge {
        left.iter_mut().for_each(|x| *x *= scale);
    }
    let order = pivoted_qr(&r, &rest, threads);
    let rank = rank(&r, steps, rcond);
    let top = rest.block(0, 0, rank, rest.cols);
    let mut wide = Vec::new();
    let solved = if rank == a.cols {
        let triangle = r.block(0, 0, rank, rank);
        solve_triangular(&triangle, &top, true, false, threads);
        top
    } else {
        shortest(&r.block(0, 0, rank, r.cols), &top, &mut wide, threads)
    };
    for (i, &to) in order.iter().enumerate() {
        (0..x.cols).for_each(|j| x.set(to, j, scale * solved.get(i, j)));
    }
    Ok(rank)
}

/// The largest size of an element.
fn largest<T: Field>(a: &Matrix<T>) -> T::Part {
    let sizes = (0..a.rows).flat_map(|i| (0..a.cols).map(move |j| a.get(i, j).size()));
    sizes.fold(T::Part::zero(), Float::max)
}

/// As [`gelsy`], for a matrix of full rank. Returns LAPACK's info: the number of the first zero on the diagonal of the
/// triangle, counted from one, or zero. `a` is overwritten.
pub fn gels<T: Field>(
    a: &Matrix<T>,
    b: &Matrix<T>,
    x: &Matrix<T>,
    threads: usize,
) -> Result<usize, Failure> {
    if !a.is_finite() {
        return Err(Failure::NotFinite);
    }
    let (mut store, mut right) = (Vec::new(), Buffer::new());
    let tall = if a.rows >= a.cols {
        *a
    } else {
        adjoint(a, &mut store)
    };
    let mut tau = vec![<T as Gemm>::ZERO; tall.cols];
    let reflectors = Reflectors::of(&tall, &mut tau, threads);
    let triangle = tall.block(0, 0, tall.cols, tall.cols);
    let is_zero = |i: &usize| triangle.get(*i, *i) == <T as Gemm>::ZERO;
    if let Some(i) = (0..tall.cols).find(is_zero) {
        return Ok(i + 1);
    }
    let rest = by_columns(b, &mut right);
    if a.rows >= a.cols {
        reflectors.multiply(&rest, true, threads);
        let top = rest.block(0, 0, a.cols, b.cols);
        solve_triangular(&triangle, &top, true, false, threads);
        (0..x.rows).for_each(|i| x.copy_row(i, 0..x.cols, &top));
    } else {
        wide_solution(&reflectors, &triangle, &rest, x, threads);
    }
    Ok(0)
}

/// `x = Q [R^-H b; 0]` for the factors of an adjoint: the shortest solution.
fn wide_solution<T: Field>(
    reflectors: &Reflectors<T>,
    triangle: &Matrix<T>,
    b: &Matrix<T>,
    x: &Matrix<T>,
    threads: usize,
) {
    let mut store = Vec::new();
    let lower = adjoint(triangle, &mut store);
    solve_triangular(&lower, b, false, false, threads);
    for i in 0..x.rows {
        x.fill(i, 0..x.cols, <T as Gemm>::ZERO);
        if i < b.rows {
            x.copy_row(i, 0..x.cols, b);
        }
    }
    reflectors.multiply(x, false, threads);
}

/// A copy that lies by columns.
fn by_columns<T: Field>(a: &Matrix<T>, store: &mut Buffer<T>) -> Matrix<T> {
    store.fill_with(a.rows * a.cols, |_| <T as Gemm>::ZERO);
    // SAFETY: the caller keeps the buffer.
    let turned = unsafe { Matrix::over(store, a.cols, a.rows) };
    turned.set_transposed(a);
    turned.transposed()
}

/// The conjugate transpose as a copy.
fn adjoint<T: Field>(a: &Matrix<T>, store: &mut Vec<T>) -> Matrix<T> {
    store.resize(a.rows * a.cols, <T as Gemm>::ZERO);
    // SAFETY: the caller keeps the vector.
    let turned = unsafe { Matrix::over(store, a.cols, a.rows) };
    turned.set_transposed(a);
    if !T::REAL {
        turned.conjugate();
    }
    turned
}

/// Factorises `a P = Q R` in place, by columns of falling length, and makes `b` into `Q^H b`: the order of the columns.
fn pivoted_qr<T: Field>(a: &Matrix<T>, b: &Matrix<T>, threads: usize) -> Vec<usize> {
    let (m, n, par) = (a.rows, a.cols, par(threads));
    let (steps, params) = (m.min(n), faer::Spec::default());
    let block = no_pivoting::factor::recommended_block_size::<T>(m, n).min(steps);
    let mut factors = vec![<T as Gemm>::ZERO; block * steps];
    // SAFETY: the vector outlives the view.
    let factors = unsafe { Matrix::over(&mut factors, steps, block) }.transposed();
    let (mut order, mut inverse) = (vec![0usize; n], vec![0usize; n]);
    let need = col_pivoting::factor::qr_in_place_scratch::<usize, T>(m, n, block, par, params);
    let need = need.or(apply_scratch::<T>(m, block, b.cols));
    let mut memory = Buffer::new();
    let memory = stack(&mut memory, need);
    col_pivoting::factor::qr_in_place(
        a.faer_mut(),
        factors.faer_mut(),
        &mut order,
        &mut inverse,
        par,
        memory,
        params,
    );
    let basis = a.block(0, 0, m, steps);
    apply_transposed(
        basis.faer(),
        factors.faer(),
        Conj::Yes,
        b.faer_mut(),
        par,
        memory,
    );
    order
}

/// The shortest of the columns that `w` makes into `c`, for an upper trapezoid of full rank: with `w^H = Q T` it is
/// `Q [T^-H c; 0]`.
fn shortest<T: Field>(
    w: &Matrix<T>,
    c: &Matrix<T>,
    solution: &mut Vec<T>,
    threads: usize,
) -> Matrix<T> {
    let (rank, n) = (w.rows, w.cols);
    let mut store = Vec::new();
    let turned = adjoint(w, &mut store);
    // Below the trapezoid lie the vectors of its own factorisation.
    (0..rank).for_each(|i| turned.fill(i, i + 1..rank, <T as Gemm>::ZERO));
    let mut tau = vec![<T as Gemm>::ZERO; rank];
    let reflectors = Reflectors::of(&turned, &mut tau, threads);
    solution.resize(n * c.cols, <T as Gemm>::ZERO);
    // SAFETY: the caller keeps the vector.
    let x = unsafe { Matrix::over(solution, n, c.cols) };
    wide_solution(&reflectors, &turned.block(0, 0, rank, rank), c, &x, threads);
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex;

    /// Numbers without a pattern: the finaliser of SplitMix64.
    fn number(i: usize) -> f64 {
        let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    /// A matrix of the given rank.
    fn of_rank<T: Field>(m: usize, n: usize, rank: usize, of: impl Fn(usize) -> T) -> Vec<T> {
        let entry = |at: usize| {
            let terms = (0..rank).map(|p| of(at / n * rank + p) * of(7777 + p * n + at % n));
            terms.fold(<T as Gemm>::ZERO, |sum, x| sum + x)
        };
        (0..m * n).map(entry).collect()
    }

    /// The largest elements of `A^H (A x - b)` and of what of `x` lies outside of the range of `A^H`.
    fn check<T: Field>(m: usize, n: usize, rank: usize, of: impl Fn(usize) -> T + Copy) {
        let (mut a, zero) = (of_rank(m, n, rank, of), <T as Gemm>::ZERO);
        let (mut b, mut x) = (
            (0..m).map(|i| of(i + 31)).collect::<Vec<T>>(),
            vec![zero; n],
        );
        let (original, right) = (a.clone(), b.clone());
        let rcond = num_traits::cast(1e-10).unwrap();
        // SAFETY: the vectors outlive the views.
        let found = unsafe {
            let (a, b) = (Matrix::over(&mut a, m, n), Matrix::over(&mut b, m, 1));
            let x = Matrix::over(&mut x, n, 1);
            gelsy(&a, &b, &x, rcond, 1).unwrap()
        };
        assert_eq!(found, rank, "{m}x{n}");
        let size = |x: T| -> f64 { num_traits::cast(x.modulus()).unwrap() };
        let sum = |terms: &mut dyn Iterator<Item = T>| terms.fold(zero, |sum, x| sum + x);
        let rest: Vec<T> = (0..m)
            .map(|i| sum(&mut (0..n).map(|j| original[i * n + j] * x[j])) - right[i])
            .collect();
        for j in 0..n {
            let turned = sum(&mut (0..m).map(|i| original[i * n + j].conjugate() * rest[i]));
            assert!(size(turned) < 1e-9, "{m}x{n} of rank {rank}");
        }
        // The shortest solution is that for the right-hand side that it gives, by the adjoint's range.
        let mut again = x.clone();
        let mut turned: Vec<T> = (0..n * m)
            .map(|at| original[at % m * n + at / m].conjugate())
            .collect();
        let mut factors = vec![zero; m];
        // SAFETY: as above.
        unsafe {
            let (a, b) = (
                Matrix::over(&mut turned, n, m),
                Matrix::over(&mut again, n, 1),
            );
            gelsy(&a, &b, &Matrix::over(&mut factors, m, 1), rcond, 1).unwrap();
        }
        for j in 0..n {
            let inside = sum(&mut (0..m).map(|i| original[i * n + j].conjugate() * factors[i]));
            assert!(size(inside - x[j]) < 1e-8, "{m}x{n} of rank {rank}");
        }
    }

    #[test]
    fn solutions_are_least_squares_and_shortest() {
        for (m, n, rank) in [
            (1, 1, 1),
            (6, 4, 4),
            (4, 6, 4),
            (40, 30, 30),
            (20, 33, 9),
            (33, 20, 9),
        ] {
            check(m, n, rank, number);
            check(m, n, rank, |i| Complex::new(number(i), number(i + 5)));
        }
    }

    #[test]
    fn full_rank_agrees_and_zeros_are_told() {
        for (m, n) in [(7, 4), (4, 7), (40, 40)] {
            let (mut a, mut b) = (of_rank(m, n, m.min(n), number), vec![1.0; m]);
            let (mut x, mut y) = (vec![0.0; n], vec![0.0; n]);
            // SAFETY: the vectors outlive the views.
            unsafe {
                let (a, b) = (Matrix::over(&mut a, m, n), Matrix::over(&mut b, m, 1));
                gelsy(&a, &b, &Matrix::over(&mut x, n, 1), 1e-12, 1).unwrap();
                assert_eq!(gels(&a, &b, &Matrix::over(&mut y, n, 1), 1), Ok(0));
            }
            let largest = x.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            let same = |(x, y): (&f64, &f64)| (x - y).abs() < 1e-7 * largest;
            assert!(x.iter().zip(&y).all(same), "{m}x{n}");
        }
        let (mut a, mut b, mut x) = (vec![1.0, 0.0, 1.0, 0.0], vec![1.0; 2], vec![0.0; 2]);
        // SAFETY: as above.
        unsafe {
            let (a, b) = (Matrix::over(&mut a, 2, 2), Matrix::over(&mut b, 2, 1));
            let x = Matrix::over(&mut x, 2, 1);
            assert_eq!(gels(&a, &b, &x, 1), Ok(2));
            a.set(0, 0, f64::NAN);
            assert_eq!(gelsy(&a, &b, &x, 0.1, 1), Err(Failure::NotFinite));
        }
    }
}
