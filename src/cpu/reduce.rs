//! Reductions: map every element, combine, finish; blocked so that rounding errors grow with log n.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::pool::{grain, parallel_for, parallel_parts, threads};
use super::reduce_columns::{COLUMNS, Columns};
use super::reduce_plan::{Dim, Plan, Walk, numel};
use super::reduce_run::{BLOCK, Cascade, fold_run};

/// What one reduction computes. `combine` is associative, up to rounding.
pub trait Reduction<T>: Copy + Send + Sync {
    type Acc: Copy + Send + Sync;
    type Out: Copy + Send + Sync;
    /// Compile it for each instruction set? Costs code; for element types that are summed by the million.
    const SIMD: bool;
    /// Does the order not matter at all? Then a plain loop is what compilers vectorise best.
    const EXACT: bool = false;
    fn identity(&self) -> Self::Acc;
    fn map(&self, x: T) -> Self::Acc;
    fn combine(&self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
    fn finish(&self, acc: Self::Acc) -> Self::Out;
    /// Folds elements in a row, where there is a faster way than one by one.
    ///
    /// # Safety
    /// `n` elements lie at `src`.
    #[inline(always)]
    unsafe fn row(&self, _src: *const T, _n: usize) -> Option<Self::Acc> {
        None
    }
    /// Whether nothing that follows can change the result.
    #[inline(always)]
    fn is_settled(&self, _acc: Self::Acc) -> bool {
        false
    }
}

/// Reductions with fewer outputs than this per thread are split along the input.
const OUTPUTS_PER_THREAD: usize = 4;
/// The same where neighbouring outputs are reduced together.
const COLUMNS_PER_THREAD: usize = 64;

/// A pointer that tasks share.
pub struct Pointer<T>(pub *mut T);
impl<T> Clone for Pointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Pointer<T> {}
impl<T> Pointer<T> {
    /// The element so far from the first.
    #[inline(always)]
    pub fn at(self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}
// SAFETY: tasks write disjoint elements through it.
unsafe impl<T> Send for Pointer<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Pointer<T> {}

/// Reduces `src` over `plan.reduced`.
///
/// # Safety
/// `src` and `out` are valid for every offset that `plan` reaches, and do not overlap.
pub unsafe fn reduce<T: Copy + Send + Sync, R: Reduction<T>>(
    r: R,
    src: *const T,
    plan: &Plan,
    out: *mut R::Out,
) {
    let (outputs, each) = (plan.outputs(), plan.inputs_each());
    if outputs == 0 {
        return;
    }
    let task = Task {
        r,
        src: Pointer(src.cast_mut()),
        plan,
    };
    let out = Pointer(out);
    let per_thread = outputs / threads();
    let few = if plan.folds_columns() {
        COLUMNS_PER_THREAD
    } else {
        OUTPUTS_PER_THREAD
    };
    if outputs * each > grain::REDUCE && per_thread < few {
        // SAFETY: as the caller's.
        return unsafe { task.reduce_in_parts(out) };
    }
    let mut grain = (grain::REDUCE / each.max(1)).max(1);
    if plan.folds_columns() {
        // Long pieces of rows are read faster than short ones.
        grain = grain.max(per_thread.min(COLUMNS));
    }
    parallel_for(outputs, grain, |range| {
        let out = out;
        // SAFETY: every range of outputs is written by one task only; it lies inside the plan.
        unsafe { task.write(range, out.0) };
    });
}

/// Reduces `n` elements in a row to one.
///
/// # Safety
/// They are valid to read, `out` to write.
pub unsafe fn reduce_row<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    n: usize,
    out: *mut R::Out,
) {
    // SAFETY: the caller's promise.
    unsafe { *out = r.finish(fold_run(r, src, n, 1)) };
}

/// One reduction of one input.
struct Task<'a, T, R> {
    r: R,
    src: Pointer<T>,
    plan: &'a Plan,
}

type Accs<A> = [MaybeUninit<A>; COLUMNS];

