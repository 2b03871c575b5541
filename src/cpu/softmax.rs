//! Softmax, log-softmax and log-sum-exp along a dimension, each line while it is in cache.

use std::ops::Range;

use super::buffer::Buffer;
use super::lane_fold::fold;
use super::multiversion::multiversion;
use super::number::{Accumulator, Number, Real};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Dim, Lines, Walk};
use super::stream::{self, Store, write_row};

/// Exponentials taken at once, at the end of a line.
const LANES: usize = 16;
/// And before: fewer would be unrolled away before the compiler finds the loop to vectorise.
const WIDE: usize = 64;
/// Neighbouring lines that are computed together.
const COLUMNS: usize = 256;

/// Elements that softmax takes.
pub trait Soft: Number<Acc: Real> {}
impl<T: Number<Acc: Real>> Soft for T {}

/// Softmax (or its logarithm) of every line.
///
/// # Safety
/// `src` and `out` are valid for every offset of `lines`, and do not overlap or are the same.
pub unsafe fn softmax<T: Soft>(log: bool, src: *const T, lines: &Lines, out: *mut T) {
    let (src, out) = (Pointer(src.cast_mut()), Pointer(out));
    // SAFETY: every line is written by one task only.
    let columns = |walk: Walk, inner: Dim, width: usize| unsafe {
        let (src, out) = (src, out);
        let (src, out) = (src.0.offset(walk.input), out.0.offset(walk.output));
        forward_columns(log, src, lines, inner, width, out);
    };
    // SAFETY: as above.
    let rows = |range: Range<usize>| unsafe {
        let (src, out) = (src, out);
        forward_lines(log, src.0, lines, range, out.0);
    };
    for_lines(lines, columns, rows);
}

/// The logarithm of the sum of exp(x) of every line; infinite maxima stand for themselves.
///
/// # Safety
/// `src` is valid for every offset of `lines`, `out` for every output of its plan.
pub unsafe fn log_sum_exp<T: Soft>(src: *const T, lines: &Lines, out: *mut T) {
    let (src, out) = (Pointer(src.cast_mut()), Pointer(out));
    // SAFETY: every line's result is written by one task only.
    let columns = |walk: Walk, inner: Dim, width: usize| unsafe {
        let (src, out) = (src, out);
        let (src, out) = (src.0.offset(walk.input), out.0.offset(walk.output));
        log_sum_columns(src, lines, inner, width, out);
    };
    // SAFETY: as above.
    let rows = |range: Range<usize>| unsafe {
        let (src, out) = (src, out);
        log_sums(src.0, lines, range, out.0);
    };
    for_lines(lines, columns, rows);
}

/// Calls `columns` for blocks of neighbouring lines (where they start, how they are apart, how many they are) if there are
/// enough of these to fill the lanes, else `rows` for ranges of lines.
fn for_lines(
    lines: &Lines,
    columns: impl Fn(Walk, Dim, usize) + Sync,
    rows: impl Fn(Range<usize>) + Sync,
) {
    let (all, cost) = (lines.plan.outputs(), lines.size.max(1));
    let inner = match lines.plan.kept.last() {
        Some(&inner) if lines.plan.folds_columns() && inner.size >= LANES / 2 => inner,
        _ => return parallel_for(all, (grain::MATH / cost).max(1), rows),
    };
    let stripes = inner.size.div_ceil(WIDE);
    let grain = (grain::MATH / (cost * WIDE)).max(1);
    parallel_for(all / inner.size * stripes, grain, |range| {
        let mut next = range.start;
        while next < range.end {
            let (row, stripe) = (next / stripes, next % stripes);
            let some = (COLUMNS / WIDE).min(stripes - stripe).min(range.end - next);
            let first = stripe * WIDE;
            let width = (some * WIDE).min(inner.size - first);
            let walk = Walk::starting_at(&lines.plan.kept, row * inner.size + first);
            columns(walk, inner, width);
            next += some;
        }
    });
}

/// Is the element its own accumulator?
const fn is_wide<T: Number>() -> bool {
    size_of::<T>() == size_of::<T::Acc>()
}

/// NaN may get lost: it comes back with the sum of the exponentials.
#[inline(always)]
fn greater<A: Real>(a: A, b: A) -> A {
    if a > b { a } else { b }
}

