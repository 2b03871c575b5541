//! Normalisation of trailing dimensions: layer norm and RMS norm.

use super::{Args, Body, F, Grads, Out, Outputs, Outs, Val, arg, kernel, named, out};
use crate::autograd::{Ctx, grad_enabled};
use crate::cpu::norm::{Normalized, RowNorm, RowNormBackward};
use crate::cpu::number::{Accumulator, Number, Real};
use crate::tensor::{DType, Dims, Element, Tensor};
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
pub(super) fn plain(t: &Tensor, like: &Tensor) -> Result<Tensor> {
    Val::from(t.detached()).to(like.dtype()).contiguous().get()
}

/// A row-major tensor in the accumulator's dtype.
pub(super) fn wide<A: Element>(t: &Tensor) -> Result<Tensor> {
    Val::from(t.detached()).to(A::DTYPE).contiguous().get()
}

/// The tensor itself, or one to be copied into it by `settle`, where its dtype is not the accumulator's.
pub(super) fn accumulators<A: Element>(target: &Tensor) -> Result<Tensor> {
    if target.dtype() == A::DTYPE && target.is_contiguous() {
        Ok(target.clone())
    } else {
        Tensor::empty(target.shape(), A::DTYPE)
    }
}

pub(super) fn settle(target: &Tensor, accumulators: &Tensor) -> Result<()> {
    if accumulators.data_ptr() == target.data_ptr() {
        return Ok(());
    }
    crate::backend::copy(target, accumulators)
}

/// Normalises rows into the first output; the others get the mean, if rows are centered, and the inverse deviation.
fn forward<T: Element + Number<Acc: Real + Element>>(
    norm: &RowNorm<T>,
    eps: f64,
    outs: &[Tensor],
) -> Result<()> {
    let statistics = outs[1..]
        .iter()
        .map(accumulators::<T::Acc>)
        .collect::<Result<Vec<_>>>()?;
    // SAFETY: the outputs were made for this call, and the buffers by it.
    unsafe {
        let mean: &mut [T::Acc] = match &statistics[..] {
            [mean, _] => mean.as_mut_slice()?,
            _ => &mut [],
        };
        let rstd = statistics[statistics.len() - 1].as_mut_slice()?;
        let y = outs[0].as_mut_slice::<T>()?;
        norm.forward(eps, Normalized { y, mean, rstd });
    }
    outs[1..]
        .iter()
        .zip(&statistics)
        .try_for_each(|(target, found)| settle(target, found))
}

fn layer_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = plain(a.t(0)?, a.t(0)?)?;
    let (_, size) = rows(&x, a.ints(1)?, None, None)?;
    let weight = a.opt_t(2)?.map(|t| plain(t, &x)).transpose()?;
    let bias = a.opt_t(3)?.map(|t| plain(t, &x)).transpose()?;
    dispatch!(float x.dtype(), T => {
        let norm = RowNorm {
            x: x.as_slice::<T>()?,
            size,
            weight: weight.as_ref().map(|t| t.as_slice::<T>()).transpose()?,
            bias: bias.as_ref().map(|t| t.as_slice::<T>()).transpose()?,
            centered: true,
        };
        forward::<T>(&norm, a.float(4)?, outs)
    }, else Ok(()))
}

