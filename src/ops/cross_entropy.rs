//! Negative log-likelihood and cross entropy.

use smallvec::smallvec;

use super::conv::dense;
use super::loss::{MEAN, SUM};
use super::matmul::single;
use super::{Args, Body, F, Out, Outputs, Outs, SHAPES, Val, Value, arg, kernel, named};
use crate::autograd::Ctx;
use crate::cpu::index::out_of_range;
use crate::cpu::nll::{self, Rows};
use crate::tensor::{DType, Scalar, Tensor};
use crate::{Result, call, cpu, dispatch, ensure, fail, grads, ops};

/// Position of the classes: the second dimension, or the only one.
fn class_dim(x: &Tensor) -> i64 {
    i64::from(x.ndim() > 1)
}

fn nll_check(x: &Tensor, y: &Tensor, weight: Option<&Tensor>) -> Result<()> {
    let (xs, ys) = (x.shape(), y.shape());
    ensure!(!xs.is_empty(), Runtime, "input tensor should be 1D or 2D");
    ensure!(
        y.dtype() == DType::I64 || y.dtype() == DType::U8,
        Runtime,
        "expected scalar type Long but found {}",
        y.dtype().scalar_name()
    );
    if xs.len() > 1 {
        ensure!(
            ys.first() == xs.first(),
            Value,
            "Expected input batch_size ({}) to match target batch_size ({}).",
            xs[0],
            ys.first().copied().unwrap_or(0)
        );
        ensure!(
            ys.len() + 1 == xs.len() && ys[1..] == xs[2..],
            Runtime,
            "Expected target size {:?}, got {ys:?}",
            [&xs[..1], &xs[2..]].concat()
        );
    } else {
        ensure!(
            ys.is_empty() || ys == [1],
            Value,
            "Expected input batch_size (1) to match target batch_size ({}).",
            ys[0]
        );
    }
    let classes = xs[class_dim(x) as usize];
    if let Some(w) = weight {
        ensure!(
            w.ndim() == 1 && w.numel() == classes,
            Runtime,
            "weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {:?}",
            w.shape()
        );
    }
    Ok(())
}

/// Targets as classes to look up, and the weight of each: 0 where ignored.
struct Targets {
    class: Val,
    weight: Val,
    dim: i64,
}

fn targets(x: &Tensor, y: &Tensor, weight: Option<&Tensor>, ignore: i64) -> Result<Targets> {
    let dim = class_dim(x);
    let classes = x.shape()[dim as usize];
    let y = Val::from(y).to(DType::I64);
    let y = if x.ndim() == 1 {
        y.reshape(Vec::<i64>::new())
    } else {
        y
    };
    let kept = y.ne(Value::from(ignore));
    let class = y.masked_fill(kept.logical_not(), 0i64);
    if x.device().is_cpu()
        && let Some(bad) = out_of_range(&class.clone().get()?, 0, classes)
    {
        fail!(Index, "Target {bad} is out of bounds.");
    }
    let weight = match weight {
        Some(w) => {
            let looked_up = Val::from(w)
                .index_select(0, class.reshape([-1i64]))
                .reshape(class.shape().to_vec());
            looked_up.mul(kept.to(w.dtype()))
        }
        None => kept.to(x.dtype()),
    };
    Ok(Targets { class, weight, dim })
}

fn rows(shape: &[i64], ignore: i64) -> Rows {
    let sizes: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
    match sizes[..] {
        [classes] => Rows {
            batch: 1,
            classes,
            inner: 1,
            ignore,
        },
        _ => Rows {
            batch: sizes[0],
            classes: sizes[1],
            inner: sizes[2..].iter().product(),
            ignore,
        },
    }
}

fn weights_as(weight: Option<&Tensor>, dtype: DType) -> Result<Option<Tensor>> {
    weight.map(|w| dense(w, dtype)).transpose()
}

fn unsupported(dtype: DType) -> Result<()> {
    fail!(
        Runtime,
        "\"nll_loss_out_frame\" not implemented for '{}'",
        dtype.scalar_name()
    )
}

/// (loss, sum of the weights).
fn nll_meta(a: Args) -> Result<Outs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    nll_check(x, y, a.opt_t(2)?)?;
    let whole = matches!(a.int(3)?, MEAN | SUM) || x.ndim() == 1;
    let shape = if whole { &[] } else { y.shape() };
    Ok(smallvec![
        Out::new(shape, x.dtype()),
        Out::new(&[], x.dtype())
    ])
}

