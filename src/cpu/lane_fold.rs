//! Folding a run of values in independent lanes, for loops that a `multiversion!` function compiles.

use std::mem::size_of;

use super::number::Accumulator;

/// Folds `f(i)` over `0..n`: wide strides of lanes that meet as a tree, then narrow ones, then single values.
#[inline(always)]
pub fn fold<A: Copy>(
    n: usize,
    identity: A,
    f: impl Fn(usize) -> A + Copy,
    combine: impl Fn(A, A) -> A + Copy,
) -> A {
    let (wide, narrow);
    if size_of::<A>() <= 4 {
        wide = n / 64 * 64;
        narrow = n / 16 * 16;
        let first = lanes::<A, 64>(0, wide, identity, f, combine);
        let second = lanes::<A, 16>(wide, narrow, identity, f, combine);
        (narrow..n).fold(combine(first, second), |acc, i| combine(acc, f(i)))
    } else {
        wide = n / 32 * 32;
        narrow = n / 8 * 8;
        let first = lanes::<A, 32>(0, wide, identity, f, combine);
        let second = lanes::<A, 8>(wide, narrow, identity, f, combine);
        (narrow..n).fold(combine(first, second), |acc, i| combine(acc, f(i)))
    }
}

/// The sum of `f(i)` over `0..n`.
#[inline(always)]
pub fn sum<A: Accumulator>(n: usize, f: impl Fn(usize) -> A + Copy) -> A {
    fold(n, A::ZERO, f, A::add)
}

/// `from..to` is a whole number of strides.
#[inline(always)]
fn lanes<A: Copy, const LANES: usize>(
    from: usize,
    to: usize,
    identity: A,
    f: impl Fn(usize) -> A,
    combine: impl Fn(A, A) -> A,
) -> A {
    if from == to {
        return identity;
    }
    let mut acc = [identity; LANES];
    for start in (from..to).step_by(LANES) {
        for (lane, a) in acc.iter_mut().enumerate() {
            *a = combine(*a, f(start + lane));
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            acc[lane] = combine(acc[lane], acc[lane + width]);
        }
        width /= 2;
    }
    acc[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_folded_once() {
        for n in [0, 1, 7, 8, 16, 63, 64, 65, 100, 129, 1000] {
            let want = (0..n as i64).sum::<i64>();
            assert_eq!(sum(n, |i| i as i64), want);
            assert_eq!(f64::from(sum(n, |i| i as f32)), want as f64);
        }
    }
}
