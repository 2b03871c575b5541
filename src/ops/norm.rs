//! Normalisation of trailing dimensions and of groups of channels.

use super::{Args, Body, F, Grads, Out, Outputs, Outs, Val, Value, arg, kernel, named, out};
use crate::autograd::{Ctx, grad_enabled};
use crate::cpu::norm::{LayerNorm, LayerNormBackward, Normalized};
use crate::cpu::number::{Accumulator, Number, Real};
use crate::tensor::{Dims, Element, Tensor};
use crate::{Result, call_all, dispatch, ensure, fail, grads, ops};

/// Rows and row length of a normalisation over trailing dimensions, checked as PyTorch does.
fn rows(
    x: &Tensor,
    normalized: &[i64],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<(usize, usize)> {
    ensure!(
        !normalized.is_empty(),
        Runtime,
        "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = {normalized:?}"
    );
    for (name, t) in [("weight", weight), ("bias", bias)] {
        if let Some(t) = t {
            ensure!(
                t.shape() == normalized,
                Runtime,
                "Expected {name} to be of same shape as normalized_shape, but got {name} of shape {:?} and normalized_shape = {normalized:?}",
                t.shape()
            );
        }
    }
    let lead = x.ndim().checked_sub(normalized.len());
    match lead {
        Some(lead) if &x.shape()[lead..] == normalized => {
            let rows: i64 = x.shape()[..lead].iter().product();
            Ok((rows as usize, normalized.iter().product::<i64>() as usize))
        }
        _ => fail!(
            Runtime,
            "Given normalized_shape={normalized:?}, expected input with shape [*, {}], but got input of size{:?}",
            normalized
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            x.shape()
        ),
    }
}

fn layer_meta(a: Args) -> Result<Outs> {
    let (x, normalized) = (a.t(0)?, a.ints(1)?);
    rows(x, normalized, a.opt_t(2)?, a.opt_t(3)?)?;
    ensure!(
        x.dtype().is_float(),
        NotImplemented,
        "\"LayerNormKernelImpl\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    let mut shape = Dims::from_slice(x.shape());
    let lead = x.ndim() - normalized.len();
    shape[lead..].fill(1);
    let statistics = a.opt_t(2)?.or(a.opt_t(3)?).map_or(x.dtype(), Tensor::dtype);
    Ok(smallvec::smallvec![
        Out::new(x.shape(), x.dtype()),
        Out::new(&shape, statistics),
        Out::new(&shape, statistics)
    ])
}

/// A row-major tensor in this one's dtype.
fn plain(t: &Tensor, like: &Tensor) -> Result<Tensor> {
    Val::from(t.detached()).to(like.dtype()).contiguous().get()
}

fn store<A: Real>(target: &Tensor, values: &[A]) -> Result<()> {
    let wide: Vec<f64> = values.iter().map(|v| v.to_f64()).collect();
    crate::backend::copy(target, &Tensor::from_slice(&wide, target.shape())?)
}

fn layer_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = plain(a.t(0)?, a.t(0)?)?;
    let (count, size) = rows(&x, a.ints(1)?, None, None)?;
    let weight = a.opt_t(2)?.map(|t| plain(t, &x)).transpose()?;
    let bias = a.opt_t(3)?.map(|t| plain(t, &x)).transpose()?;
    fn run<T: Element + Number<Acc: Real>>(
        norm: &LayerNorm<T>,
        count: usize,
        eps: f64,
        outs: &[Tensor],
    ) -> Result<()> {
        let (mut mean, mut rstd) = (vec![T::Acc::ZERO; count], vec![T::Acc::ZERO; count]);
        // SAFETY: the output was made for this call.
        let y = unsafe { outs[0].as_mut_slice::<T>()? };
        norm.forward(
            eps,
            Normalized {
                y,
                mean: &mut mean,
                rstd: &mut rstd,
            },
        );
        store(&outs[1], &mean)?;
        store(&outs[2], &rstd)
    }
    dispatch!(float x.dtype(), T => {
        let norm = LayerNorm {
            x: x.as_slice::<T>()?,
            size,
            weight: weight.as_ref().map(|t| t.as_slice::<T>()).transpose()?,
            bias: bias.as_ref().map(|t| t.as_slice::<T>()).transpose()?,
        };
        run::<T>(&norm, count, a.float(4)?, outs)
    }, else Ok(()))
}

/// (grad, input, normalized_shape, mean, rstd, weight) -> gradients of input, weight and bias.
fn backward_meta(a: Args) -> Result<Outs> {
    let (x, normalized) = (a.t(1)?, a.ints(2)?);
    rows(x, normalized, a.opt_t(5)?, None)?;
    let part = Out::new(normalized, x.dtype());
    Ok(smallvec::smallvec![
        Out::new(x.shape(), x.dtype()),
        part.clone(),
        part
    ])
}

fn backward_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = plain(a.t(1)?, a.t(1)?)?;
    let (grad, mean, rstd) = (
        plain(a.t(0)?, &x)?,
        plain(a.t(3)?, &x)?,
        plain(a.t(4)?, &x)?,
    );
    let weight = a.opt_t(5)?.map(|t| plain(t, &x)).transpose()?;
    let (_, size) = rows(&x, a.ints(2)?, None, None)?;
    fn wide<T: Element + Number>(t: &Tensor) -> Result<Vec<T::Acc>> {
        Ok(t.as_slice::<T>()?.iter().map(|v| v.widen()).collect())
    }
    fn run<T: Element + Number<Acc: Real>>(
        norm: &LayerNormBackward<T>,
        outs: &[Tensor],
    ) -> Result<()> {
        let (mut dw, mut db) = (vec![T::Acc::ZERO; norm.size], vec![T::Acc::ZERO; norm.size]);
        // SAFETY: the output was made for this call.
        norm.run(unsafe { outs[0].as_mut_slice::<T>()? }, &mut dw, &mut db);
        store(&outs[1], &dw)?;
        store(&outs[2], &db)
    }
    dispatch!(float x.dtype(), T => run::<T>(&LayerNormBackward {
        grad: grad.as_slice::<T>()?,
        x: x.as_slice::<T>()?,
        mean: &wide::<T>(&mean)?,
        rstd: &wide::<T>(&rstd)?,
        size,
        weight: weight.as_ref().map(|t| t.as_slice::<T>()).transpose()?,
    }, outs), else Ok(()))
}

