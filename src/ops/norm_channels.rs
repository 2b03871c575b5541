//! Normalisation of channels by statistics of groups or of the batch: kernels, gradients, group norm.

use super::norm::{accumulators, first_of, plain, settle, wide};
use super::{Args, Body, F, Grads, Out, Outputs, Outs, Val, arg, kernel, named, out};
use crate::autograd::{Ctx, grad_enabled};
use crate::cpu::norm_channels::{Channels, Gradients};
use crate::cpu::number::{Accumulator, Number, Real};
use crate::cpu::reduce::Pointer;
use crate::cpu::reduce_moments::moments;
use crate::cpu::reduce_plan::Plan;
use crate::tensor::{DType, Element, Tensor};
use crate::{Result, call, call_all, dispatch, ensure, grads, ops};

/// [batch, channels, elements] of a tensor whose channels are its second dimension.
fn extents(x: &Tensor) -> [usize; 3] {
    match *x.shape() {
        [] => [1, 1, 1],
        [n] => [1, n as usize, 1],
        [batch, channels, ref inner @ ..] => {
            [batch, channels, inner.iter().product()].map(|n: i64| n as usize)
        }
    }
}

/// Per-channel operands in the accumulator's type.
struct Operands {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    mean: Tensor,
    rstd: Tensor,
}

impl Operands {
    fn new<A: Element>(
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        mean: &Tensor,
        rstd: &Tensor,
    ) -> Result<Self> {
        Ok(Operands {
            weight: weight.map(wide::<A>).transpose()?,
            bias: bias.map(wide::<A>).transpose()?,
            mean: wide::<A>(mean)?,
            rstd: wide::<A>(rstd)?,
        })
    }

    fn channels<A: Element>(&self, x: &Tensor, groups: usize) -> Result<Channels<'_, A>> {
        let [batch, channels, inner] = extents(x);
        Ok(Channels {
            batch,
            channels,
            inner,
            groups,
            mean: self.mean.as_slice()?,
            rstd: self.rstd.as_slice()?,
            weight: self.weight.as_ref().map(|t| t.as_slice()).transpose()?,
            bias: self.bias.as_ref().map(|t| t.as_slice()).transpose()?,
        })
    }
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

/// Sums of half precision are taken in float32.
pub(super) fn wide_dtype(dtype: DType) -> DType {
    if matches!(dtype, DType::F16 | DType::BF16) {
        DType::F32
    } else {
        dtype
    }
}

fn group_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    let (batch, channels, groups) = (a.int(3)?, a.int(4)?, a.int(6)?);
    check_groups(x, channels, groups, a.opt_t(1)?, a.opt_t(2)?)?;
    ensure!(
        x.numel() == batch * channels * a.int(5)?,
        Runtime,
        "Expected input of {batch} x {channels} x {} elements, but got input of shape {:?}",
        a.int(5)?,
        x.shape()
    );
    ensure!(
        x.dtype().is_float(),
        NotImplemented,
        "\"GroupNormKernelImpl\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    let statistics = a.opt_t(1)?.or(a.opt_t(2)?).map_or(x.dtype(), Tensor::dtype);
    Ok(smallvec::smallvec![
        Out::new(x.shape(), x.dtype()),
        Out::new(&[batch, groups], statistics),
        Out::new(&[batch, groups], statistics)
    ])
}

/// Writes mean and inverse deviation of each of so many dense rows.
fn row_statistics<T: Element + Number<Acc: Real + Element>>(
    x: &Tensor,
    rows: usize,
    eps: f64,
    [mean, rstd]: [&Tensor; 2],
) -> Result<()> {
    let size = x.numel() / rows.max(1) as i64;
    let plan = Plan::new(&[rows as i64, size], &[size, 1], &[1, 0], |d| d == 1);
    // SAFETY: the tensors were made for this call.
    let (mean, rstd) = unsafe {
        (
            Pointer(mean.as_mut_slice::<T::Acc>()?.as_mut_ptr()),
            Pointer(rstd.as_mut_slice::<T::Acc>()?.as_mut_ptr()),
        )
    };
    // SAFETY: the plan walks dense rows; every output is written once.
    unsafe {
        moments(x.ptr::<T>(), &plan, |at, found| {
            let (mean, rstd) = (&mean, &rstd);
            let variance = found.m2.over(found.count).add(T::Acc::of_f64(eps));
            *mean.0.offset(at) = found.mean;
            *rstd.0.offset(at) = T::Acc::ONE.div(variance.sqrt());
        });
    }
    Ok(())
}

