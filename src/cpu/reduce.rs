//! Reductions: map every element, combine, finish; blocked so that rounding errors grow with log n.

use std::mem::{MaybeUninit, size_of};
use std::ops::Range;

use super::multiversion::multiversion;
use super::pool::{grain, parallel_for, threads};
use super::reduce_plan::{Dim, Plan, Walk, numel};

/// What one reduction computes. `combine` is associative, up to rounding.
pub trait Reduction<T>: Copy + Send + Sync {
    type Acc: Copy + Send + Sync;
    type Out: Copy + Send + Sync;
    fn identity(&self) -> Self::Acc;
    fn map(&self, x: T) -> Self::Acc;
    fn combine(&self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
    fn finish(&self, acc: Self::Acc) -> Self::Out;
    /// Whether nothing that follows can change the result.
    #[inline(always)]
    fn is_settled(&self, _acc: Self::Acc) -> bool {
        false
    }
}

/// Elements folded in independent lanes before they meet: bounds the length of a chain of additions.
const BLOCK: usize = 1024;
/// Columns that a vertical reduction keeps accumulators for.
const COLUMNS: usize = 256;
/// Rows folded into one level of a vertical reduction before it moves to the next.
const LEVEL_ROWS: usize = 16;
const LEVELS: usize = 4;
/// Reductions with fewer outputs than this per thread are split along the input.
const OUTPUTS_PER_THREAD: usize = 4;

/// A pointer that tasks share.
pub struct Pointer<T>(pub *mut T);
impl<T> Clone for Pointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Pointer<T> {}
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
    let (src, out) = (Pointer(src.cast_mut()), Pointer(out));
    if outputs * each > grain::REDUCE && outputs < OUTPUTS_PER_THREAD * threads() {
        // SAFETY: as the caller's.
        return unsafe { reduce_in_parts(r, src, plan, out) };
    }
    parallel_for(outputs, (grain::REDUCE / each.max(1)).max(1), |range| {
        let (src, out) = (src, out);
        let units = 0..units(&plan.reduced);
        // SAFETY: every range of outputs is written by one task only.
        unsafe {
            fold(r, src.0, plan, range, units, |_, offset, acc| {
                *out.0.offset(offset) = r.finish(acc)
            })
        };
    });
}

/// Few outputs of many inputs: cuts the inputs into parts of a fixed size, so that the result does not
/// depend on the number of threads.
unsafe fn reduce_in_parts<T: Copy + Send + Sync, R: Reduction<T>>(
    r: R,
    src: Pointer<T>,
    plan: &Plan,
    out: Pointer<R::Out>,
) {
    let outputs = plan.outputs();
    let total = units(&plan.reduced);
    let per_unit = (plan.inputs_each() / total.max(1)).max(1) * outputs;
    let part = (grain::REDUCE / per_unit)
        .max(1)
        .next_multiple_of(if per_unit == outputs { BLOCK } else { 1 });
    let parts = total.div_ceil(part).max(1);
    let mut partial = vec![r.identity(); parts * outputs];
    let accs = Pointer(partial.as_mut_ptr());
    parallel_for(parts, 1, |range| {
        let (src, accs) = (src, accs);
        for i in range {
            let units = i * part..((i + 1) * part).min(total);
            // SAFETY: part i writes its own row of accumulators.
            unsafe {
                fold(r, src.0, plan, 0..outputs, units, |o, _, acc| {
                    *accs.0.add(i * outputs + o) = acc
                })
            };
        }
    });
    let mut walk = Walk::starting_at(&plan.kept, 0);
    for o in 0..outputs {
        let mut cascade = Cascade::new(r);
        partial
            .iter()
            .skip(o)
            .step_by(outputs)
            .for_each(|&acc| cascade.push(acc));
        // SAFETY: the walk stays inside the plan.
        unsafe { *out.0.offset(walk.output) = r.finish(cascade.finish()) };
        walk.advance();
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

/// Folds `units` of the reduced dimensions for a range of outputs; `sink` gets the output's number,
/// its offset and its accumulator.
#[inline]
unsafe fn fold<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    plan: &Plan,
    outputs: Range<usize>,
    units: Range<usize>,
    sink: impl Fn(usize, isize, R::Acc),
) {
    // SAFETY: as the caller's; the features were detected.
    unsafe {
        if plan.is_vertical() {
            fold_columns(r, src, plan, outputs, units, sink);
        } else {
            fold_rows(r, src, plan, outputs, units, sink);
        }
    }
}

multiversion! {
unsafe fn fold_rows[T: Copy, R: Reduction<T>, S: Fn(usize, isize, R::Acc)](
    r: R, src: *const T, plan: &Plan, outputs: Range<usize>, units: Range<usize>, sink: S,
) {
    let mut walk = Walk::starting_at(&plan.kept, outputs.start);
    for o in outputs {
        // SAFETY: the walk stays inside the plan.
        let acc = unsafe { fold_one(r, src.offset(walk.input), &plan.reduced, units.clone()) };
        sink(o, walk.output, acc);
        walk.advance();
    }
}
}

#[inline(always)]
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

#[inline(always)]
unsafe fn fold_run<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    n: usize,
    stride: isize,
) -> R::Acc {
    // SAFETY: n elements from src on, `stride` apart.
    unsafe {
        if n <= BLOCK {
            return fold_block(r, src, n, stride);
        }
        let mut cascade = Cascade::new(r);
        for start in (0..n).step_by(BLOCK) {
            let acc = fold_block(
                r,
                src.offset(start as isize * stride),
                BLOCK.min(n - start),
                stride,
            );
            if r.is_settled(acc) {
                return acc;
            }
            cascade.push(acc);
        }
        cascade.finish()
    }
}

