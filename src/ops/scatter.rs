//! Writing along one dimension where an index of full size points: `scatter` and its reductions.

use super::index::{check_range, full_index, like_self, start_from};
use super::scatter_grad::{Places, no_derivative, reduce_back, write_back};
use super::selection::{apart, long};
use super::view::on_cpu;
use super::{Args, EXACT, F, I, M, O, SHAPES, STRIDED, arg, kernel, named, out, rule};
use crate::cpu::index::Operand;
use crate::cpu::scatter::{Combine, Scatter, scatter};
use crate::tensor::{Dims, Scalar, Tensor};
use crate::{Result, call, ensure, err, fail, grads, ops};

/// An index along a dimension of `target`, and the strides of the other operands under its sizes.
pub(super) struct Along {
    pub shape: Dims,
    pub dim: usize,
    pub index: Tensor,
    pub index_strides: Dims,
}

impl Along {
    /// Combines a source, whose strides fit the shape, into the target.
    pub fn run(
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
    pub fn fill(&self, target: &Tensor, value: Scalar, combine: Combine) -> Result<()> {
        let value = Tensor::scalar(value, target.dtype())?;
        let strides: Dims = smallvec::smallvec![0; self.shape.len()];
        self.run(target, &value, &strides, combine)
    }
}

/// The index of a scatter, checked against target and source before anything is written.
fn full(a: Args, name: &str, source: Option<&Tensor>) -> Result<Along> {
    let (x, (dim, index)) = (a.t(0)?, full_index(a, name)?);
    let index = apart(long(index)?, x)?;
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

pub(super) fn strides_or_zero(t: &Tensor, ndim: usize) -> Dims {
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

    pub(super) fn of_index(name: &str) -> Result<Reduce> {
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
pub(super) fn reduce_into(
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
}