impl<T: Copy + Send + Sync, R: Reduction<T>> Task<'_, T, R> {
    /// Few outputs of many inputs: cuts the inputs into parts of a fixed size, so that the result does
    /// not depend on the number of threads.
    unsafe fn reduce_in_parts(&self, out: Pointer<R::Out>) {
        let (outputs, total) = (self.plan.outputs(), units(&self.plan.reduced));
        let per_unit = (self.plan.inputs_each() / total.max(1)).max(1) * outputs;
        let part = (grain::REDUCE / per_unit)
            .max(1)
            .next_multiple_of(if per_unit == outputs { BLOCK } else { 1 });
        let parts = total.div_ceil(part).max(1);
        let mut partial = vec![MaybeUninit::<R::Acc>::uninit(); parts * outputs];
        let accs = Pointer(partial.as_mut_ptr());
        parallel_parts(parts, |range| {
            let accs = accs;
            for i in range {
                let units = i * part..((i + 1) * part).min(total);
                // SAFETY: part i writes its own row of accumulators.
                unsafe {
                    let own = std::slice::from_raw_parts_mut(accs.0.add(i * outputs), outputs);
                    self.fold(0..outputs, units, own);
                }
            }
        });
        let mut walk = Walk::starting_at(&self.plan.kept, 0);
        for o in 0..outputs {
            let mut cascade = Cascade::new(self.r);
            partial
                .iter()
                .skip(o)
                .step_by(outputs)
                // SAFETY: every part wrote its row.
                .for_each(|acc| cascade.push(unsafe { acc.assume_init() }));
            // SAFETY: the walk stays inside the plan.
            unsafe { *out.0.offset(walk.output) = self.r.finish(cascade.finish()) };
            walk.advance();
        }
    }

    /// Folds everything into a range of outputs.
    unsafe fn write(&self, outputs: Range<usize>, out: *mut R::Out) {
        let (plan, units) = (self.plan, 0..units(&self.plan.reduced));
        let mut accs = [MaybeUninit::uninit(); COLUMNS];
        let mut next = outputs.start;
        let mut walk = Walk::starting_at(&plan.kept, next);
        while next < outputs.end {
            // SAFETY: as the caller's; a chunk initialises its accumulators, those of columns lie in one run.
            unsafe {
                let count = self.fold_chunk(next..outputs.end, units.clone(), &mut accs);
                next += count;
                if let (true, Some(inner)) = (plan.folds_columns(), plan.kept.last()) {
                    let out = out.offset(walk.output);
                    if inner.out == 1 {
                        for (c, acc) in accs[..count].iter().enumerate() {
                            *out.add(c) = self.r.finish(acc.assume_init());
                        }
                    } else {
                        for (c, acc) in accs[..count].iter().enumerate() {
                            *out.offset(c as isize * inner.out) = self.r.finish(acc.assume_init());
                        }
                    }
                    walk = Walk::starting_at(&plan.kept, next);
                } else {
                    for acc in &accs[..count] {
                        *out.offset(walk.output) = self.r.finish(acc.assume_init());
                        walk.advance();
                    }
                }
            }
        }
    }

    /// Folds `units` of the reduced dimensions for a range of outputs, whose accumulators come in order.
    unsafe fn fold(
        &self,
        outputs: Range<usize>,
        units: Range<usize>,
        to: &mut [MaybeUninit<R::Acc>],
    ) {
        let mut accs = [MaybeUninit::uninit(); COLUMNS];
        let mut next = outputs.start;
        while next < outputs.end {
            // SAFETY: as the caller's.
            let count = unsafe { self.fold_chunk(next..outputs.end, units.clone(), &mut accs) };
            to[next - outputs.start..][..count].copy_from_slice(&accs[..count]);
            next += count;
        }
    }

    /// Folds the first outputs of a range, as many as it returns.
    #[inline(never)]
    unsafe fn fold_chunk(
        &self,
        outputs: Range<usize>,
        units: Range<usize>,
        accs: &mut Accs<R::Acc>,
    ) -> usize {
        let plan = self.plan;
        let mut walk = Walk::starting_at(&plan.kept, outputs.start);
        // SAFETY: the walk stays inside the plan.
        unsafe {
            if let (true, Some(inner)) = (plan.folds_columns(), plan.kept.last()) {
                let width = COLUMNS
                    .min(inner.size - outputs.start % inner.size)
                    .min(outputs.len());
                let columns = Columns {
                    src: self.src.0.offset(walk.input).cast_const(),
                    stride: inner.stride,
                    width,
                };
                columns.fold(self.r, &plan.reduced, units, accs);
                return width;
            }
            let count = COLUMNS.min(outputs.len());
            for acc in &mut accs[..count] {
                acc.write(fold_one(
                    self.r,
                    self.src.0.offset(walk.input),
                    &plan.reduced,
                    units.clone(),
                ));
                walk.advance();
            }
            count
        }
    }
}

/// The unit in which reduced dimensions are cut: elements of a single one, else runs of the innermost.
fn units(reduced: &[Dim]) -> usize {
    match reduced {
        [] => 1,
        [only] => only.size,
        [outer @ .., _] => numel(outer),
    }
}

unsafe fn fold_one<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    reduced: &[Dim],
    units: Range<usize>,
) -> R::Acc {
    // SAFETY: offsets lie inside the reduced dimensions.
    unsafe {
        match reduced {
            [] if units.is_empty() => r.identity(),
            [] => r.combine(r.identity(), r.map(*src)),
            [only] => fold_run(
                r,
                src.offset(units.start as isize * only.stride),
                units.len(),
                only.stride,
            ),
            [outer @ .., inner] => {
                let mut cascade = Cascade::new(r);
                let mut walk = Walk::starting_at(outer, units.start);
                for _ in units {
                    cascade.push(fold_run(
                        r,
                        src.offset(walk.input),
                        inner.size,
                        inner.stride,
                    ));
                    walk.advance();
                }
                cascade.finish()
            }
        }
    }
}
