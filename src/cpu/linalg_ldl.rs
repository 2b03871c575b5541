//! LAPACK's `sytf2` and `sytrs`: symmetric and Hermitian matrices as L D L^H with Bunch-Kaufman pivoting.

use super::gemm::Gemm;
use super::linalg::{Field, Matrix};
use num_traits::{Float, NumCast, Zero};

/// The adjoint of an element where the matrix is Hermitian.
fn adjoint<T: Field>(x: T, hermitian: bool) -> T {
    if hermitian { x.conjugate() } else { x }
}

/// Position and size of the largest element of a column, below `from`.
fn largest<T: Field>(a: &Matrix<T>, column: usize, from: usize) -> (usize, T::Part) {
    (from..a.rows).fold((from, T::Part::zero()), |best, i| {
        let size = a.get(i, column).size();
        if size > best.1 { (i, size) } else { best }
    })
}

/// The row to exchange, and the size of the pivot block.
fn choose<T: Field>(a: &Matrix<T>, k: usize) -> Option<(usize, usize)> {
    let alpha: T::Part = NumCast::from((1.0 + 17f64.sqrt()) / 8.0)?;
    let own = a.get(k, k).size();
    let (imax, column_max) = largest(a, k, k + 1);
    if own.max(column_max) == T::Part::zero() {
        return None;
    }
    if own >= alpha * column_max {
        return Some((k, 1));
    }
    let along_row = (k..imax)
        .map(|j| a.get(imax, j).size())
        .fold(T::Part::zero(), Float::max);
    let row_max = along_row.max(largest(a, imax, imax + 1).1);
    Some(if own >= alpha * column_max * (column_max / row_max) {
        (k, 1)
    } else if a.get(imax, imax).size() >= alpha * row_max {
        (imax, 1)
    } else {
        (imax, 2)
    })
}

/// Exchanges rows and columns `kk` and `kp` of the lower triangle.
fn exchange<T: Field>(
    a: &Matrix<T>,
    k: usize,
    (kk, kp): (usize, usize),
    step: usize,
    hermitian: bool,
) {
    if kk == kp {
        return;
    }
    let swap = |(i, j): (usize, usize), (p, q): (usize, usize)| {
        let kept = a.get(i, j);
        a.set(i, j, a.get(p, q));
        a.set(p, q, kept);
    };
    (kp + 1..a.rows).for_each(|i| swap((i, kk), (i, kp)));
    for j in kk + 1..kp {
        let kept = a.get(j, kk);
        a.set(j, kk, adjoint(a.get(kp, j), hermitian));
        a.set(kp, j, adjoint(kept, hermitian));
    }
    a.set(kp, kk, adjoint(a.get(kp, kk), hermitian));
    swap((kk, kk), (kp, kp));
    if step == 2 {
        swap((k + 1, k), (kp, k));
    }
}

/// Subtracts what one pivot explains from the rest.
fn eliminate_one<T: Field>(a: &Matrix<T>, k: usize, hermitian: bool) {
    let factor = <T as Gemm>::ONE / a.get(k, k);
    for j in k + 1..a.rows {
        let scaled = factor * adjoint(a.get(j, k), hermitian);
        (j..a.rows).for_each(|i| a.set(i, j, a.get(i, j) - a.get(i, k) * scaled));
    }
    (k + 1..a.rows).for_each(|i| a.set(i, k, a.get(i, k) * factor));
}

/// The 2 x 2 block at `k` times a vector's two entries, inverted.
fn solve_block<T: Field>(a: &Matrix<T>, k: usize, x: T, y: T, hermitian: bool) -> (T, T) {
    let (first, below, last) = (a.get(k, k), a.get(k + 1, k), a.get(k + 1, k + 1));
    let above = adjoint(below, hermitian);
    // Divided by the off-diagonal elements first, as LAPACK does against overflow.
    let (p, q) = (first / above, last / below);
    let denominator = p * q - <T as Gemm>::ONE;
    let (x, y) = (x / above, y / below);
    ((q * x - y) / denominator, (p * y - x) / denominator)
}

fn eliminate_two<T: Field>(a: &Matrix<T>, k: usize, hermitian: bool) {
    for j in k + 2..a.rows {
        // The row (u, v) of L solves (u, v) D = (A[j, k], A[j, k+1]).
        let (x, y) = (
            adjoint(a.get(j, k), hermitian),
            adjoint(a.get(j, k + 1), hermitian),
        );
        let (u, v) = solve_block(a, k, x, y, hermitian);
        for i in j..a.rows {
            a.set(i, j, a.get(i, j) - a.get(i, k) * u - a.get(i, k + 1) * v);
        }
        a.set(j, k, adjoint(u, hermitian));
        a.set(j, k + 1, adjoint(v, hermitian));
    }
}

/// Factors the lower triangle in place. Pivots are LAPACK's: counted from one, negative for 2 x 2 blocks. Returns the number of
/// the first zero pivot, or zero.
pub fn factor<T: Field>(a: &Matrix<T>, pivots: &mut [i32], hermitian: bool) -> usize {
    let real_diagonal = |i: usize| {
        if hermitian {
            a.set(i, i, T::of(a.get(i, i).re()));
        }
    };
    (0..a.rows).for_each(real_diagonal);
    let (mut k, mut info) = (0, 0);
    while k < a.rows {
        let Some((kp, step)) = choose(a, k) else {
            info = if info == 0 { k + 1 } else { info };
            pivots[k] = k as i32 + 1;
            k += 1;
            continue;
        };
        exchange(a, k, (k + step - 1, kp), step, hermitian);
        if step == 1 {
            eliminate_one(a, k, hermitian);
            pivots[k] = kp as i32 + 1;
        } else {
            eliminate_two(a, k, hermitian);
            pivots[k..k + 2].fill(-(kp as i32) - 1);
        }
        (k + step..a.rows).for_each(real_diagonal);
        k += step;
    }
    info
}

/// `b = A^-1 b` from the result of [`factor`].
pub fn solve<T: Field>(a: &Matrix<T>, pivots: &[i32], b: &Matrix<T>, hermitian: bool) {
    let n = a.rows;
    let subtract = |row: usize, from: usize, factor: T| {
        (0..b.cols).for_each(|j| b.set(row, j, b.get(row, j) - factor * b.get(from, j)));
    };
    let row_of = |pivot: i32| (pivot.unsigned_abs() as usize).clamp(1, n) - 1;
    let is_pair = |k: usize| pivots[k] < 0 && k + 1 < n;
    let (mut k, mut blocks) = (0, Vec::new());
    while k < n {
        let step = if is_pair(k) { 2 } else { 1 };
        b.swap_rows(k + step - 1, row_of(pivots[k]));
        for i in k + step..n {
            (k..k + step).for_each(|q| subtract(i, q, a.get(i, q)));
        }
        for j in 0..b.cols {
            if step == 1 {
                b.set(k, j, b.get(k, j) / a.get(k, k));
            } else {
                let (x, y) = solve_block(a, k, b.get(k, j), b.get(k + 1, j), hermitian);
                b.set(k, j, x);
                b.set(k + 1, j, y);
            }
        }
        blocks.push((k, step));
        k += step;
    }
    for (k, step) in blocks.into_iter().rev() {
        for q in k..k + step {
            (k + step..n).for_each(|i| subtract(q, i, adjoint(a.get(i, q), hermitian)));
        }
        b.swap_rows(k + step - 1, row_of(pivots[k]));
    }
}
