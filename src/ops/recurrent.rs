//! Layers of recurrent cells: one kernel for the steps of a layer, or one operator after the other for what the
//! kernel does not do, and for gradients of gradients.

use smallvec::smallvec;

use super::{Args, Body, Grads, Out, Outputs, Outs, Val, Value, arg, kernel, named, out};
use crate::autograd::{self, Ctx, grad_enabled};
use crate::cpu::gemm::{Gemm, Mat};
use crate::cpu::number::{Number, Real};
use crate::cpu::recurrent::{Backward, Cell, Forward, Layer};
use crate::cpu::recurrent_gates::Gate;
use crate::tensor::{DType, Element, Tensor};
use crate::{Result, call, call_all, ensure, fail, grads, ops};

fn cell(name: &str) -> Result<Cell> {
    Ok(match name {
        "RNN_TANH" => Cell::Tanh,
        "RNN_RELU" => Cell::Relu,
        "LSTM" => Cell::Lstm,
        "GRU" => Cell::Gru,
        _ => fail!(Value, "Unrecognized RNN mode: {name}"),
    })
}

/// The arguments that the operators of this file share.
struct Steps {
    inputs: Val,
    weight: Val,
    bias: Option<Val>,
    hidden: Val,
    memory: Option<Val>,
    sizes: Vec<i64>,
    mode: String,
    reverse: bool,
}

impl Steps {
    /// The arguments of a call, of which rules see the saved ones.
    fn of(a: Args) -> Result<Steps> {
        Ok(Steps {
            inputs: a.t(0)?.into(),
            weight: a.t(1)?.into(),
            bias: a.opt_t(2)?.map(Val::from),
            hidden: a.t(3)?.into(),
            memory: a.opt_t(4)?.map(Val::from),
            sizes: a.ints(5)?.to_vec(),
            mode: a.str(6)?.to_string(),
            reverse: a.bool(7)?,
        })
    }

    /// The next state, and memory.
    fn advance(&self, from_input: &Val, from_hidden: &Val, state: &[Val]) -> Result<Vec<Val>> {
        let gate = |v: &Val, i: i64, of: i64| {
            let size = v.shape()[1] / of;
            v.narrow(1, i * size, size)
        };
        Ok(match cell(&self.mode)? {
            Cell::Tanh => vec![(from_input + from_hidden).tanh()],
            Cell::Relu => vec![Val(call!("relu", from_input + from_hidden))],
            Cell::Lstm => {
                let all = from_input + from_hidden;
                let [enter, forget, out] = [0, 1, 3].map(|i| gate(&all, i, 4).sigmoid());
                let memory = forget * &state[1] + enter * gate(&all, 2, 4).tanh();
                vec![out * memory.tanh(), memory]
            }
            Cell::Gru => {
                let [reset, update] =
                    [0, 1].map(|i| (gate(from_input, i, 3) + gate(from_hidden, i, 3)).sigmoid());
                let new = (gate(from_input, 2, 3) + reset * gate(from_hidden, 2, 3)).tanh();
                vec![&new + update * (&state[0] - &new)]
            }
        })
    }

