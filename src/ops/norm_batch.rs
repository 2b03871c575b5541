//! Normalisation of channels: batch norm and instance norm.

use super::norm::{affine, normalized_rows, per_channel};
use super::{Args, Body, F, Outputs, Val, Value};
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
    let value = Val::from(x);
    let (mean_now, rstd) = if training {
        let dims: Vec<i64> = (0..x.ndim() as i64).filter(|&d| d != 1).collect();
        let mut both = call_all!("var_mean/correction", x, dims, 0i64, false)?;
        let (new_mean, new_var) = (
            Val(both.remove(1).into_tensor()),
            Val(both.remove(0).into_tensor()),
        );
        let count = (x.numel() / channels.max(1)) as f64;
        update(mean, &new_mean, momentum)?;
        update(variance, &(&new_var * (count / (count - 1.0))), momentum)?;
        (new_mean, (new_var + eps).rsqrt())
    } else {
        let of = |t: Option<&Tensor>| t.map_or_else(|| Val(call!("zeros", [channels])), Val::from);
        (of(mean), (of(variance) + eps).rsqrt())
    };
    let scale = weight.map_or(rstd.clone(), |w| &rstd * Val::from(w));
    let channel = |v: &Val| v.clone().get().map(|t| per_channel(&t, x.ndim()));
    let y = (value - channel(&mean_now)?) * channel(&scale)?;
    let y = bias
        .map_or(y.clone(), |b| &y + per_channel(b, x.ndim()))
        .to(x.dtype())
        .get()?;
    if training {
        return Ok(smallvec::smallvec![
            y.into(),
            mean_now.get()?.into(),
            rstd.get()?.into()
        ]);
    }
    let empty = || Tensor::empty(&[0], x.dtype()).map(Value::from);
    Ok(smallvec::smallvec![y.into(), empty()?, empty()?])
}

fn batch_norm(a: Args) -> Result<Outputs> {
    let mut all = native_batch_norm(a)?;
    all.truncate(1);
    Ok(all)
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
    let (y, means, rstds) = normalized_rows(&Val::from(x), batch * channels, eps)?;
    if mean.is_some() || variance.is_some() {
        let count = (x.numel() / (batch * channels).max(1)) as f64;
        let over_batch = |v: Val| v.detach().reshape([batch, channels]).mean([0], false);
        let variances = (rstds.square().reciprocal() - eps) * (count / (count - 1.0));
        update(mean, &over_batch(means), momentum)?;
        update(variance, &over_batch(variances), momentum)?;
    }
    let y = affine(y.reshape(x.shape()), weight, bias).to(x.dtype());
    Ok(smallvec::smallvec![y.get()?.into()])
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