fn layer_rule(c: &Ctx) -> Grads {
    let Some(g) = c.grad(0) else {
        return grads![None, None, None];
    };
    let (x, weight) = (c.x(0), c.opt_x(2));
    let Ok(normalized) = c.args().ints(1) else {
        return grads![None, None, None];
    };
    if !grad_enabled() {
        let all = call_all!(
            "_layer_norm_backward",
            g,
            x,
            normalized,
            c.y(1),
            c.y(2),
            weight
        );
        return match all {
            Ok(list) => list
                .into_iter()
                .enumerate()
                .map(|(i, v)| c.when(i, || Val(v.into_tensor())))
                .collect(),
            Err(e) => grads![Val(Err(e)), None, None],
        };
    }
    let n = normalized.len() as i64;
    let dims: Vec<i64> = (-n..0).collect();
    let eps = c.args().float(4).unwrap_or(0.0);
    let mean = |v: &Val| v.mean(dims.clone(), true);
    let centered = &x - mean(&x);
    let rstd = (mean(&centered.square()) + eps).rsqrt();
    let hat = &centered * &rstd;
    let gw = weight.map_or(g.clone(), |w| &g * w);
    let dx = (&gw - mean(&gw) - &hat * mean(&(&gw * &hat))) * rstd;
    let shape = Dims::from_slice(normalized);
    grads![
        c.when(0, || dx),
        c.when(1, || (&g * hat).sum_to_size(&shape)),
        c.when(2, || g.sum_to_size(&shape))
    ]
}

fn layer_norm(a: Args) -> Result<Outputs> {
    let mut all = call_all!(
        "native_layer_norm",
        a.get(0),
        a.get(1),
        a.get(2),
        a.get(3),
        a.get(4)
    )?;
    all.truncate(1);
    Ok(all)
}

/// A per-channel vector as [1, C, 1, ...] for an input of so many dimensions.
pub(super) fn per_channel(v: &Tensor, ndim: usize) -> Val {
    let mut shape = vec![1i64; ndim];
    if let Some(channels) = shape.get_mut(usize::from(ndim > 1)) {
        *channels = v.numel();
    }
    Val::from(v).reshape(shape)
}