    /// Outputs of all steps and the last states, by operators that record themselves.
    fn composed(&self, projection: Option<&Tensor>) -> Result<(Val, Vec<Val>)> {
        let first: Vec<Val> = [Some(&self.hidden), self.memory.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let rows = |v: &Val, from: i64, to: i64| v.narrow(0, from, to - from);
        let mut order: Vec<usize> = (0..self.sizes.len()).collect();
        if self.reverse {
            order.reverse();
        }
        let mut outputs: Vec<Val> = vec![self.hidden.clone(); order.len()];
        let mut state: Vec<Val> = Vec::new();
        let mut ended: Vec<Vec<Val>> = Vec::new();
        for &t in &order {
            let (size, row) = (self.sizes[t], self.sizes[..t].iter().sum::<i64>());
            let active = state.first().map_or(0, |s| s.shape()[0]);
            if state.is_empty() {
                state = first.iter().map(|f| rows(f, 0, size)).collect();
            } else if size > active {
                let grown = state
                    .iter()
                    .zip(&first)
                    .map(|(s, f)| joined(&[s.clone(), rows(f, active, size)]));
                state = grown.collect();
            } else if size < active {
                ended.push(state.iter().map(|s| rows(s, size, active)).collect());
                state = state.iter().map(|s| rows(s, 0, size)).collect();
            }
            let bias = self.bias.clone();
            let from_hidden = Val(call!("nn.functional.linear", &state[0], &self.weight, bias));
            state = self.advance(&rows(&self.inputs, row, row + size), &from_hidden, &state)?;
            if let Some(projection) = projection {
                state[0] = Val(call!("nn.functional.linear", &state[0], projection));
            }
            outputs[t] = state[0].clone();
        }
        for rest in ended.iter().rev() {
            state = state
                .iter()
                .zip(rest)
                .map(|(s, r)| joined(&[s.clone(), r.clone()]))
                .collect();
        }
        Ok((joined(&outputs), state))
    }
}

fn joined(parts: &[Val]) -> Val {
    let parts = parts
        .iter()
        .map(|v| v.clone().get())
        .collect::<Result<Vec<_>>>();
    Val(parts.and_then(|parts| call!("cat", parts, 0_i64)))
}

/// `(inputs, weight, bias, hidden, memory, sizes, mode, reverse)`, then the weights of a projection.
fn layer(a: Args) -> Result<Outputs> {
    let (steps, projection) = (Steps::of(a)?, a.opt_t(8)?);
    let sized = !steps.sizes.is_empty() && steps.sizes.iter().all(|&n| n > 0);
    let kernel = sized && has_kernel(&steps.inputs);
    let tensor = |v: Val| v.get().map(Value::Tensor);
    if kernel && projection.is_none() {
        let mut all = call_all!(
            "_rnn_steps",
            a.get(0),
            a.get(1),
            a.get(2),
            a.get(3),
            a.get(4),
            a.get(5),
            a.get(6),
            a.get(7)
        )?;
        all.truncate(3);
        return Ok(all);
    }
    let (output, state) = steps.composed(projection)?;
    let memory = state.get(1).unwrap_or(&state[0]).clone();
    Ok(smallvec![
        tensor(output)?,
        tensor(state[0].clone())?,
        tensor(memory)?
    ])
}

/// The CPU's kernels have no halves.
fn has_kernel(inputs: &Val) -> bool {
    let cpu = inputs.0.as_ref().is_ok_and(|t| t.device().is_cpu());
    matches!(inputs.dtype(), DType::F32 | DType::F64) || (!cpu && inputs.dtype().is_float())
}

/// Sizes that the kernels rely on.
fn check(s: &Steps) -> Result<(Cell, i64, i64)> {
    let cell = cell(&s.mode)?;
    let (Some(&batch), Some(&hidden)) = (s.hidden.shape().first(), s.hidden.shape().get(1)) else {
        fail!(Runtime, "rnn: the state must be a matrix");
    };
    let width = cell.gates() as i64 * hidden;
    let total: i64 = s.sizes.iter().sum();
    let fits = s.inputs.shape() == [total, width]
        && s.weight.shape() == [width, hidden]
        && s.bias.as_ref().is_none_or(|b| b.shape() == [width])
        && s.memory
            .as_ref()
            .map_or(cell != Cell::Lstm, |m| m.shape() == [batch, hidden]);
    let largest = s.sizes.iter().copied().max().unwrap_or(0);
    ensure!(
        fits && largest == batch
            && s.sizes.iter().all(|&n| n > 0)
            && s.sizes.is_sorted_by(|a, b| a >= b),
        Runtime,
        "rnn: sizes of inputs, weights and states do not match"
    );
    let dtype = s.inputs.dtype();
    let others = [
        Some(&s.weight),
        Some(&s.hidden),
        s.bias.as_ref(),
        s.memory.as_ref(),
    ];
    ensure!(
        has_kernel(&s.inputs) && others.into_iter().flatten().all(|v| v.dtype() == dtype),
        Runtime,
        "rnn: inputs, weights and states must have one dtype"
    );
    Ok((cell, batch, hidden))
}

fn steps_meta(a: Args) -> Result<Outs> {
    let s = Steps::of(a)?;
    let (cell, batch, hidden) = check(&s)?;
    let (total, dtype) = (s.inputs.shape()[0], s.inputs.dtype());
    let gates = cell.gates() as i64 * hidden;
    let [memories, kept] = match cell {
        Cell::Lstm => [batch, total],
        Cell::Gru => [0, total],
        _ => [0, 0],
    };
    let shapes = [
        [total, hidden],
        [batch, hidden],
        [memories, hidden],
        [total, gates],
        [kept, hidden],
    ];
    Ok(shapes.iter().map(|shape| Out::new(shape, dtype)).collect())
}

/// Row-major operands and what describes them; the tensors live as long as the pointers are used.
struct Operands {
    inputs: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    hidden: Tensor,
    memory: Option<Tensor>,
}

fn plain(v: &Val) -> Result<Tensor> {
    Val::from(v.clone().get()?.detached()).contiguous().get()
}

impl Operands {
    fn of(s: &Steps) -> Result<Operands> {
        Ok(Operands {
            inputs: plain(&s.inputs)?,
            weight: s.weight.clone().get()?,
            bias: s.bias.as_ref().map(plain).transpose()?,
            hidden: plain(&s.hidden)?,
            memory: s.memory.as_ref().map(plain).transpose()?,
        })
    }