fn nll(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, y, weight, reduction, ignore) = (a.t(0)?, a.t(1)?, a.opt_t(2)?, a.int(3)?, a.int(4)?);
    let (rows, dtype) = (rows(x.shape(), ignore), x.dtype().compute());
    let (scores, targets, weights) = (
        dense(x, dtype)?,
        dense(y, DType::I64)?,
        weights_as(weight, dtype)?,
    );
    let found = targets.as_slice::<i64>()?;
    if let Some(bad) = rows.bad_target(found) {
        fail!(Index, "Target {bad} is out of bounds.");
    }
    let losses = if outs[0].numel() == targets.numel() {
        own_or_wide(&outs[0], dtype)?
    } else {
        Tensor::empty(targets.shape(), dtype)?
    };
    let (mut sum, mut total) = (0.0, 0.0);
    dispatch!(@arms dtype, T, {
        let weights = weights.as_ref().map(Tensor::as_slice::<T>).transpose()?;
        // SAFETY: nothing else reads the output or the tensor just made.
        let losses = unsafe { losses.as_mut_slice::<T>()? };
        let (s, t) = nll::forward(&rows, scores.as_slice::<T>()?, found, weights, losses);
        (sum, total) = (f64::from(s), f64::from(t));
    }, unsupported(dtype)?, F32 f32, F64 f64);
    cpu::fill::fill(&outs[1], Scalar::Float(total));
    match reduction {
        MEAN => cpu::fill::fill(&outs[0], Scalar::Float(sum / total)),
        SUM => cpu::fill::fill(&outs[0], Scalar::Float(sum)),
        _ => keep(&outs[0], &losses)?,
    }
    Ok(())
}

/// The output itself where it has the dtype that is computed in, else a tensor like it that has.
fn own_or_wide(out: &Tensor, dtype: DType) -> Result<Tensor> {
    if out.dtype() == dtype {
        return Ok(out.clone());
    }
    Tensor::empty(out.shape(), dtype)
}

/// Brings to the output what was computed in a tensor of [`own_or_wide`].
fn keep(out: &Tensor, computed: &Tensor) -> Result<()> {
    if out.shares_storage(computed) {
        return Ok(());
    }
    cpu::copy::copy(out, computed)
}

/// `_nll_loss_grad(grad, target, weight, total, reduction, ignore_index, size)`.
fn nll_backward(a: Args, outs: &[Tensor]) -> Result<()> {
    let (g, y, weight, total) = (a.t(0)?, a.t(1)?, a.opt_t(2)?, a.t(3)?);
    let (reduction, ignore, size) = (a.int(4)?, a.int(5)?, a.ints(6)?);
    let dtype = g.dtype().compute();
    let (targets, weights) = (dense(y, DType::I64)?, weights_as(weight, dtype)?);
    let slopes = match reduction {
        MEAN => Tensor::scalar(
            Scalar::Float(g.item()?.to_f64() / total.item()?.to_f64()),
            dtype,
        )?,
        _ => dense(g, dtype)?,
    };
    let wide = own_or_wide(&outs[0], dtype)?;
    dispatch!(@arms dtype, T, {
        let weights = weights.as_ref().map(Tensor::as_slice::<T>).transpose()?;
        // SAFETY: nothing else reads the output or the tensor just made.
        let grad = unsafe { wide.as_mut_slice::<T>()? };
        nll::backward(&rows(size, ignore), targets.as_slice::<i64>()?, weights, slopes.as_slice::<T>()?, grad);
    }, unsupported(dtype)?, F32 f32, F64 f64);
    keep(&outs[0], &wide)
}

fn nll_grad(c: &Ctx) -> super::Grads {
    let (a, shape) = (c.args(), c.shape(0));
    let (reduction, ignore) = (a.get(3), a.get(4));
    grads![
        c.when(0, || Val(call!(
            "_nll_loss_grad",
            c.g(),
            c.x(1),
            c.opt_x(2),
            c.y(1),
            reduction,
            ignore,
            &shape
        ))),
        None,
        None
    ]
}

fn nll_value(a: Args) -> Result<Outputs> {
    single(Val(call!(
        "_nll_loss",
        a.get(0),
        a.get(1),
        a.get(2),
        a.get(3),
        a.get(4)
    )))
}

fn cross_entropy(a: Args) -> Result<Outputs> {
    let (x, y, weight, reduction, ignore, smoothing) = (
        a.t(0)?,
        a.t(1)?,
        a.opt_t(2)?,
        a.int(3)?,
        a.int(4)?,
        a.float(5)?,
    );
    ensure!(x.ndim() > 0, Runtime, "input tensor should be 1D or 2D");
    let logs = Val(call!("log_softmax", x, class_dim(x)));
    if x.shape() == y.shape() {
        return by_probability(&logs, a);
    }
    if smoothing <= 0.0 {
        return single(Val(call!("_nll_loss", logs, y, weight, reduction, ignore)));
    }
    ensure!(
        smoothing <= 1.0,
        Runtime,
        "label_smoothing must be between 0.0 and 1.0. Got: {smoothing}"
    );
    smoothed(&logs, a)
}

