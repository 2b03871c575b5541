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
        let mut weights = self.table();
        // SAFETY: the caller's promise.
        unsafe {
            let keys = T::fixed(head.k.transposed(), self.size, self.keys);
            let values = T::fixed(head.v, self.keys, self.value_size);
            for block in blocks {
                let mut scales = [<T as Gemm>::ONE; QUERIES];
                let rows = self.rows(block);
                let scores = self.weights(head, &rows, &*keys, &mut weights, &mut scales);
                let averages = Product {
                    n: self.value_size,
                    k: scores.n,
                    a: scores.c.into(),
                    b: head.v,
                    c: head.out.at(rows.start, 0),
                    beta: <T as Gemm>::ZERO,
                    ..scores
                };
                values.multiply(&averages, averages.c.into());
                scale_rows(&averages, &scales);
            }
        }
    }

    /// Room for the weights of a block.
    fn table(&self) -> Vec<T> {
        vec![<T as Gemm>::ZERO; QUERIES.min(self.queries) * self.keys]
    }

    fn rows(&self, block: usize) -> Range<usize> {
        let first = block * QUERIES;
        first..(first + QUERIES).min(self.queries)
    }

    /// The weights of some queries, to be multiplied by `scales`, as the result of a product.
    ///
    /// # Safety
    /// As for [`Attention::run`].
    unsafe fn weights(
        &self,
        head: &Head<T>,
        rows: &Range<usize>,
        keys: &dyn Fixed<T>,
        table: &mut [T],
        scales: &mut [T; QUERIES],
    ) -> Product<T> {
        let (one, zero) = (<T as Gemm>::ONE, <T as Gemm>::ZERO);
        let mut scaled = vec![zero; rows.len() * self.size];
        let queries = Mat::new(scaled.as_mut_ptr(), self.size as isize, 1);
        let seen = if self.causal {
            rows.end.min(self.keys)
        } else {
            self.keys
        };
        let scores = Product {
            m: rows.len(),
            n: seen,
            k: self.size,
            a: queries.into(),
            b: head.k.transposed(),
            c: Mat::new(table.as_mut_ptr(), self.keys as isize, 1),
            alpha: one,
            beta: if head.bias.is_some() { one } else { zero },
        };
        let bias = head
            .bias
            .map_or(scores.c.into(), |bias| bias.at(rows.start, 0));
        // SAFETY: the caller's promise.
        unsafe {
            scaled_copy(
                head.q.at(rows.start, 0),
                (rows.len(), self.size),
                self.scale,
                queries,
            );
            keys.multiply(&scores, bias);
            weigh(
                &scores,
                self.causal.then_some(rows.start),
                head.bias.is_some(),
                scales,
            );
        }
        scores
    }

    /// Computes the gradients of all heads, in parallel over them. Those of keys and values come in as zeros.
    ///
    /// # Safety
    /// As for [`Attention::run`]; `head` gives gradients instead of outputs.
    pub unsafe fn backward(
        &self,
        heads: usize,
        head: impl Fn(usize) -> (Head<T>, HeadGrads<T>) + Sync,
    ) {
        let work = self.queries * self.keys * (self.size + self.value_size);
        pool::parallel_for(heads, grain::GEMM / work.max(1) + 1, |range| {
            for at in range {
                let (head, grads) = head(at);
                // SAFETY: the caller's promise; tasks write heads of their own.
                unsafe { self.backward_head(&head, &grads) };
            }
        });
    }

    /// # Safety
    /// As for [`Attention::backward`].
    unsafe fn backward_head(&self, head: &Head<T>, grads: &HeadGrads<T>) {
        let (mut weights, mut slopes) = (self.table(), self.table());
        // SAFETY: the caller's promise.
        unsafe {
            let turned = T::fixed(head.k.transposed(), self.size, self.keys);
            let values = T::fixed(head.v.transposed(), self.value_size, self.keys);
            let keys = T::fixed(head.k, self.keys, self.size);
            for block in 0..self.queries.div_ceil(QUERIES) {
                let mut scales = [<T as Gemm>::ONE; QUERIES];
                let rows = self.rows(block);
                let scores = self.weights(head, &rows, &*turned, &mut weights, &mut scales);
                scale_rows(&scores, &scales);
                let grad = grads.out.at(rows.start, 0);
                let to_weights = Product {
                    k: self.value_size,
                    a: grad,
                    b: head.v.transposed(),
                    c: Mat::new(slopes.as_mut_ptr(), self.keys as isize, 1),
                    beta: <T as Gemm>::ZERO,
                    ..scores
                };
                values.multiply(&to_weights, to_weights.c.into());
                to_scores(&to_weights, scores.c.into(), self.scale);
                let to_queries = Product {
                    n: self.size,
                    k: scores.n,
                    a: to_weights.c.into(),
                    b: head.k,
                    c: grads.q.at(rows.start, 0),
                    ..to_weights
                };
                keys.multiply(&to_queries, to_queries.c.into());
                for (left, right, target, n) in [
                    (scores.c, grad, grads.v, self.value_size),
                    (to_weights.c, head.q.at(rows.start, 0), grads.k, self.size),
                ] {
                    let sum = Product {
                        m: scores.n,
                        n,
                        k: rows.len(),
                        a: Mat::from(left).transposed(),
                        b: right,
                        c: target,
                        alpha: <T as Gemm>::ONE,
                        beta: <T as Gemm>::ONE,
                    };
                    T::gemm(&sum, 1);
                }
            }
        }
    }
}

/// The gradient of one head's output, and where those of its operands go.
#[derive(Clone, Copy)]
pub struct HeadGrads<T> {
    pub out: Mat<*const T>,
    pub q: Mat<*mut T>,
    pub k: Mat<*mut T>,
    pub v: Mat<*mut T>,
}

multiversion! {
unsafe fn scaled_copy[T: Real](from: Mat<*const T>, size: (usize, usize), scale: T, to: Mat<*mut T>) {
    for i in 0..size.0 {
        for j in 0..size.1 {
            // SAFETY: both have this size.
            unsafe { *to.at(i, j).ptr = (*from.at(i, j).ptr).mul(scale) };
        }
    }
}
}

multiversion! {
/// The gradients of scores from those of their softmax, in place.
unsafe fn to_scores[T: Real](grads: &Product<T>, weights: Mat<*const T>, scale: T) {
    for i in 0..grads.m {
        let (row, weights) = (grads.c.at(i, 0).ptr, weights.at(i, 0).ptr);
        let mut sums = [T::ZERO; LANES];
        let whole = grads.n / LANES * LANES;
        // SAFETY: rows of both have as many elements as the product has columns.
        unsafe {
            for j in (0..whole).step_by(LANES) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add((*row.add(j + lane)).mul(*weights.add(j + lane)));
                }
            }
            let rest = (whole..grads.n).fold(T::ZERO, |sum, j| sum.add((*row.add(j)).mul(*weights.add(j))));
            let sum = sums.into_iter().fold(rest, T::add);
            for j in 0..grads.n {
                *row.add(j) = (*row.add(j)).sub(sum).mul(*weights.add(j)).mul(scale);
            }
        }
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
