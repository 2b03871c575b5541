//! Softmax and log-softmax along a dimension, forward and backward, each line while it is in cache.

use std::ops::Range;

use super::multiversion::multiversion;
use super::number::{Accumulator, Number, Real};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Lines, Walk};

/// Independent accumulators per line.
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

/// Folds f(i) over a line in independent lanes.
#[inline(always)]
fn fold<A: Copy>(n: usize, identity: A, f: impl Fn(usize) -> A, combine: impl Fn(A, A) -> A) -> A {
    let mut acc = [identity; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, a) in acc.iter_mut().enumerate() {
            *a = combine(*a, f(start + lane));
        }
    }
    let rest = (whole..n).fold(identity, |a, i| combine(a, f(i)));
    acc.into_iter().fold(rest, combine)
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
                if lines.plan.is_vertical() {
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
        let power = |i: usize| x.get(i).sub(max).exp();
        if log {
            let offset = fold(n, T::Acc::ZERO, power, T::Acc::add).ln();
            for i in 0..n {
                put(i, x.get(i).sub(max).sub(offset));
            }
            return;
        }
        if keeps::<T>() {
            for i in 0..n {
                put(i, power(i));
            }
            let scale = T::Acc::ONE.div(fold(n, T::Acc::ZERO, |i| out.get(i), T::Acc::add));
            for i in 0..n {
                put(i, out.get(i).mul(scale));
            }
        } else {
            let scale = T::Acc::ONE.div(fold(n, T::Acc::ZERO, power, T::Acc::add));
            for i in 0..n {
                put(i, power(i).mul(scale));
            }
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
            unsafe { log_sums(src.0, lines, range, out.0) };
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
        let shift = if max.to_f64().is_infinite() {
            T::Acc::ZERO
        } else {
            max
        };
        fold(n, T::Acc::ZERO, |i| x.get(i).sub(shift).exp(), T::Acc::add)
            .ln()
            .add(shift)
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
    let mut max = [T::Acc::of_f64(f64::NEG_INFINITY); COLUMNS];
    let mut sum = [T::Acc::ZERO; COLUMNS];
    for i in 0..lines.size {
        for (c, max) in max[..width].iter_mut().enumerate() {
            *max = greater(*max, at(i, c));
        }
    }
    for i in 0..lines.size {
        for (c, (sum, &max)) in sum[..width].iter_mut().zip(&max).enumerate() {
            *sum = sum.add(at(i, c).sub(max).exp());
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
            let x = at(i, c).sub(max);
            let value = if log { x.sub(sum) } else { x.exp().mul(sum) };
            // SAFETY: as above.
            unsafe { *place(i, c) = T::narrow(value) };
        }
    }
}

/// The gradient of softmax (`y * (g - sum(g * y))`) or log-softmax (`g - exp(y) * sum(g)`), row-major buffers.
pub struct Backward<'a, T> {
    pub log: bool,
    pub grad: &'a [T],
    pub output: &'a [T],
    /// Elements along the dimension, and between neighbours in it.
    pub size: usize,
    pub inner: usize,
}

impl<T: Soft> Backward<'_, T> {
    pub fn run(&self, out: &mut [T]) {
        if self.size == 0 || self.inner == 0 {
            return;
        }
        let lines = out.len() / self.size;
        let target = Pointer(out.as_mut_ptr());
        parallel_for(lines, (grain::MATH / self.size).max(1), |range| {
            let target = target;
            // SAFETY: lines do not overlap, and each belongs to one task.
            unsafe { backward_lines(self, range, target.0) };
        });
    }

    #[inline(always)]
    unsafe fn line(&self, at: usize, stride: usize, out: *mut T) {
        let (g, y) = (
            View {
                at: self.grad.as_ptr(),
                stride: 1,
            },
            View {
                at: self.output.as_ptr(),
                stride: 1,
            },
        );
        // SAFETY: lines lie in the buffers, which have the same length.
        let (g, y) = unsafe {
            (
                |i: usize| g.get(at + i * stride),
                |i: usize| y.get(at + i * stride),
            )
        };
        // SAFETY: positions lie in the line.
        let put = |i: usize, value: T::Acc| unsafe { *out.add(at + i * stride) = T::narrow(value) };
        if self.log {
            let sum = fold(self.size, T::Acc::ZERO, g, T::Acc::add);
            for i in 0..self.size {
                put(i, g(i).sub(y(i).exp().mul(sum)));
            }
        } else {
            let sum = fold(self.size, T::Acc::ZERO, |i| g(i).mul(y(i)), T::Acc::add);
            for i in 0..self.size {
                put(i, y(i).mul(g(i).sub(sum)));
            }
        }
    }
}

multiversion! {
unsafe fn backward_lines[T: Soft](b: &Backward<'_, T>, range: Range<usize>, out: *mut T) {
    for line in range {
        let at = line / b.inner * b.size * b.inner + line % b.inner;
        // SAFETY: the line lies in the buffers, whose length is lines * size.
        unsafe {
            if b.inner == 1 {
                b.line(at, 1, out);
            } else {
                b.line(at, b.inner, out);
            }
        }
    }
}
}
