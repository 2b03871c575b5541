//! Differences of neighbours, and integrals by the trapezoidal rule.

use super::{Args, Body, F, M, O, Outputs, Val, Value};
use crate::tensor::{DType, Scalar, Tensor, wrap_dim};
use crate::{Result, call, ensure, fail, ops};

fn diff(a: Args) -> Result<Outputs> {
    let (x, n, dim) = (a.t(0)?, a.int(1)?, a.int(2)?);
    ensure!(
        x.ndim() >= 1,
        Runtime,
        "diff expects input to be at least one-dimensional"
    );
    let d = wrap_dim(dim, x.ndim())?;
    ensure!(n >= 0, Runtime, "order must be non-negative but got {n}");
    let mut parts = Vec::new();
    for part in [a.opt_t(3)?, Some(x), a.opt_t(4)?].into_iter().flatten() {
        ensure!(
            part.ndim() == x.ndim(),
            Runtime,
            "diff expects prepend or append to be the same dimension as input"
        );
        for i in (0..x.ndim()).filter(|&i| i != d) {
            ensure!(
                part.shape()[i] == x.shape()[i],
                Runtime,
                "diff expects the shape of tensor to prepend or append to match that of input except along the differencing dimension; input.size({i}) = {}, but got tensor.size({i}) = {}",
                x.shape()[i],
                part.shape()[i]
            );
        }
        parts.push(part.clone());
    }
    let whole = if parts.len() > 1 {
        call!("cat", parts, dim)?
    } else {
        x.clone()
    };
    if n == 0 {
        let empty = call!("zeros_like", &whole)?;
        return Ok(smallvec::smallvec![call!("add", whole, empty)?.into()]);
    }
    let mut value = Val::from(whole);
    for _ in 0..n.min(value.shape()[d]) {
        let size = value.shape()[d];
        let (low, high) = (
            value.narrow(dim, 0, size - 1),
            value.narrow(dim, 1, size - 1),
        );
        value = if value.dtype() == DType::Bool {
            Val(call!("logical_xor", high, low))
        } else {
            high - low
        };
        value = Val(Ok(value.get()?));
    }
    Ok(smallvec::smallvec![value.get()?.into()])
}

/// Sizes along `dim` of the left and right halves that trapezia are made of.
fn trapezia(y: &Val, width: Option<&Val>, dx: f64, dim: i64) -> Result<Val> {
    let d = wrap_dim(dim, y.ndim())?;
    let n = y.shape()[d];
    if n == 0 {
        return Ok(y.clone());
    }
    let sums = y.narrow(dim, 0, n - 1) + y.narrow(dim, 1, n - 1);
    Ok(match width {
        Some(width) => sums * width * 0.5,
        None => sums * (dx * 0.5),
    })
}

/// The widths between sample points, aligned with `y`.
fn widths(x: &Tensor, y: &Tensor, dim: i64) -> Result<Val> {
    let d = wrap_dim(dim, y.ndim())?;
    let x = Val::from(x);
    let (axis, aligned) = match x.ndim() {
        1 => {
            ensure!(
                x.shape()[0] == y.shape()[d],
                Runtime,
                "trapezoid: There must be one `x` value for each sample point"
            );
            let mut shape = vec![1i64; y.ndim()];
            shape[d] = x.shape()[0];
            (d as i64, x.reshape(shape))
        }
        n if n < y.ndim() => {
            let mut shape = vec![1i64; y.ndim() - n];
            shape.extend_from_slice(x.shape());
            (d as i64, x.reshape(shape))
        }
        _ => (dim, x),
    };
    let size = aligned
        .shape()
        .get(wrap_dim(axis, aligned.ndim())?)
        .copied()
        .unwrap_or(1);
    if size == 0 {
        return Ok(aligned);
    }
    Ok(aligned.narrow(axis, 1, size - 1) - aligned.narrow(axis, 0, size - 1))
}

fn check_trapezoid(y: &Tensor, x: Option<&Tensor>, dx: Option<&Value>, name: &str) -> Result<()> {
    ensure!(
        y.dtype() != DType::Bool,
        Runtime,
        "{name}: received a bool input for `y`, but bool is not supported"
    );
    if let Some(x) = x {
        ensure!(
            x.dtype() != DType::Bool,
            Runtime,
            "{name}: received a bool input for `x`, but bool is not supported"
        );
    }
    if let Some(Value::Num(Scalar::Complex(_))) = dx {
        fail!(
            Runtime,
            "{name}: Currently, we only support dx as a real number."
        );
    }
    if let Some(Value::Num(Scalar::Bool(_))) = dx {
        fail!(
            Runtime,
            "{name}: received a bool input for `dx`, but bool is not supported"
        );
    }
    Ok(())
}

fn integral(a: Args, with_x: bool, cumulative: bool) -> Result<Outputs> {
    let name = if cumulative {
        "cumulative_trapezoid"
    } else {
        "trapezoid"
    };
    let y = a.t(0)?;
    let x = if with_x { Some(a.t(1)?) } else { None };
    let dim = a.int(2)?;
    let d = wrap_dim(dim, y.ndim())?;
    ensure!(
        y.ndim() > 0,
        Index,
        "{name}: expected y to have at least one dimension"
    );
    check_trapezoid(y, x, a.0.get(1).filter(|_| !with_x), name)?;
    let value = Val::from(y);
    if y.shape()[d] == 0 && !cumulative {
        return Ok(smallvec::smallvec![
            value.sum([dim], false).zeros_like().get()?.into()
        ]);
    }
    let parts = match x {
        Some(x) => trapezia(&value, Some(&widths(x, y, dim)?), 1.0, dim)?,
        None => trapezia(&value, None, a.float(1)?, dim)?,
    };
    let result = if cumulative {
        Val(call!("cumsum", parts, dim))
    } else {
        parts.sum([dim], false)
    };
    Ok(smallvec::smallvec![result.get()?.into()])
}

ops! {
    /// The n-th differences of neighbours along a dimension.
    "diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor", F | M | O,
        Body::Composite(diff);

    /// The integral along a dimension by the trapezoidal rule, at sample points `x`.
    "trapezoid/x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", F, Body::Composite(|a| integral(a, true, false));

    /// The integral along a dimension by the trapezoidal rule, at equal distances.
    "trapezoid/dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", F, Body::Composite(|a| integral(a, false, false));

    /// As `trapezoid`.
    "trapz/x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", F, Body::Composite(|a| integral(a, true, false));

    /// As `trapezoid`.
    "trapz/dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", F, Body::Composite(|a| integral(a, false, false));

    /// The running integral along a dimension, at sample points `x`.
    "cumulative_trapezoid/x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", F,
        Body::Composite(|a| integral(a, true, true));

    /// The running integral along a dimension, at equal distances.
    "cumulative_trapezoid/dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", F,
        Body::Composite(|a| integral(a, false, true));
}
