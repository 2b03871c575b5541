//! Moving elements between dtypes and layouts: copies, and the conversions between a tensor and the
//! lane type that a formula computes in.

use std::ops::Range;

use self::f16_runs::{narrow_run, widen_run};
use super::bytes;
use super::copy::Cast;
use super::half_bits::{narrow_f16, widen_f16};
use super::multiversion::multiversion;
use super::transpose;
use crate::dispatch;
use crate::tensor::DType;

/// A rectangle of elements on its way from one place to another; steps, of rows and of columns, are
/// in elements of each side.
#[derive(Clone, Copy)]
pub struct Rect {
    pub rows: usize,
    pub cols: usize,
    pub source: *const u8,
    pub source_steps: [isize; 2],
    pub target: *mut u8,
    pub target_steps: [isize; 2],
}

impl Rect {
    /// A single row.
    #[must_use]
    pub fn line(
        source: *const u8,
        step: isize,
        target: *mut u8,
        target_step: isize,
        n: usize,
    ) -> Rect {
        Rect {
            rows: 1,
            cols: n,
            source,
            source_steps: [0, step],
            target,
            target_steps: [0, target_step],
        }
    }

    /// Rows that continue each other on both sides, as one.
    fn merged(&self) -> Rect {
        let cols = self.cols as isize;
        let follow = |[row, col]: [isize; 2]| row == col * cols;
        if self.rows > 1 && follow(self.source_steps) && follow(self.target_steps) {
            let n = self.rows * self.cols;
            let (step, target_step) = (self.source_steps[1], self.target_steps[1]);
            return Rect::line(self.source, step, self.target, target_step, n);
        }
        *self
    }

    /// Is the source denser along its rows, where the target is not?
    fn is_crossed(&self) -> bool {
        let [row, col] = self.source_steps.map(isize::unsigned_abs);
        self.rows > 1 && row != 0 && row < col && self.target_steps[1].abs() == 1
    }

    /// The part with these rows and columns of elements of `S` and `T`.
    fn part<S, T>(&self, rows: Range<usize>, cols: Range<usize>) -> Rect {
        let at = |[row, col]: [isize; 2], size: usize| {
            (rows.start as isize * row + cols.start as isize * col) * size as isize
        };
        let source = at(self.source_steps, size_of::<S>());
        let target = at(self.target_steps, size_of::<T>());
        Rect {
            rows: rows.len(),
            cols: cols.len(),
            source: self.source.wrapping_offset(source),
            target: self.target.wrapping_offset(target),
            ..*self
        }
    }
}

/// Converts the elements of a rectangle.
pub type Convert = unsafe fn(rect: &Rect);

/// How to get from one dtype to another.
#[must_use]
pub fn converter(from: DType, to: DType) -> Convert {
    if from == to {
        return dispatch!(bytes from, T => copy::<T>);
    }
    match (from, to) {
        (DType::F16, DType::F32) => f16_to_f32,
        (DType::F32, DType::F16) => f32_to_f16,
        _ => dispatch!(all from, S => dispatch!(all to, T => cast::<S, T>)),
    }
}

/// Rows and columns of the parts in which a crossed rectangle is walked.
const PART: usize = 32;

/// Element by element, in parts where the two sides run across each other.
unsafe fn each<S: Copy, T>(rect: &Rect, convert: impl Fn(S) -> T + Copy) {
    if !rect.is_crossed() || (rect.rows <= PART && rect.cols <= PART) {
        // SAFETY: the caller's promise.
        return unsafe { each_of_part(rect, convert) };
    }
    for row in (0..rect.rows).step_by(PART) {
        for col in (0..rect.cols).step_by(PART) {
            let rows = row..(row + PART).min(rect.rows);
            let cols = col..(col + PART).min(rect.cols);
            // SAFETY: the caller's promise.
            unsafe { each_of_part(&rect.part::<S, T>(rows, cols), convert) };
        }
    }
}

