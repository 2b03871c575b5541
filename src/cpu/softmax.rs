//! Softmax, log-softmax and log-sum-exp along a dimension, each line while it is in cache.

use std::ops::Range;

use super::lane_fold::{fold, sum};
use super::multiversion::multiversion;
use super::number::{Accumulator, Number, Real};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Lines, Walk};

/// Exponentials taken at once.
const LANES: usize = 16;

/// Elements that softmax takes.
pub trait Soft: Number<Acc: Real> {}
impl<T: Number<Acc: Real>> Soft for T {}

/// A line's elements, as accumulators.
#[derive(Clone, Copy)]
struct View<T> {
    at: *const T,
    stride: isize,
}

impl<T: Soft> View<T> {
    #[inline(always)]
    unsafe fn get(self, i: usize) -> T::Acc {
        // SAFETY: i lies in the line.
        unsafe { (*self.at.offset(i as isize * self.stride)).widen() }
    }
}

#[inline(always)]
fn greater<A: Real>(a: A, b: A) -> A {
    if (a >= b) | a.is_nan() { a } else { b }
}

/// Softmax (or its logarithm) of every line.
///
/// # Safety
/// `src` and `out` are valid for every offset of `lines`, and do not overlap or are the same.
pub unsafe fn softmax<T: Soft>(log: bool, src: *const T, lines: &Lines, out: *mut T) {
    let (src, out) = (Pointer(src.cast_mut()), Pointer(out));
    parallel_for(
        lines.plan.outputs(),
        (grain::MATH / lines.size.max(1)).max(1),
        |range| {
            let (src, out) = (src, out);
            // SAFETY: every range of lines is written by one task only.
            unsafe {
                if lines.plan.folds_columns() {
                    forward_columns(log, src.0, lines, range, out.0);
                } else {
                    forward_lines(log, src.0, lines, range, out.0);
                }
            }
        },
    );
}

/// May the exponentials wait in the output? Half precision would round them.
const fn keeps<T: Number>() -> bool {
    size_of::<T>() == size_of::<T::Acc>()
}

multiversion! {
unsafe fn forward_lines[T: Soft](log: bool, src: *const T, lines: &Lines, range: Range<usize>, out: *mut T) {
    let mut walk = Walk::starting_at(&lines.plan.kept, range.start);
    let unit = lines.stride == 1 && lines.out == 1;
    for _ in range {
        // SAFETY: the walk stays inside the layout.
        unsafe {
            let (x, y) = (View { at: src.offset(walk.input), stride: lines.stride }, out.offset(walk.output));
            if unit {
                forward(log, View { stride: 1, ..x }, lines.size, y, 1);
            } else {
                forward(log, x, lines.size, y, lines.out);
            }
        }
        walk.advance();
    }
}
}

/// exp(x - max) of the elements from `start` on, zero beyond the line's end.
#[inline(always)]
unsafe fn powers<T: Soft>(x: View<T>, start: usize, n: usize, max: T::Acc) -> [T::Acc; LANES] {
    let mut lanes = [T::Acc::ZERO; LANES];
    // SAFETY: the line has n elements.
    unsafe {
        if start + LANES <= n {
            for (lane, power) in lanes.iter_mut().enumerate() {
                *power = x.get(start + lane).sub(max).exp();
            }
        } else {
            let mut rest = [max; LANES];
            for (lane, value) in rest[..n - start].iter_mut().enumerate() {
                *value = x.get(start + lane);
            }
            for (power, value) in lanes.iter_mut().zip(rest) {
                *power = value.sub(max).exp();
            }
            lanes[n - start..].fill(T::Acc::ZERO);
        }
    }
    lanes
}

