//! Scans along a dimension: running sums, products and log-sum-exps.

use std::mem::MaybeUninit;
use std::ops::Range;

use num_complex::Complex;

use super::number::{Accumulator, Number};
use super::pool::{grain, parallel_for};
use super::reduce::Pointer;
use super::reduce_plan::{Lines, Walk};

/// Neighbouring lines that advance together.
const COLUMNS: usize = 128;

/// One scan: how the running value starts, takes up an element, and is written.
pub trait Scan<T>: Copy + Send + Sync {
    type Acc: Copy + Send + Sync;
    type Out: Copy + Send + Sync;
    fn identity(&self) -> Self::Acc;
    fn step(&self, acc: Self::Acc, x: T) -> Self::Acc;
    fn write(&self, acc: Self::Acc) -> Self::Out;
}

#[derive(Clone, Copy)]
pub struct CumSum;

#[derive(Clone, Copy)]
pub struct CumProd;

macro_rules! running {
    ($($name:ident $identity:ident $step:ident;)*) => {$(
        impl<T: Number> Scan<T> for $name {
            type Acc = T::Precise;
            type Out = T::Total;
            #[inline(always)]
            fn identity(&self) -> T::Precise { T::Precise::$identity }
            #[inline(always)]
            fn step(&self, acc: T::Precise, x: T) -> T::Precise { acc.$step(x.precise()) }
            #[inline(always)]
            fn write(&self, acc: T::Precise) -> T::Total { T::total_of_precise(acc) }
        }
    )*};
}
running! {
    CumSum ZERO add;
    CumProd ONE mul;
}

/// Types that log-sum-exps are computed in.
pub trait LogAddExp: Accumulator {
    const LOG_ZERO: Self;
    fn log_add_exp(self, other: Self) -> Self;
}

macro_rules! log_add_exp {
    ($($t:ident)*) => {$(
        impl LogAddExp for $t {
            const LOG_ZERO: $t = $t::NEG_INFINITY;
            #[inline]
            fn log_add_exp(self, other: $t) -> $t {
                let (low, high) = if self < other || self.is_nan() { (other, self) } else { (self, other) };
                let (low, high) = if low > high { (high, low) } else { (low, high) };
                if low.is_nan() || high.is_nan() {
                    $t::NAN
                } else if low == high && low.is_infinite() {
                    low
                } else {
                    high + (low - high).exp().ln_1p()
                }
            }
        }
    )*};
}
log_add_exp!(f32 f64);

impl LogAddExp for Complex<f64> {
    const LOG_ZERO: Self = Complex::new(f64::NEG_INFINITY, 0.0);

    #[inline]
    fn log_add_exp(self, other: Self) -> Self {
        if Accumulator::is_nan(self) || Accumulator::is_nan(other) {
            return Complex::new(f64::NAN, f64::NAN);
        }
        let (low, high) = if self.re < other.re {
            (self, other)
        } else {
            (other, self)
        };
        if low.re == f64::NEG_INFINITY {
            return high;
        }
        if low.re == high.re && high.re.is_infinite() {
            return if low.im == high.im {
                high
            } else {
                (low.exp() + high.exp()).ln()
            };
        }
        let small = (low - high).exp();
        // ln|1 + z| = ln1p(2 re z + |z|^2) / 2 keeps its digits where z is small.
        let length = 0.5 * (2.0 * small.re + small.norm_sqr()).ln_1p();
        high + Complex::new(length, small.im.atan2(1.0 + small.re))
    }
}

#[derive(Clone, Copy)]
pub struct LogCumSumExp;

impl<T: Number<Precise: LogAddExp>> Scan<T> for LogCumSumExp {
    type Acc = T::Precise;
    type Out = T::Total;
    #[inline(always)]
    fn identity(&self) -> T::Precise {
        T::Precise::LOG_ZERO
    }
    #[inline(always)]
    fn step(&self, acc: T::Precise, x: T) -> T::Precise {
        acc.log_add_exp(x.precise())
    }
    #[inline(always)]
    fn write(&self, acc: T::Precise) -> T::Total {
        T::total_of_precise(acc)
    }
}

/// Scans every line.
///
/// # Safety
/// `src` and `out` are valid for every offset of `lines`; `out` may be `src` with the same strides.
pub unsafe fn scan<T: Copy + Send + Sync, S: Scan<T>>(
    s: S,
    src: *const T,
    lines: &Lines,
    out: *mut S::Out,
) {
    let (src, out) = (Pointer(src.cast_mut()), Pointer(out));
    parallel_for(
        lines.plan.outputs(),
        (grain::REDUCE / lines.size.max(1)).max(1),
        |range| {
            let (src, out) = (src, out);
            // SAFETY: every range of lines is written by one task only.
            unsafe {
                if lines.plan.folds_columns() {
                    columns(s, src.0, lines, range, out.0);
                } else {
                    rows(s, src.0, lines, range, out.0);
                }
            }
        },
    );
}

/// Lines that advance together: each waits for its own sums only.
const TOGETHER: usize = 4;

unsafe fn rows<T: Copy, S: Scan<T>>(
    s: S,
    src: *const T,
    lines: &Lines,
    range: Range<usize>,
    out: *mut S::Out,
) {
    let mut walk = Walk::starting_at(&lines.plan.kept, range.start);
    let mut next = || {
        let here = (walk.input, walk.output);
        walk.advance();
        here
    };
    // SAFETY: as the caller's.
    unsafe {
        for _ in 0..range.len() / TOGETHER {
            scan_lines::<T, S, TOGETHER>(s, src, lines, std::array::from_fn(|_| next()), out);
        }
        for _ in 0..range.len() % TOGETHER {
            scan_lines::<T, S, 1>(s, src, lines, [next()], out);
        }
    }
}

#[inline]
unsafe fn scan_lines<T: Copy, S: Scan<T>, const N: usize>(
    s: S,
    src: *const T,
    lines: &Lines,
    starts: [(isize, isize); N],
    out: *mut S::Out,
) {
    let mut accs = [s.identity(); N];
    for i in 0..lines.size as isize {
        for k in 0..N {
            let (input, output) = starts[k];
            // SAFETY: as the caller's.
            unsafe {
                accs[k] = s.step(accs[k], *src.offset(input + i * lines.stride));
                *out.offset(output + i * lines.out) = s.write(accs[k]);
            }
        }
    }
}

unsafe fn columns<T: Copy, S: Scan<T>>(
    s: S,
    src: *const T,
    lines: &Lines,
    range: Range<usize>,
    out: *mut S::Out,
) {
    let Some(inner) = lines.plan.kept.last() else {
        return;
    };
    let mut next = range.start;
    while next < range.end {
        let width = COLUMNS
            .min(inner.size - next % inner.size)
            .min(range.end - next);
        let at = Walk::starting_at(&lines.plan.kept, next);
        let mut acc = [MaybeUninit::new(s.identity()); COLUMNS];
        for i in 0..lines.size as isize {
            // SAFETY: `width` columns from here lie in one run of the innermost kept dimension.
            unsafe {
                let (row, to) = (
                    src.offset(at.input + i * lines.stride),
                    out.offset(at.output + i * lines.out),
                );
                for (c, acc) in acc[..width].iter_mut().enumerate() {
                    let now = s.step(acc.assume_init(), *row.offset(c as isize * inner.stride));
                    acc.write(now);
                    *to.offset(c as isize * inner.out) = s.write(now);
                }
            }
        }
        next += width;
    }
}
