//! Writing along one dimension by index: `scatter`, `index_add`, `index_copy`, `index_fill` and their reductions.

use super::index::{check_range, full_index, start_from};
use super::scatter_grad::{
    Places, fill_back, index_add_back, no_derivative, reduce_back, write_back,
};
use super::selection::{long, row_major};
use super::view::on_cpu;
use super::{
    Args, EXACT, F, I, M, O, Out, Outs, SHAPES, STRIDED, Value, arg, kernel, named, out, rule,
};
use crate::cpu::index::{Operand, out_of_range};
use crate::cpu::scatter::{Combine, Scatter, scatter};
use crate::tensor::{DType, Dims, Scalar, Tensor, wrap_dim};
use crate::{Result, call, ensure, err, fail, grads, ops};

fn like_self(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    Ok(smallvec::smallvec![Out::new(x.shape(), x.dtype())])
}

/// An index along a dimension of `target`, and the strides of the other operands under its sizes.
struct Along {
    shape: Dims,
    dim: usize,
    index: Tensor,
    index_strides: Dims,
}

impl Along {
    /// Combines a source, whose strides fit the shape, into the target.
    fn run(
        &self,
        target: &Tensor,
        source: &Tensor,
        strides: &[i64],
        combine: Combine,
    ) -> Result<()> {
        if self.shape.contains(&0) {
            return Ok(());
        }
        let apart = source.shares_storage(target);
        let copy = if apart {
            Some(super::resolve_lazy(source)?)
        } else {
            None
        };
        let (source, strides) = match &copy {
            Some(copy) if strides.iter().any(|&s| s != 0) => (copy, copy.strides()),
            Some(copy) => (copy, strides),
            None => (source, strides),
        };
        let mut of_target = Dims::from_slice(target.strides());
        of_target.resize(self.shape.len(), 0);
        // SAFETY: indices and sizes were checked; the source does not share the target's memory.
        unsafe {
            scatter(
                &Scatter {
                    shape: &self.shape,
                    dim: self.dim,
                    step: of_target[self.dim],
                    target: Operand {
                        ptr: target.data_ptr(),
                        strides: &of_target,
                    },
                    index: Operand {
                        ptr: self.index.ptr(),
                        strides: &self.index_strides,
                    },
                    source: Operand {
                        ptr: source.data_ptr(),
                        strides,
                    },
                },
                target.dtype(),
                combine,
            );
        }
        Ok(())
    }

    /// Combines one value everywhere.
    fn fill(&self, target: &Tensor, value: Scalar, combine: Combine) -> Result<()> {
        let value = Tensor::scalar(value, target.dtype())?;
        let strides: Dims = smallvec::smallvec![0; self.shape.len()];
        self.run(target, &value, &strides, combine)
    }
}

/// The index of a scatter, checked against target and source before anything is written.
fn full(a: Args, name: &str, source: Option<&Tensor>) -> Result<Along> {
    let (x, (dim, index)) = (a.t(0)?, full_index(a, name)?);
    if index.numel() > 0 {
        for (d, &size) in index.shape().iter().enumerate() {
            let fits = d == dim || x.shape().get(d).is_none_or(|&have| size <= have);
            let source_fits =
                source.is_none_or(|s| s.shape().get(d).is_none_or(|&have| size <= have));
            ensure!(
                fits && source_fits,
                Runtime,
                "Expected index {:?} to be no larger than self {:?} apart from dimension {dim}{}",
                index.shape(),
                x.shape(),
                source.map_or(String::new(), |s| format!(
                    " and to be no larger size than src {:?}",
                    s.shape()
                ))
            );
        }
        check_range(&index, dim, x.shape().get(dim).copied().unwrap_or(1))?;
    }
    let (mut shape, mut index_strides) = (
        Dims::from_slice(index.shape()),
        Dims::from_slice(index.strides()),
    );
    if shape.is_empty() {
        shape.push(1);
        index_strides.push(0);
    }
    Ok(Along {
        shape,
        dim,
        index,
        index_strides,
    })
}

fn check_source(a: Args, name: &str) -> Result<Tensor> {
    let (x, index, source) = (a.t(0)?, a.t(2)?, a.t(3)?);
    ensure!(
        source.dtype() == x.dtype(),
        Runtime,
        "{name}(): Expected self.dtype to be equal to src.dtype"
    );
    ensure!(
        index.numel() == 0 || source.ndim().max(1) == index.ndim().max(1),
        Runtime,
        "Index tensor must have the same number of dimensions as src tensor"
    );
    on_cpu(source)
}

fn strides_or_zero(t: &Tensor, ndim: usize) -> Dims {
    let mut strides = Dims::from_slice(t.strides());
    strides.resize(ndim, 0);
    strides
}

fn scatter_source(a: Args, out: &Tensor, name: &str, combine: Combine) -> Result<()> {
    let source = check_source(a, name)?;
    let along = full(a, name, Some(&source))?;
    start_from(out, a.t(0)?)?;
    along.run(
        out,
        &source,
        &strides_or_zero(&source, along.shape.len()),
        combine,
    )
}

