//! Mean and sum of squared deviations in one pass over memory: two passes over blocks in cache, merged by
//! Chan's formula.

use std::ops::Range;

use super::lane_fold::sum;
use super::multiversion::multiversion;
use super::number::{Accumulator, Number, Real};
use super::pool::{grain, parallel_for, parallel_parts, threads};
use super::reduce::Pointer;
use super::reduce_plan::{Dim, Plan, Walk, numel};

/// Elements per block of a row.
const BLOCK: usize = 1024;
/// Columns and rows of a block where neighbouring outputs lie together.
const COLUMNS: usize = 128;
const ROWS: usize = 16;

/// Count, mean and sum of squared deviations of a set of numbers.
#[derive(Clone, Copy)]
pub struct Moments<A> {
    pub count: f64,
    pub mean: A,
    pub m2: A,
}

impl<A: Real> Moments<A> {
    const EMPTY: Self = Moments {
        count: 0.0,
        mean: A::ZERO,
        m2: A::ZERO,
    };

    #[inline(always)]
    fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        if self.count == 0.0 || other.count == 0.0 {
            return if other.count == 0.0 { self } else { other };
        }
        let delta = other.mean.sub(self.mean);
        let share = A::of_f64(other.count / count);
        Moments {
            count,
            mean: self.mean.add(delta.mul(share)),
            m2: self
                .m2
                .add(other.m2)
                .add(delta.mul(delta).mul(share).mul(A::of_f64(self.count))),
        }
    }
}

/// Calls `sink(offset, moments)` for every output.
///
/// # Safety
/// `src` is valid for every offset that `plan` reaches; `sink` may be called from several threads, once
/// for each output.
pub unsafe fn moments<T, S>(src: *const T, plan: &Plan, sink: S)
where
    T: Number<Acc: Real>,
    S: Fn(isize, Moments<T::Acc>) + Sync,
{
    let (outputs, each) = (plan.outputs(), plan.inputs_each());
    let src = Pointer(src.cast_mut());
    if outputs == 1 && each > grain::REDUCE && threads() > 1 && plan.reduced.len() == 1 {
        let parts = each.div_ceil(grain::REDUCE);
        let mut partial = vec![Moments::EMPTY; parts];
        let results = Pointer(partial.as_mut_ptr());
        let stride = plan.reduced[0].stride;
        parallel_parts(parts, |range| {
            let (src, results) = (src, results);
            for i in range {
                let start = i * grain::REDUCE;
                let n = grain::REDUCE.min(each - start);
                // SAFETY: part i writes its own result.
                unsafe {
                    *results.0.add(i) = run(src.0.offset(start as isize * stride), n, stride);
                };
            }
        });
        return sink(0, partial.into_iter().fold(Moments::EMPTY, Moments::merge));
    }
    parallel_for(outputs, (grain::REDUCE / each.max(1)).max(1), |range| {
        let src = src;
        let mut found = [Moments::EMPTY; COLUMNS];
        let mut walk = Walk::starting_at(&plan.kept, range.start);
        let mut next = range.start;
        while next < range.end {
            // SAFETY: as the caller's.
            let count = unsafe { chunk(src.0, plan, next..range.end, &mut found) };
            for m in &found[..count] {
                sink(walk.output, *m);
                walk.advance();
            }
            next += count;
        }
    });
}

/// The moments of the first outputs of a range, as many as it returns.
unsafe fn chunk<T: Number<Acc: Real>>(
    src: *const T,
    plan: &Plan,
    outputs: Range<usize>,
    found: &mut [Moments<T::Acc>; COLUMNS],
) -> usize {
    let mut walk = Walk::starting_at(&plan.kept, outputs.start);
    // SAFETY: the walks stay inside the plan.
    unsafe {
        if let (true, Some(inner)) = (plan.is_vertical(), plan.kept.last()) {
            let width = COLUMNS
                .min(inner.size - outputs.start % inner.size)
                .min(outputs.len());
            columns(
                src.offset(walk.input),
                inner.stride,
                &plan.reduced,
                &mut found[..width],
            );
            return width;
        }
        let count = COLUMNS.min(outputs.len());
        let (outer, inner) = split(&plan.reduced);
        for total in &mut found[..count] {
            *total = Moments::EMPTY;
            let mut lines = Walk::starting_at(outer, 0);
            for _ in 0..numel(outer) {
                *total = total.merge(run(
                    src.offset(walk.input + lines.input),
                    inner.size,
                    inner.stride,
                ));
                lines.advance();
            }
            walk.advance();
        }
        count
    }
}

