//! Triangular systems of few right-hand sides by substitution: dot products of rows and what is solved, in vectors.

use super::number::{Accumulator, Real};
use super::simd::{self, Float, Simd};

/// A triangle by rows, whose starts lie `by` apart, with ones on its diagonal if `unit`.
#[derive(Clone, Copy)]
pub struct Triangle<T> {
    pub first: *const T,
    pub by: isize,
    pub n: usize,
    pub upper: bool,
    pub unit: bool,
}

/// Right-hand sides that are solved together, so that a row is read once for all of them.
const TOGETHER: usize = 4;

/// Solves in place for columns of `n` numbers, one after another.
///
/// # Safety
/// The triangle lies in live memory.
pub unsafe fn substitute<T: Float>(a: Triangle<T>, columns: &mut [T]) {
    simd::run::<T>(Substitute { a, columns });
}

struct Substitute<'a, T> {
    a: Triangle<T>,
    columns: &'a mut [T],
}

impl<T: Float> simd::Task<T> for Substitute<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let n = self.a.n;
        for columns in self.columns.chunks_mut(TOGETHER * n.max(1)) {
            // SAFETY: the promise of `substitute`; the columns are whole.
            unsafe {
                match columns.len() / n {
                    TOGETHER => solve::<V, TOGETHER>(self.a, columns),
                    _ => columns
                        .chunks_exact_mut(n)
                        .for_each(|column| solve::<V, 1>(self.a, column)),
                }
            }
        }
    }
}

/// # Safety
/// As for [`substitute`]; there are `N` columns.
#[inline(always)]
unsafe fn solve<V: Simd, const N: usize>(a: Triangle<V::T>, columns: &mut [V::T]) {
    let x = columns.as_mut_ptr();
    for step in 0..a.n {
        let i = if a.upper { a.n - 1 - step } else { step };
        let known = if a.upper { i + 1..a.n } else { 0..i };
        let row = a.first.wrapping_offset(i as isize * a.by);
        let mut sums = [V::splat(V::T::ZERO); N];
        // SAFETY: the caller's promise.
        unsafe {
            let whole = known.start + known.len() / V::LANES * V::LANES;
            for at in (known.start..whole).step_by(V::LANES) {
                let factors = V::load(row.add(at));
                for c in 0..N {
                    sums[c] = factors.mul_add(V::load(x.add(c * a.n + at)), sums[c]);
                }
            }
            if whole < known.end {
                let count = known.end - whole;
                let factors = V::load_part(row.add(whole), count);
                for c in 0..N {
                    let part = V::load_part(x.add(c * a.n + whole), count);
                    sums[c] = factors.mul_add(part, sums[c]);
                }
            }
            for c in 0..N {
                let to = x.add(c * a.n + i);
                let rest = (*to).sub(sums[c].total());
                *to = if a.unit { rest } else { rest.div(*row.add(i)) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_multiply_back() {
        for (n, count) in [(1, 1), (5, 4), (17, 1), (40, 4), (70, 3)] {
            let number = |i: usize| (i * 37 % 11) as f64 / 11.0 - 0.4;
            for (upper, unit) in [(false, false), (true, false), (false, true), (true, true)] {
                let entry = |at: usize| {
                    if at.is_multiple_of(n + 1) {
                        n as f64
                    } else {
                        number(at)
                    }
                };
                let a: Vec<f64> = (0..n * n).map(entry).collect();
                let b: Vec<f64> = (0..n * count).map(|i| number(i + 3)).collect();
                let mut x = b.clone();
                let first = a.as_ptr();
                let by = n as isize;
                let triangle = Triangle {
                    first,
                    by,
                    n,
                    upper,
                    unit,
                };
                // SAFETY: the vector outlives the triangle.
                unsafe { substitute(triangle, &mut x) };
                for (at, &right) in b.iter().enumerate() {
                    let (column, i) = (&x[at / n * n..][..n], at % n);
                    let known = if upper { i + 1..n } else { 0..i };
                    let own = if unit { 1.0 } else { a[i * n + i] };
                    let terms = known.map(|p| a[i * n + p] * column[p]);
                    let scale = column.iter().fold(1.0f64, |most, x| most.max(x.abs()));
                    let rest = terms.sum::<f64>() + own * column[i] - right;
                    assert!(rest.abs() < 1e-12 * scale * n as f64, "n = {n}, {count}");
                }
            }
        }
    }
}
