//! Writing and reading through a mask of booleans.

use super::index::start_from;
use super::selection::row_major;
use super::view::{on_cpu, zeros};
use super::{
    APART, Args, Body, F, Grads, I, M, O, Out, Outs, STRIDED, Val, Value, arg, kernel, rule,
};
use crate::autograd::Ctx;
use crate::cpu::{masked, nonzero};
use crate::tensor::{DType, Scalar, Tensor, broadcast_shapes};
use crate::{Result, call, ensure, fail, grads, ops};

fn masked_fill_meta(a: Args) -> Result<Outs> {
    let (x, mask) = (a.t(0)?, a.t(1)?);
    let shape = broadcast_shapes(x.shape(), mask.shape())?;
    Ok(smallvec::smallvec![Out::new(&shape, x.dtype())])
}

/// The value as a number; it has to fit the dtype's kind.
fn fill_value(a: Args, dtype: DType) -> Result<Scalar> {
    let value = match a.get(2) {
        Value::Tensor(t) => {
            ensure!(
                t.ndim() == 0,
                Runtime,
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
                t.ndim()
            );
            t.item()?
        }
        _ => a.scalar(2)?,
    };
    if matches!(value, Scalar::Complex(z) if z.im != 0.0) && !dtype.is_complex() {
        fail!(
            Runtime,
            "value cannot be converted to type {} without overflow",
            dtype.name()
        );
    }
    Ok(value)
}

fn masked_fill(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, mask, out) = (a.t(0)?, on_cpu(a.t(1)?)?, &outs[0]);
    ensure!(
        mask.dtype() == DType::Bool,
        Runtime,
        "masked_fill_ only supports boolean masks, but got mask with dtype {}",
        mask.dtype().name()
    );
    let value = fill_value(a, x.dtype())?;
    let own = x.layout().expand(out.shape())?;
    let mask = mask.alias(mask.layout().expand(out.shape())?)?;
    let x = x.alias(own)?;
    // The kernel copies bits: lazy ones have to be carried out first.
    let x = if x.lazy() == out.lazy() {
        x
    } else {
        start_from(out, &x)?;
        out.clone()
    };
    masked::fill(out, &x, &mask, &Tensor::scalar(value, out.dtype())?);
    Ok(())
}

fn masked_fill_back(c: &Ctx) -> Grads {
    let (g, mask) = (c.g(), c.x(1));
    grads![
        c.when(0, || g.masked_fill(&mask, 0.0f64)),
        None,
        c.when(2, || Val(call!("sum", g.select_where(&mask, 0.0f64))))
    ]
}

/// Tensor and mask under their common sizes, row-major.
fn together(x: &Tensor, mask: &Tensor) -> Result<(Tensor, Tensor)> {
    let shape = broadcast_shapes(mask.shape(), x.shape())?;
    let expand = |t: &Tensor| row_major(&t.alias(t.layout().expand(&shape)?)?);
    Ok((expand(x)?, expand(&on_cpu(mask)?)?))
}

fn masked_select(a: Args) -> Result<Vec<Tensor>> {
    let (x, mask) = (a.t(0)?, a.t(1)?);
    ensure!(
        mask.dtype() == DType::Bool,
        Runtime,
        "masked_select: expected BoolTensor for mask"
    );
    let (x, mask) = together(x, mask)?;
    Ok(vec![nonzero::select(&x, &mask)?])
}

fn masked_select_back(c: &Ctx) -> Grads {
    let placed = || {
        let (g, mask) = (c.g().get()?, c.x(1).get()?);
        let shape = broadcast_shapes(&c.shape(0), mask.shape())?;
        call!("masked_scatter", zeros(&shape, &g)?, mask, &g)
    };
    grads![Val(placed())]
}

fn masked_scatter(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, mask, source) = (a.t(0)?, a.t(1)?, on_cpu(a.t(2)?)?);
    ensure!(
        x.dtype() == source.dtype(),
        Runtime,
        "masked_scatter_: expected self and source to have same dtypes but got {} and {}",
        x.dtype().scalar_name(),
        source.dtype().scalar_name()
    );
    ensure!(
        mask.dtype() == DType::Bool,
        Runtime,
        "masked_scatter_ only supports boolean masks, but got mask with dtype {}",
        mask.dtype().scalar_name()
    );
    let (whole, mask) = together(x, mask)?;
    ensure!(
        nonzero::count(&mask) as i64 <= source.numel(),
        Runtime,
        "Number of elements of source < number of ones in mask"
    );
    let filled = super::resolve_lazy(&whole)?;
    nonzero::fill_from(&filled, &mask, &row_major(&source)?);
    crate::cpu::copy::copy(&outs[0], &filled)
}

fn masked_scatter_back(c: &Ctx) -> Grads {
    let (g, mask) = (c.g(), c.x(1));
    let source = || {
        let shape = c.shape(2);
        let picked = Val(call!("masked_select", &g, &mask));
        let count = picked.shape().first().copied().unwrap_or(0);
        let size: i64 = shape.iter().product();
        let whole = if count == size {
            picked
        } else {
            super::view::embed(&picked, &[size], |z| z.narrow(0i64, 0i64, count))
        };
        whole.reshape(&shape)
    };
    grads![
        c.when(0, || g.masked_fill(&mask, 0.0f64)),
        None,
        c.when(2, source)
    ]
}

ops! {
    /// A copy with a value written where the mask is set.
    "masked_fill(Tensor self, Tensor mask, Tensor|Scalar value) -> Tensor", F | M | I | STRIDED,
    kernel(masked_fill_meta, masked_fill), grad rule(arg(1), masked_fill_back);
    /// The elements where the mask is set, in one dimension.
    "masked_select(Tensor self, Tensor mask) -> Tensor", F | M | O | APART, Body::Dynamic { cpu: masked_select },
    grad rule(arg(1), masked_select_back);
    /// A copy with the elements of `source` written, in order, where the mask is set.
    "masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", F | M | I, kernel(masked_fill_meta, masked_scatter),
    grad rule(arg(1), masked_scatter_back);
}