unsafe fn each_of_part<S: Copy, T>(rect: &Rect, convert: impl Fn(S) -> T) {
    let ([row, step], [target_row, target_step]) = (rect.source_steps, rect.target_steps);
    let (mut source, mut target) = (rect.source.cast::<S>(), rect.target.cast::<T>());
    for _ in 0..rect.rows {
        for i in 0..rect.cols as isize {
            // SAFETY: the caller's promise.
            unsafe {
                let value = convert(source.wrapping_offset(i * step).read_unaligned());
                let to = target.wrapping_offset(i * target_step);
                to.write_unaligned(value);
            }
        }
        source = source.wrapping_offset(row);
        target = target.wrapping_offset(target_row);
    }
}

/// Rows that are long and contiguous on both sides go through `run`, others through `convert`.
#[inline(always)]
unsafe fn by_rows<S: Copy, T>(
    rect: &Rect,
    run: unsafe fn(*const S, *mut T, usize),
    convert: impl Fn(S) -> T + Copy,
) {
    const LONG: usize = 16;
    let rect = rect.merged();
    if rect.source_steps[1] != 1 || rect.target_steps[1] != 1 || rect.cols < LONG {
        // SAFETY: passed on.
        return unsafe { each(&rect, convert) };
    }
    for row in 0..rect.rows {
        let part = rect.part::<S, T>(row..row + 1, 0..rect.cols);
        // SAFETY: passed on.
        unsafe { run(part.source.cast(), part.target.cast(), rect.cols) };
    }
}

unsafe fn cast<S: Copy, T: Cast<S>>(rect: &Rect) {
    // SAFETY: passed on.
    unsafe { by_rows(rect, cast_run::<S, T>, <T as Cast<S>>::cast) }
}

multiversion! {
    unsafe fn cast_run[S: Copy, T: Cast<S>](source: *const S, target: *mut T, n: usize) {
        for i in 0..n {
            // SAFETY: the caller's promise about `n` elements on both sides.
            unsafe {
                let value = source.add(i).read_unaligned();
                target.add(i).write_unaligned(<T as Cast<S>>::cast(value));
            }
        }
    }
}

unsafe fn copy<T: Copy>(rect: &Rect) {
    let rect = rect.merged();
    let ([row, step], target_step) = (rect.source_steps, rect.target_steps[1]);
    // SAFETY: passed on.
    unsafe {
        if step == 1 && target_step == 1 {
            let bytes = rect.cols * size_of::<T>();
            if rect.rows > 1 && bytes::SHORT.contains(&bytes) {
                let size = size_of::<T>() as isize;
                let steps = [row * size, rect.target_steps[0] * size];
                return short_rows(rect.source, rect.target, rect.rows, bytes, steps);
            }
            for row in 0..rect.rows {
                let part = rect.part::<T, T>(row..row + 1, 0..rect.cols);
                bytes::copy(part.source, part.target, bytes);
            }
        } else if row == 1 && step != 0 && target_step == 1 && rect.rows > 1 {
            transpose::rect::<T>(&rect);
        } else if step == -1 && target_step == 1 {
            for row in 0..rect.rows {
                let last = rect
                    .part::<T, T>(row..row + 1, rect.cols - 1..rect.cols)
                    .source;
                let target = rect.part::<T, T>(row..row + 1, 0..rect.cols).target;
                bytes::reverse(last.cast::<T>(), target.cast(), rect.cols);
            }
        } else if step == 0 && target_step == 1 {
            for row in 0..rect.rows {
                let part = rect.part::<T, T>(row..row + 1, 0..rect.cols);
                let value = part.source.cast::<T>().read_unaligned();
                repeat(value, part.target.cast(), rect.cols);
            }
        } else {
            each(&rect, |v: T| v);
        }
    }
}

multiversion! {
    /// Copies rows, so many bytes apart.
    unsafe fn short_rows[](source: *const u8, target: *mut u8, rows: usize, bytes: usize, steps: [isize; 2]) {
        let (mut source, mut target) = (source, target);
        for _ in 0..rows {
            // SAFETY: the caller's promise.
            unsafe { bytes::copy_short(source, target, bytes) };
            source = source.wrapping_offset(steps[0]);
            target = target.wrapping_offset(steps[1]);
        }
    }
}

