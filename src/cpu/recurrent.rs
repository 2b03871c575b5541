//! Layers of recurrent cells over sequences: one small product and one pass over the gates per step. Sequences are
//! independent, so that threads share nothing but the weights.

use std::ops::Range;

use super::gemm::{Fixed, Gemm, Mat, Product};
use super::number::{Number, Real};
use super::pool::{self, grain};
use super::recurrent_gates::{self as gates, Gate};

/// The kind of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cell {
    Tanh,
    Relu,
    Lstm,
    Gru,
}

impl Cell {
    pub fn gates(self) -> usize {
        match self {
            Cell::Tanh | Cell::Relu => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }
}

/// Steps lie one after the other, each with fewer sequences than the one before or as many. All matrices but the
/// weights are row-major, with a row for each sequence of each step, or for each sequence.
#[derive(Clone)]
pub struct Layer<T> {
    pub cell: Cell,
    pub hidden: usize,
    /// Sequences of each step.
    pub sizes: Vec<usize>,
    pub reverse: bool,
    /// `gates * hidden` rows that multiply the state.
    pub weight: Mat<*const T>,
    /// The first state, and memory of LSTMs.
    pub first: *const T,
    pub first_memory: *const T,
}

/// What a forward pass reads and writes besides.
#[derive(Clone, Copy)]
pub struct Forward<T> {
    /// The part of the gates that comes from the inputs, and the bias of that from the state for GRUs.
    pub inputs: *const T,
    pub bias: *const T,
    pub output: *mut T,
    pub last: *mut T,
    pub last_memory: *mut T,
    /// Kept for the backward pass: gates, and the memories of LSTMs or the state's part of new values of GRUs.
    pub gates: *mut T,
    pub kept: *mut T,
}

/// What a backward pass reads, and the gradients that it writes.
#[derive(Clone, Copy)]
pub struct Backward<T> {
    pub grad: *const T,
    pub output: *const T,
    pub gates: *const T,
    pub kept: *const T,
    /// Gradients of gates; for GRUs those of the state's part, which differ, as well.
    pub inputs: *mut T,
    pub states: *mut T,
    /// The state before each step.
    pub before: *mut T,
    /// Come in as the gradients of the last state and memory, leave as those of the first.
    pub first: *mut T,
    pub first_memory: *mut T,
}

/// A step: its number, its first row, and the sequences whose state comes from the step before.
struct Step {
    row: usize,
    size: usize,
    carried: usize,
    row_before: usize,
}

struct Shared<'a, T, P>(&'a Layer<T>, &'a P, &'a dyn Fixed<T>);

// SAFETY: threads follow the pointers to rows of their own, as the caller of `forward` or `backward` promises.
unsafe impl<T, P> Sync for Shared<'_, T, P> {}

