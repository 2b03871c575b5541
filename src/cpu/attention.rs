//! Attention without a matrix of all weights: some queries at a time, whose weights stay in the cache.

use std::ops::Range;

use super::gemm::{Fixed, Gemm, Mat, Product};
use super::multiversion::multiversion;
use super::number::{Number, Real};
use super::pool::{self, grain};

/// Queries whose weights are computed at once: whole bands of tiles.
const QUERIES: usize = 48;

/// One head of each operand: queries by size, keys by size, values by size, and what is added to the scores.
#[derive(Clone, Copy)]
pub struct Head<T> {
    pub q: Mat<*const T>,
    pub k: Mat<*const T>,
    pub v: Mat<*const T>,
    pub bias: Option<Mat<*const T>>,
    pub out: Mat<*mut T>,
}

/// What all heads have in common.
#[derive(Clone, Copy)]
pub struct Attention<T> {
    pub queries: usize,
    pub keys: usize,
    pub size: usize,
    pub value_size: usize,
    pub scale: T,
    /// Queries see the keys up to their own position.
    pub causal: bool,
}

impl<T: Gemm + Number<Acc = T> + Real> Attention<T> {
    /// Computes all heads, in parallel over heads and over blocks of queries.
    ///
    /// # Safety
    /// `head` gives operands of these sizes in live memory; outputs overlap nothing.
    pub unsafe fn run(&self, heads: usize, head: impl Fn(usize) -> Head<T> + Sync) {
        let work = self.queries * self.keys * (self.size + self.value_size);
        let blocks = self.queries.div_ceil(QUERIES);
        // Tasks of one head pack its keys and values each for itself.
        let parts = (4 * pool::threads())
            .div_ceil(heads.max(1))
            .min(blocks)
            .max(1);
        let grain = grain::GEMM * parts / work.max(1) + 1;
        pool::parallel_for(heads * parts, grain, |range| {
            for task in range {
                let (at, part) = (task / parts, task % parts);
                let blocks = blocks * part / parts..blocks * (part + 1) / parts;
                // SAFETY: the caller's promise; tasks write rows of their own.
                unsafe { self.blocks(&head(at), blocks) };
            }
        });
    }

    /// # Safety
    /// As for [`Attention::run`].
    unsafe fn blocks(&self, head: &Head<T>, blocks: Range<usize>) {
        let mut weights = vec![<T as Gemm>::ZERO; QUERIES.min(self.queries) * self.keys];
        // SAFETY: the caller's promise.
        unsafe {
            let keys = T::fixed(head.k.transposed(), self.size, self.keys);
            let values = T::fixed(head.v, self.keys, self.value_size);
            for block in blocks {
                let first = block * QUERIES;
                let rows = first..(first + QUERIES).min(self.queries);
                self.block(head, rows, (&*keys, &*values), &mut weights);
            }
        }
    }

    /// # Safety
    /// As for [`Attention::run`].
    unsafe fn block(
        &self,
        head: &Head<T>,
        rows: Range<usize>,
        (keys, values): (&dyn Fixed<T>, &dyn Fixed<T>),
        weights: &mut [T],
    ) {
        let (one, zero) = (<T as Gemm>::ONE, <T as Gemm>::ZERO);
        let seen = if self.causal {
            rows.end.min(self.keys)
        } else {
            self.keys
        };
        let table = Mat::new(weights.as_mut_ptr(), self.keys as isize, 1);
        let scores = Product {
            m: rows.len(),
            n: seen,
            k: self.size,
            a: head.q.at(rows.start, 0),
            b: head.k.transposed(),
            c: table,
            alpha: self.scale,
            beta: if head.bias.is_some() { one } else { zero },
        };
        let averages = Product {
            m: rows.len(),
            n: self.value_size,
            k: seen,
            a: table.into(),
            b: head.v,
            c: head.out.at(rows.start, 0),
            alpha: one,
            beta: zero,
        };
        let bias = head
            .bias
            .map_or(table.into(), |bias| bias.at(rows.start, 0));
        let mut scales = [one; QUERIES];
        // SAFETY: the caller's promise.
        unsafe {
            keys.multiply(&scores, bias);
            weigh(
                &scores,
                self.causal.then_some(rows.start),
                head.bias.is_some(),
                &mut scales,
            );
            values.multiply(&averages, averages.c.into());
            scale_rows(&averages, &scales);
        }
    }
}

const LANES: usize = 16;

#[inline(always)]
unsafe fn greatest<T: Real>(row: *const T, n: usize, lowest: T) -> T {
    let greater = |a: T, b: T| if (a >= b) | a.is_nan() { a } else { b };
    let mut lanes = [lowest; LANES];
    let whole = n / LANES * LANES;
    // SAFETY: the row has n elements.
    unsafe {
        for i in (0..whole).step_by(LANES) {
            for (lane, max) in lanes.iter_mut().enumerate() {
                *max = greater(*max, *row.add(i + lane));
            }
        }
        let rest = (whole..n).fold(lowest, |max, i| greater(max, *row.add(i)));
        lanes.into_iter().fold(rest, greater)
    }
}

multiversion! {
/// Replaces scores by their exponentials, zeros where a query does not see, and gives the factors that make the
/// weights of a query add up to one. Where everything is masked, they are all zero.
unsafe fn weigh[T: Real + Number<Acc = T>](
    scores: &Product<T>, causal: Option<usize>, masked: bool, scales: &mut [T; QUERIES],
) {
    let lowest = T::of_f64(f64::NEG_INFINITY);
    for i in 0..scores.m {
        let row = scores.c.at(i, 0).ptr;
        let seen = causal.map_or(scores.n, |first| scores.n.min(first + i + 1));
        // SAFETY: the row has as many elements as the product has columns.
        unsafe {
            let max = greatest(row, seen, lowest);
            let none = (masked | (seen == 0)) & (max == lowest);
            let shift = if none { T::ZERO } else { max };
            let mut sums = [T::ZERO; LANES];
            let whole = seen / LANES * LANES;
            for j in (0..whole).step_by(LANES) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let power = (*row.add(j + lane)).sub(shift).exp();
                    *row.add(j + lane) = power;
                    *sum = sum.add(power);
                }
            }
            let mut sum = sums.into_iter().fold(T::ZERO, T::add);
            for j in whole..seen {
                let power = (*row.add(j)).sub(shift).exp();
                *row.add(j) = power;
                sum = sum.add(power);
            }
            for j in seen..scores.n {
                *row.add(j) = T::ZERO;
            }
            scales[i] = if none { T::ZERO } else { T::ONE.div(sum) };
        }
    }
}
}

multiversion! {
unsafe fn scale_rows[T: Real](averages: &Product<T>, scales: &[T; QUERIES]) {
    for (i, &scale) in scales[..averages.m].iter().enumerate() {
        let row = averages.c.at(i, 0).ptr;
        for j in 0..averages.n {
            // SAFETY: the caller's promise: rows that lie side by side.
            unsafe { *row.add(j) = (*row.add(j)).mul(scale) };
        }
    }
}
}