#[inline(always)]
unsafe fn fold_block<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    n: usize,
    stride: isize,
) -> R::Acc {
    // SAFETY: n elements from src on, `stride` apart.
    unsafe {
        if stride != 1 {
            fold_lanes::<T, R, 4>(r, src, n, stride)
        } else if n < 64 {
            fold_lanes::<T, R, 8>(r, src, n, 1)
        } else if size_of::<R::Acc>() <= 4 {
            fold_lanes::<T, R, 64>(r, src, n, 1)
        } else {
            fold_lanes::<T, R, 32>(r, src, n, 1)
        }
    }
}

#[inline(always)]
unsafe fn fold_lanes<T: Copy, R: Reduction<T>, const LANES: usize>(
    r: R,
    src: *const T,
    n: usize,
    stride: isize,
) -> R::Acc {
    // SAFETY: n elements from src on, `stride` apart.
    unsafe {
        let mut acc = [r.identity(); LANES];
        let whole = n / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            for (lane, a) in acc.iter_mut().enumerate() {
                *a = r.combine(*a, r.map(*src.offset((start + lane) as isize * stride)));
            }
        }
        for i in whole..n {
            acc[0] = r.combine(acc[0], r.map(*src.offset(i as isize * stride)));
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                acc[lane] = r.combine(acc[lane], acc[lane + width]);
            }
            width /= 2;
        }
        acc[0]
    }
}

/// Combines a stream of accumulators as a balanced tree.
struct Cascade<T, R: Reduction<T>> {
    r: R,
    levels: [MaybeUninit<R::Acc>; usize::BITS as usize],
    count: usize,
}

impl<T, R: Reduction<T>> Cascade<T, R> {
    #[inline(always)]
    fn new(r: R) -> Self {
        Cascade {
            r,
            levels: [const { MaybeUninit::uninit() }; usize::BITS as usize],
            count: 0,
        }
    }

    #[inline(always)]
    fn push(&mut self, mut acc: R::Acc) {
        let full = self.count.trailing_ones() as usize;
        for level in &self.levels[..full] {
            // SAFETY: the ones in `count` mark the levels in use.
            acc = self.r.combine(unsafe { level.assume_init() }, acc);
        }
        self.levels[full].write(acc);
        self.count += 1;
    }

    #[inline(always)]
    fn finish(&self) -> R::Acc {
        let mut acc: Option<R::Acc> = None;
        for (i, level) in self.levels.iter().enumerate() {
            if self.count >> i & 1 == 1 {
                // SAFETY: the ones in `count` mark the levels in use.
                let here = unsafe { level.assume_init() };
                acc = Some(acc.map_or(here, |low| self.r.combine(here, low)));
            }
        }
        acc.unwrap_or_else(|| self.r.identity())
    }
}