multiversion! {
    /// Writes a value `n` times.
    ///
    /// # Safety
    /// The target has room for `n` elements.
    pub unsafe fn repeat[T: Copy](value: T, target: *mut T, n: usize) {
        for i in 0..n {
            // SAFETY: the caller's promise about `n` elements.
            unsafe { target.add(i).write_unaligned(value) };
        }
    }
}

unsafe fn f16_to_f32(rect: &Rect) {
    // SAFETY: passed on.
    unsafe { by_rows(rect, widen_run, widen_f16) }
}

unsafe fn f32_to_f16(rect: &Rect) {
    // SAFETY: passed on.
    unsafe { by_rows(rect, narrow_run, narrow_f16) }
}

/// Half precision by the instructions for it, which compilers do not choose by themselves.
#[cfg(target_arch = "x86_64")]
mod f16_runs {
    use super::{narrow_f16, widen_f16};
    use crate::cpu::multiversion::{Isa, isa};
    use std::arch::x86_64::*;

    pub unsafe fn widen_run(source: *const u16, target: *mut f32, n: usize) {
        // SAFETY: the caller's promise; the features were detected.
        unsafe {
            let done = match isa() {
                Isa::Avx512 => widen16(source, target, n),
                Isa::Avx2 => widen8(source, target, n),
                Isa::Plain => 0,
            };
            for i in done..n {
                target
                    .add(i)
                    .write_unaligned(widen_f16(source.add(i).read_unaligned()));
            }
        }
    }

    pub unsafe fn narrow_run(source: *const f32, target: *mut u16, n: usize) {
        // SAFETY: the caller's promise; the features were detected.
        unsafe {
            let done = match isa() {
                Isa::Avx512 => narrow16(source, target, n),
                Isa::Avx2 => narrow8(source, target, n),
                Isa::Plain => 0,
            };
            for i in done..n {
                target
                    .add(i)
                    .write_unaligned(narrow_f16(source.add(i).read_unaligned()));
            }
        }
    }

    /// Vectors as far as they go; returns how many elements those are.
    macro_rules! vectors {
        ($name:ident $features:literal $width:literal, $S:ty, $T:ty, |$from:ident, $to:ident| $step:expr) => {
            #[target_feature(enable = $features)]
            unsafe fn $name(source: *const $S, target: *mut $T, n: usize) -> usize {
                let mut i = 0;
                while i + $width <= n {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let ($from, $to) = (source.add(i), target.add(i));
                        $step;
                    }
                    i += $width;
                }
                i
            }
        };
    }
    vectors!(widen16 "avx512f" 16, u16, f32, |from, to| _mm512_storeu_ps(
        to, _mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))
    ));
    vectors!(widen8 "avx,f16c" 8, u16, f32, |from, to| _mm256_storeu_ps(
        to, _mm256_cvtph_ps(_mm_loadu_si128(from.cast()))
    ));
    vectors!(narrow16 "avx512f" 16, f32, u16, |from, to| _mm256_storeu_si256(
        to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm512_loadu_ps(from))
    ));
    vectors!(narrow8 "avx,f16c" 8, f32, u16, |from, to| _mm_storeu_si128(
        to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(from))
    ));
}

#[cfg(not(target_arch = "x86_64"))]
mod f16_runs {
    use super::{narrow_f16, widen_f16};

    pub unsafe fn widen_run(source: *const u16, target: *mut f32, n: usize) {
        for i in 0..n {
            // SAFETY: the caller's promise.
            unsafe { *target.add(i) = widen_f16(*source.add(i)) };
        }
    }

    pub unsafe fn narrow_run(source: *const f32, target: *mut u16, n: usize) {
        for i in 0..n {
            // SAFETY: the caller's promise.
            unsafe { *target.add(i) = narrow_f16(*source.add(i)) };
        }
    }
}