/// The sum of exp(x - max) over a line; `each` gets the powers with their position and count.
#[inline(always)]
unsafe fn sum_powers<T: Soft>(
    x: View<T>,
    n: usize,
    max: T::Acc,
    each: impl Fn(usize, &[T::Acc]),
) -> T::Acc {
    let mut sums = [T::Acc::ZERO; LANES];
    for start in (0..n).step_by(LANES) {
        // SAFETY: as the caller's.
        let powers = unsafe { powers(x, start, n, max) };
        for (sum, &power) in sums.iter_mut().zip(&powers) {
            *sum = sum.add(power);
        }
        if start + LANES <= n {
            each(start, &powers);
        } else {
            each(start, &powers[..n - start]);
        }
    }
    sum(LANES, |lane| sums[lane])
}

#[inline(always)]
unsafe fn forward<T: Soft>(log: bool, x: View<T>, n: usize, y: *mut T, stride: isize) {
    let out = View {
        at: y.cast_const(),
        stride,
    };
    // SAFETY: the line has n elements.
    unsafe {
        let put = |i: usize, value: T::Acc| *y.offset(i as isize * stride) = T::narrow(value);
        let max = fold(n, T::Acc::of_f64(f64::NEG_INFINITY), |i| x.get(i), greater);
        if log {
            let offset = sum_powers(x, n, max, |_, _| ()).ln();
            (0..n).for_each(|i| put(i, x.get(i).sub(max).sub(offset)));
        } else if keeps::<T>() {
            let store = |start: usize, powers: &[T::Acc]| {
                powers
                    .iter()
                    .enumerate()
                    .for_each(|(i, &power)| put(start + i, power));
            };
            let scale = T::Acc::ONE.div(sum_powers(x, n, max, store));
            (0..n).for_each(|i| put(i, out.get(i).mul(scale)));
        } else {
            let scale = T::Acc::ONE.div(sum_powers(x, n, max, |_, _| ()));
            (0..n).for_each(|i| put(i, x.get(i).sub(max).exp().mul(scale)));
        }
    }
}

/// The logarithm of the sum of exp(x) of every line; infinite maxima stand for themselves.
///
/// # Safety
/// `src` is valid for every offset of `lines`, `out` for every output of its plan.
pub unsafe fn log_sum_exp<T: Soft>(src: *const T, lines: &Lines, out: *mut T) {
    let (src, out) = (Pointer(src.cast_mut()), Pointer(out));
    parallel_for(
        lines.plan.outputs(),
        (grain::MATH / lines.size.max(1)).max(1),
        |range| {
            let (src, out) = (src, out);
            // SAFETY: every range of lines is written by one task only.
            unsafe {
                if lines.plan.folds_columns() {
                    log_sum_columns(src.0, lines, range, out.0);
                } else {
                    log_sums(src.0, lines, range, out.0);
                }
            }
        },
    );
}

multiversion! {
unsafe fn log_sums[T: Soft](src: *const T, lines: &Lines, range: Range<usize>, out: *mut T) {
    let mut walk = Walk::starting_at(&lines.plan.kept, range.start);
    for _ in range {
        // SAFETY: the walk stays inside the layout.
        unsafe {
            let x = View { at: src.offset(walk.input), stride: lines.stride };
            let sum = if x.stride == 1 { log_sum(View { stride: 1, ..x }, lines.size) } else { log_sum(x, lines.size) };
            *out.offset(walk.output) = T::narrow(sum);
        }
        walk.advance();
    }
}
}

#[inline(always)]
unsafe fn log_sum<T: Soft>(x: View<T>, n: usize) -> T::Acc {
    // SAFETY: the line has n elements.
    unsafe {
        let max = fold(n, T::Acc::of_f64(f64::NEG_INFINITY), |i| x.get(i), greater);
        let shift = finite_or_zero(max);
        sum_powers(x, n, shift, |_, _| ()).ln().add(shift)
    }
}

/// What is subtracted before exponentials are taken: no infinity, which would leave NaN.
#[inline(always)]
fn finite_or_zero<A: Real>(max: A) -> A {
    if max.to_f64().is_infinite() {
        A::ZERO
    } else {
        max
    }
}

/// Neighbouring lines that are computed together.
const COLUMNS: usize = 64;

