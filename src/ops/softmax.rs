//! Softmax, log-softmax and log-sum-exp.

use super::reduce_dims::{Call, Reduced, dim_list};
use super::scan::lines;
use super::{Args, Body, F, Grads, M, O, Out, Outputs, Outs, Val, arg, kernel, out, rule};
use crate::autograd::{Ctx, grad_enabled};
use crate::cpu::reduce_plan::Lines;
use crate::cpu::softmax::{log_sum_exp, softmax};
use crate::cpu::softmax_backward::Backward;
use crate::tensor::{Dims, Tensor, wrap_dim};
use crate::{Result, call, dispatch, ensure, fail, grads, ops};

fn meta(a: Args, name: &str) -> Result<Outs> {
    let x = a.t(0)?;
    wrap_dim(a.int(1)?, x.ndim())?;
    let dtype = a.opt_dtype(2)?.unwrap_or(x.dtype());
    ensure!(
        dtype.is_float(),
        NotImplemented,
        "\"{name}_lastdim_kernel_impl\" not implemented for '{}'",
        dtype.scalar_name()
    );
    Ok(smallvec::smallvec![Out::new(x.shape(), dtype)])
}

fn forward(a: Args, outs: &[Tensor], log: bool) -> Result<()> {
    let (x, out) = (a.t(0)?, &outs[0]);
    let x = Val::from(x.detached()).to(out.dtype()).get()?;
    let lines = lines(&x, out, a.int(1)?)?;
    dispatch!(float x.dtype(), T => {
        // SAFETY: the lines were made for these layouts.
        unsafe { softmax(log, x.ptr::<T>(), &lines, out.ptr::<T>()) };
        Ok(())
    }, else fail!(NotImplemented, "softmax: not implemented for '{}'", x.dtype().scalar_name()))
}

fn backward_meta(a: Args) -> Result<Outs> {
    let output = a.t(1)?;
    ensure!(
        a.t(0)?.shape() == output.shape(),
        Runtime,
        "softmax backward: sizes of gradient and output differ"
    );
    wrap_dim(a.int(2)?, output.ndim())?;
    Ok(smallvec::smallvec![Out::new(
        output.shape(),
        output.dtype()
    )])
}

fn backward(a: Args, outs: &[Tensor], log: bool) -> Result<()> {
    let (output, out) = (Val::from(a.t(1)?.detached()).contiguous().get()?, &outs[0]);
    let grad = Val::from(a.t(0)?.detached())
        .to(output.dtype())
        .contiguous()
        .get()?;
    let d = wrap_dim(a.int(2)?, output.ndim())?;
    let size = output.shape().get(d).copied().unwrap_or(1) as usize;
    let inner = output.shape().iter().skip(d + 1).product::<i64>() as usize;
    dispatch!(float output.dtype(), T => {
        let lines = Backward { log, grad: grad.as_slice::<T>()?, output: output.as_slice::<T>()?, size, inner };
        // SAFETY: the output was made for this call.
        lines.run(unsafe { out.as_mut_slice::<T>()? });
        Ok(())
    }, else fail!(NotImplemented, "softmax backward: not implemented for '{}'", output.dtype().scalar_name()))
}

/// One fused pass, or its formula where it will be differentiated itself.
fn softmax_rule(c: &Ctx, log: bool) -> Grads {
    let (g, y) = (c.g(), c.y(0));
    let Ok(dim) = c.args().int(1) else {
        return grads![None];
    };
    if !grad_enabled() {
        let name = if log {
            "_log_softmax_backward_data"
        } else {
            "_softmax_backward_data"
        };
        let entry = super::find_overload(name);
        let args = smallvec::smallvec![g.into(), y.into(), dim.into()];
        return grads![entry.map(|e| {
            Val(e
                .call(args)
                .and_then(|mut outs| outs.swap_remove(0).into_tensor()))
        })];
    }
    grads![if log {
        &g - y.exp() * g.sum([dim], true)
    } else {
        &y * (&g - (&g * &y).sum([dim], true))
    }]
}

fn logsumexp(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let dims = dim_list(a, 1)?.unwrap_or_default();
    let keepdim = a.bool(2)?;
    let x = if x.dtype().is_integral(true) {
        Val::from(x).to(crate::tensor::default_dtype())
    } else {
        Val::from(x)
    };
    Ok(smallvec::smallvec![
        call!("_logsumexp", x, dims.to_vec(), keepdim)?.into()
    ])
}