fn group_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = plain(a.t(0)?, a.t(0)?)?;
    if x.numel() == 0 {
        return Ok(());
    }
    let groups = a.int(6)? as usize;
    dispatch!(float x.dtype(), T => {
        type Acc = <T as Number>::Acc;
        let (mean, rstd) = (accumulators::<Acc>(&outs[1])?, accumulators::<Acc>(&outs[2])?);
        row_statistics::<T>(&x, outs[1].numel() as usize, a.float(7)?, [&mean, &rstd])?;
        let operands = Operands::new::<Acc>(a.opt_t(1)?, a.opt_t(2)?, &mean, &rstd)?;
        // SAFETY: the output was made for this call.
        operands.channels::<Acc>(&x, groups)?.apply(x.as_slice::<T>()?, unsafe { outs[0].as_mut_slice()? });
        settle(&outs[1], &mean)?;
        settle(&outs[2], &rstd)
    }, else Ok(()))
}

fn apply_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = plain(a.t(0)?, a.t(0)?)?;
    dispatch!(float x.dtype(), T => {
        type Acc = <T as Number>::Acc;
        let operands = Operands::new::<Acc>(a.opt_t(1)?, a.opt_t(2)?, a.t(3)?, a.t(4)?)?;
        // SAFETY: the output was made for this call.
        operands.channels::<Acc>(&x, 0)?.apply(x.as_slice::<T>()?, unsafe { outs[0].as_mut_slice()? });
        Ok(())
    }, else Ok(()))
}

/// (grad, input, weight, mean, rstd, groups, frozen) -> gradients of input, weight and bias.
fn backward_meta(a: Args) -> Result<Outs> {
    let x = a.t(1)?;
    let dtype = a.opt_t(2)?.map_or(x.dtype(), Tensor::dtype);
    let part = Out::new(&[extents(x)[1] as i64], dtype);
    Ok(smallvec::smallvec![
        Out::new(x.shape(), x.dtype()),
        part.clone(),
        part
    ])
}

fn backward_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = plain(a.t(1)?, a.t(1)?)?;
    let grad = plain(a.t(0)?, &x)?;
    let (groups, frozen) = (a.int(5)? as usize, a.bool(6)?);
    dispatch!(float x.dtype(), T => {
        type Acc = <T as Number>::Acc;
        let operands = Operands::new::<Acc>(a.opt_t(2)?, None, a.t(3)?, a.t(4)?)?;
        let (dw, db) = (accumulators::<Acc>(&outs[1])?, accumulators::<Acc>(&outs[2])?);
        // SAFETY: the outputs were made for this call.
        unsafe {
            let out = Gradients { dx: outs[0].as_mut_slice::<T>()?, dw: dw.as_mut_slice()?, db: db.as_mut_slice()? };
            out.dw.fill(Acc::ZERO);
            out.db.fill(Acc::ZERO);
            if x.numel() > 0 {
                operands.channels::<Acc>(&x, groups)?.backward(x.as_slice()?, grad.as_slice()?, frozen, out);
            }
        }
        settle(&outs[1], &dw)?;
        settle(&outs[2], &db)
    }, else Ok(()))
}

/// The gradients of input, weight and bias by the fused kernel.
fn fused_gradients(c: &Ctx, mean: Val, rstd: Val, groups: i64, frozen: bool) -> Grads {
    let all = call_all!(
        "_channel_norm_backward",
        c.g(),
        c.x(0),
        c.opt_x(1),
        mean,
        rstd,
        groups,
        frozen
    );
    match all {
        Ok(list) => list
            .into_iter()
            .enumerate()
            .map(|(i, v)| c.when(i, || Val(v.into_tensor())))
            .collect(),
        Err(e) => grads![Val(Err(e)), None, None],
    }
}

/// A per-channel vector as [1, C, 1, ...] for an input of so many dimensions.
fn per_channel(v: &Val, ndim: usize) -> Val {
    let mut shape = vec![1i64; ndim];
    if let Some(channels) = shape.get_mut(usize::from(ndim > 1)) {
        *channels = v.shape().iter().product();
    }
    v.reshape(shape)
}

/// The sum over everything but the channels.
fn channel_sum(v: &Val, ndim: usize) -> Val {
    let dims: Vec<i64> = (0..ndim as i64).filter(|&d| d != 1 && ndim > 1).collect();
    if dims.is_empty() {
        return v.clone();
    }
    Val(call!("sum", v, dims))
}

