//! Pointwise functions that other ops make up.

use smallvec::smallvec;

use super::{Args, Body, F, I, M, O, Outputs, Value};
use crate::tensor::{DType, Scalar, Tensor};
use crate::{Result, call, ensure, fail, ops};

fn one(result: Result<Tensor>) -> Result<Outputs> {
    Ok(smallvec![Value::Tensor(result?)])
}

fn div_rounding(a: Args) -> Result<Outputs> {
    let (x, y) = (a.get(0), a.get(1));
    let half = |v: &Value| {
        v.tensor()
            .is_some_and(|t| matches!(t.dtype(), DType::F16 | DType::BF16))
    };
    one(match a.opt_str(2)? {
        None => call!("div", x, y),
        // PyTorch rounds the quotient of halves to a half first.
        Some("trunc") if half(x) => call!("trunc", call!("div", x, y)),
        Some("trunc") => call!("_div_trunc", x, y),
        Some("floor") => call!("_div_floor", x, y),
        Some(other) => fail!(
            Runtime,
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{other}'"
        ),
    })
}

fn clamp(a: Args) -> Result<Outputs> {
    let (x, low, high) = (a.get(0), a.get(1), a.get(2));
    one(match (low.is_none(), high.is_none()) {
        (true, true) => fail!(
            Runtime,
            "torch.clamp: At least one of 'min' or 'max' must not be None"
        ),
        (false, true) => call!("clamp_min", x, low),
        (true, false) => call!("clamp_max", x, high),
        (false, false) if is_float(x) && are_numbers(&[low, high]) => {
            call!("_clamp_within", x, low, high)
        }
        (false, false) => call!("_clamp", x, low, high),
    })
}

fn is_float(value: &Value) -> bool {
    value.tensor().is_some_and(|t| t.dtype().is_float())
}

fn are_numbers(values: &[&Value]) -> bool {
    values
        .iter()
        .all(|value| matches!(value, Value::Num(s) if !matches!(s, Scalar::Complex(_))))
}

/// Both operands in double precision.
fn float_power(a: Args) -> Result<Outputs> {
    let complex = |v: &Value| match v {
        Value::Tensor(t) => t.dtype().is_complex(),
        Value::Num(s) => matches!(s, Scalar::Complex(_)),
        _ => false,
    };
    let (x, y) = (a.get(0), a.get(1));
    ensure!(
        x.tensor().is_some() || y.tensor().is_some(),
        Type,
        "float_power() expected a Tensor among its arguments"
    );
    let dtype = if complex(x) || complex(y) {
        DType::C128
    } else {
        DType::F64
    };
    let wide = |v: &Value| -> Result<Value> {
        Ok(match v {
            Value::Tensor(t) if t.dtype() != dtype => call!("_to_copy", t, dtype)?.into(),
            Value::Num(s) if dtype.is_complex() => Value::Num(Scalar::Complex(s.to_c128())),
            Value::Num(s) => Value::from(s.to_f64()),
            other => other.clone(),
        })
    };
    let (x, y) = (wide(x)?, wide(y)?);
    one(if x.tensor().is_some() {
        call!("pow", x, y)
    } else {
        call!("pow/scalar", x, y)
    })
}

fn nan_to_num(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    if x.dtype().is_integral(true) {
        return one(call!("clone", x));
    }
    if x.dtype().is_complex() {
        let parts = call!(
            "nan_to_num",
            call!("view_as_real", x),
            a.get(1),
            a.get(2),
            a.get(3)
        );
        return one(call!("view_as_complex", parts));
    }
    let largest = match x.dtype() {
        DType::F16 => 65504.0,
        DType::BF16 => f64::from(f32::from_bits(0x7f7f_0000)),
        DType::F32 => f64::from(f32::MAX),
        _ => f64::MAX,
    };
    let nan = a.opt_float(1)?.unwrap_or(0.0);
    let (high, low) = (
        a.opt_float(2)?.unwrap_or(largest),
        a.opt_float(3)?.unwrap_or(-largest),
    );
    one(call!("_nan_to_num", x, nan, high, low))
}

