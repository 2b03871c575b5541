//! Scans along a dimension, and differences and integrals made of them.

use super::reduce_dims::{compact, dispatch_compact, through};
use super::{Args, F, Grads, I, M, O, Out, Outs, Val, arg, kernel, out, rule};
use crate::autograd::Ctx;
use crate::cpu::number::Number;
use crate::cpu::reduce_plan::Lines;
use crate::cpu::scan::{CumProd, CumSum, LogAddExp, LogCumSumExp, Scan, scan};
use crate::cpu::scan_extreme::extreme_scan;
use crate::tensor::{DType, Element, Tensor, bf16, c64, c128, f16, wrap_dim};
use crate::{Result, call, dispatch, ensure, grads, ops};

/// The walk along `dim` over a tensor and an output of the same sizes.
pub(super) fn lines(x: &Tensor, out: &Tensor, dim: i64) -> Result<Lines> {
    Ok(Lines::new(
        x.shape(),
        x.strides(),
        out.strides(),
        wrap_dim(dim, x.ndim())?,
    ))
}

fn total_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    wrap_dim(a.int(1)?, x.ndim())?;
    let dtype = a.opt_dtype(2)?.unwrap_or(total(x.dtype()));
    Ok(smallvec::smallvec![Out::new(x.shape(), dtype)])
}

fn total(dtype: DType) -> DType {
    if dtype.is_integral(true) {
        DType::I64
    } else {
        dtype
    }
}

fn run<T: Element, S: Scan<T>>(s: S, x: &Tensor, out: &Tensor, dim: i64) -> Result<()> {
    let lines = lines(x, out, dim)?;
    // SAFETY: the lines were made for these layouts, and the output's dtype is the scan's.
    unsafe { scan(s, x.ptr::<T>(), &lines, out.data_ptr().cast()) };
    Ok(())
}

/// cumsum and cumprod: the elements are converted first, integers accumulate in int64.
fn running(a: Args, outs: &[Tensor], is_sum: bool) -> Result<()> {
    let (x, out) = (a.t(0)?, &outs[0]);
    let x = if x.dtype() == out.dtype() || total(x.dtype()) == out.dtype() {
        x.clone()
    } else {
        call!("_to_copy", x.detached(), out.dtype())?
    };
    let dtype = total(x.dtype());
    let x = Val::from(x).to(dtype).get()?;
    through(out, dtype, |out| {
        dispatch!(@arms dtype, T, {
            if is_sum { run::<T, _>(CumSum, &x, out, a.int(1)?) } else { run::<T, _>(CumProd, &x, out, a.int(1)?) }
        }, Ok(()), I64 i64, F16 f16, BF16 bf16, F32 f32, F64 f64, C64 c64, C128 c128)
    })
}

fn log_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    wrap_dim(a.int(1)?, x.ndim())?;
    ensure!(
        x.dtype().is_differentiable(),
        NotImplemented,
        "\"logcumsumexp_out_cpu\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    Ok(smallvec::smallvec![Out::new(x.shape(), x.dtype())])
}

fn log_run<T: Element + Number<Precise: LogAddExp>>(
    x: &Tensor,
    out: &Tensor,
    dim: i64,
) -> Result<()> {
    run::<T, _>(LogCumSumExp, x, out, dim)
}

fn log_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, dim) = (a.t(0)?, a.int(1)?);
    if x.dtype().is_complex() {
        return dispatch!(complex x.dtype(), T => log_run::<T>(x, &outs[0], dim), else Ok(()));
    }
    dispatch!(float x.dtype(), T => log_run::<T>(x, &outs[0], dim), else Ok(()))
}

fn extreme_meta(a: Args, name: &str) -> Result<Outs> {
    let x = a.t(0)?;
    wrap_dim(a.int(1)?, x.ndim())?;
    ensure!(
        !x.dtype().is_complex(),
        NotImplemented,
        "\"{name}_cpu\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    Ok(smallvec::smallvec![
        Out::new(x.shape(), x.dtype()),
        Out::new(x.shape(), DType::I64)
    ])
}

fn extreme_kernel(a: Args, outs: &[Tensor], is_max: bool) -> Result<()> {
    let x = compact(a.t(0)?)?;
    let lines = lines(&x, &outs[0], a.int(1)?)?;
    through(&outs[0], x.dtype(), |values| {
        dispatch_compact!(x.dtype(), T => {
            // SAFETY: the lines were made for these layouts; both outputs are row-major.
            unsafe { extreme_scan(is_max, x.ptr::<T>(), &lines, values.ptr::<T>(), outs[1].ptr::<i64>()) };
        }, else ());
        Ok(())
    })
}

/// Sums from each position to the end.
fn reversed_cumsum(x: &Val, dim: i64) -> Val {
    if x.ndim() == 0 {
        return x.clone();
    }
    Val(call!("cumsum", x.flip([dim]), dim)).flip([dim])
}