fn split(reduced: &[Dim]) -> (&[Dim], Dim) {
    match reduced {
        [outer @ .., inner] => (outer, *inner),
        [] => (
            &[],
            Dim {
                size: 1,
                stride: 1,
                out: 0,
            },
        ),
    }
}

multiversion! {
unsafe fn run[T: Number<Acc: Real>](src: *const T, n: usize, stride: isize) -> Moments<T::Acc> {
    // SAFETY: as the caller's.
    unsafe { run_inlined(src, n, stride) }
}
}

#[inline(always)]
unsafe fn run_inlined<T: Number<Acc: Real>>(
    src: *const T,
    n: usize,
    stride: isize,
) -> Moments<T::Acc> {
    let mut total = Moments::EMPTY;
    for start in (0..n).step_by(BLOCK) {
        let len = BLOCK.min(n - start);
        // SAFETY: as the caller's.
        let block = unsafe {
            let src = src.offset(start as isize * stride);
            // With a stride that is known, the loops vectorise.
            if stride == 1 {
                block(src, len, 1)
            } else {
                block(src, len, stride)
            }
        };
        total = total.merge(block);
    }
    total
}

#[inline(always)]
unsafe fn block<T: Number<Acc: Real>>(src: *const T, n: usize, stride: isize) -> Moments<T::Acc> {
    // SAFETY: n elements from src on, stride apart.
    let at = |i: usize| unsafe { (*src.offset(i as isize * stride)).widen() };
    let mean = sum(n, at).over(n as f64);
    let m2 = sum(n, |i| {
        let d = at(i).sub(mean);
        d.mul(d)
    });
    Moments {
        count: n as f64,
        mean,
        m2,
    }
}

multiversion! {
unsafe fn columns[T: Number<Acc: Real>](src: *const T, stride: isize, reduced: &[Dim], found: &mut [Moments<T::Acc>]) {
    let width = found.len();
    let mut mean = [T::Acc::ZERO; COLUMNS];
    let mut m2 = [T::Acc::ZERO; COLUMNS];
    let mut count = 0.0;
    let total = numel(reduced);
    let mut walk = Walk::starting_at(reduced, 0);
    for start in (0..total).step_by(ROWS) {
        let rows = ROWS.min(total - start);
        let mut offsets = [0isize; ROWS];
        for offset in &mut offsets[..rows] {
            *offset = walk.input;
            walk.advance();
        }
        // SAFETY: rows and columns lie inside the plan.
        let at = |row: isize, c: usize| unsafe { (*src.offset(row + c as isize * stride)).widen() };
        let mut here = [T::Acc::ZERO; COLUMNS];
        let mut spread = [T::Acc::ZERO; COLUMNS];
        for &row in &offsets[..rows] {
            for (c, sum) in here[..width].iter_mut().enumerate() {
                *sum = sum.add(at(row, c));
            }
        }
        for sum in &mut here[..width] {
            *sum = sum.over(rows as f64);
        }
        for &row in &offsets[..rows] {
            for (c, sum) in spread[..width].iter_mut().enumerate() {
                let d = at(row, c).sub(here[c]);
                *sum = sum.add(d.mul(d));
            }
        }
        let share = T::Acc::of_f64(rows as f64 / (count + rows as f64));
        let weight = share.mul(T::Acc::of_f64(count));
        for c in 0..width {
            let delta = here[c].sub(mean[c]);
            mean[c] = mean[c].add(delta.mul(share));
            m2[c] = m2[c].add(spread[c]).add(delta.mul(delta).mul(weight));
        }
        count += rows as f64;
    }
    for (c, found) in found.iter_mut().enumerate() {
        *found = Moments { count, mean: mean[c], m2: m2[c] };
    }
}
}