    fn layer<T: Element>(&self, s: &Steps, cell: Cell, hidden: i64) -> Layer<T> {
        let strides = self.weight.strides();
        Layer {
            cell,
            hidden: hidden as usize,
            sizes: s.sizes.iter().map(|&n| n as usize).collect(),
            reverse: s.reverse,
            weight: Mat::new(
                self.weight.ptr::<T>().cast_const(),
                strides[0] as isize,
                strides[1] as isize,
            ),
            first: self.hidden.ptr::<T>(),
            first_memory: pointer(self.memory.as_ref()),
        }
    }
}

fn pointer<T: Element>(t: Option<&Tensor>) -> *const T {
    t.map_or(std::ptr::null(), |t| t.ptr::<T>().cast_const())
}

fn steps_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    fn run<T: Element + Gemm + Number<Acc = T> + Real + Gate>(
        s: &Steps,
        outs: &[Tensor],
    ) -> Result<()> {
        let (cell, _, hidden) = check(s)?;
        let operands = Operands::of(s)?;
        let pass = Forward {
            inputs: operands.inputs.ptr::<T>(),
            bias: pointer(operands.bias.as_ref()),
            output: outs[0].ptr::<T>(),
            last: outs[1].ptr::<T>(),
            last_memory: outs[2].ptr::<T>(),
            gates: outs[3].ptr::<T>(),
            kept: outs[4].ptr::<T>(),
        };
        // SAFETY: the sizes were checked; the outputs were made for this call.
        unsafe { operands.layer::<T>(s, cell, hidden).forward(&pass) };
        Ok(())
    }
    let s = Steps::of(a)?;
    if s.inputs.dtype() == DType::F32 {
        run::<f32>(&s, outs)
    } else {
        run::<f64>(&s, outs)
    }
}

/// `(inputs ... reverse, output, gates, kept, grad, grad of the last state, and memory)`: gradients of gates from the
/// input and from the state, the states before the steps, gradients of the first state and memory.
fn backward_meta(a: Args) -> Result<Outs> {
    let s = Steps::of(a)?;
    let (cell, batch, hidden) = check(&s)?;
    let (total, dtype) = (s.inputs.shape()[0], s.inputs.dtype());
    let gates = cell.gates() as i64 * hidden;
    let apart = if cell == Cell::Gru { total } else { 0 };
    let memories = if cell == Cell::Lstm { batch } else { 0 };
    let shapes = [
        [total, gates],
        [apart, gates],
        [total, hidden],
        [batch, hidden],
        [memories, hidden],
    ];
    Ok(shapes.iter().map(|shape| Out::new(shape, dtype)).collect())
}

fn backward_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    fn run<T: Element + Gemm + Number<Acc = T> + Real + Gate>(
        a: Args,
        outs: &[Tensor],
    ) -> Result<()> {
        let s = Steps::of(a)?;
        let (cell, _, hidden) = check(&s)?;
        let operands = Operands::of(&s)?;
        let [output, gates, kept, grad] =
            [8, 9, 10, 11].map(|i| a.t(i).and_then(|t| plain(&t.into())));
        let (output, gates, kept, grad) = (output?, gates?, kept?, grad?);
        for (target, given) in [(&outs[3], a.opt_t(12)?), (&outs[4], a.opt_t(13)?)] {
            match given {
                Some(given) if target.numel() > 0 => crate::backend::copy(target, given)?,
                // SAFETY: the output was made for this call.
                _ => unsafe { target.as_mut_slice::<T>()?.fill(<T as Gemm>::ZERO) },
            }
        }
        let pass = Backward {
            grad: grad.ptr::<T>(),
            output: output.ptr::<T>(),
            gates: gates.ptr::<T>(),
            kept: kept.ptr::<T>(),
            inputs: outs[0].ptr::<T>(),
            states: outs[1].ptr::<T>(),
            before: outs[2].ptr::<T>(),
            first: outs[3].ptr::<T>(),
            first_memory: outs[4].ptr::<T>(),
        };
        // SAFETY: the sizes were checked; the outputs were made for this call.
        unsafe { operands.layer::<T>(&s, cell, hidden).backward(&pass) };
        Ok(())
    }
    if a.t(0)?.dtype() == DType::F32 {
        run::<f32>(a, outs)
    } else {
        run::<f64>(a, outs)
    }
}

