//! Householder reflections of real columns, in vectors.

use super::number::{Accumulator, Real};
use super::simd::{self, Float, Simd};

/// Columns that are reflected together, so that the vector is read once for all of them.
const TOGETHER: usize = 4;

/// The sum of squares.
pub fn squares<T: Float>(numbers: &[T]) -> T {
    let mut sum = T::ZERO;
    simd::run::<T>(Squares {
        numbers,
        sum: &mut sum,
    });
    sum
}

/// Subtracts `factor` times `v v^T` times each of `count` columns, which lie `by` apart, from them.
pub fn reflect<T: Float>(v: &[T], factor: T, columns: &mut [T], by: usize, count: usize) {
    assert!(count == 0 || columns.len() >= (count - 1) * by + v.len());
    simd::run::<T>(Reflect {
        v,
        factor,
        columns,
        by,
        count,
    });
}

struct Squares<'a, T> {
    numbers: &'a [T],
    sum: &'a mut T,
}

impl<T: Float> simd::Task<T> for Squares<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let numbers = self.numbers;
        let mut sums = [V::splat(T::ZERO); TOGETHER];
        let step = TOGETHER * V::LANES;
        let whole = numbers.len() / step * step;
        for at in (0..whole).step_by(step) {
            for i in 0..TOGETHER {
                // SAFETY: inside the slice.
                let x = unsafe { V::load(numbers.as_ptr().add(at + i * V::LANES)) };
                sums[i] = x.mul_add(x, sums[i]);
            }
        }
        for at in (whole..numbers.len()).step_by(V::LANES) {
            let count = V::LANES.min(numbers.len() - at);
            // SAFETY: inside the slice.
            let x = unsafe { V::load_part(numbers.as_ptr().add(at), count) };
            sums[0] = x.mul_add(x, sums[0]);
        }
        *self.sum = sums[0].add(sums[1]).add(sums[2].add(sums[3])).total();
    }
}

struct Reflect<'a, T> {
    v: &'a [T],
    factor: T,
    columns: &'a mut [T],
    by: usize,
    count: usize,
}

impl<T: Float> simd::Task<T> for Reflect<'_, T> {
    #[inline(always)]
    fn run<V: Simd<T = T>>(self) {
        let mut first = self.columns.as_mut_ptr();
        let mut left = self.count;
        // SAFETY: `reflect` compared the lengths.
        unsafe {
            while left >= TOGETHER {
                reflect_some::<V, TOGETHER, 1>(self.v, self.factor, first, self.by);
                first = first.wrapping_add(TOGETHER * self.by);
                left -= TOGETHER;
            }
            while left > 0 {
                reflect_some::<V, 1, TOGETHER>(self.v, self.factor, first, self.by);
                first = first.wrapping_add(self.by);
                left -= 1;
            }
        }
    }
}

/// Reflects `N` columns, with `M` sums of each.
///
/// # Safety
/// The columns are as long as the vector.
#[inline(always)]
unsafe fn reflect_some<V: Simd, const N: usize, const M: usize>(
    v: &[V::T],
    factor: V::T,
    columns: *mut V::T,
    by: usize,
) {
    let step = M * V::LANES;
    let whole = v.len() / step * step;
    let part = |at: usize| V::LANES.min(v.len() - at);
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::splat(V::T::ZERO); M]; N];
        for first in (0..whole).step_by(step) {
            for m in 0..M {
                let at = first + m * V::LANES;
                let x = V::load(v.as_ptr().add(at));
                for n in 0..N {
                    sums[n][m] = x.mul_add(V::load(columns.add(n * by + at)), sums[n][m]);
                }
            }
        }
        for at in (whole..v.len()).step_by(V::LANES) {
            let x = V::load_part(v.as_ptr().add(at), part(at));
            for n in 0..N {
                let column = V::load_part(columns.add(n * by + at), part(at));
                sums[n][0] = x.mul_add(column, sums[n][0]);
            }
        }
        let mut factors = [V::splat(V::T::ZERO); N];
        for n in 0..N {
            for m in 1..M {
                sums[n][0] = sums[n][0].add(sums[n][m]);
            }
            factors[n] = V::splat(V::T::ZERO.sub(factor.mul(sums[n][0].total())));
        }
        for first in (0..whole).step_by(step) {
            for m in 0..M {
                let at = first + m * V::LANES;
                let x = V::load(v.as_ptr().add(at));
                for n in 0..N {
                    let column = columns.add(n * by + at);
                    x.mul_add(factors[n], V::load(column)).store(column);
                }
            }
        }
        for at in (whole..v.len()).step_by(V::LANES) {
            let x = V::load_part(v.as_ptr().add(at), part(at));
            for n in 0..N {
                let column = columns.add(n * by + at);
                let sum = x.mul_add(factors[n], V::load_part(column, part(at)));
                sum.store_part(column, part(at));
            }
        }
    }
}
