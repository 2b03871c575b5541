//! QR by Householder reflectors, in panels: LAPACK's `geqrf` and `ungqr`.
//!
//! The reflectors of a panel are applied together as `I - V T V^H` (Schreiber and Van Loan, "A storage-efficient WY
//! representation for products of Householder transformations", 1989), by matrix products.

use super::gemm::Gemm;
use super::linalg::{Field, Matrix};
use num_traits::{Float, Zero};

/// Columns of a panel.
const PANEL: usize = 32;

/// The reflectors of a factorisation.
pub struct Reflectors<T> {
    rows: usize,
    steps: usize,
    /// The vectors as columns, with their ones, and zeros above.
    vectors: Vec<T>,
    /// The upper triangle T of every panel, by columns.
    factors: Vec<T>,
}

impl<T: Field> Reflectors<T> {
    /// Factorises a matrix in place: R in the upper triangle, the vectors below it, their factors in `tau`.
    pub fn of(a: &Matrix<T>, tau: &mut [T], threads: usize) -> Self {
        let (rows, steps) = (a.rows, tau.len());
        let mut reflectors = Reflectors {
            rows,
            steps,
            vectors: vec![<T as Gemm>::ZERO; rows * steps],
            factors: vec![<T as Gemm>::ZERO; PANEL * steps],
        };
        for j in (0..steps).step_by(PANEL) {
            let width = PANEL.min(steps - j);
            let panel = a.block(j, j, rows - j, width);
            reflectors.factorise(j, &panel, &mut tau[j..j + width]);
            let rest = a.block(j, j + width, rows - j, a.cols - j - width);
            reflectors.apply(j, &rest, true, threads);
        }
        reflectors
    }

    /// The vectors of the panel at column `j`.
    fn panel(&self, j: usize) -> Matrix<T> {
        let (height, width) = (self.rows - j, PANEL.min(self.steps - j));
        let first = self.vectors[j * self.rows + j..].as_ptr().cast_mut();
        // SAFETY: they lie in memory that outlives the view, which `self` alone uses.
        unsafe { Matrix::new(first, height, width, 1, self.rows as isize) }
    }

    /// The triangle T of the panel at column `j`.
    fn factor(&self, j: usize) -> Matrix<T> {
        let width = PANEL.min(self.steps - j);
        let first = self.factors[j * PANEL..].as_ptr().cast_mut();
        // SAFETY: as above.
        unsafe { Matrix::new(first, width, width, 1, PANEL as isize) }
    }

    /// Factorises a panel.
    fn factorise(&mut self, j: usize, a: &Matrix<T>, tau: &mut [T]) {
        let (v, by) = (self.panel(j), self.rows);
        v.transposed().set_transposed(a);
        let mut diagonal = [<T as Gemm>::ZERO; PANEL];
        for c in 0..v.cols {
            let first = j * by + j + c * by + c;
            let (column, rest) = self.vectors[first..].split_at_mut(by - j - c);
            (tau[c], diagonal[c]) = reflector(column);
            if c + 1 < v.cols {
                // The others begin in the same row.
                let others = &mut rest[j + c..];
                T::reflect(column, tau[c].conjugate(), others, by, v.cols - c - 1);
            }
        }
        a.set_transposed(&v.transposed());
        for c in 0..v.cols {
            a.set(c, c, diagonal[c]);
            (0..c).for_each(|i| v.set(i, c, <T as Gemm>::ZERO));
        }
        self.combine(j, tau);
    }

    /// The triangle T of a panel: column by column, from the products of its vectors.
    fn combine(&mut self, j: usize, tau: &[T]) {
        let (v, width) = (self.panel(j), tau.len());
        let mut products = [<T as Gemm>::ZERO; PANEL * PANEL];
        // SAFETY: the array outlives the view.
        let gram = unsafe { Matrix::over(&mut products, width, width) };
        let mut store = Vec::new();
        let (zero, one) = (<T as Gemm>::ZERO, <T as Gemm>::ONE);
        gram.multiply(one, &adjoint(&v, &mut store), &v, zero, 1);
        let factors = &mut self.factors[j * PANEL..];
        for c in 0..width {
            let (done, column) = factors.split_at_mut(c * PANEL);
            for (p, known) in done.chunks_exact(PANEL).enumerate() {
                let factor = -tau[c] * products[p * width + c];
                for (x, &y) in column[..=p].iter_mut().zip(known) {
                    *x += factor * y;
                }
            }
            column[c] = tau[c];
        }
    }

