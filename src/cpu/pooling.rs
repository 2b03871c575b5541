//! Pooling over windows in up to three dimensions: maxima with their positions, averages, and the way back.
//!
//! Plain, adaptive and fractional pooling differ only in their windows, given per axis.

use super::frame::Axis;
use super::pool::{self, grain};
use super::pool_frames::Divisor;
use super::simd::Float;
use std::ops::{AddAssign, Mul, Range};

/// Elements along a row from which on a window is wide.
const WIDE: usize = 6;

/// What one output position sees along one axis: `start, start + step, ..` below `end`. `count` is its share of
/// the divisor of an average.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub step: usize,
    pub count: usize,
}

/// `planes` contiguous inputs of three dimensions, and the windows along each.
pub struct Pooling {
    pub planes: usize,
    pub input: [usize; 3],
    /// Per plane where they differ between planes, else one set.
    pub spans: [Vec<Span>; 3],
    /// Length of a set of spans along each axis: the size of the output.
    pub output: [usize; 3],
    /// The windows where they move evenly.
    pub axes: Option<[Axis; 3]>,
}

impl Pooling {
    fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    fn span(&self, plane: usize, axis: usize, at: usize) -> Span {
        let spans = &self.spans[axis];
        let base = if spans.len() > self.output[axis] {
            plane * self.output[axis]
        } else {
            0
        };
        spans[base + at]
    }

    fn for_each_plane(&self, body: impl Fn(usize) + Sync) {
        self.for_planes(|range| range.for_each(&body));
    }

    /// Calls `body` with ranges of planes.
    pub(super) fn for_planes(&self, body: impl Fn(Range<usize>) + Sync) {
        let grain = grain::REDUCE / self.input_len().max(self.output_len()).max(1) + 1;
        pool::parallel_for(self.planes, grain, body);
    }

    /// The window of an output position.
    pub(super) fn window(&self, plane: usize, o: usize) -> [Span; 3] {
        let [_, height, width] = self.output;
        [
            self.span(plane, 0, o / (height * width)),
            self.span(plane, 1, o / width % height),
            self.span(plane, 2, o % width),
        ]
    }

    /// Are windows so wide that vectors lie along their rows?
    pub fn is_wide(&self) -> bool {
        let wide = |span: &Span| span.step == 1 && span.end - span.start >= WIDE;
        !self.spans[2].is_empty() && self.spans[2].iter().all(wide)
    }

    /// Calls `visit(output position, windows)` for every output position of a plane.
    #[inline(always)]
    fn for_each_window(&self, plane: usize, mut visit: impl FnMut(usize, [Span; 3])) {
        let [depth, height, width] = self.output;
        let mut at = 0;
        for d in 0..depth {
            let along_depth = self.span(plane, 0, d);
            for h in 0..height {
                let along_height = self.span(plane, 1, h);
                for w in 0..width {
                    visit(at, [along_depth, along_height, self.span(plane, 2, w)]);
                    at += 1;
                }
            }
        }
    }

