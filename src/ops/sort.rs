//! Sorting and selection along a dimension.

use super::reduce_dims::Reduced;
use super::reduce_index::{evenly, picked};
use super::{APART, Args, Body, F, Grads, M, O, Out, Outputs, Outs, arg, kernel, out, rule};
use crate::autograd::Ctx;
use crate::cpu::reduce_plan::Lines;
use crate::cpu::sort::{Pick, pick_lines};
use crate::tensor::{DType, Dims, Tensor, wrap_dim};
use crate::{Result, call, call_all, dispatch, ensure, grads, ops};

fn ordered(x: &Tensor, name: &str) -> Result<()> {
    ensure!(
        !x.dtype().is_complex(),
        NotImplemented,
        "\"{name}\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    Ok(())
}

/// Values and indices of these sizes.
fn pair(shape: &[i64], x: &Tensor) -> Outs {
    smallvec::smallvec![Out::new(shape, x.dtype()), Out::new(shape, DType::I64)]
}

/// Runs a selection; the outputs have the input's dimensions, `dim` of any size (or reduced).
fn pick(choice: Pick, x: &Tensor, dim: i64, out_strides: &[i64], outs: &[Tensor]) -> Result<()> {
    let lines = Lines::new(
        x.shape(),
        x.strides(),
        out_strides,
        wrap_dim(dim, x.ndim())?,
    );
    dispatch!(ordered x.dtype(), T => {
        // SAFETY: the lines were made for these layouts; both outputs are row-major.
        unsafe { pick_lines(choice, x.ptr::<T>(), &lines, outs[0].ptr::<T>(), outs[1].ptr::<i64>()) };
        Ok(())
    }, else ordered(x, "sort"))
}

/// Positions of the optional arguments of the two overloads of `sort`.
fn sort_args(a: Args) -> Result<(i64, bool)> {
    let first = a.0.len() - 2;
    Ok((a.int(first)?, a.bool(first + 1)?))
}

fn sort_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    wrap_dim(sort_args(a)?.0, x.ndim())?;
    ensure!(
        !x.dtype().is_complex(),
        Runtime,
        "Sort does not support complex dtypes on CPU"
    );
    Ok(pair(x.shape(), x))
}

fn sort_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let (dim, descending) = sort_args(a)?;
    pick(
        Pick::Sort { descending },
        a.t(0)?,
        dim,
        outs[0].strides(),
        outs,
    )
}

/// The gradient of elements moved within their dimension.
fn moved(c: &Ctx, dim: usize) -> Grads {
    let (g, shape) = (c.g(), c.shape(0));
    if shape.is_empty() {
        return grads![g];
    }
    let zeros = super::Val(call!("new_zeros", &g, &shape));
    grads![zeros.scatter(c.args().int(dim), c.y(1), g)]
}

fn argsort(a: Args) -> Result<Outputs> {
    let (dim, descending) = sort_args(a)?;
    let mut both = call_all!("sort", a.t(0)?, dim, descending)?;
    Ok(smallvec::smallvec![both.swap_remove(1)])
}

fn top_meta(a: Args) -> Result<Outs> {
    let (x, k) = (a.t(0)?, a.int(1)?);
    let d = wrap_dim(a.int(2)?, x.ndim())?;
    ordered(x, "topk_cpu")?;
    ensure!(
        x.dtype() != DType::Bool,
        NotImplemented,
        "\"topk_cpu\" not implemented for 'Bool'"
    );
    let size = x.shape().get(d).copied().unwrap_or(1);
    ensure!(
        k >= 0 && k <= size,
        Runtime,
        "selected index k out of range"
    );
    let mut shape = Dims::from_slice(x.shape());
    if let Some(size) = shape.get_mut(d) {
        *size = k;
    }
    Ok(pair(&shape, x))
}

fn top_kernel(a: Args, outs: &[Tensor]) -> Result<()> {
    let choice = Pick::Top {
        k: a.int(1)? as usize,
        largest: a.bool(3)?,
        sorted: a.bool(4)?,
    };
    pick(choice, a.t(0)?, a.int(2)?, outs[0].strides(), outs)
}

/// Sizes of a selection of one element per line; `dim` and `keepdim` stand at these positions.
fn single_meta(a: Args, name: &str, dim: usize) -> Result<Outs> {
    let x = a.t(0)?;
    ordered(x, name)?;
    let reduced = Reduced::one(x.ndim(), a.int(dim)?, a.bool(dim + 1)?)?;
    reduced.require_elements(x, name, true)?;
    Ok(pair(&reduced.shape(x.shape()), x))
}

