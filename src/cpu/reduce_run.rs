//! Folding one run of elements: in lanes that stay apart, blocked so that rounding errors grow with log n.

use std::mem::{MaybeUninit, size_of};
use std::ops::Range;

use super::multiversion::multiversion;
use super::reduce::Reduction;

/// Elements folded before their results meet: bounds the length of a chain of additions.
pub(super) const BLOCK: usize = 1024;

/// Folds `n` elements, `stride` apart.
///
/// # Safety
/// They are valid to read.
pub(super) unsafe fn fold_run<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    n: usize,
    stride: isize,
) -> R::Acc {
    // SAFETY: n elements from src on, `stride` apart.
    unsafe {
        if stride == 1 && R::SIMD {
            fold_vector(r, src, n)
        } else {
            fold_blocks(r, src, n, stride)
        }
    }
}

#[inline(never)]
unsafe fn fold_blocks<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    n: usize,
    stride: isize,
) -> R::Acc {
    let mut cascade = Cascade::new(r);
    for start in (0..n).step_by(BLOCK) {
        let len = BLOCK.min(n - start);
        // SAFETY: n elements from src on, `stride` apart.
        let acc = unsafe {
            let src = src.offset(start as isize * stride);
            if stride == 1 {
                fold_lanes::<T, R, 16>(r, src, len, 1)
            } else {
                fold_lanes::<T, R, 4>(r, src, len, stride)
            }
        };
        if r.is_settled(acc) {
            return acc;
        }
        cascade.push(acc);
    }
    cascade.finish()
}

multiversion! {
unsafe fn fold_vector[T: Copy, R: Reduction<T>](r: R, src: *const T, n: usize) -> R::Acc {
    // SAFETY: n elements from src on.
    unsafe {
        if let Some(acc) = r.row(src, n) {
            acc
        } else if R::EXACT {
            (0..n).fold(r.identity(), |acc, i| r.combine(acc, r.map(*src.add(i))))
        } else if n < 64 {
            fold_lanes::<T, R, 8>(r, src, n, 1)
        } else if size_of::<R::Acc>() <= 4 {
            fold_levels::<T, R, 64>(r, src, n)
        } else {
            fold_levels::<T, R, 32>(r, src, n)
        }
    }
}
}

/// Strides of lanes in a chain, and chains in a level before it moves to the next.
const CHAIN: usize = 16;

/// Folds in lanes that do not meet before the end: short chains go to levels, as digits carry.
#[inline(always)]
unsafe fn fold_levels<T: Copy, R: Reduction<T>, const LANES: usize>(
    r: R,
    src: *const T,
    n: usize,
) -> R::Acc {
    let whole = n / (LANES * CHAIN);
    let mut levels = [[r.identity(); LANES]; 3];
    let meet = |above: &mut [R::Acc; LANES], below: &[R::Acc; LANES]| {
        for lane in 0..LANES {
            above[lane] = r.combine(above[lane], below[lane]);
        }
    };
    for block in 0..whole {
        let mut acc = [r.identity(); LANES];
        for step in 0..CHAIN {
            for (lane, a) in acc.iter_mut().enumerate() {
                // SAFETY: n elements from src on.
                let x = unsafe { *src.add((block * CHAIN + step) * LANES + lane) };
                *a = r.combine(*a, r.map(x));
            }
        }
        meet(&mut levels[0], &acc);
        if (block + 1).is_multiple_of(CHAIN) {
            let acc = std::mem::replace(&mut levels[0], [r.identity(); LANES]);
            meet(&mut levels[1], &acc);
            if r.is_settled(tree(r, acc)) {
                return tree(r, acc);
            }
        }
        if (block + 1).is_multiple_of(CHAIN * CHAIN) {
            let acc = std::mem::replace(&mut levels[1], [r.identity(); LANES]);
            meet(&mut levels[2], &acc);
        }
    }
    let done = whole * LANES * CHAIN;
    // SAFETY: as above.
    let rest = unsafe { fold_lanes::<T, R, LANES>(r, src.add(done), n - done, 1) };
    if whole == 0 {
        return rest;
    }
    let [low, mut middle, mut high] = levels;
    meet(&mut middle, &low);
    meet(&mut high, &middle);
    r.combine(tree(r, high), rest)
}

/// The elements that do not fill all lanes: a few lanes, then one by one.
#[inline(always)]
unsafe fn fold_tail<T: Copy, R: Reduction<T>>(
    r: R,
    src: *const T,
    range: Range<usize>,
    stride: isize,
) -> R::Acc {
    const LANES: usize = 8;
    // SAFETY: the range lies in the run.
    let at = |i: usize| r.map(unsafe { *src.offset(i as isize * stride) });
    let single = range.start + range.len() / LANES * LANES;
    let mut acc = [r.identity(); LANES];
    for start in (range.start..single).step_by(LANES) {
        for (lane, a) in acc.iter_mut().enumerate() {
            *a = r.combine(*a, at(start + lane));
        }
    }
    (single..range.end).fold(tree(r, acc), |acc, i| r.combine(acc, at(i)))
}

/// Combines lanes pairwise.
#[inline(always)]
fn tree<T, R: Reduction<T>, const LANES: usize>(r: R, mut acc: [R::Acc; LANES]) -> R::Acc {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            acc[lane] = r.combine(acc[lane], acc[lane + width]);
        }
        width /= 2;
    }
    acc[0]
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
        let whole = n / LANES * LANES;
        let rest = fold_tail(r, src, whole..n, stride);
        if whole == 0 {
            return rest;
        }
        let mut acc = [r.identity(); LANES];
        for start in (0..whole).step_by(LANES) {
            for (lane, a) in acc.iter_mut().enumerate() {
                *a = r.combine(*a, r.map(*src.offset((start + lane) as isize * stride)));
            }
        }
        r.combine(tree(r, acc), rest)
    }
}

/// Combines a stream of accumulators as a balanced tree.
pub(super) struct Cascade<T, R: Reduction<T>> {
    r: R,
    levels: [MaybeUninit<R::Acc>; usize::BITS as usize],
    count: usize,
}

impl<T, R: Reduction<T>> Cascade<T, R> {
    #[inline(always)]
    pub fn new(r: R) -> Self {
        Cascade {
            r,
            levels: [const { MaybeUninit::uninit() }; usize::BITS as usize],
            count: 0,
        }
    }

    #[inline(always)]
    pub fn push(&mut self, mut acc: R::Acc) {
        let full = self.count.trailing_ones() as usize;
        for level in &self.levels[..full] {
            // SAFETY: the ones in `count` mark the levels in use.
            acc = self.r.combine(unsafe { level.assume_init() }, acc);
        }
        self.levels[full].write(acc);
        self.count += 1;
    }

    #[inline(always)]
    pub fn finish(&self) -> R::Acc {
        if self.count == 0 {
            return self.r.identity();
        }
        // SAFETY: the ones in `count` mark the levels in use.
        let level = |i: u32| unsafe { self.levels[i as usize].assume_init() };
        let mut acc = level(self.count.trailing_zeros());
        let mut rest = self.count & (self.count - 1);
        while rest != 0 {
            acc = self.r.combine(level(rest.trailing_zeros()), acc);
            rest &= rest - 1;
        }
        acc
    }
}