/// Classes as targets, with a part of the probability spread over all of them.
fn smoothed(logs: &Val, a: Args) -> Result<Outputs> {
    let (x, y, weight, reduction, ignore, smoothing) = (
        a.t(0)?,
        a.t(1)?,
        a.opt_t(2)?,
        a.int(3)?,
        a.int(4)?,
        a.float(5)?,
    );
    nll_check(x, y, weight)?;
    let nll = Val(call!("_nll_loss", logs, y, weight, reduction, ignore));
    let t = targets(x, y, weight, ignore)?;
    let dim = t.dim;
    let classes = x.shape()[dim as usize] as f64;
    let spread = match weight {
        Some(w) => -logs.mul(along(w, x.ndim(), dim)).sum([dim], false),
        None => -logs.sum([dim], false),
    };
    let kept = t
        .class
        .ones_like()
        .to(x.dtype())
        .masked_fill(Val::from(y).eq(Value::from(ignore)), 0i64);
    let spread = spread.mul(&kept);
    let spread = match reduction {
        MEAN => {
            let divisor = if weight.is_some() { &t.weight } else { &kept };
            Val(call!("sum", spread)).div(Val(call!("sum", divisor)))
        }
        SUM => Val(call!("sum", spread)),
        _ => spread,
    };
    single(nll * (1.0 - smoothing) + spread * (smoothing / classes))
}

/// A weight per class, shaped to multiply along `dim`.
fn along(weight: &Tensor, ndim: usize, dim: i64) -> Val {
    let mut shape = vec![1i64; ndim];
    shape[dim as usize] = -1;
    Val::from(weight).reshape(shape)
}

/// Targets given as probabilities of all classes.
fn by_probability(logs: &Val, a: Args) -> Result<Outputs> {
    let (x, y, weight, reduction, ignore, smoothing) = (
        a.t(0)?,
        a.t(1)?,
        a.opt_t(2)?,
        a.int(3)?,
        a.int(4)?,
        a.float(5)?,
    );
    ensure!(
        y.dtype().is_float(),
        Runtime,
        "Expected floating point type for target with class probabilities, got {}",
        y.dtype().scalar_name()
    );
    ensure!(
        ignore < 0,
        Runtime,
        "ignore_index is not supported for floating point target"
    );
    let dim = class_dim(x);
    let classes = x.shape()[dim as usize];
    if let Some(w) = weight {
        ensure!(
            w.ndim() == 1 && w.numel() == classes,
            Runtime,
            "cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {:?}",
            w.shape()
        );
    }
    let mut y = Val::from(y);
    if smoothing > 0.0 {
        ensure!(
            smoothing <= 1.0,
            Runtime,
            "label_smoothing must be between 0.0 and 1.0. Got: {smoothing}"
        );
        y = y * (1.0 - smoothing) + smoothing / classes as f64;
    }
    let mut loss = logs.mul(y);
    if let Some(w) = weight {
        loss = loss.mul(along(w, x.ndim(), dim));
    }
    single(match reduction {
        MEAN => {
            let count = x.numel() / classes.max(1);
            -Val(call!("sum", loss)).div(Value::from(count))
        }
        SUM => -Val(call!("sum", loss)),
        0 => -loss.sum([dim], false),
        other => fail!(Value, "{other} is not a valid value for reduction"),
    })
}

ops! {
    /// Negative log-likelihood of target classes, and the sum of their weights.
    "_nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> (Tensor, Tensor)", 0,
    kernel(nll_meta, nll), grad named("NllLossBackward0", arg(1) | arg(2) | super::out(1) | SHAPES, nll_grad);
    /// The gradient of `_nll_loss`, and linear in its own.
    "_nll_loss_grad(Tensor grad, Tensor target, Tensor? weight, Tensor total, int reduction, int ignore_index, int[] size) -> Tensor", 0,
    kernel(|a| Ok(smallvec![Out::new(a.ints(6)?, a.t(0)?.dtype())]), nll_backward),
    grad named("NllLossBackwardBackward0", arg(1) | arg(2), |c| {
        let a = c.args();
        grads![Val(call!("_nll_loss", c.g(), c.x(1), c.opt_x(2), a.get(4), a.get(5))), None, None, None]
    });
    /// Negative log-likelihood of target classes.
    "nn.functional.nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> Tensor",
    F, Body::Composite(nll_value);
    /// Negative log-likelihood of classes, or of class probabilities, under the softmax of the input.
    "nn.functional.cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100, float label_smoothing=0.0) -> Tensor",
    F, Body::Composite(cross_entropy);
}
