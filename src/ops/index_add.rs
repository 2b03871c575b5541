//! Writing whole rows along one dimension: `index_add`, `index_copy`, `index_fill`, `index_reduce`.

use super::index::{check_range, like_self, start_from};
use super::scatter::{Along, Reduce, reduce_into, strides_or_zero};
use super::scatter_grad::{fill_back, index_add_back, reduce_back, write_back};
use super::selection::{apart, long, row_major};
use super::view::on_cpu;
use super::{Args, EXACT, F, I, M, O, SHAPES, STRIDED, Value, arg, kernel, out, rule};
use crate::cpu::index::out_of_range;
use crate::cpu::scatter::Combine;
use crate::tensor::{DType, Dims, Scalar, Tensor, wrap_dim};
use crate::{Result, call, ensure, fail, ops};

/// The index of `index_add` and its kin: one dimension, the same for every row.
fn vector(a: Args, name: &str) -> Result<Along> {
    let (x, index) = (a.t(0)?, a.t(2)?);
    let dim = wrap_dim(a.int(1)?, x.ndim())?;
    ensure!(
        index.ndim() <= 1,
        Index,
        "{name}(): Index is supposed to be a vector, but got dim: {} with type: {}",
        index.ndim(),
        index.dtype().scalar_name()
    );
    ensure!(
        matches!(index.dtype(), DType::I64 | DType::I32),
        Runtime,
        "{name}(): Expected dtype int32/int64 for index but got: {}",
        index.dtype().scalar_name()
    );
    let index = apart(row_major(&long(index)?)?, x)?;
    let mut shape = Dims::from_slice(x.shape());
    if shape.is_empty() {
        shape.push(1);
    }
    shape[dim] = index.numel();
    let mut index_strides: Dims = smallvec::smallvec![0; shape.len()];
    index_strides[dim] = 1;
    Ok(Along {
        shape,
        dim,
        index,
        index_strides,
    })
}

fn extent(x: &Tensor, dim: usize) -> i64 {
    x.shape().get(dim).copied().unwrap_or(1)
}

/// The source of `index_add` and its kin has the target's sizes, apart from the dimension.
fn vector_source(a: Args, along: &Along, name: &str) -> Result<(Tensor, Dims)> {
    let (x, source) = (a.t(0)?, on_cpu(a.t(3)?)?);
    ensure!(
        source.dtype() == x.dtype(),
        Runtime,
        "{name}(): self ({}) and source ({}) must have the same scalar type",
        x.dtype().scalar_name(),
        source.dtype().scalar_name()
    );
    let length = source.shape().get(along.dim).copied().unwrap_or(1);
    let count = along.shape[along.dim];
    ensure!(
        length == count || source.ndim() == 0 && count == 1,
        Index,
        "{name}(): Number of indices ({count}) should be equal to source.size(dim): ({length}), for dim: {}",
        along.dim
    );
    let same = source.ndim().max(1) == along.shape.len()
        && source.shape().iter().zip(&along.shape).all(|(a, b)| a == b);
    ensure!(
        same,
        Runtime,
        "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {:?} source.shape = {:?}",
        x.shape(),
        source.shape()
    );
    let strides = strides_or_zero(&source, along.shape.len());
    Ok((source, strides))
}

fn index_add(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let along = vector(a, "index_add_")?;
    if along.shape[along.dim] != a.t(3)?.shape().get(along.dim).copied().unwrap_or(1) {
        fail!(
            Runtime,
            "index_add_(): Number of indices ({}) should be equal to source.size(dim): ({}), for dim: {}",
            along.shape[along.dim],
            a.t(3)?.shape().get(along.dim).copied().unwrap_or(1),
            along.dim
        );
    }
    let (source, strides) = vector_source(a, &along, "index_add_")?;
    check_range(&along.index, along.dim, extent(x, along.dim))?;
    start_from(&outs[0], x)?;
    let alpha = a.scalar(4)?;
    if alpha.to_c128() == crate::tensor::c128::new(1.0, 0.0) {
        return along.run(&outs[0], &source, &strides, Combine::Add);
    }
    let scaled = call!("mul", source.detached(), alpha)?;
    let scaled = if scaled.dtype() == x.dtype() {
        scaled
    } else {
        call!("_to_copy", scaled, x.dtype())?
    };
    along.run(
        &outs[0],
        &scaled,
        &strides_or_zero(&scaled, along.shape.len()),
        Combine::Add,
    )
}

fn index_copy(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let along = vector(a, "index_copy_")?;
    let (source, strides) = vector_source(a, &along, "index_copy_")?;
    let size = extent(x, along.dim);
    if let Some(bad) = out_of_range(&along.index, 0, size) {
        fail!(
            Index,
            "index_copy_(): index {bad} is out of bounds for dimension {} with size {size}",
            along.dim
        );
    }
    start_from(&outs[0], x)?;
    along.run(&outs[0], &source, &strides, Combine::Set)
}

fn index_fill(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let along = vector(a, "index_fill_")?;
    let size = extent(x, along.dim);
    let value = match a.get(3) {
        Value::Tensor(t) => {
            ensure!(
                t.ndim() == 0,
                Runtime,
                "Only supports 0-dimension value tensor, but got tensor with {} dimension(s).",
                t.ndim()
            );
            t.item()?
        }
        _ => a.scalar(3)?,
    };
    ensure!(
        x.dtype().is_complex() || !matches!(value, Scalar::Complex(_)),
        Runtime,
        "index_fill_(): Converting complex Scalar to non-complex type is not supported"
    );
    // Negative indices count from the end here, unlike in its kin.
    let index: Vec<i64> = along.index.to_vec()?;
    if let Some(bad) = index.iter().find(|&&i| i < -size || i >= size) {
        fail!(
            Index,
            "index {bad} is out of bounds for dimension {} with size {size}",
            along.dim
        );
    }
    let wrapped: Vec<i64> = index
        .iter()
        .map(|&i| if i < 0 { i + size } else { i })
        .collect();
    let along = Along {
        index: Tensor::from_slice(&wrapped, &[wrapped.len() as i64])?,
        ..along
    };
    start_from(&outs[0], x)?;
    along.fill(&outs[0], value, Combine::Set)
}

fn index_reduce(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let how = Reduce::of_index(a.str(4)?)?;
    let along = vector(a, "index_reduce")?;
    let (source, strides) = vector_source(a, &along, "index_reduce")?;
    let size = extent(x, along.dim);
    if let Some(bad) = out_of_range(&along.index, 0, size) {
        fail!(
            Runtime,
            "index {bad} is out of bounds for dimension {} with size {size}",
            along.dim
        );
    }
    start_from(&outs[0], x)?;
    reduce_into(&along, &outs[0], &source, &strides, how, a.bool(5)?)
}

ops! {
    /// A copy with rows of `source` (times `alpha`) added to the rows that the index names.
    "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, index_add), grad rule(arg(2) | SHAPES, index_add_back);
    /// A copy with rows of `source` written to the rows that the index names.
    "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, index_copy), grad rule(arg(2) | SHAPES, |c| write_back(c, true));
    /// A copy with a value written to the rows that the index names.
    "index_fill(Tensor self, int dim, Tensor index, Tensor|Scalar value) -> Tensor", F | M | I | STRIDED,
    kernel(like_self, index_fill), grad rule(arg(2), fill_back);
    /// A copy with rows of `source` reduced into the rows that the index names.
    "index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, index_reduce), grad rule(arg(0) | arg(2) | arg(3) | out(0), |c| reduce_back(c, true));
}