fn isclose(a: Args) -> Result<Outputs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    let (rtol, atol) = (a.float(2)?, a.float(3)?);
    ensure!(
        x.dtype() == y.dtype(),
        Runtime,
        "{} did not match {}",
        x.dtype().scalar_name(),
        y.dtype().scalar_name()
    );
    ensure!(
        rtol >= 0.0,
        Runtime,
        "rtol must be greater than or equal to zero, but got {rtol}"
    );
    ensure!(
        atol >= 0.0,
        Runtime,
        "atol must be greater than or equal to zero, but got {atol}"
    );
    let equal_nan = a.bool(4)?;
    if !x.dtype().is_complex() {
        let wide = |t: &Tensor| {
            if t.dtype().is_integral(true) {
                call!("_to_copy", t, DType::F64)
            } else {
                Ok(t.clone())
            }
        };
        return one(call!("_isclose", wide(x), wide(y), rtol, atol, equal_nan));
    }
    let same = call!("eq", x, y)?;
    let same = if equal_nan {
        let both = call!("logical_and", call!("isnan", x), call!("isnan", y));
        call!("logical_or", same, both)?
    } else {
        same
    };
    let bound = call!("add", call!("mul", call!("abs", y), rtol), atol);
    let difference = call!("abs", call!("sub", x, y))?;
    let near = call!(
        "logical_and",
        call!("isfinite", &difference),
        call!("le", &difference, bound)
    );
    one(call!("logical_or", same, near))
}

fn allclose(a: Args) -> Result<Outputs> {
    let close = call!("isclose", a.get(0), a.get(1), a.get(2), a.get(3), a.get(4))?;
    Ok(smallvec![Value::from(all_true(&close)?)])
}

fn all_true(mask: &Tensor) -> Result<bool> {
    Ok(mask
        .to_vec::<crate::tensor::Bool>()?
        .iter()
        .all(|b| b.get()))
}

fn equal(a: Args) -> Result<Outputs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    let same = x.shape() == y.shape() && all_true(&call!("eq", x, y)?)?;
    Ok(smallvec![Value::from(same)])
}

fn positive(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.dtype() != DType::Bool,
        Runtime,
        "The `+` operator, on a bool tensor is not supported."
    );
    one(Ok(x.clone()))
}

fn gelu(a: Args) -> Result<Outputs> {
    let x = a.get(0);
    one(match a.str(1)? {
        "none" => call!("_gelu_erf", x),
        "tanh" => call!("_gelu_tanh", x),
        _ => fail!(Runtime, "approximate argument must be either none or tanh."),
    })
}

/// One half of the input times the sigmoid of the other.
fn glu(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() > 0,
        Runtime,
        "glu does not support 0-dimensional tensors"
    );
    let dim = crate::tensor::wrap_dim(a.int(1)?, x.ndim())?;
    let size = x.shape()[dim];
    ensure!(
        size % 2 == 0,
        Runtime,
        "Halving dimension must be even, but dimension {dim} is size {size}"
    );
    let half = |start: i64| call!("narrow", x, dim as i64, start, size / 2);
    one(call!("mul", half(0), call!("sigmoid", half(size / 2))))
}

fn prelu(a: Args) -> Result<Outputs> {
    let (x, weight) = (a.t(0)?, a.t(1)?);
    ensure!(
        x.dtype() == weight.dtype(),
        Runtime,
        "prelu: Type promoting not supported. Got {} and {}",
        x.dtype().scalar_name(),
        weight.dtype().scalar_name()
    );
    ensure!(
        weight.ndim() <= 1,
        Runtime,
        "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {}",
        weight.ndim()
    );
    if weight.numel() == 1 {
        let one_weight = if x.ndim() == 0 {
            call!("reshape", weight, Vec::<i64>::new())?
        } else {
            weight.clone()
        };
        return one(call!("_prelu_kernel", x, one_weight));
    }
    let channels = if x.ndim() < 2 { 1 } else { x.shape()[1] };
    ensure!(x.ndim() > 0, Runtime, "Not allow zero-dim input tensor.");
    ensure!(
        channels == weight.numel(),
        Runtime,
        "Mismatch of parameter numbers and input channel size. Found parameter numbers = {} and channel size = {channels}.",
        weight.numel()
    );
    let mut shape = vec![1; x.ndim()];
    shape[1] = channels;
    one(call!("_prelu_kernel", x, call!("reshape", weight, shape)))
}