fn logsumexp_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    let reduced = Reduced::new(x.ndim(), a.opt_ints(1)?, a.bool(2)?)?;
    Ok(reduced.outs(x, x.dtype()))
}

fn logsumexp_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    if let Some(dim) = single_line(a)? {
        return logsumexp_lines(a.t(0)?, dim, a.bool(2)?, &outs[0]);
    }
    let x = Val::from(a.t(0)?.detached());
    let (dims, keepdim) = (a.get(1), a.bool(2)?);
    if x.0.as_ref().is_ok_and(|t| t.numel() == 0) {
        return crate::backend::copy(&outs[0], &x.exp().sum(dims, keepdim).log().get()?);
    }
    let real = if x.is_complex() { x.real() } else { x.clone() };
    let greatest = Val(call!("amax", real, dims, true));
    let greatest = greatest.masked_fill(greatest.abs().eq(f64::INFINITY), 0.0);
    let result = (x - &greatest).exp().sum(dims, true).log() + greatest;
    let result = if keepdim {
        result
    } else {
        result.reshape(outs[0].shape())
    };
    crate::backend::copy(&outs[0], &result.get()?)
}

/// The dimension of a real input that is reduced, if it is the only one.
fn single_line(a: Args) -> Result<Option<usize>> {
    let x = a.t(0)?;
    match a.ints(1)? {
        &[dim] if x.dtype().is_float() => wrap_dim(dim, x.ndim()).map(Some),
        _ => Ok(None),
    }
}

fn logsumexp_lines(x: &Tensor, dim: usize, keepdim: bool, out: &Tensor) -> Result<()> {
    let mut strides = Dims::from_slice(out.strides());
    if !keepdim && x.ndim() > 0 {
        strides.insert(dim, 0);
    }
    let lines = Lines::new(x.shape(), x.strides(), &strides, dim);
    dispatch!(float x.dtype(), T => {
        // SAFETY: the lines were made for these layouts.
        unsafe { log_sum_exp(x.ptr::<T>(), &lines, out.ptr::<T>()) };
    }, else ());
    Ok(())
}

fn logsumexp_rule(c: &Ctx) -> Grads {
    let call = Call::of(c);
    let share = (c.x(0) - call.restore(&c.y(0))).exp().conj_if_complex();
    grads![call.restore(&c.g()) * share]
}

/// The formula that `forward` fuses, for the gradients of the backward ops.
fn composed(c: &Ctx, log: bool) -> Grads {
    let (grad, y, g) = (c.x(0), c.x(1), c.g());
    let Ok(dim) = c.args().int(2) else {
        return grads![None, None];
    };
    if log {
        let p = y.exp();
        let total = (&g * &p).sum([dim], true);
        let dy = -(&g * &p * grad.sum([dim], true));
        return grads![&g - total, dy];
    }
    let total = (&g * &y).sum([dim], true);
    let dy = &g * (&grad - (&grad * &y).sum([dim], true)) - &grad * &total;
    grads![&y * (&g - total), dy]
}

ops! {
    /// exp(x) divided by its sum along a dimension.
    "softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", F | M | O,
        kernel(|a| meta(a, "softmax"), |a, o| forward(a, o, false)), grad rule(out(0), |c| softmax_rule(c, false));

    /// The logarithm of softmax.
    "log_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", F | M | O,
        kernel(|a| meta(a, "log_softmax"), |a, o| forward(a, o, true)), grad rule(out(0), |c| softmax_rule(c, true));

    /// The gradient of softmax from that of its output.
    "_softmax_backward_data(Tensor grad_output, Tensor output, int dim) -> Tensor", F,
        kernel(backward_meta, |a, o| backward(a, o, false)), grad rule(arg(0) | arg(1), |c| composed(c, false));

    /// The gradient of log-softmax from that of its output.
    "_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim) -> Tensor", F,
        kernel(backward_meta, |a, o| backward(a, o, true)), grad rule(arg(0) | arg(1), |c| composed(c, true));

    /// The logarithm of the sum of exp(x) along dimensions.
    "logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", F | M | O, Body::Composite(logsumexp);

    /// `logsumexp` of floating-point and complex numbers.
    "_logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", F,
        kernel(logsumexp_meta, logsumexp_kernel), grad super::named("LogsumexpBackward0", arg(0) | out(0), logsumexp_rule);
}
