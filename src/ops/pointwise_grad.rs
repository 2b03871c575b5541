//! Gradients of pointwise ops: one fused pass, or the formula carried out as ops where it is to be recorded.

use smallvec::SmallVec;

use super::pointwise::{Differentiable, Formula, Kind, Spec, loop_for, shape_of};
use super::pointwise_launch::{Lanes, launch, launch_flat, scalars};
use super::pointwise_plain::Plain;
use super::replay::replay;
use super::{Grads, Val, Value, arg, out, result_type};
use crate::autograd::{Ctx, grad_enabled};
use crate::backend::{self, Map};
use crate::tensor::{Device, Tensor};
use crate::{Result, fail};

/// Bits of what the gradient of each operand needs saved.
#[must_use]
pub fn uses<P: Differentiable>() -> SmallVec<[u32; 3]> {
    let operands = P::SPEC.operands;
    let bits = |d: &Formula| {
        let inputs = (d.tree)(true).inputs;
        let of_operands = (0..operands).filter(|i| inputs & (2 << i) != 0).map(arg);
        let of_result = if inputs & (2 << operands) == 0 {
            0
        } else {
            out(0)
        };
        of_operands.fold(of_result, |all, bit| all | bit)
    };
    P::DERIVATIVES.iter().map(bits).collect()
}

/// The gradient rule that the derivatives make.
pub fn rule<P: Differentiable>(ctx: &Ctx) -> Grads {
    let spec = &P::SPEC;
    let slots = P::DERIVATIVES.iter().enumerate();
    slots
        .map(|(slot, d)| ctx.when(slot, || Val(gradient(spec, d, ctx))))
        .collect()
}

/// Stands for what a formula does not read.
static ABSENT: Value = Value::None;

fn gradient(spec: &Spec, derivative: &Formula, ctx: &Ctx) -> Result<Tensor> {
    let g = ctx.g().get()?;
    let tree = (derivative.tree)(g.dtype().is_complex() || spec.kind == Kind::Real);
    let uses = |input: usize| tree.inputs & (1 << input) != 0;
    let g = Value::Tensor(g);
    let result = if uses(spec.operands + 1) {
        Value::Tensor(ctx.y(0).get()?)
    } else {
        Value::None
    };
    let mut inputs: SmallVec<[&Value; 6]> = smallvec::smallvec![&g];
    let args = ctx.args();
    inputs.extend((0..spec.operands).map(|i| if uses(i + 1) { args.get(i) } else { &ABSENT }));
    inputs.push(&result);
    let params = (0..spec.params).map(|i| args.get(spec.operands + i));
    let fusible = |t: &Tensor| t.dtype().is_float() && !t.lazy().any();
    if grad_enabled() || !inputs.iter().filter_map(|v| v.tensor()).all(fusible) {
        let all: Vec<Value> = inputs.into_iter().chain(params).cloned().collect();
        return replay(tree, &all);
    }
    fused(derivative, &inputs, params)
}

/// One pass over everything the formula reads.
fn fused<'a>(
    formula: &Formula,
    inputs: &[&'a Value],
    params: impl Iterator<Item = &'a Value>,
) -> Result<Tensor> {
    // An operand that the formula does not read stands in as the gradient.
    let operands: SmallVec<[&Value; 6]> = inputs
        .iter()
        .map(|v| if v.is_none() { inputs[0] } else { *v })
        .collect();
    if let Some(plain) = Plain::of(operands.iter().copied())
        && let Some(run) = plain.pick(&formula.loops)
    {
        let lanes = Lanes::of(plain.dtype, plain.dtype);
        let target = Tensor::empty(plain.shape, plain.dtype)?;
        let params = scalars(plain.dtype, params)?;
        launch_flat(run, lanes, &operands, &params, &target, GRAIN)?;
        return Ok(target);
    }
    let common = result_type(operands.iter().copied())?;
    let Some((run, lane)) = loop_for(&formula.loops, common) else {
        fail!(
            NotImplemented,
            "the gradient is not implemented for '{}'",
            common.scalar_name()
        );
    };
    let shape = shape_of(operands.iter().copied())?;
    let device = device_of(inputs);
    let target = backend::empty(device, &shape, common)?;
    if !device.is_cpu() {
        let params: SmallVec<[&Value; 3]> = params.collect();
        backend::map(&Map {
            tree: (formula.tree)(false),
            lane,
            result: lane,
            operands: inputs,
            params: &params,
            target: &target,
        })?;
        return Ok(target);
    }
    let lanes = Lanes::of(lane, lane);
    let params = scalars(lane, params)?;
    launch(run, lanes, &operands, &params, &target, GRAIN)?;
    Ok(target)
}

/// Where the tensors lie; numbers may lie on the CPU.
fn device_of(inputs: &[&Value]) -> Device {
    let mut devices = inputs.iter().filter_map(|v| v.tensor()).map(Tensor::device);
    devices.find(|d| !d.is_cpu()).unwrap_or(Device::CPU)
}

/// Elements of a gradient that make a task.
const GRAIN: usize = crate::cpu::pool::grain::MATH;