    /// Applies the reflectors of the panel at column `j`, or their adjoint, to a matrix from its row on.
    fn apply(&self, j: usize, c: &Matrix<T>, inverse: bool, threads: usize) {
        let (v, factor) = (self.panel(j), self.factor(j));
        if c.cols == 0 {
            return;
        }
        let (mut stores, size) = ([Vec::new(), Vec::new()], v.cols * c.cols);
        let mut products = vec![<T as Gemm>::ZERO; 2 * size];
        let (first, second) = products.split_at_mut(size);
        // SAFETY: the vector outlives the views.
        let (inner, turned) = unsafe {
            (
                Matrix::over(first, v.cols, c.cols),
                Matrix::over(second, v.cols, c.cols),
            )
        };
        let [of_v, of_factor] = &mut stores;
        let (zero, one) = (<T as Gemm>::ZERO, <T as Gemm>::ONE);
        inner.multiply(one, &adjoint(&v, of_v), c, zero, threads);
        let factor = if inverse {
            adjoint(&factor, of_factor)
        } else {
            factor
        };
        // Products that are only added stay in registers until they are complete.
        turned.multiply(-one, &factor, &inner, zero, threads);
        c.multiply(one, &v, &turned, one, threads);
    }

    /// Multiplies a matrix by the product of all reflectors, or by its adjoint, from the left.
    pub fn multiply(&self, c: &Matrix<T>, inverse: bool, threads: usize) {
        let panels = self.steps.div_ceil(PANEL);
        for panel in 0..panels {
            let j = PANEL * if inverse { panel } else { panels - 1 - panel };
            let part = c.block(j, 0, c.rows - j, c.cols);
            self.apply(j, &part, inverse, threads);
        }
    }

    /// The product of all reflectors, or its first columns.
    pub fn product(&self, q: &Matrix<T>, threads: usize) {
        q.set_identity();
        for j in (0..self.steps).step_by(PANEL).rev() {
            let part = q.block(j, j, q.rows - j, q.cols - j);
            self.apply(j, &part, false, threads);
        }
    }
}

/// The conjugate transpose; complex numbers are stored.
fn adjoint<T: Field>(m: &Matrix<T>, store: &mut Vec<T>) -> Matrix<T> {
    if T::REAL {
        return m.transposed();
    }
    store.extend((0..m.cols).flat_map(|j| (0..m.rows).map(move |i| m.get(i, j).conjugate())));
    // SAFETY: the caller keeps the vector.
    unsafe { Matrix::over(store, m.cols, m.rows) }
}

/// Makes a Householder vector of a column, LAPACK's `larfg`, with its one: the factor, and what the first number becomes.
fn reflector<T: Field>(column: &mut [T]) -> (T, T) {
    let alpha = column[0];
    column[0] = <T as Gemm>::ONE;
    let tail = length(&column[1..]);
    if tail == T::Part::zero() && alpha.im() == T::Part::zero() {
        return (<T as Gemm>::ZERO, alpha);
    }
    let whole = Float::hypot(tail, alpha.modulus());
    let beta = if alpha.re() < T::Part::zero() {
        whole
    } else {
        -whole
    };
    let gap = alpha - T::of(beta);
    column[1..].iter_mut().for_each(|x| *x /= gap);
    let tau = T::of_parts((beta - alpha.re()) / beta, -alpha.im() / beta);
    (tau, T::of(beta))
}

