//! The gradients of softmax and log-softmax.

use std::ops::Range;

use super::lane_fold::sum;
use super::multiversion::multiversion;
use super::number::{Accumulator, Real};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::softmax::Soft;

/// The gradient of softmax (`y * (g - sum(g * y))`) or log-softmax (`g - exp(y) * sum(g)`), row-major buffers.
pub struct Backward<'a, T> {
    pub log: bool,
    pub grad: &'a [T],
    pub output: &'a [T],
    /// Elements along the dimension, and between neighbours in it.
    pub size: usize,
    pub inner: usize,
}

/// Neighbouring lines that are computed together.
const COLUMNS: usize = 256;
/// Lines up to this length are computed together where they lie one behind the other, too.
const SHORT_LINE: usize = 16;

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
            unsafe {
                if self.inner == 1 && self.size > SHORT_LINE {
                    backward_lines(self, range, target.0);
                } else {
                    backward_columns(self, range, target.0);
                }
            }
        });
    }

    /// What is summed up, given gradient and output.
    #[inline(always)]
    fn term(&self, g: T::Acc, y: T::Acc) -> T::Acc {
        if self.log { g } else { g.mul(y) }
    }

    #[inline(always)]
    fn value(&self, g: T::Acc, y: T::Acc, sum: T::Acc) -> T {
        T::narrow(if self.log {
            g.sub(y.exp().mul(sum))
        } else {
            y.mul(g.sub(sum))
        })
    }
}

multiversion! {
unsafe fn backward_lines[T: Soft](b: &Backward<'_, T>, range: Range<usize>, out: *mut T) {
    for line in range {
        let (start, n) = (line * b.size, b.size);
        let (g, y) = (b.grad[start..][..n].as_ptr(), b.output[start..][..n].as_ptr());
        // SAFETY: used for the line's n elements.
        let (g, y) = unsafe { (|i: usize| (*g.add(i)).widen(), |i: usize| (*y.add(i)).widen()) };
        let total = sum(n, |i| b.term(g(i), y(i)));
        // SAFETY: the line lies in the output.
        let put = |i: usize, value| unsafe { *out.add(start + i) = value };
        // Two loops: one alone would take exponentials in either case.
        if b.log {
            (0..n).for_each(|i| put(i, b.value(g(i), y(i), total)));
        } else {
            (0..n).for_each(|i| put(i, b.value(g(i), y(i), total)));
        }
    }
}
}

multiversion! {
unsafe fn backward_columns[T: Soft](b: &Backward<'_, T>, range: Range<usize>, out: *mut T) {
    // Between neighbours in a line, and between neighbouring lines.
    let (step, apart, run) = if b.inner == 1 { (1, b.size, usize::MAX) } else { (b.inner, 1, b.inner) };
    let mut line = range.start;
    while line < range.end {
        let width = COLUMNS.min(run - line % run).min(range.end - line);
        let start = line / b.inner * b.size * b.inner + line % b.inner;
        let at = |i: usize, c: usize| start + i * step + c * apart;
        // SAFETY: lines lie in the buffers, whose length is lines * size.
        let g = |at: usize| unsafe { b.grad.get_unchecked(at).widen() };
        // SAFETY: as above.
        let y = |at: usize| unsafe { b.output.get_unchecked(at).widen() };
        let mut totals = [T::Acc::ZERO; COLUMNS];
        let totals = &mut totals[..width];
        for i in 0..b.size {
            for c in 0..width {
                totals[c] = totals[c].add(b.term(g(at(i, c)), y(at(i, c))));
            }
        }
        for i in 0..b.size {
            for c in 0..width {
                // SAFETY: as above.
                unsafe { *out.add(at(i, c)) = b.value(g(at(i, c)), y(at(i, c)), totals[c]) };
            }
        }
        line += width;
    }
}
}