multiversion! {
unsafe fn fold_columns[T: Copy, R: Reduction<T>, S: Fn(usize, isize, R::Acc)](
    r: R, src: *const T, plan: &Plan, outputs: Range<usize>, units: Range<usize>, sink: S,
) {
    let Some(inner) = plan.kept.last() else { return };
    let mut next = outputs.start;
    while next < outputs.end {
        let width = COLUMNS.min(inner.size - next % inner.size).min(outputs.end - next);
        let at = Walk::starting_at(&plan.kept, next);
        // SAFETY: `width` columns from here lie in one run of the innermost kept dimension.
        unsafe {
            let columns = Columns { src: src.offset(at.input), stride: inner.stride, width };
            let mut acc = [MaybeUninit::uninit(); COLUMNS];
            columns.fold(r, &plan.reduced, units.clone(), &mut acc);
            for (i, acc) in acc[..width].iter().enumerate() {
                sink(next + i, at.output + i as isize * inner.out, acc.assume_init());
            }
        }
        next += width;
    }
}
}

/// Neighbouring outputs that are reduced together, row by row.
struct Columns<T> {
    src: *const T,
    stride: isize,
    width: usize,
}

impl<T: Copy> Columns<T> {
    #[inline(always)]
    unsafe fn fold<R: Reduction<T>>(
        &self,
        r: R,
        reduced: &[Dim],
        units: Range<usize>,
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        let mut levels = [[MaybeUninit::uninit(); COLUMNS]; LEVELS];
        for level in &mut levels {
            level[..self.width].fill(MaybeUninit::new(r.identity()));
        }
        let (outer, inner) = match reduced {
            [outer @ .., inner] if !outer.is_empty() => (outer, *inner),
            _ => (
                reduced,
                Dim {
                    size: 1,
                    stride: 0,
                    out: 0,
                },
            ),
        };
        let mut walk = Walk::starting_at(outer, units.start);
        let mut rows = 0usize;
        for _ in units {
            for i in 0..inner.size {
                // SAFETY: the row lies inside the reduced dimensions; the levels are initialised up to `width`.
                unsafe {
                    self.add_row(
                        r,
                        self.src.offset(walk.input + i as isize * inner.stride),
                        &mut levels[0],
                    )
                };
                rows += 1;
                let mut full = rows;
                for low in 0..LEVELS - 1 {
                    if full % LEVEL_ROWS != 0 {
                        break;
                    }
                    full /= LEVEL_ROWS;
                    // SAFETY: as above.
                    unsafe { self.carry(r, &mut levels, low) };
                }
            }
            walk.advance();
        }
        for low in 0..LEVELS - 1 {
            // SAFETY: as above.
            unsafe { self.carry(r, &mut levels, low) };
        }
        *acc = levels[LEVELS - 1];
    }

    #[inline(always)]
    unsafe fn add_row<R: Reduction<T>>(
        &self,
        r: R,
        row: *const T,
        acc: &mut [MaybeUninit<R::Acc>; COLUMNS],
    ) {
        // SAFETY: `width` elements from row on; acc is initialised up to `width`.
        unsafe {
            if self.stride == 1 {
                for (i, a) in acc[..self.width].iter_mut().enumerate() {
                    a.write(r.combine(a.assume_init(), r.map(*row.add(i))));
                }
            } else {
                for (i, a) in acc[..self.width].iter_mut().enumerate() {
                    a.write(r.combine(
                        a.assume_init(),
                        r.map(*row.offset(i as isize * self.stride)),
                    ));
                }
            }
        }
    }

    /// Moves level `low` into the next one.
    #[inline(always)]
    unsafe fn carry<R: Reduction<T>>(
        &self,
        r: R,
        levels: &mut [[MaybeUninit<R::Acc>; COLUMNS]; LEVELS],
        low: usize,
    ) {
        let (below, above) = levels.split_at_mut(low + 1);
        for (from, to) in below[low][..self.width]
            .iter_mut()
            .zip(&mut above[0][..self.width])
        {
            // SAFETY: levels are initialised up to `width`.
            unsafe { to.write(r.combine(to.assume_init(), from.assume_init())) };
            from.write(r.identity());
        }
    }
}