/// The gradients of batch norm (input, weight, bias, mean, rstd, eps, frozen), to be differentiated again.
fn batch_rule(c: &Ctx) -> Grads {
    let frozen = c.args().bool(6).unwrap_or(false);
    if !grad_enabled() {
        return fused_gradients(c, c.x(3), c.x(4), 0, frozen);
    }
    let (g, x, eps) = (c.g(), c.x(0), c.args().float(5).unwrap_or(0.0));
    let ndim = x.ndim();
    let dims: Vec<i64> = (0..ndim as i64).filter(|&d| d != 1).collect();
    let mean = |v: &Val| v.mean(dims.clone(), true);
    let gw = c.opt_x(1).map_or(g.clone(), |w| &g * per_channel(&w, ndim));
    let (hat, dx) = if frozen {
        let rstd = per_channel(&c.x(4), ndim);
        ((&x - per_channel(&c.x(3), ndim)) * &rstd, gw * &rstd)
    } else {
        let centered = &x - mean(&x);
        let rstd = (mean(&centered.square()) + eps).rsqrt();
        let hat = &centered * &rstd;
        let dx = (&gw - mean(&gw) - &hat * mean(&(&gw * &hat))) * rstd;
        (hat, dx)
    };
    grads![
        c.when(0, || dx.to(x.dtype())),
        c.when(1, || channel_sum(&(&g * hat), ndim)),
        c.when(2, || channel_sum(&g, ndim))
    ]
}

/// The gradients of group norm; the composed ones also of its statistics.
fn group_rule(c: &Ctx) -> Grads {
    let args = c.args();
    let (Ok(batch), Ok(groups), Ok(eps)) = (args.int(3), args.int(6), args.float(7)) else {
        return grads![None, None, None];
    };
    let of_statistics = (c.grad(1), c.grad(2));
    if let (false, (None, None), Some(_)) = (grad_enabled(), &of_statistics, c.grad(0)) {
        return fused_gradients(c, c.y(1), c.y(2), groups, false);
    }
    let x = c.x(0);
    let (ndim, shape) = (x.ndim(), x.shape());
    let size = shape.iter().product::<i64>() / (batch * groups).max(1);
    let rows = |v: &Val| v.reshape([batch * groups, size]);
    let mean = |v: &Val| v.mean([-1], true);
    let flat = rows(&x);
    let centered = &flat - mean(&flat);
    let rstd = (mean(&centered.square()) + eps).rsqrt();
    let hat = &centered * &rstd;
    let mut dx = flat.zeros_like();
    let (mut dw, mut db) = (None, None);
    if let Some(g) = c.grad(0) {
        let gw = rows(&c.opt_x(1).map_or(g.clone(), |w| &g * per_channel(&w, ndim)));
        dx = (&gw - mean(&gw) - &hat * mean(&(&gw * &hat))) * &rstd;
        dw = c.when(1, || channel_sum(&(&g * hat.reshape(shape)), ndim));
        db = c.when(2, || channel_sum(&g, ndim));
    }
    let column = |v: Val| v.reshape([batch * groups, 1]) / size as f64;
    if let Some(g) = of_statistics.0 {
        dx = dx + column(g);
    }
    if let Some(g) = of_statistics.1 {
        dx = dx - column(g) * rstd.square() * hat;
    }
    grads![c.when(0, || dx.reshape(shape)), dw, db]
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
    let size = x.shape()[2..].iter().product::<i64>();
    let all = call_all!(
        "native_group_norm",
        x,
        a.get(2),
        a.get(3),
        batch,
        channels,
        size,
        groups,
        a.get(4)
    )?;
    Ok(first_of(all))
}

ops! {
    /// Normalises groups of channels; gives also the means and inverse deviations.
    "native_group_norm(Tensor input, Tensor? weight, Tensor? bias, int N, int C, int HxW, int group, float eps) -> (Tensor, Tensor, Tensor)", F,
        kernel(group_meta, group_kernel),
        grad named("NativeGroupNormBackward0", arg(0) | arg(1) | out(1) | out(2), group_rule);

    /// Normalises groups of channels.
    "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True) -> Tensor", F,
        Body::Composite(group_norm);

    /// Normalises channels by statistics of the batch or, where they are frozen, by any.
    "_channel_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor mean, Tensor rstd, float eps, bool frozen) -> Tensor", F,
        kernel(|a| Ok(smallvec::smallvec![Out::new(a.t(0)?.shape(), a.t(0)?.dtype())]), apply_kernel),
        grad named("NativeBatchNormBackward0", arg(0) | arg(1) | arg(3) | arg(4), batch_rule);

    /// Gradients of a normalisation of channels by input, weight and bias.
    "_channel_norm_backward(Tensor grad, Tensor input, Tensor? weight, Tensor mean, Tensor rstd, int groups, bool frozen) -> (Tensor, Tensor, Tensor)", F,
        kernel(backward_meta, backward_kernel);
}