multiversion! {
unsafe fn forward_columns[T: Soft](log: bool, src: *const T, lines: &Lines, range: Range<usize>, out: *mut T) {
    let Some(inner) = lines.plan.kept.last() else { return };
    let mut next = range.start;
    while next < range.end {
        let width = COLUMNS.min(inner.size - next % inner.size).min(range.end - next);
        let walk = Walk::starting_at(&lines.plan.kept, next);
        // SAFETY: `width` columns from here lie in one run of the innermost kept dimension.
        unsafe {
            let (x, y) = (src.offset(walk.input), out.offset(walk.output));
            if inner.stride == 1 && inner.out == 1 {
                column_block(log, x, y, lines, (1, 1), width);
            } else {
                column_block(log, x, y, lines, (inner.stride, inner.out), width);
            }
        }
        next += width;
    }
}
}

#[inline(always)]
unsafe fn column_block<T: Soft>(
    log: bool,
    x: *const T,
    y: *mut T,
    lines: &Lines,
    (step, out_step): (isize, isize),
    width: usize,
) {
    // SAFETY: rows and columns lie inside the layout.
    let at = |i: usize, c: usize| unsafe {
        (*x.offset(i as isize * lines.stride + c as isize * step)).widen()
    };
    let place =
        |i: usize, c: usize| y.wrapping_offset(i as isize * lines.out + c as isize * out_step);
    let max = column_maxima(lines.size, width, at);
    let mut sum = [T::Acc::ZERO; COLUMNS];
    for i in 0..lines.size {
        for (c, (sum, &max)) in sum[..width].iter_mut().zip(&max).enumerate() {
            let power = at(i, c).sub(max).exp();
            *sum = sum.add(power);
            if keeps::<T>() && !log {
                // SAFETY: as above.
                unsafe { *place(i, c) = T::narrow(power) };
            }
        }
    }
    for total in &mut sum[..width] {
        *total = if log {
            total.ln()
        } else {
            T::Acc::ONE.div(*total)
        };
    }
    for i in 0..lines.size {
        for (c, (&sum, &max)) in sum[..width].iter().zip(&max).enumerate() {
            // SAFETY: as above.
            unsafe {
                let value = if log {
                    at(i, c).sub(max).sub(sum)
                } else if keeps::<T>() {
                    (*place(i, c)).widen().mul(sum)
                } else {
                    at(i, c).sub(max).exp().mul(sum)
                };
                *place(i, c) = T::narrow(value);
            }
        }
    }
}

#[inline(always)]
fn column_maxima<A: Real>(
    rows: usize,
    width: usize,
    at: impl Fn(usize, usize) -> A,
) -> [A; COLUMNS] {
    let mut max = [A::of_f64(f64::NEG_INFINITY); COLUMNS];
    for i in 0..rows {
        for (c, max) in max[..width].iter_mut().enumerate() {
            *max = greater(*max, at(i, c));
        }
    }
    max
}

multiversion! {
unsafe fn log_sum_columns[T: Soft](src: *const T, lines: &Lines, range: Range<usize>, out: *mut T) {
    let Some(inner) = lines.plan.kept.last() else { return };
    let mut next = range.start;
    while next < range.end {
        let width = COLUMNS.min(inner.size - next % inner.size).min(range.end - next);
        let walk = Walk::starting_at(&lines.plan.kept, next);
        // SAFETY: `width` columns from here lie in one run of the innermost kept dimension.
        let at = |i: usize, c: usize| unsafe {
            (*src.offset(walk.input + i as isize * lines.stride + c as isize * inner.stride)).widen()
        };
        let shift = column_maxima(lines.size, width, at).map(finite_or_zero);
        let mut sum = [T::Acc::ZERO; COLUMNS];
        for i in 0..lines.size {
            for (c, (sum, &shift)) in sum[..width].iter_mut().zip(&shift).enumerate() {
                *sum = sum.add(at(i, c).sub(shift).exp());
            }
        }
        for (c, (sum, &shift)) in sum[..width].iter().zip(&shift).enumerate() {
            // SAFETY: as above.
            unsafe { *out.offset(walk.output + c as isize * inner.out) = T::narrow(sum.ln().add(shift)) };
        }
        next += width;
    }
}
}