/// The Euclidean norm; where squares would overflow or vanish, that of the numbers over the largest.
fn length<T: Field>(numbers: &[T]) -> T::Part {
    let sum = T::squares(numbers);
    if Float::is_finite(sum)
        && sum > <T::Part as Float>::min_positive_value() / <T::Part as Float>::epsilon()
    {
        return Float::sqrt(sum);
    }
    let zero = T::Part::zero();
    let largest = numbers
        .iter()
        .fold(zero, |largest, x| Float::max(largest, x.size()));
    if largest == zero || !Float::is_finite(largest) {
        return Float::sqrt(sum);
    }
    let scaled = |x: &T| (*x / T::of(largest)).norm_squared();
    Float::sqrt(numbers.iter().map(scaled).sum::<T::Part>()) * largest
}

/// Q and R of a matrix; `q` is whole or thin as its size tells. `a` is overwritten.
pub fn qr<T: Field>(a: &Matrix<T>, q: Option<&Matrix<T>>, r: &Matrix<T>, threads: usize) {
    let mut tau = vec![<T as Gemm>::ZERO; a.rows.min(a.cols)];
    let reflectors = Reflectors::of(a, &mut tau, threads);
    for i in 0..r.rows {
        let zeros = i.min(r.cols);
        r.fill(i, 0..zeros, <T as Gemm>::ZERO);
        r.copy_row(i, zeros..r.cols, a);
    }
    if let Some(q) = q {
        reflectors.product(q, threads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex;

    /// Numbers without a pattern.
    fn number(i: usize) -> f64 {
        (i.wrapping_mul(2_654_435_761) >> 5 & 0xfff) as f64 / 4096.0 - 0.5
    }

    /// The largest errors of Q R and of Q^H Q.
    fn errors<T: Field>(m: usize, n: usize, whole: bool, of: impl Fn(usize) -> T) -> [f64; 2] {
        let (steps, zero) = (m.min(n), <T as Gemm>::ZERO);
        let width = if whole { m } else { steps };
        let original: Vec<T> = (0..m * n).map(of).collect();
        let (mut a, mut q, mut r) = (
            original.clone(),
            vec![zero; m * width],
            vec![zero; width * n],
        );
        // SAFETY: the vectors outlive the views.
        unsafe {
            let q = Matrix::over(&mut q, m, width);
            qr(
                &Matrix::over(&mut a, m, n),
                Some(&q),
                &Matrix::over(&mut r, width, n),
                1,
            );
        }
        let size = |x: T| -> f64 { num_traits::cast(x.modulus()).unwrap() };
        let sum =
            |count: usize, of: &dyn Fn(usize) -> T| (0..count).fold(zero, |sum, i| sum + of(i));
        let mut worst = [0.0f64; 2];
        for i in 0..m {
            for j in 0..n {
                let product = sum(width, &|p| q[i * width + p] * r[p * n + j]);
                worst[0] = worst[0].max(size(product - original[i * n + j]));
            }
        }
        for i in 0..width {
            for j in 0..width {
                let product = sum(m, &|p| q[p * width + i].conjugate() * q[p * width + j]);
                let one = if i == j { <T as Gemm>::ONE } else { zero };
                worst[1] = worst[1].max(size(product - one));
            }
        }
        worst
    }

    #[test]
    fn factors_multiply_back() {
        let sizes = [
            (1, 1),
            (5, 3),
            (3, 5),
            (33, 33),
            (70, 40),
            (40, 70),
            (64, 1),
        ];
        for (m, n) in sizes {
            for whole in [false, true] {
                let real = errors(m, n, whole, number);
                let complex = errors(m, n, whole, |i| Complex::new(number(i), number(i + 7)));
                let errors = [real, complex].concat();
                assert!(errors.iter().all(|&e| e < 1e-13), "{m}x{n}: {errors:?}");
            }
        }
    }

    #[test]
    fn huge_and_tiny_columns_keep_their_length() {
        for scale in [1e30f32, 1e-30, 1e-42] {
            let mut column = [3.0 * scale, 0.0, 4.0 * scale];
            let (_, beta) = reflector(&mut column);
            assert!((beta / scale + 5.0).abs() < 0.01, "{scale}: {beta}");
        }
        assert_eq!(reflector(&mut [2.0f32, 0.0]), (0.0, 2.0));
    }
}
