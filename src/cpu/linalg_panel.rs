//! LU of a panel of real columns, in vectors: its columns are contiguous.

use super::linalg_lanes::{lanes, size};
use super::number::{Accumulator, Real};
use super::simd::{self, Float, Simd};

/// LU with partial pivoting of columns of so many `rows`, in place: as [`super::linalg::lu`].
pub fn lu_panel<T: Float>(a: &mut [T], rows: usize, pivots: &mut [i32]) -> usize {
    assert!(a.len() >= rows * pivots.len() && pivots.len() <= rows);
    let mut info = 0;
    simd::run::<T>(Panel {
        a,
        rows,
        pivots,
        info: &mut info,
    });
    info
}

struct Panel<'a, T> {
    a: &'a mut [T],
    rows: usize,
    pivots: &'a mut [i32],
    info: &'a mut usize,
}

impl<T: Float> simd::Task<T> for Panel<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let (rows, cols) = (self.rows, self.pivots.len());
        for j in 0..cols {
            let (done, rest) = self.a.split_at_mut((j + 1) * rows);
            let column = &mut done[j * rows..];
            let pivot = j + pivot::<V>(&column[j..]);
            self.pivots[j] = pivot as i32 + 1;
            if column[pivot] == T::ZERO {
                if *self.info == 0 {
                    *self.info = j + 1;
                }
                continue;
            }
            for column in done.chunks_exact_mut(rows) {
                column.swap(j, pivot);
            }
            let column = &mut done[j * rows..];
            let top = V::splat(column[j]);
            let below = &mut column[j + 1..];
            in_vectors::<V>(below.len(), |at, count| {
                // SAFETY: inside the column.
                unsafe {
                    let x = below.as_mut_ptr().add(at);
                    V::load_part(x, count).div(top).store_part(x, count);
                }
            });
            for other in rest.chunks_exact_mut(rows).take(cols - j - 1) {
                other.swap(j, pivot);
                let factor = V::splat(T::ZERO.sub(other[j]));
                let other = &mut other[j + 1..];
                in_vectors::<V>(below.len(), |at, count| {
                    // SAFETY: inside both columns, which are equally long.
                    unsafe {
                        let (x, y) = (below.as_ptr().add(at), other.as_mut_ptr().add(at));
                        let (x, sum) = (V::load_part(x, count), V::load_part(y, count));
                        x.mul_add(factor, sum).store_part(y, count);
                    }
                });
            }
        }
    }
}

/// Where the first of the largest numbers is; the first number, if it is NaN.
#[inline(always)]
fn pivot<V: Simd>(column: &[V::T]) -> usize {
    if Accumulator::is_nan(column[0]) {
        return 0;
    }
    let none = V::splat(V::T::of_f64(-1.0));
    let mut largest = V::splat(V::T::ZERO);
    in_vectors::<V>(column.len(), |at, count| {
        // SAFETY: inside the column.
        let here = size(
            unsafe { V::load_part(column.as_ptr().add(at), count) },
            none,
        );
        largest = V::select(here.above(largest), here, largest);
    });
    let all = lanes(largest);
    let largest = all[1..]
        .iter()
        .fold(all[0], |a, &b| if b > a { b } else { a });
    let is_largest = |&x: &V::T| x == largest || V::T::ZERO.sub(x) == largest;
    column.iter().position(is_largest).unwrap_or(0)
}

/// Calls `step` with the start of every vector and how many numbers it has.
#[inline(always)]
fn in_vectors<V: Simd>(len: usize, mut step: impl FnMut(usize, usize)) {
    let whole = len / V::LANES * V::LANES;
    for at in (0..whole).step_by(V::LANES) {
        step(at, V::LANES);
    }
    if whole < len {
        step(whole, len - whole);
    }
}