fn steps_grad(c: &Ctx) -> Grads {
    steps_grad_of(c).unwrap_or_else(|e| grads![Val(Err(e)), None, None, None, None])
}

fn steps_grad_of(c: &Ctx) -> Result<Grads> {
    let a = c.args();
    if grad_enabled() {
        return differentiable_grad(c);
    }
    let grad = c.grad(0).unwrap_or_else(|| c.y(0).zeros_like());
    let memory_grad = if a.str(6)? == "LSTM" { c.grad(2) } else { None };
    let all = call_all!(
        "_rnn_steps_backward",
        a.get(0),
        a.get(1),
        a.get(2),
        a.get(3),
        a.get(4),
        a.get(5),
        a.get(6),
        a.get(7),
        c.y(0),
        c.y(3),
        c.y(4),
        grad,
        c.grad(1),
        memory_grad
    )?;
    let all: Vec<Val> = all.into_iter().map(|v| Val(v.into_tensor())).collect();
    let states = if a.str(6)? == "GRU" { &all[1] } else { &all[0] };
    Ok(grads![
        c.when(0, || all[0].clone()),
        c.when(1, || states.t().mm(&all[2])),
        c.when(2, || states.sum([0_i64], false)),
        c.when(3, || all[3].clone()),
        c.when(4, || all[4].clone()),
    ])
}

/// The gradients of the composition, which have gradients themselves.
fn differentiable_grad(c: &Ctx) -> Result<Grads> {
    let (output, state) = Steps::of(c.args())?.composed(None)?;
    let results = [Some(output), state.first().cloned(), state.get(1).cloned()];
    let (mut roots, mut given) = (Vec::new(), Vec::new());
    for (i, result) in results.into_iter().enumerate() {
        if let (Some(result), Some(grad)) = (result, c.grad(i)) {
            roots.push(result.get()?);
            given.push(Some(grad.get()?));
        }
    }
    let slots: Vec<usize> = (0..5).filter(|&slot| c.needs(slot)).collect();
    let inputs = slots
        .iter()
        .map(|&slot| c.x(slot).get())
        .collect::<Result<Vec<_>>>()?;
    let found = autograd::grad(&roots, &given, &inputs, true, true)?;
    let mut all: Grads = smallvec![None; 5];
    for (slot, grad) in slots.into_iter().zip(found) {
        all[slot] = grad.map(Val::from);
    }
    Ok(all)
}

ops! {
    /// A layer of recurrent cells over steps that lie one after the other: outputs, the last state, and memory.
    "_rnn_layer(Tensor inputs, Tensor weight, Tensor? bias, Tensor hidden, Tensor? memory, int[] sizes, str mode, bool reverse, Tensor? projection) -> (Tensor, Tensor, Tensor)",
    super::F, Body::Composite(layer);
    /// The kernel of the layer, which also keeps gates and memories.
    "_rnn_steps(Tensor inputs, Tensor weight, Tensor? bias, Tensor hidden, Tensor? memory, int[] sizes, str mode, bool reverse) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    0, kernel(steps_meta, steps_kernel),
    grad named(
        "RnnLayerBackward0",
        arg(0) | arg(1) | arg(2) | arg(3) | arg(4) | out(0) | out(3) | out(4),
        steps_grad
    );
    /// The gradients of gates and first states.
    "_rnn_steps_backward(Tensor inputs, Tensor weight, Tensor? bias, Tensor hidden, Tensor? memory, int[] sizes, str mode, bool reverse, Tensor output, Tensor gates, Tensor kept, Tensor grad, Tensor? last, Tensor? last_memory) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    0, kernel(backward_meta, backward_kernel);
}