/// `x * weight + bias`, where given, per channel.
pub(super) fn affine(x: Val, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Val {
    let ndim = x.ndim();
    let x = weight.map_or(x.clone(), |w| &x * per_channel(w, ndim));
    bias.map_or(x.clone(), |b| &x + per_channel(b, ndim))
}

/// Rows of `groups * batch` without weights: (normalised, mean, rstd).
pub(super) fn normalized_rows(x: &Val, rows: i64, eps: f64) -> Result<(Val, Val, Val)> {
    let total = x.shape().iter().product::<i64>();
    let flat = x.reshape([rows, if rows == 0 { 0 } else { total / rows }]);
    let size = flat.shape().get(1).copied().unwrap_or(0);
    let all = call_all!(
        "native_layer_norm",
        flat,
        [size],
        None::<Tensor>,
        None::<Tensor>,
        eps
    )?;
    let mut parts = all.into_iter().map(|v| Val(v.into_tensor()));
    match (parts.next(), parts.next(), parts.next()) {
        (Some(y), Some(mean), Some(rstd)) => Ok((y, mean, rstd)),
        _ => fail!(Runtime, "native_layer_norm: expected three results"),
    }
}

fn native_group_norm(a: Args) -> Result<Outputs> {
    let (x, eps) = (a.t(0)?, a.float(7)?);
    let (batch, channels, groups) = (a.int(3)?, a.int(4)?, a.int(6)?);
    let y = grouped(x, a.opt_t(1)?, a.opt_t(2)?, (batch, channels, groups), eps)?;
    // The statistics by themselves: unlike those of the fused layer norm, they are differentiable.
    let size = if batch * groups == 0 {
        0
    } else {
        x.numel() / (batch * groups)
    };
    let rows = Val::from(x).reshape([batch * groups, size]);
    let mean = rows.mean([-1], true);
    let rstd = ((rows - &mean).square().mean([-1], true) + eps).rsqrt();
    let statistics = |v: Val| v.reshape([batch, groups]).get().map(Value::from);
    Ok(smallvec::smallvec![
        y.into(),
        statistics(mean)?,
        statistics(rstd)?
    ])
}

/// Group norm of (batch, channels, ...) with the channels in so many groups.
fn grouped(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    (batch, channels, groups): (i64, i64, i64),
    eps: f64,
) -> Result<Tensor> {
    check_groups(x, channels, groups, weight, bias)?;
    let (y, _, _) = normalized_rows(&Val::from(x), batch * groups, eps)?;
    affine(y.reshape(x.shape()), weight, bias)
        .to(x.dtype())
        .get()
}

fn check_groups(
    x: &Tensor,
    channels: i64,
    groups: i64,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<()> {
    ensure!(
        groups > 0,
        Runtime,
        "Expected num groups to be greater than 0, got {groups}"
    );
    ensure!(
        channels % groups == 0,
        Runtime,
        "Expected number of channels in input to be divisible by num_groups, but got input of shape {:?} and num_groups={groups}",
        x.shape()
    );
    for (name, t) in [("weight", weight), ("bias", bias)] {
        if let Some(t) = t {
            ensure!(
                t.ndim() == 1 && t.numel() == channels,
                Runtime,
                "Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape {:?} and input of shape {:?}",
                t.shape(),
                x.shape()
            );
        }
    }
    Ok(())
}

fn group_norm(a: Args) -> Result<Outputs> {
    let (x, groups) = (a.t(0)?, a.int(1)?);
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "Expected at least 2 dimensions for input tensor but received {}",
        x.ndim()
    );
    let (batch, channels) = (x.shape()[0], x.shape()[1]);
    let y = grouped(
        x,
        a.opt_t(2)?,
        a.opt_t(3)?,
        (batch, channels, groups),
        a.float(4)?,
    )?;
    Ok(smallvec::smallvec![y.into()])
}

ops! {
    /// Normalises over trailing dimensions; gives also the means and inverse deviations.
    "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)", F,
        kernel(layer_meta, layer_kernel),
        grad named("NativeLayerNormBackward0", arg(0) | arg(2) | out(1) | out(2), layer_rule);

    /// Gradients of layer norm by input, weight and bias.
    "_layer_norm_backward(Tensor grad, Tensor input, int[] normalized_shape, Tensor mean, Tensor rstd, Tensor? weight) -> (Tensor, Tensor, Tensor)", F,
        kernel(backward_meta, backward_kernel);

    /// Normalises over trailing dimensions.
    "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True) -> Tensor", F,
        Body::Composite(layer_norm);

    /// Normalises groups of channels; gives also the means and inverse deviations.
    "native_group_norm(Tensor input, Tensor? weight, Tensor? bias, int N, int C, int HxW, int group, float eps) -> (Tensor, Tensor, Tensor)", F,
        Body::Composite(native_group_norm);

    /// Normalises groups of channels.
    "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True) -> Tensor", F,
        Body::Composite(group_norm);
}
