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
    acc.into_iter().fold(rest, |a, b| combine(a, b))
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
            unsafe { forward_lines(log, src.0, lines, range, out.0) };
        },
    );
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
    // SAFETY: the line has n elements.
    unsafe {
        let max = fold(n, T::Acc::of_f64(f64::NEG_INFINITY), |i| x.get(i), greater);
        let put = |i: usize, value: T::Acc| *y.offset(i as isize * stride) = T::narrow(value);
        let sum = fold(n, T::Acc::ZERO, |i| x.get(i).sub(max).exp(), T::Acc::add);
        if log {
            let offset = sum.ln();
            for i in 0..n {
                put(i, x.get(i).sub(max).sub(offset));
            }
        } else {
            let scale = T::Acc::ONE.div(sum);
            for i in 0..n {
                put(i, x.get(i).sub(max).exp().mul(scale));
            }
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
