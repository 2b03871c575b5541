//! Normalisation of channels: batch norm and instance norm.

use super::norm::first_of;
use super::norm_channels::wide_dtype;
use super::view::zeros;
use super::{Args, Body, F, Outputs, Val};
use crate::autograd::NoGrad;
use crate::tensor::Tensor;
use crate::{Result, call, call_all, ensure, ops};

/// Moves a running statistic towards a new one, in place and off the tape.
fn update(running: Option<&Tensor>, new: &Val, momentum: f64) -> Result<()> {
    let Some(running) = running else {
        return Ok(());
    };
    let _guard = NoGrad::enter();
    let mixed = Val::from(running) * (1.0 - momentum) + new.detach() * momentum;
    super::copy_into(running, &mixed.get()?)
}

/// (input, weight, bias, running_mean, running_var, training, momentum, eps) -> output, mean, inverse deviation.
fn native_batch_norm(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let (weight, bias, mean, variance) = (a.opt_t(1)?, a.opt_t(2)?, a.opt_t(3)?, a.opt_t(4)?);
    let (training, momentum, eps) = (a.bool(5)?, a.float(6)?, a.float(7)?);
    ensure!(
        x.ndim() >= 1,
        Runtime,
        "batch_norm: expected at least 1 dimension, got 0"
    );
    let channels = x.shape().get(1).copied().unwrap_or(x.numel());
    for (name, t) in [
        ("weight", weight),
        ("bias", bias),
        ("running_mean", mean),
        ("running_var", variance),
    ] {
        if let Some(t) = t {
            ensure!(
                t.numel() == channels,
                Runtime,
                "{name} should contain {channels} elements not {}",
                t.numel()
            );
        }
    }
    ensure!(
        training || (mean.is_some() && variance.is_some()),
        Runtime,
        "running_mean must be defined in evaluation mode"
    );
    ensure!(
        x.dtype().is_float(),
        NotImplemented,
        "\"batch_norm\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    let (mean_now, rstd) = {
        let _guard = NoGrad::enter();
        if training {
            batch_statistics(x, mean, variance, momentum, eps)?
        } else {
            let of = |t: Option<&Tensor>| t.map_or_else(|| Val(zeros(&[channels], x)), Val::from);
            (of(mean), (of(variance) + eps).rsqrt())
        }
    };
    let y = call!(
        "_channel_norm",
        x,
        weight,
        bias,
        &mean_now,
        &rstd,
        eps,
        !training
    )?;
    let saved = |v: Val| {
        if training {
            v.to(x.dtype()).get()
        } else {
            zeros(&[0], x)
        }
    };
    Ok(smallvec::smallvec![
        y.into(),
        saved(mean_now)?.into(),
        saved(rstd)?.into()
    ])
}

/// Mean and inverse deviation of each channel over the batch; running statistics move towards them.
fn batch_statistics(
    x: &Tensor,
    mean: Option<&Tensor>,
    variance: Option<&Tensor>,
    momentum: f64,
    eps: f64,
) -> Result<(Val, Val)> {
    let dims: Vec<i64> = (0..x.ndim() as i64).filter(|&d| d != 1).collect();
    let wide = Val::from(x).to(wide_dtype(x.dtype()));
    let mut both = call_all!("var_mean/correction", &wide, dims, 0i64, false)?;
    let (new_mean, new_var) = (
        Val(both.remove(1).into_tensor()),
        Val(both.remove(0).into_tensor()),
    );
    let channels = x.shape().get(1).copied().unwrap_or(x.numel());
    let count = (x.numel() / channels.max(1)) as f64;
    update(mean, &new_mean, momentum)?;
    update(variance, &(&new_var * (count / (count - 1.0))), momentum)?;
    Ok((new_mean, (new_var + eps).rsqrt()))
}

fn batch_norm(a: Args) -> Result<Outputs> {
    native_batch_norm(a).map(first_of)
}

/// (input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps).
fn instance_norm(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let (weight, bias, mean, variance) = (a.opt_t(1)?, a.opt_t(2)?, a.opt_t(3)?, a.opt_t(4)?);
    let (use_input, momentum, eps) = (a.bool(5)?, a.float(6)?, a.float(7)?);
    ensure!(
        use_input || (mean.is_some() && variance.is_some()),
        Runtime,
        "Expected running_mean and running_var to be defined when use_input_stats is false"
    );
    if !use_input {
        let args = [
            a.0[0].clone(),
            a.get(1).clone(),
            a.get(2).clone(),
            a.get(3).clone(),
            a.get(4).clone(),
            false.into(),
            a.get(6).clone(),
            a.get(7).clone(),
        ];
        return batch_norm(Args(&args));
    }
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "instance_norm: expected at least 2 dimensions, got {}",
        x.ndim()
    );
    let (batch, channels) = (x.shape()[0], x.shape()[1]);
    let size = x.shape()[2..].iter().product::<i64>();
    let mut all = call_all!(
        "native_group_norm",
        x,
        weight,
        bias,
        batch,
        channels,
        size,
        channels,
        eps
    )?;
    if mean.is_some() || variance.is_some() {
        let count = size as f64;
        let over_batch = |v: Val| v.detach().mean([0], false);
        let (means, rstds) = (
            Val(all[1].clone().into_tensor()),
            Val(all[2].clone().into_tensor()),
        );
        let variances = (rstds.square().reciprocal() - eps) * (count / (count - 1.0));
        update(mean, &over_batch(means), momentum)?;
        update(variance, &over_batch(variances), momentum)?;
    }
    all.truncate(1);
    Ok(all)
}

ops! {
    /// Normalises channels over the batch, or by running statistics; gives also the statistics used.
    "native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)", F,
        Body::Composite(native_batch_norm);

    /// Normalises channels over the batch, or by running statistics.
    "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor", F,
        Body::Composite(batch_norm);

    /// Normalises each channel of each sample.
    "instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor", F,
        Body::Composite(instance_norm);
}