fn scatter_value(a: Args, out: &Tensor, combine: Combine) -> Result<()> {
    let along = full(a, "scatter", None)?;
    start_from(out, a.t(0)?)?;
    along.fill(out, a.scalar(3)?, combine)
}

fn old_reduce(a: Args) -> Result<Combine> {
    Ok(match a.str(4)? {
        "add" => Combine::Add,
        "multiply" => Combine::Mul,
        _ => fail!(Runtime, "reduce argument must be either add or multiply."),
    })
}

/// A reduction by name, as `scatter_reduce` and `index_reduce` take it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reduce {
    Sum,
    Prod,
    Mean,
    Amax,
    Amin,
}

impl Reduce {
    pub(super) fn parse(name: &str) -> Option<Reduce> {
        Some(match name {
            "sum" => Reduce::Sum,
            "prod" => Reduce::Prod,
            "mean" => Reduce::Mean,
            "amax" => Reduce::Amax,
            "amin" => Reduce::Amin,
            _ => return None,
        })
    }

    fn of_scatter(name: &str) -> Result<Reduce> {
        Reduce::parse(name).ok_or_else(|| {
            err!(
                Runtime,
                "reduce argument must be either sum, prod, mean, amax or amin, got {name}"
            )
        })
    }

    fn of_index(name: &str) -> Result<Reduce> {
        Reduce::parse(name).filter(|&r| r != Reduce::Sum).ok_or_else(|| {
            err!(
                Runtime,
                "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {name}."
            )
        })
    }

    fn combine(self) -> Combine {
        match self {
            Reduce::Sum | Reduce::Mean => Combine::Add,
            Reduce::Prod => Combine::Mul,
            Reduce::Amax => Combine::Max,
            Reduce::Amin => Combine::Min,
        }
    }
}

/// Reduces a source into the target; without `include_self` the places that are hit start from nothing.
fn reduce_into(
    along: &Along,
    target: &Tensor,
    source: &Tensor,
    strides: &[i64],
    how: Reduce,
    include_self: bool,
) -> Result<()> {
    if !include_self {
        match how {
            Reduce::Sum | Reduce::Mean => along.fill(target, Scalar::Int(0), Combine::Set)?,
            Reduce::Prod => along.fill(target, Scalar::Int(1), Combine::Set)?,
            // The first value that comes is the start: the last write of a plain scatter serves as well.
            Reduce::Amax | Reduce::Amin => along.run(target, source, strides, Combine::Set)?,
        }
    }
    along.run(target, source, strides, how.combine())?;
    if how == Reduce::Mean {
        let counts = Tensor::empty(target.shape(), target.dtype())?;
        let start = if include_self { 1.0 } else { 0.0 };
        crate::inplace!("fill/Scalar", &counts, start)?;
        along.fill(&counts, Scalar::Int(1), Combine::Add)?;
        let counts = call!("clamp", counts, 1.0f64)?;
        let mean = if target.dtype().is_integral(true) {
            call!("floor_divide", target.detached(), counts)?
        } else {
            call!("div", target.detached(), counts)?
        };
        crate::cpu::copy::copy(target, &mean)?;
    }
    Ok(())
}

fn scatter_reduce(a: Args, outs: &[Tensor]) -> Result<()> {
    let how = Reduce::of_scatter(a.str(4)?)?;
    let source = check_source(a, "scatter_reduce")?;
    let along = full(a, "scatter_reduce", Some(&source))?;
    start_from(&outs[0], a.t(0)?)?;
    let strides = strides_or_zero(&source, along.shape.len());
    reduce_into(&along, &outs[0], &source, &strides, how, a.bool(5)?)
}

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
    let index = row_major(&long(index)?)?;
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
    /// A copy with elements of `src` written where the index points along a dimension.
    "scatter(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, |a, o| scatter_source(a, &o[0], "scatter", Combine::Set)),
    grad rule(arg(2) | SHAPES, |c| write_back(c, false));
    /// A copy with a value written where the index points along a dimension.
    "scatter/value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, |a, o| scatter_value(a, &o[0], Combine::Set)),
    grad named("ScatterBackward1", arg(2), |c| grads![Places::of(c, false).clear(&c.g())]);
    /// A copy with elements of `src` added or multiplied in where the index points along a dimension.
    "scatter/reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, |a, o| scatter_source(a, &o[0], "scatter", old_reduce(a)?)), grad named("NotImplemented", 0, no_derivative);
    /// A copy with a value added or multiplied in where the index points along a dimension.
    "scatter/value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, |a, o| scatter_value(a, &o[0], old_reduce(a)?)), grad named("NotImplemented", 0, no_derivative);
    /// A copy with elements of `src` added where the index points along a dimension.
    "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, |a, o| scatter_source(a, &o[0], "scatter_add", Combine::Add)), grad rule(arg(2) | SHAPES, |c| {
        grads![c.g(), None, c.when(2, || Places::of(c, false).source_grad())]
    });
    /// A copy with elements of `src` reduced into the places where the index points along a dimension.
    "scatter_reduce(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor", F | M | I | O | STRIDED | EXACT,
    kernel(like_self, scatter_reduce), grad rule(arg(0) | arg(2) | arg(3) | out(0), |c| reduce_back(c, false));
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