#[inline(always)]
unsafe fn maximum<A: Real>(x: *const A, n: usize) -> A {
    // SAFETY: n values from x on.
    let at = |i| unsafe { *x.add(i) };
    fold(n, A::of_f64(f64::NEG_INFINITY), at, greater)
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

/// The sum of exp(x - shift) over a dense line; the powers go to `powers` if there is such a place.
#[inline(always)]
unsafe fn sum_powers<A: Real>(x: *const A, n: usize, shift: A, powers: Option<*mut A>) -> A {
    let mut sums = [A::ZERO; WIDE];
    let (wide, whole) = (n / WIDE * WIDE, n / LANES * LANES);
    // SAFETY: n values from x and powers on.
    unsafe {
        add_powers::<A, WIDE>(x, 0..wide, shift, powers, &mut sums);
        add_powers::<A, LANES>(x, wide..whole, shift, powers, &mut sums);
        if whole < n {
            let mut lanes = [shift; LANES];
            for lane in 0..n - whole {
                lanes[lane] = *x.add(whole + lane);
            }
            for lane in 0..LANES {
                lanes[lane] = lanes[lane].sub(shift).exp();
            }
            for lane in 0..n - whole {
                sums[lane] = sums[lane].add(lanes[lane]);
                if let Some(powers) = powers {
                    *powers.add(whole + lane) = lanes[lane];
                }
            }
        }
    }
    fold(WIDE, A::ZERO, |lane| sums[lane], A::add)
}

/// Adds exp(x - shift) of a whole number of strides to the sums.
#[inline(always)]
unsafe fn add_powers<A: Real, const STRIDE: usize>(
    x: *const A,
    range: Range<usize>,
    shift: A,
    powers: Option<*mut A>,
    sums: &mut [A; WIDE],
) {
    for start in range.step_by(STRIDE) {
        let mut lanes = [A::ZERO; STRIDE];
        // SAFETY: the caller's promise: a stride of values from `start` on.
        unsafe {
            for lane in 0..STRIDE {
                lanes[lane] = (*x.add(start + lane)).sub(shift).exp();
            }
            for lane in 0..STRIDE {
                sums[lane] = sums[lane].add(lanes[lane]);
            }
            if let Some(powers) = powers {
                for lane in 0..STRIDE {
                    *powers.add(start + lane) = lanes[lane];
                }
            }
        }
    }
}

/// Softmax of a dense line; `y` may be `x`, unless there is a `store`.
#[inline(always)]
unsafe fn soften<A: Real>(log: bool, x: *const A, n: usize, y: *mut A, store: Option<Store>) {
    // SAFETY: n values from x and y on.
    unsafe {
        let max = maximum(x, n);
        if log {
            let offset = sum_powers(x, n, max, None).ln();
            write_row(y, n, store, |i| (*x.add(i)).sub(max).sub(offset));
        } else {
            let scale = A::ONE.div(sum_powers(x, n, max, Some(y)));
            for i in 0..n {
                *y.add(i) = (*y.add(i)).mul(scale);
            }
        }
    }
}

/// A line's elements, widened, one behind the other.
#[inline(always)]
unsafe fn read_line<T: Soft>(line: &mut Buffer<T::Acc>, from: *const T, n: usize, stride: isize) {
    let slots = line.uninit(n);
    // SAFETY: n elements from `from` on, `stride` apart.
    unsafe {
        if stride == 1 {
            for i in 0..n {
                slots[i].write((*from.add(i)).widen());
            }
        } else {
            for i in 0..n {
                slots[i].write((*from.offset(i as isize * stride)).widen());
            }
        }
        line.set_len(n);
    }
}

multiversion! {
unsafe fn forward_lines[T: Soft](log: bool, src: *const T, lines: &Lines, range: Range<usize>, out: *mut T) {
    let (mut walk, n) = (Walk::starting_at(&lines.plan.kept, range.start), lines.size);
    // Softmax comes back to the powers that it wrote: only logarithms go around the caches.
    let bytes = 2 * lines.plan.outputs() * n * size_of::<T>();
    let store = stream::for_rows(out, n, bytes).filter(|_| log && !std::ptr::eq(src, out));
    let mut line = Buffer::new();
    for _ in range {
        // SAFETY: the walk stays inside the layout.
        unsafe {
            let (x, y) = (src.offset(walk.input), out.offset(walk.output));
            if is_wide::<T>() && lines.stride == 1 && lines.out == 1 {
                soften::<T::Acc>(log, x.cast(), n, y.cast(), store);
            } else {
                read_line(&mut line, x, n, lines.stride);
                soften(log, line.as_ptr(), n, line.as_mut_ptr(), None);
                let line = line.as_ptr();
                if lines.out == 1 {
                    for i in 0..n {
                        *y.add(i) = T::narrow(*line.add(i));
                    }
                } else {
                    for i in 0..n {
                        *y.offset(i as isize * lines.out) = T::narrow(*line.add(i));
                    }
                }
            }
        }
        walk.advance();
    }
    if store.is_some() {
        stream::finish();
    }
}
}

multiversion! {
unsafe fn log_sums[T: Soft](src: *const T, lines: &Lines, range: Range<usize>, out: *mut T) {
    let (mut walk, n) = (Walk::starting_at(&lines.plan.kept, range.start), lines.size);
    let mut line = Buffer::new();
    for _ in range {
        // SAFETY: the walk stays inside the layout.
        unsafe {
            let x = src.offset(walk.input);
            let dense: *const T::Acc = if is_wide::<T>() && lines.stride == 1 {
                x.cast()
            } else {
                read_line(&mut line, x, n, lines.stride);
                line.as_ptr()
            };
            let shift = finite_or_zero(maximum(dense, n));
            *out.offset(walk.output) = T::narrow(sum_powers(dense, n, shift, None).ln().add(shift));
        }
        walk.advance();
    }
}
}

multiversion! {
unsafe fn forward_columns[T: Soft](log: bool, x: *const T, lines: &Lines, inner: Dim, width: usize, y: *mut T) {
    // SAFETY: as the caller's: rows and columns lie inside the layout.
    unsafe {
        if inner.stride == 1 && inner.out == 1 {
            soften_columns(log, x, y, lines, (1, 1), width);
        } else {
            soften_columns(log, x, y, lines, (inner.stride, inner.out), width);
        }
    }
}
}

multiversion! {
unsafe fn log_sum_columns[T: Soft](x: *const T, lines: &Lines, inner: Dim, width: usize, y: *mut T) {
    let (mut shift, mut sum) = ([T::Acc::ZERO; COLUMNS], [T::Acc::ZERO; COLUMNS]);
    // SAFETY: as the caller's: rows and columns lie inside the layout.
    unsafe {
        if inner.stride == 1 {
            column_maxima(x, lines, 1, width, &mut shift);
        } else {
            column_maxima(x, lines, inner.stride, width, &mut shift);
        }
        for shift in &mut shift[..width] {
            *shift = finite_or_zero(*shift);
        }
        if inner.stride == 1 {
            column_sums(x, lines, 1, width, &shift, &mut sum, |_, _, _| ());
        } else {
            column_sums(x, lines, inner.stride, width, &shift, &mut sum, |_, _, _| ());
        }
        let (shift, sum) = (&shift[..width], &sum[..width]);
        for c in 0..width {
            *y.offset(c as isize * inner.out) = T::narrow(sum[c].ln().add(shift[c]));
        }
    }
}
}

#[inline(always)]
unsafe fn column_maxima<T: Soft>(
    x: *const T,
    lines: &Lines,
    step: isize,
    width: usize,
    max: &mut [T::Acc; COLUMNS],
) {
    let max = &mut max[..width];
    max.fill(T::Acc::of_f64(f64::NEG_INFINITY));
    for i in 0..lines.size as isize {
        for c in 0..width {
            // SAFETY: the caller's promise.
            let x = unsafe { (*x.offset(i * lines.stride + c as isize * step)).widen() };
            max[c] = greater(max[c], x);
        }
    }
}

/// Sums of exp(x - shift) per column; `each` gets row, column and power.
#[inline(always)]
unsafe fn column_sums<T: Soft>(
    x: *const T,
    lines: &Lines,
    step: isize,
    width: usize,
    shift: &[T::Acc; COLUMNS],
    sum: &mut [T::Acc; COLUMNS],
    each: impl Fn(isize, usize, T::Acc),
) {
    let whole = width - width % WIDE;
    for i in 0..lines.size as isize {
        // SAFETY: the caller's promise.
        let at = |c: usize| unsafe { (*x.offset(i * lines.stride + c as isize * step)).widen() };
        for c in 0..whole {
            let power = at(c).sub(shift[c]).exp();
            sum[c] = sum[c].add(power);
            each(i, c, power);
        }
        if whole == width {
            continue;
        }
        // Filled up: exponentials one by one take longer.
        let mut rest = [T::Acc::ZERO; WIDE];
        for c in whole..width {
            rest[c - whole] = at(c);
        }
        for (c, power) in rest.iter_mut().enumerate() {
            *power = power.sub(shift[whole + c]).exp();
            sum[whole + c] = sum[whole + c].add(*power);
        }
        for c in whole..width {
            each(i, c, rest[c - whole]);
        }
    }
}

#[inline(always)]
unsafe fn soften_columns<T: Soft>(
    log: bool,
    x: *const T,
    y: *mut T,
    lines: &Lines,
    (step, out_step): (isize, isize),
    width: usize,
) {
    let (mut max, mut sum) = ([T::Acc::ZERO; COLUMNS], [T::Acc::ZERO; COLUMNS]);
    let place = |i: isize, c: usize| y.wrapping_offset(i * lines.out + c as isize * out_step);
    let keeps = is_wide::<T>() && !log;
    // SAFETY: as the caller's.
    unsafe {
        column_maxima(x, lines, step, width, &mut max);
        if keeps {
            column_sums(x, lines, step, width, &max, &mut sum, |i, c, power| {
                *place(i, c) = T::narrow(power);
            });
        } else {
            column_sums(x, lines, step, width, &max, &mut sum, |_, _, _| ());
        }
        let (max, sum) = (&max[..width], &mut sum[..width]);
        for c in 0..width {
            sum[c] = if log {
                sum[c].ln()
            } else {
                T::Acc::ONE.div(sum[c])
            };
        }
        for i in 0..lines.size as isize {
            for c in 0..width {
                let x = || (*x.offset(i * lines.stride + c as isize * step)).widen();
                let value = if log {
                    x().sub(max[c]).sub(sum[c])
                } else if keeps {
                    (*place(i, c)).widen().mul(sum[c])
                } else {
                    x().sub(max[c]).exp().mul(sum[c])
                };
                *place(i, c) = T::narrow(value);
            }
        }
    }
}