fn polygamma(x: &Value, n: i64) -> Result<Outputs> {
    ensure!(
        n >= 0,
        Runtime,
        "polygamma(n, x) does not support negative n."
    );
    one(if n == 0 {
        call!("digamma", x)
    } else {
        call!("_polygamma", x, n)
    })
}

/// The logarithm of the multivariate gamma function.
fn multigammaln(a: Args) -> Result<Outputs> {
    let (x, p) = (a.t(0)?, a.int(1)?);
    ensure!(p >= 1, Runtime, "p has to be greater than or equal to 1");
    let float = if x.dtype().is_float() {
        x.dtype()
    } else {
        crate::tensor::default_dtype()
    };
    let x = call!("_to_copy", x, float)?;
    let mut sum = call!(
        "full_like",
        &x,
        0.25 * (p * (p - 1)) as f64 * std::f64::consts::PI.ln()
    )?;
    for j in 0..p {
        let term = call!("lgamma", call!("sub", &x, 0.5 * j as f64));
        sum = call!("add", sum, term)?;
    }
    one(Ok(sum))
}

fn conj_physical(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    one(if x.dtype().is_complex() {
        call!("_conj_values", x)
    } else {
        Ok(x.clone())
    })
}

ops! {
    /// Quotient, rounded as asked for: None, 'trunc' or 'floor'.
    "div/rounding(Tensor self, Tensor|Scalar other, *, str? rounding_mode) -> Tensor", F | M | I | O,
    Body::Composite(div_rounding);
    /// Keeps elements within two bounds, either of which may be missing.
    "clamp(Tensor self, Tensor|Scalar? min=None, Tensor|Scalar? max=None) -> Tensor", F | M | I | O, Body::Composite(clamp);
    /// Power computed in double precision.
    "float_power(Tensor|Scalar self, Tensor|Scalar exponent) -> Tensor", F | M | I | O, Body::Composite(float_power);
    /// Replaces NaN and infinities by numbers.
    "nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor", F | M | I | O,
    Body::Composite(nan_to_num);
    /// Are elements close: |self - other| <= atol + rtol |other|?
    "isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor", F | M,
    Body::Composite(isclose);
    /// Are all elements close?
    "allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool", F | M,
    Body::Composite(allclose);
    /// Do two tensors have the same size and elements?
    "equal(Tensor self, Tensor other) -> bool", F | M, Body::Composite(equal);
    /// The tensor itself.
    "positive(Tensor self) -> Tensor", F | M, Body::Composite(positive);
    /// Gaussian error linear unit.
    "nn.functional.gelu(Tensor self, *, str approximate='none') -> Tensor", F | O, Body::Composite(gelu);
    /// Linear with a learned slope below zero, one for all or one a channel.
    "prelu(Tensor self, Tensor weight) -> Tensor", F | M, Body::Composite(prelu);
    /// One half of the input times the sigmoid of the other.
    "nn.functional.glu(Tensor self, int dim=-1) -> Tensor", F | O, Body::Composite(glu);
    /// Derivative of digamma of order n.
    "polygamma(int n, Tensor self) -> Tensor", F | O, Body::Composite(|a| polygamma(a.get(1), a.int(0)?));
    /// Derivative of digamma of order n.
    "polygamma/method(Tensor self, int n) -> Tensor", M | I, Body::Composite(|a| polygamma(a.get(0), a.int(1)?));
    /// Logarithm of the multivariate gamma function.
    "special.multigammaln(Tensor self, int p) -> Tensor", F | M | I | O, Body::Composite(multigammaln);
    /// The conjugate, computed at once.
    "conj_physical(Tensor self) -> Tensor", F | M | I | O, Body::Composite(conj_physical);
    /// Elements of this tensor where the condition holds, else of the other.
    "where/method(Tensor self, Tensor condition, Tensor|Scalar other) -> Tensor", M,
    Body::Composite(|a| one(call!("where", a.get(1), a.get(0), a.get(2))));
}