impl<T: Gemm + Number<Acc = T> + Real + Gate> Layer<T> {
    fn width(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    fn sequences(&self) -> usize {
        self.sizes.iter().copied().max().unwrap_or(0)
    }

    /// The steps in the order in which they are computed.
    fn steps(&self) -> Vec<Step> {
        let mut row = 0;
        let mut steps: Vec<Step> = Vec::with_capacity(self.sizes.len());
        for &size in &self.sizes {
            let (carried, row_before) = steps.last().map_or((0, 0), |s| (size, s.row));
            steps.push(Step {
                row,
                size,
                carried,
                row_before,
            });
            row += size;
        }
        if self.reverse {
            for t in 0..steps.len() {
                let next = steps.get(t + 1).map_or((0, 0), |s| (s.size, s.row));
                (steps[t].carried, steps[t].row_before) = next;
            }
            steps.reverse();
        }
        steps
    }

    /// Sequences for one task: as many tasks as threads, since a product of few rows wastes registers.
    fn grain(&self) -> usize {
        let work: usize = self.width() * self.hidden * self.sizes.len();
        let share = self.sequences().div_ceil(pool::threads());
        share.max(grain::GEMM / work.max(1) + 1)
    }

    /// # Safety
    /// All pointers lead to matrices of the sizes that the layer says, in live memory; what is written overlaps
    /// nothing else.
    pub unsafe fn forward(&self, pass: &Forward<T>) {
        let steps = self.steps();
        // SAFETY: the caller's promise.
        let weight = unsafe { T::fixed(self.weight.transposed(), self.hidden, self.width()) };
        let shared = Shared(self, pass, &*weight);
        pool::parallel_for(self.sequences(), self.grain(), |range| {
            let Shared(layer, pass, weight) = &shared;
            for step in &steps {
                let active = range.start.min(step.size)..range.end.min(step.size);
                for part in parts(&active, step.carried) {
                    // SAFETY: the caller's promise; tasks write rows of their own.
                    unsafe { layer.forward_part(pass, *weight, step, part) };
                }
            }
        });
    }

    /// Rows of the state and memory before a step, for sequences that all carried on or all begin.
    fn before(
        &self,
        step: &Step,
        part: &Range<usize>,
        output: *const T,
        kept: *const T,
    ) -> [*const T; 2] {
        let carried = part.start < step.carried;
        let row = if carried { step.row_before } else { 0 } + part.start;
        let (state, memory) = if carried {
            (output, kept)
        } else {
            (self.first, self.first_memory)
        };
        [state, memory].map(|rows| rows.wrapping_add(row * self.hidden))
    }

    /// # Safety
    /// As for [`Layer::forward`].
    unsafe fn forward_part(
        &self,
        pass: &Forward<T>,
        weight: &dyn Fixed<T>,
        step: &Step,
        part: Range<usize>,
    ) {
        let (h, width) = (self.hidden, self.width());
        let row = step.row + part.start;
        let [state, memory] = self.before(step, &part, pass.output, pass.kept);
        let inputs = pass.inputs.wrapping_add(row * width);
        let gates = pass.gates.wrapping_add(row * width);
        let product = Product {
            m: part.len(),
            n: width,
            k: h,
            a: Mat::new(state, h as isize, 1),
            b: self.weight.transposed(),
            c: Mat::new(gates, width as isize, 1),
            alpha: <T as Gemm>::ONE,
            beta: <T as Gemm>::ONE,
        };
        let gru = self.cell == Cell::Gru;
        let start = match (gru, pass.bias.is_null()) {
            (true, false) => Mat::new(pass.bias, 0, 1),
            _ => Mat::new(inputs, width as isize, 1),
        };
        let beta = if gru && pass.bias.is_null() {
            <T as Gemm>::ZERO
        } else {
            product.beta
        };
        // SAFETY: the caller's promise.
        unsafe {
            weight.multiply(&Product { beta, ..product }, start);
            for (i, sequence) in part.enumerate() {
                let at = |p: *mut T| p.wrapping_add((row + i) * h);
                let (gates, output) = (gates.wrapping_add(i * width), at(pass.output));
                match self.cell {
                    Cell::Tanh => gates::tanh(h, gates, output),
                    Cell::Relu => gates::relu(h, gates, output),
                    Cell::Lstm => {
                        let before = memory.wrapping_add(i * h);
                        gates::lstm(h, gates, before, at(pass.kept), output);
                        copy(
                            at(pass.kept),
                            pass.last_memory.wrapping_add(sequence * h),
                            h,
                        );
                    }
                    Cell::Gru => {
                        let (x, before) =
                            (inputs.wrapping_add(i * width), state.wrapping_add(i * h));
                        gates::gru(h, x, gates, before, at(pass.kept), output);
                    }
                }
                // The last step of a sequence writes last.
                copy(output, pass.last.wrapping_add(sequence * h), h);
            }
        }
    }

    /// # Safety
    /// As for [`Layer::forward`].
    pub unsafe fn backward(&self, pass: &Backward<T>) {
        let steps = self.steps();
        // SAFETY: the caller's promise.
        let weight = unsafe { T::fixed(self.weight, self.width(), self.hidden) };
        let shared = Shared(self, pass, &*weight);
        pool::parallel_for(self.sequences(), self.grain(), |range| {
            let Shared(layer, pass, weight) = &shared;
            let mut scratch = vec![<T as Gemm>::ZERO; layer.hidden];
            for step in steps.iter().rev() {
                let active = range.start.min(step.size)..range.end.min(step.size);
                for part in parts(&active, step.carried) {
                    // SAFETY: the caller's promise; tasks write rows of their own.
                    unsafe { layer.backward_part(pass, *weight, step, part, &mut scratch) };
                }
            }
        });
    }

    /// # Safety
    /// As for [`Layer::backward`].
    unsafe fn backward_part(
        &self,
        pass: &Backward<T>,
        weight: &dyn Fixed<T>,
        step: &Step,
        part: Range<usize>,
        scratch: &mut [T],
    ) {
        let (h, width) = (self.hidden, self.width());
        let row = step.row + part.start;
        let [state, memory] = self.before(step, &part, pass.output, pass.kept);
        let carry = pass.first.wrapping_add(part.start * h);
        // SAFETY: the caller's promise.
        unsafe {
            for i in 0..part.len() {
                let at = |p: *const T| p.wrapping_add((row + i) * h);
                let wide = |p: *mut T| p.wrapping_add((row + i) * width);
                let carry = carry.wrapping_add(i * h);
                let gates = pass.gates.wrapping_add((row + i) * width);
                let (before, inputs) = (state.wrapping_add(i * h), wide(pass.inputs));
                copy(before, at(pass.before).cast_mut(), h);
                gates::add(h, at(pass.grad), carry);
                match self.cell {
                    Cell::Tanh => gates::tanh_backward(h, carry, at(pass.output), inputs),
                    Cell::Relu => gates::relu_backward(h, carry, at(pass.output), inputs),
                    Cell::Lstm => {
                        let memories = [at(pass.kept), memory.wrapping_add(i * h)];
                        let memory_grad = pass.first_memory.wrapping_add((part.start + i) * h);
                        gates::lstm_backward(
                            h,
                            gates,
                            memories,
                            [carry, memory_grad],
                            inputs,
                            scratch.as_mut_ptr(),
                        );
                    }
                    Cell::Gru => {
                        gates::gru_backward(
                            h,
                            gates,
                            at(pass.kept),
                            before,
                            carry,
                            [inputs, wide(pass.states)],
                        );
                    }
                }
            }
            let gru = self.cell == Cell::Gru;
            let grads = if gru { pass.states } else { pass.inputs };
            let product = Product {
                m: part.len(),
                n: h,
                k: width,
                a: Mat::new(
                    grads.wrapping_add(row * width).cast_const(),
                    width as isize,
                    1,
                ),
                b: self.weight,
                c: Mat::new(carry, h as isize, 1),
                alpha: <T as Gemm>::ONE,
                beta: if gru {
                    <T as Gemm>::ONE
                } else {
                    <T as Gemm>::ZERO
                },
            };
            weight.multiply(&product, product.c.into());
        }
    }
}

/// The sequences that carry on, and those that begin.
fn parts(active: &Range<usize>, carried: usize) -> impl Iterator<Item = Range<usize>> {
    let middle = carried.clamp(active.start, active.end);
    [active.start..middle, middle..active.end]
        .into_iter()
        .filter(|part| !part.is_empty())
}

/// # Safety
/// Both are good for `n` elements and do not overlap.
unsafe fn copy<T>(from: *const T, to: *mut T, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(from, to, n) };
}