/// Positions gather the gradients of the outputs they supplied.
fn extreme_rule(c: &Ctx) -> Grads {
    let dim = c.args().int(1);
    let g = c.g();
    if c.shape(0).is_empty() {
        return grads![g];
    }
    let zeros = g.zeros_like();
    grads![zeros.scatter_add(dim, c.y(1), g)]
}

fn cumprod_rule(c: &Ctx) -> Grads {
    let (x, y, g) = (c.x(0), c.y(0), c.g());
    let Ok(dim) = c.args().int(1) else {
        return grads![None];
    };
    if x.ndim() == 0 || x.0.as_ref().is_ok_and(|t| t.numel() <= 1) {
        return grads![g];
    }
    let x = x.to(y.dtype());
    let w = &g * y.conj_if_complex();
    let zero = x.eq(0.0);
    let grad = match call!("any", &zero).and_then(|t| t.item()) {
        Err(e) => Val(Err(e)),
        Ok(found) if !found.to_bool() => reversed_cumsum(&w, dim) / x.conj_if_complex(),
        Ok(_) => cumprod_with_zeros(&x, &g, dim),
    };
    grads![grad]
}

/// Element k of the gradient sums g_i times the product of all inputs up to i but k, written without division.
fn cumprod_with_zeros(x: &Val, g: &Val, dim: i64) -> Val {
    let n = match wrap_dim(dim, x.ndim()) {
        Ok(d) => x.shape()[d],
        Err(e) => return Val(Err(e)),
    };
    let mut parts = Vec::new();
    let one = x.narrow(dim, 0, 1).ones_like();
    let mut before = one.clone();
    for k in 0..n {
        let rest = if k + 1 < n {
            let tail = Val(call!("cumprod", x.narrow(dim, k + 1, n - k - 1), dim));
            join(&[one.clone(), tail], dim)
        } else {
            one.clone()
        };
        let weights = (&before * rest).conj_if_complex();
        match (g.narrow(dim, k, n - k) * weights).sum([dim], true).get() {
            Ok(t) => parts.push(t),
            Err(e) => return Val(Err(e)),
        }
        before = before * x.narrow(dim, k, 1);
    }
    Val(call!("cat", parts, dim))
}

/// Concatenates along a dimension.
pub(super) fn join(parts: &[Val], dim: i64) -> Val {
    let tensors: Result<Vec<Tensor>> = parts.iter().map(|p| p.clone().get()).collect();
    Val(tensors.and_then(|list| call!("cat", list, dim)))
}

fn logcumsumexp_rule(c: &Ctx) -> Grads {
    let (x, y, g) = (c.x(0), c.y(0), c.g());
    let Ok(dim) = c.args().int(1) else {
        return grads![None];
    };
    if x.ndim() == 0 || x.0.as_ref().is_ok_and(|t| t.numel() == 0) {
        return grads![g];
    }
    if x.is_complex() {
        // sum over later i of g_i * conj(exp(x_k - y_i)); the shift keeps the exponents in range.
        let shift = Val(call!("amax", x.real(), [dim], true));
        let later = reversed_cumsum(&(&g * (&shift - &y).exp().conj()), dim);
        return grads![(x - shift).exp().conj() * later];
    }
    let zero = Val(call!("zeros_like", &g));
    let low = Val(call!("full_like", &g, f64::NEG_INFINITY));
    let part = |sign: f64| {
        let size = &g * sign;
        let positive = size.gt(&zero);
        let log = size.select_where(&positive, 1.0).log() - &y;
        let log = log.select_where(&positive, &low);
        let sums = Val(call!("logcumsumexp", log.flip([dim]), dim)).flip([dim]);
        (sums + &x).exp()
    };
    grads![part(1.0) - part(-1.0)]
}

ops! {
    /// Running sums along a dimension.
    "cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", F | M | I | O,
        kernel(total_meta, |a, o| running(a, o, true)), grad rule(0, |c| match c.args().int(1) {
            Ok(dim) => grads![reversed_cumsum(&c.g(), dim)],
            Err(e) => grads![Val(Err(e))],
        });

    /// Running products along a dimension.
    "cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", F | M | I | O,
        kernel(total_meta, |a, o| running(a, o, false)), grad rule(arg(0) | out(0), cumprod_rule);

    /// Running log-sum-exps along a dimension.
    "logcumsumexp(Tensor self, int dim) -> Tensor", F | M | O, kernel(log_meta, log_kernel),
        grad rule(arg(0) | out(0), logcumsumexp_rule);

    /// Running maxima along a dimension, and the latest position of each.
    "cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)", F | M | O,
        kernel(|a| extreme_meta(a, "cummax"), |a, o| extreme_kernel(a, o, true)), grad rule(out(1), extreme_rule);

    /// Running minima along a dimension, and the latest position of each.
    "cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)", F | M | O,
        kernel(|a| extreme_meta(a, "cummin"), |a, o| extreme_kernel(a, o, false)), grad rule(out(1), extreme_rule);
}