    /// Calls `visit(input position)` for every element of a window.
    #[inline(always)]
    fn for_each_element(&self, [d, h, w]: [Span; 3], mut visit: impl FnMut(usize)) {
        for i in (d.start..d.end).step_by(d.step) {
            for j in (h.start..h.end).step_by(h.step) {
                let row = (i * self.input[1] + j) * self.input[2];
                if w.step == 1 {
                    (row + w.start..row + w.end).for_each(&mut visit);
                } else {
                    (row + w.start..row + w.end)
                        .step_by(w.step)
                        .for_each(&mut visit);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Shared<T>(*mut T);
// SAFETY: every plane is written by one task.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[allow(clippy::mut_from_ref)] // planes are disjoint
    unsafe fn slice(&self, plane: usize, len: usize) -> &mut [T] {
        // SAFETY: the caller knows that the plane exists and is its own.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(plane * len), len) }
    }
}

/// Maxima and their positions in the plane; NaN is larger than everything.
///
/// # Safety
/// `input` has the planes, `values` and `positions` those of the output.
pub unsafe fn max<T: Copy + PartialOrd + Send + Sync>(
    p: &Pooling,
    input: *const T,
    values: *mut T,
    positions: *mut i64,
) {
    let (input, values, positions) = (Shared(input.cast_mut()), Shared(values), Shared(positions));
    p.for_each_plane(|plane| {
        // SAFETY: the caller's promise.
        let (x, y, at) = unsafe {
            let out = p.output_len();
            (
                input.slice(plane, p.input_len()),
                values.slice(plane, out),
                positions.slice(plane, out),
            )
        };
        p.for_each_window(plane, |o, window| {
            let mut best =
                (window[0].start * p.input[1] + window[1].start) * p.input[2] + window[2].start;
            let mut top = x[best];
            p.for_each_element(window, |i| {
                let v = x[i];
                // Not equal to itself: NaN.
                #[allow(clippy::eq_op)]
                if v > top || v != v {
                    (best, top) = (i, v);
                }
            });
            y[o] = top;
            at[o] = best as i64;
        });
    });
}

/// A number with means.
pub trait Mean: Copy + AddAssign + Mul<Output = Self> + Send + Sync {
    const ZERO: Self;
    /// One part of `count`; `value` is multiplied or divided as the type demands.
    fn divided(self, count: i64) -> Self;
}

macro_rules! mean {
    ($($T:ty, $zero:literal);*) => {$(
        impl Mean for $T {
            const ZERO: Self = $zero;
            #[inline(always)]
            fn divided(self, count: i64) -> Self {
                self / count as $T
            }
        }
    )*};
}

mean!(f32, 0.0; f64, 0.0; i64, 0);

pub(super) fn divisor(window: [Span; 3], fixed: Option<i64>) -> i64 {
    fixed.unwrap_or_else(|| window.iter().map(|span| span.count as i64).product())
}

/// The divisors of a plane.
pub fn divisors<T: Float>(p: &Pooling, fixed: Option<i64>) -> Divisor<T> {
    let mut all = Vec::with_capacity(p.output_len());
    p.for_each_window(0, |_, window| {
        all.push(T::of_f64(divisor(window, fixed) as f64));
    });
    match all[..] {
        [first, ..] if all.iter().all(|&d| d == first) => Divisor::One(first),
        _ => Divisor::PerOutput(all),
    }
}

/// Averages; `fixed` replaces the number of elements.
///
/// # Safety
/// As for [`max`].
pub unsafe fn average<T: Mean>(p: &Pooling, fixed: Option<i64>, input: *const T, output: *mut T) {
    let (input, output) = (Shared(input.cast_mut()), Shared(output));
    p.for_each_plane(|plane| {
        // SAFETY: the caller's promise.
        let (x, y) = unsafe {
            (
                input.slice(plane, p.input_len()),
                output.slice(plane, p.output_len()),
            )
        };
        p.for_each_window(plane, |o, window| {
            let mut sum = T::ZERO;
            p.for_each_element(window, |i| sum += x[i]);
            y[o] = sum.divided(divisor(window, fixed));
        });
    });
}

/// The adjoint of [`average`].
///
/// # Safety
/// As for [`max`]; here `input` is written.
pub unsafe fn spread<T: Mean>(p: &Pooling, fixed: Option<i64>, output: *const T, input: *mut T) {
    let (input, output) = (Shared(input), Shared(output.cast_mut()));
    p.for_each_plane(|plane| {
        // SAFETY: the caller's promise.
        let (x, y) = unsafe {
            (
                input.slice(plane, p.input_len()),
                output.slice(plane, p.output_len()),
            )
        };
        x.fill(T::ZERO);
        p.for_each_window(plane, |o, window| {
            let part = y[o].divided(divisor(window, fixed));
            p.for_each_element(window, |i| x[i] += part);
        });
    });
}

/// `output[plane, o] = input[plane, positions[plane, o]]`.
///
/// # Safety
/// The arrays have `planes` planes of `len` and `out_len` elements; positions are below `len`.
pub unsafe fn pick<T: Copy + Send + Sync>(
    (planes, len, out_len): (usize, usize, usize),
    input: *const T,
    positions: *const i64,
    output: *mut T,
) {
    let (input, positions, output) = (
        Shared(input.cast_mut()),
        Shared(positions.cast_mut()),
        Shared(output),
    );
    pool::parallel_for(planes, grain::INDEX / out_len.max(1) + 1, |range| {
        for plane in range {
            // SAFETY: the caller's promise.
            let (x, at, y) = unsafe {
                (
                    input.slice(plane, len),
                    positions.slice(plane, out_len),
                    output.slice(plane, out_len),
                )
            };
            y.iter_mut()
                .zip(at)
                .for_each(|(y, &mut at)| *y = x[at as usize]);
        }
    });
}

/// The adjoint of [`pick`]: adds every output to the input that it came from, in planes of zeros; or puts it there if
/// not `adding`, so that the last of equal positions counts.
///
/// # Safety
/// As for [`pick`]; here `input` is written.
pub unsafe fn put_back<T: Copy + AddAssign + Send + Sync>(
    (planes, len, out_len): (usize, usize, usize),
    (zero, adding): (T, bool),
    output: *const T,
    positions: *const i64,
    input: *mut T,
) {
    let (input, positions, output) = (
        Shared(input),
        Shared(positions.cast_mut()),
        Shared(output.cast_mut()),
    );
    pool::parallel_for(planes, grain::INDEX / len.max(1) + 1, |range| {
        for plane in range {
            // SAFETY: the caller's promise.
            let (x, at, y) = unsafe {
                (
                    input.slice(plane, len),
                    positions.slice(plane, out_len),
                    output.slice(plane, out_len),
                )
            };
            x.fill(zero);
            for (&y, &at) in y.iter().zip(at.iter()) {
                if adding {
                    x[at as usize] += y;
                } else {
                    x[at as usize] = y;
                }
            }
        }
    });
}