fn rms_meta(a: Args) -> Result<Outs> {
    let (x, normalized) = (a.t(0)?, a.ints(1)?);
    rows(x, normalized, a.opt_t(2)?, None)?;
    ensure!(
        x.dtype().is_float(),
        NotImplemented,
        "\"rms_norm\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    let mut shape = Dims::from_slice(x.shape());
    shape[x.ndim() - normalized.len()..].fill(1);
    let wide = if x.dtype() == DType::F64 {
        DType::F64
    } else {
        DType::F32
    };
    Ok(smallvec::smallvec![
        Out::new(x.shape(), x.dtype()),
        Out::new(&shape, wide)
    ])
}

/// The summand under the root: the resolution of the type that sums are taken in, unless given.
fn rms_eps(a: Args) -> Result<f64> {
    let default = if a.t(0)?.dtype() == DType::F64 {
        f64::EPSILON
    } else {
        f64::from(f32::EPSILON)
    };
    Ok(a.opt_float(3)?.unwrap_or(default))
}

fn rms_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = plain(a.t(0)?, a.t(0)?)?;
    let (_, size) = rows(&x, a.ints(1)?, None, None)?;
    let weight = a.opt_t(2)?.map(|t| plain(t, &x)).transpose()?;
    dispatch!(float x.dtype(), T => {
        let norm = RowNorm {
            x: x.as_slice::<T>()?,
            size,
            weight: weight.as_ref().map(|t| t.as_slice::<T>()).transpose()?,
            bias: None,
            centered: false,
        };
        forward::<T>(&norm, rms_eps(a)?, outs)
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
    let grad = plain(a.t(0)?, &x)?;
    let weight = a.opt_t(5)?.map(|t| plain(t, &x)).transpose()?;
    let (_, size) = rows(&x, a.ints(2)?, None, None)?;
    fn run<T: Element + Number<Acc: Real + Element>>(
        norm: &RowNormBackward<T>,
        outs: &[Tensor],
    ) -> Result<()> {
        let (dw, db) = (
            accumulators::<T::Acc>(&outs[1])?,
            accumulators::<T::Acc>(&outs[2])?,
        );
        // SAFETY: the outputs were made for this call, and the buffers by it.
        unsafe {
            let (dw, db) = (dw.as_mut_slice()?, db.as_mut_slice()?);
            dw.fill(T::Acc::ZERO);
            db.fill(T::Acc::ZERO);
            norm.run(outs[0].as_mut_slice()?, dw, db);
        }
        settle(&outs[1], &dw)?;
        settle(&outs[2], &db)
    }
    dispatch!(float x.dtype(), T => {
        type Acc = <T as Number>::Acc;
        let mean = a.opt_t(3)?.map(wide::<Acc>).transpose()?;
        let rstd = wide::<Acc>(a.t(4)?)?;
        run::<T>(&RowNormBackward {
            grad: grad.as_slice::<T>()?,
            x: x.as_slice::<T>()?,
            mean: mean.as_ref().map(|t| t.as_slice::<Acc>()).transpose()?,
            rstd: rstd.as_slice::<Acc>()?,
            size,
            weight: weight.as_ref().map(|t| t.as_slice::<T>()).transpose()?,
        }, outs)
    }, else Ok(()))
}

/// The gradients by the fused kernel: of the input and, in their slots, of weight and bias.
fn fused_gradients(c: &Ctx, mean: Option<Val>, rstd: Val, slots: usize) -> Result<Grads> {
    let all = call_all!(
        "_row_norm_backward",
        c.g(),
        c.x(0),
        c.args().ints(1)?,
        mean,
        rstd,
        c.opt_x(2)
    )?;
    Ok(all
        .into_iter()
        .take(slots)
        .enumerate()
        .map(|(i, v)| c.when(i, || Val(v.into_tensor())))
        .collect())
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
        return fused_gradients(c, Some(c.y(1)), c.y(2), 3)
            .unwrap_or_else(|e| grads![Val(Err(e)), None, None]);
    }
    let dims: Vec<i64> = (-(normalized.len() as i64)..0).collect();
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

fn rms_rule(c: &Ctx) -> Grads {
    let Some(g) = c.grad(0) else {
        return grads![None, None];
    };
    if !grad_enabled() {
        return fused_gradients(c, None, c.y(1), 2).unwrap_or_else(|e| grads![Val(Err(e)), None]);
    }
    let (Ok(normalized), Ok(eps)) = (c.args().ints(1), rms_eps(c.args())) else {
        return grads![None, None];
    };
    let (x, weight) = (c.x(0), c.opt_x(2));
    let dims: Vec<i64> = (-(normalized.len() as i64)..0).collect();
    let mean = |v: &Val| v.mean(dims.clone(), true);
    let rstd = (mean(&x.square()) + eps).rsqrt();
    let hat = &x * &rstd;
    let gw = weight.map_or(g.clone(), |w| &g * w);
    let dx = (&gw - &hat * mean(&(&gw * &hat))) * rstd;
    grads![
        c.when(0, || dx),
        c.when(1, || (&g * hat).sum_to_size(Dims::from_slice(normalized)))
    ]
}

/// The first of a primitive's results, of the same arguments.
pub(super) fn first_of(mut all: Outputs) -> Outputs {
    all.truncate(1);
    all
}

fn rms_norm(a: Args) -> Result<Outputs> {
    let all = call_all!("_fused_rms_norm", a.get(0), a.get(1), a.get(2), a.get(3))?;
    Ok(first_of(all))
}

fn layer_norm(a: Args) -> Result<Outputs> {
    let all = call_all!(
        "native_layer_norm",
        a.get(0),
        a.get(1),
        a.get(2),
        a.get(3),
        a.get(4)
    )?;
    Ok(first_of(all))
}

ops! {
    /// Normalises over trailing dimensions; gives also the means and inverse deviations.
    "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)", F,
        kernel(layer_meta, layer_kernel),
        grad named("NativeLayerNormBackward0", arg(0) | arg(2) | out(1) | out(2), layer_rule);

    /// Divides by the root of the mean square over trailing dimensions; gives also its inverse.
    "_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)", F,
        kernel(rms_meta, rms_kernel),
        grad named("FusedRmsNormBackward0", arg(0) | arg(2) | out(1), rms_rule);

    /// Gradients of layer norm, or of RMS norm without a mean, by input, weight and bias.
    "_row_norm_backward(Tensor grad, Tensor input, int[] normalized_shape, Tensor? mean, Tensor rstd, Tensor? weight) -> (Tensor, Tensor, Tensor)", F,
        kernel(backward_meta, backward_kernel);

    /// Normalises over trailing dimensions.
    "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True) -> Tensor", F,
        Body::Composite(layer_norm);

    /// Divides by the root of the mean square over trailing dimensions.
    "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor", F,
        Body::Composite(rms_norm);
}