fn single_kernel(a: Args, outs: &[Tensor], dim: usize, choice: Pick) -> Result<()> {
    let x = a.t(0)?;
    let (d, keepdim) = (wrap_dim(a.int(dim)?, x.ndim())?, a.bool(dim + 1)?);
    let mut strides = Dims::from_slice(outs[0].strides());
    if !keepdim && x.ndim() > 0 {
        strides.insert(d, 0);
    }
    pick(choice, x, a.int(dim)?, &strides, outs)
}

fn kth_meta(a: Args) -> Result<Outs> {
    let (x, k) = (a.t(0)?, a.int(1)?);
    let d = wrap_dim(a.int(2)?, x.ndim())?;
    let outs = single_meta(a, "kthvalue", 2)?;
    let size = x.shape().get(d).copied().unwrap_or(1);
    ensure!(
        k >= 1 && k <= size,
        Runtime,
        "kthvalue(): selected number k out of range for dimension {d}"
    );
    Ok(outs)
}

/// The median of all elements.
fn median_all(a: Args, outs: &[Tensor], ignore_nan: bool) -> Result<()> {
    let x = call!("reshape", a.t(0)?.detached(), [-1])?;
    if x.numel() == 0 {
        let nan = Tensor::scalar(f64::NAN.into(), DType::F64)?;
        return crate::backend::copy(&outs[0], &nan);
    }
    let index = Tensor::empty(&[], DType::I64)?;
    pick(
        Pick::Median { ignore_nan },
        &x,
        0,
        &[0],
        &[outs[0].clone(), index],
    )
}

fn median_meta(a: Args, name: &str) -> Result<Outs> {
    let x = a.t(0)?;
    ordered(x, name)?;
    Ok(smallvec::smallvec![Out::new(&[], x.dtype())])
}

const MEDIAN: Pick = Pick::Median { ignore_nan: false };
const NANMEDIAN: Pick = Pick::Median { ignore_nan: true };

ops! {
    /// The elements in ascending or descending order along a dimension, and where they came from; stable.
    "sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)", F | M | O,
        kernel(sort_meta, sort_kernel), grad rule(out(1), |c| moved(c, 1));

    /// The elements in ascending or descending order along a dimension, and where they came from; stable.
    "sort/stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)", F | M | O,
        kernel(sort_meta, sort_kernel), grad rule(out(1), |c| moved(c, 2));

    /// The positions that sort the elements along a dimension.
    "argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor", F | M, Body::Composite(argsort);

    /// The positions that sort the elements along a dimension; stable.
    "argsort/stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor", F | M | O, Body::Composite(argsort);

    /// The elements in ascending order along the first dimension.
    "msort(Tensor self) -> Tensor", F | M | O, Body::Composite(|a| {
        let mut both = call_all!("sort", a.t(0)?, 0i64, false)?;
        both.truncate(1);
        Ok(both)
    });

    /// The k greatest or least elements along a dimension, and where they are.
    "topk(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)", F | M | O | APART,
        kernel(top_meta, top_kernel), grad rule(out(1), |c| moved(c, 2));

    /// The k-th least element along a dimension, and where it is.
    "kthvalue(Tensor self, int k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)", F | M | O | APART,
        kernel(kth_meta, |a, o| single_kernel(a, o, 2, Pick::Kth { k: a.int(1)? as usize - 1 })), grad rule(out(1), |c| picked(c, 2, 3));

    /// The lower median of all elements; NaN if there is one.
    "median(Tensor self) -> Tensor", F | M | O | APART, kernel(|a| median_meta(a, "median"), |a, o| median_all(a, o, false)),
        grad rule(arg(0) | out(0), evenly);

    /// The lower medians along a dimension, and where they are.
    "median/dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", F | M | O | APART,
        kernel(|a| single_meta(a, "median", 1), |a, o| single_kernel(a, o, 1, MEDIAN)), grad rule(out(1), |c| picked(c, 1, 2));

    /// The lower median of all elements that are not NaN.
    "nanmedian(Tensor self) -> Tensor", F | M | O | APART, kernel(|a| median_meta(a, "nanmedian"), |a, o| median_all(a, o, true)),
        grad rule(arg(0) | out(0), evenly);

    /// The lower medians of the elements that are not NaN along a dimension, and where they are.
    "nanmedian/dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", F | M | O | APART,
        kernel(|a| single_meta(a, "nanmedian", 1), |a, o| single_kernel(a, o, 1, NANMEDIAN)), grad rule(out(1), |c| picked(c, 1, 2));

    /// The most frequent elements along a dimension, and where they are.
    "mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)", F | M | O | APART,
        kernel(|a| single_meta(a, "mode", 1), |a, o| single_kernel(a, o, 1, Pick::Mode)), grad rule(out(1), |c| picked(c, 1, 2));
}
