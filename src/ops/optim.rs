//! Steps of optimisers, fused over lists of parameters. They write in place and are never recorded.

use super::{Args, F, Outs, check_writable, kernel};
use crate::cpu::fill::fill;
use crate::cpu::optim;
use crate::tensor::{DType, Scalar, Tensor};
use crate::{Result, ensure, ops};

/// The tensors of list `list` must match the parameters one by one.
fn check_list(name: &str, params: &[Tensor], list: &[Tensor]) -> Result<()> {
    ensure!(
        params.len() == list.len(),
        Runtime,
        "{name}: expected lists of one length, got {} and {} tensors",
        params.len(),
        list.len()
    );
    for (param, other) in params.iter().zip(list) {
        ensure!(
            param.dtype().is_float() && param.dtype() == other.dtype(),
            Runtime,
            "{name}: expected floating-point tensors of one dtype, got {} and {}",
            param.dtype(),
            other.dtype()
        );
        ensure!(
            param.shape() == other.shape() && !param.lazy().any() && !other.lazy().any(),
            Runtime,
            "{name}: expected tensors of one size, got {:?} and {:?}",
            param.shape(),
            other.shape()
        );
    }
    Ok(())
}

/// Checks and counts writes to all tensors of the lists.
fn count_writes(lists: &[&[Tensor]]) -> Result<Outs> {
    let written = || lists.iter().copied().flatten();
    written().try_for_each(check_writable)?;
    written().for_each(Tensor::bump_version);
    Ok(Outs::new())
}

/// There are no results to size; the lists are checked, and what is written is counted, for every device.
fn sgd_meta(a: Args) -> Result<Outs> {
    let (params, grads, buffers) = (a.ts(0)?, a.ts(1)?, a.ts(2)?);
    check_list("_fused_sgd_", params, grads)?;
    if a.float(4)? == 0.0 {
        return count_writes(&[params]);
    }
    check_list("_fused_sgd_", params, buffers)?;
    count_writes(&[params, buffers])
}

fn sgd(a: Args, _: &[Tensor]) -> Result<()> {
    let (params, grads, buffers) = (a.ts(0)?, a.ts(1)?, a.ts(2)?);
    let flags = optim::Sgd {
        weight_decay: a.float(3)?,
        momentum: a.float(4)?,
        lr: a.float(5)?,
        dampening: a.float(6)?,
        nesterov: a.bool(7)?,
        maximize: a.bool(8)?,
        is_first: a.bool(9)?,
    };
    for (i, (param, grad)) in params.iter().zip(grads).enumerate() {
        let buffer = buffers.get(i).filter(|_| flags.momentum != 0.0);
        optim::sgd(param, grad, buffer, flags);
    }
    Ok(())
}

fn adam_meta(a: Args) -> Result<Outs> {
    const NAME: &str = "_fused_adam_";
    let (params, means, squares) = (a.ts(0)?, a.ts(2)?, a.ts(3)?);
    let (largest, steps) = (a.ts(4)?, a.ts(5)?);
    for list in [a.ts(1)?, means, squares] {
        check_list(NAME, params, list)?;
    }
    if a.bool(11)? {
        check_list(NAME, params, largest)?;
    }
    check_steps(NAME, params, steps)?;
    count_writes(&[params, means, squares, largest, steps])
}

fn adam(a: Args, _: &[Tensor]) -> Result<()> {
    let (params, grads, means, squares) = (a.ts(0)?, a.ts(1)?, a.ts(2)?, a.ts(3)?);
    let (largest, steps) = (a.ts(4)?, a.ts(5)?);
    let flags = optim::Adam {
        lr: a.float(6)?,
        beta1: a.float(7)?,
        beta2: a.float(8)?,
        weight_decay: a.float(9)?,
        eps: a.float(10)?,
        maximize: a.bool(12)?,
        decoupled: a.bool(13)?,
    };
    let amsgrad = a.bool(11)?;
    for (i, param) in params.iter().enumerate() {
        let step = next_step(&steps[i])?;
        let top = largest.get(i).filter(|_| amsgrad);
        optim::adam(param, &grads[i], [&means[i], &squares[i]], top, flags, step);
    }
    Ok(())
}

fn check_steps(name: &str, params: &[Tensor], steps: &[Tensor]) -> Result<()> {
    let fits = |t: &Tensor| t.numel() == 1 && matches!(t.dtype(), DType::F32 | DType::F64);
    ensure!(
        params.len() == steps.len() && steps.iter().all(fits),
        Runtime,
        "{name}: expected a step count of one float element for each of {} parameters, got {}",
        params.len(),
        steps.len()
    );
    Ok(())
}

/// Counts a step; gives its number.
fn next_step(count: &Tensor) -> Result<f64> {
    let step = count.item()?.to_f64() + 1.0;
    fill(count, Scalar::Float(step));
    Ok(step)
}

ops! {
    /// One step of stochastic gradient descent for every parameter, in place.
    "_fused_sgd_(Tensor[] self, Tensor[] grads, Tensor[] momentum_buffer_list, *, float weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step) -> ()", F,
        kernel(sgd_meta, sgd);

    /// One step of Adam for every parameter, in place; counts the steps.
    "_fused_adam_(Tensor[] self, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, bool decoupled_weight_decay=False) -> ()", F,
        kernel(adam_meta, adam);
}
