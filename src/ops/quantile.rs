//! Quantiles along a dimension.

use super::{Args, Body, F, M, O, Outputs, Val, Value};
use crate::tensor::{DType, Tensor, wrap_dim};
use crate::{Result, call, ensure, fail, ops};

#[derive(Clone, Copy, PartialEq)]
enum Interpolation {
    Linear,
    Lower,
    Higher,
    Midpoint,
    Nearest,
}

fn interpolation(text: &str) -> Result<Interpolation> {
    Ok(match text {
        "linear" => Interpolation::Linear,
        "lower" => Interpolation::Lower,
        "higher" => Interpolation::Higher,
        "midpoint" => Interpolation::Midpoint,
        "nearest" => Interpolation::Nearest,
        _ => fail!(
            Runtime,
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {text}"
        ),
    })
}

/// `q` as a tensor of the input's dtype, checked.
fn probabilities(a: Args, x: &Tensor) -> Result<Tensor> {
    let q = match a.get(1) {
        Value::Num(q) => {
            let value = q.to_f64();
            ensure!(
                (0.0..=1.0).contains(&value),
                Runtime,
                "quantile() q must be in the range [0, 1] but got {value}"
            );
            return crate::backend::scalar(x.device(), *q, x.dtype());
        }
        _ => a.t(1)?,
    };
    ensure!(
        q.ndim() <= 1,
        Runtime,
        "quantile() q must be a scalar or 1D tensor"
    );
    ensure!(
        q.dtype() == x.dtype(),
        Runtime,
        "quantile() q tensor must be same dtype as the input tensor"
    );
    let inside = !q.device().is_cpu()
        || q.detached()
            .to_vec::<f64>()?
            .iter()
            .all(|v| (0.0..=1.0).contains(v));
    ensure!(
        inside,
        Runtime,
        "quantile() q values must be in the range [0, 1]"
    );
    Ok(q.clone())
}

/// The input with what is reduced as its last dimension, in ascending order.
fn sorted(x: &Tensor, dim: Option<usize>) -> Result<Val> {
    let x = Val::from(x);
    let lines = match dim {
        Some(d) if x.ndim() > 0 => x.transpose(d as i64, -1i64),
        _ => x.reshape([-1]),
    };
    Ok(Val(Ok(call!("sort", lines, -1i64, false)?)))
}

fn ranks(q: &Val, values: &Val, ignore_nan: bool) -> Val {
    let nan = values.isnan();
    if ignore_nan {
        let present = Val(call!("logical_not", nan)).sum([-1], true) - 1.0;
        let rank = q * present.to(q.dtype());
        return rank.masked_fill(rank.lt(0.0), 0.0);
    }
    let last = values.shape().last().copied().unwrap_or(1) - 1;
    let any_nan = Val(call!("any", nan, [-1], true));
    let rank = q * last as f64;
    let shape = crate::tensor::broadcast_shapes(rank.shape(), any_nan.shape()).unwrap_or_default();
    rank.expand(&shape).masked_fill(any_nan, last as f64)
}

fn quantile(a: Args, ignore_nan: bool) -> Result<Outputs> {
    let x = a.t(0)?;
    let mode = interpolation(a.str(4)?)?;
    ensure!(
        x.numel() > 0,
        Runtime,
        "quantile() input tensor must be non-empty"
    );
    ensure!(
        matches!(x.dtype(), DType::F32 | DType::F64),
        Runtime,
        "quantile() input tensor must be either float or double dtype"
    );
    let (q, dim, keepdim) = (probabilities(a, x)?, a.opt_int(2)?, a.bool(3)?);
    let dim = dim.map(|d| wrap_dim(d, x.ndim())).transpose()?;
    let values = sorted(x, dim)?;
    let rank = ranks(&Val::from(&q).reshape([-1]), &values, ignore_nan);
    let rank = match mode {
        Interpolation::Lower => rank.floor(),
        Interpolation::Higher => Val(call!("ceil", rank)),
        Interpolation::Nearest => Val(call!("round", rank)),
        _ => rank,
    };
    let mut full: crate::tensor::Dims = values.shape().into();
    if let Some(last) = full.last_mut() {
        *last = q.numel();
    }
    let rank = rank.expand(&full);
    let below_at = rank.to(DType::I64);
    let below = values.gather(-1i64, &below_at);
    let result = match mode {
        Interpolation::Linear | Interpolation::Midpoint => {
            let above = values.gather(-1i64, Val(call!("ceil", &rank)).to(DType::I64));
            let weight = if mode == Interpolation::Midpoint {
                Val(call!("full_like", &rank, 0.5))
            } else {
                &rank - below_at.to(rank.dtype())
            };
            Val(call!("lerp", below, above, weight))
        }
        _ => below,
    };
    Ok(smallvec::smallvec![
        arrange(&result, x, &q, dim, keepdim).get()?.into()
    ])
}

/// Puts the quantiles first, where `q` is a list, and the input's other dimensions in their order.
fn arrange(result: &Val, x: &Tensor, q: &Tensor, dim: Option<usize>, keepdim: bool) -> Val {
    let result = match dim {
        // The lines' dimension was exchanged with the last one: exchange again, then it holds the quantiles.
        Some(d) if x.ndim() > 0 => {
            let back = result.transpose(d as i64, -1i64);
            Val(call!("movedim", back, [d as i64], [0]))
        }
        _ => result.clone(),
    };
    let mut shape: Vec<i64> = if q.ndim() > 0 {
        vec![q.numel()]
    } else {
        Vec::new()
    };
    for (i, &size) in x.shape().iter().enumerate() {
        let gone = dim.is_none_or(|d| d == i);
        if !gone {
            shape.push(size);
        } else if keepdim {
            shape.push(1);
        }
    }
    result.reshape(shape)
}

const SHARED: u16 = F | M | O;

ops! {
    /// The q-th quantiles, of all elements or along a dimension; NaN if there is one.
    "quantile(Tensor self, Tensor|Scalar q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor", SHARED,
        Body::Composite(|a| quantile(a, false));

    /// The q-th quantiles of the elements that are not NaN.
    "nanquantile(Tensor self, Tensor|Scalar q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor", SHARED,
        Body::Composite(|a| quantile(a, true));
}
