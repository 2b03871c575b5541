//! Fourier transforms along one dimension of row-major data: of rows as they lie, of columns in groups that are gathered.

use std::ops::Range;

use num_complex::Complex;

use super::fft::{Plan, ROWS, Scratch, Transform, plan};
use super::pool::{self, grain};
use super::reduce::Pointer;

/// A dimension of row-major data, `(_, len, inner)`.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub len: usize,
    pub inner: usize,
}

/// Columns that are gathered and transformed together: a cache line of each row at least.
const COLUMNS: usize = 16;
/// Numbers between gathered columns, which start a cache line apart from multiples of a page.
const PADDING: usize = 8;

/// Transforms along one dimension.
pub(super) struct Pass<T: Transform> {
    plan: Plan<T>,
    axis: Axis,
    scale: T,
}

impl<T: Transform> Pass<T> {
    pub fn all(axes: &[Axis], forward: bool, scale: T) -> Vec<Pass<T>> {
        let scales = std::iter::once(scale).chain(std::iter::repeat(T::one()));
        let pass = |(&axis, scale): (&Axis, T)| Pass {
            plan: plan(axis.len, forward),
            axis,
            scale,
        };
        axes.iter().zip(scales).map(pass).collect()
    }

    /// The numbers that the dimension and those behind it have.
    pub fn block(&self) -> usize {
        self.axis.len * self.axis.inner
    }

    /// Rows of so many numbers, or groups of columns.
    pub fn units(&self, numbers: usize) -> usize {
        let Axis { len, inner } = self.axis;
        if inner == 1 {
            numbers / len
        } else {
            numbers / self.block() * inner.div_ceil(COLUMNS)
        }
    }

    fn grain(&self) -> usize {
        let columns = if self.axis.inner == 1 { 1 } else { COLUMNS };
        grain::MATH / (self.axis.len * columns) + 1
    }

    /// Transforms some units, on all threads.
    ///
    /// # Safety
    /// `from` and `to` lead to so many `numbers`, and are the same or do not overlap.
    pub unsafe fn spread(
        &self,
        from: Pointer<Complex<T>>,
        to: Pointer<Complex<T>>,
        numbers: usize,
    ) {
        pool::parallel_for(self.units(numbers), self.grain(), |range| {
            let (from, to) = (from, to);
            // SAFETY: the caller's promise; tasks have units of their own.
            unsafe { self.run(from.0, to.0, range, &mut Scratch::new()) };
        });
    }

    /// # Safety
    /// `from` and `to` lead to data with these units, and are the same or do not overlap.
    pub unsafe fn run(
        &self,
        from: *const Complex<T>,
        to: *mut Complex<T>,
        units: Range<usize>,
        scratch: &mut Scratch<T>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.axis.inner == 1 {
                self.rows(from, to, units, scratch);
            } else {
                units.for_each(|unit| self.columns(from, to, unit, scratch));
            }
        }
    }

    /// # Safety
    /// As for [`Pass::run`].
    unsafe fn rows(
        &self,
        from: *const Complex<T>,
        to: *mut Complex<T>,
        range: Range<usize>,
        scratch: &mut Scratch<T>,
    ) {
        let len = self.axis.len;
        let (rest, _) = scratch.parts(self.plan.get_inplace_scratch_len(), 0);
        for first in range.clone().step_by((ROWS / len).max(1)) {
            let numbers = (ROWS / len).max(1).min(range.end - first) * len;
            // SAFETY: the caller's promise.
            let rows = unsafe {
                let rows = to.add(first * len);
                if !std::ptr::eq(from, to) {
                    rows.copy_from_nonoverlapping(from.add(first * len), numbers);
                }
                std::slice::from_raw_parts_mut(rows, numbers)
            };
            self.plan.process_with_scratch(rows, rest);
            self.scale(rows);
        }
    }

    /// Transforms one group of columns.
    ///
    /// # Safety
    /// As for [`Pass::run`].
    unsafe fn columns(
        &self,
        from: *const Complex<T>,
        to: *mut Complex<T>,
        unit: usize,
        scratch: &mut Scratch<T>,
    ) {
        let Axis { len, inner } = self.axis;
        let (groups, stride) = (inner.div_ceil(COLUMNS), len + PADDING);
        let first = unit % groups * COLUMNS;
        let at = unit / groups * len * inner + first;
        let width = COLUMNS.min(inner - first);
        let (rows, rest) = scratch.parts(stride * width, self.plan.get_inplace_scratch_len());
        // SAFETY: the caller's promise; there is room for the columns.
        unsafe {
            T::transpose(from.add(at), (len, width), inner, rows.as_mut_ptr(), stride);
            for row in rows.chunks_exact_mut(stride) {
                self.plan.process_with_scratch(&mut row[..len], rest);
                self.scale(&mut row[..len]);
            }
            T::transpose(rows.as_ptr(), (width, len), stride, to.add(at), inner);
        }
    }

    fn scale(&self, numbers: &mut [Complex<T>]) {
        if self.scale != T::one() {
            numbers.iter_mut().for_each(|x| *x = x.scale(self.scale));
        }
    }
}
