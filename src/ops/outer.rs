//! Products over `mul` and `tensordot`: outer, inner and Kronecker products, and the trace.

use super::matmul::single;
use super::{Args, Body, F, M, O, Val, Value};
use crate::tensor::Tensor;
use crate::{Result, call, ensure, ops};

fn outer(a: Args) -> Result<super::Outputs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    for (t, name) in [(x, "self"), (y, "vec2")] {
        ensure!(
            t.ndim() == 1,
            Runtime,
            "outer: Expected 1-D argument {name}, but got {}-D",
            t.ndim()
        );
    }
    single(Val::from(x).unsqueeze(1).mul(y))
}

fn inner(a: Args) -> Result<super::Outputs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    if x.ndim() == 0 || y.ndim() == 0 {
        return single(Val::from(x).mul(y));
    }
    let (last_x, last_y) = (x.shape()[x.ndim() - 1], y.shape()[y.ndim() - 1]);
    ensure!(
        last_x == last_y,
        Runtime,
        "inner() the last dimension must match on both input tensors but got shapes {:?} and {:?}",
        x.shape(),
        y.shape()
    );
    let result = call!(
        "tensordot",
        x,
        y,
        vec![x.ndim() as i64 - 1],
        vec![y.ndim() as i64 - 1]
    )?;
    single(result.into())
}

fn trace(a: Args) -> Result<super::Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() == 2,
        Runtime,
        "trace: expected a matrix, but got tensor with dim {}",
        x.ndim()
    );
    single(Val::from(x).diagonal(0, 0, 1).sum(Value::None, false))
}

fn kron(a: Args) -> Result<super::Outputs> {
    let (x, y) = (a.t(0)?, a.t(1)?);
    let n = x.ndim().max(y.ndim());
    let padded = |t: &Tensor| [vec![1; n - t.ndim()], t.shape().to_vec()].concat();
    let (xs, ys) = (padded(x), padded(y));
    let wide: Vec<i64> = xs.iter().flat_map(|&s| [s, 1]).collect();
    let narrow: Vec<i64> = ys.iter().flat_map(|&s| [1, s]).collect();
    let shape: Vec<i64> = xs.iter().zip(&ys).map(|(a, b)| a * b).collect();
    let result = Val::from(x)
        .reshape(wide)
        .mul(Val::from(y).reshape(narrow))
        .reshape(shape);
    single(result)
}

ops! {
    /// Outer product of two vectors.
    "outer(Tensor self, Tensor vec2) -> Tensor", F | M | O, Body::Composite(outer);
    /// As outer.
    "ger(Tensor self, Tensor vec2) -> Tensor", F | M | O, Body::Composite(outer);
    /// Dot products along the last dimension of both inputs.
    "inner(Tensor self, Tensor other) -> Tensor", F | M | O, Body::Composite(inner);
    /// Sum of the diagonal of a matrix.
    "trace(Tensor self) -> Tensor", F | M, Body::Composite(trace);
    /// Kronecker product.
    "kron(Tensor self, Tensor other) -> Tensor", F | M | O, Body::Composite(kron);
}
