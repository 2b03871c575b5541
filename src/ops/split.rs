//! Splitting a tensor into views along a dimension.

use super::{Aliases, Args, Body, COPY, F, Grads, M, Outputs, Val, named, output_list, rule};
use crate::autograd::Ctx;
use crate::tensor::{DType, Tensor, wrap_dim};
use crate::{Result, call, call_all, ensure, grads, ops};

/// Views of the given lengths along a dimension.
fn pieces(x: &Tensor, dim: usize, lengths: impl Iterator<Item = i64>) -> Aliases {
    let mut start = 0;
    lengths
        .map(|length| {
            let piece = x.layout().narrow(dim, start, length, 1);
            start += length;
            piece.into()
        })
        .collect()
}

fn splittable<'a>(a: Args<'a>, name: &str, dim: i64) -> Result<(&'a Tensor, usize)> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() > 0,
        Runtime,
        "{name} expects at least a 1-dimensional tensor"
    );
    Ok((x, wrap_dim(dim, x.ndim())?))
}

fn split(a: Args) -> Result<Aliases> {
    let (x, dim) = splittable(a, "split", a.int(2)?)?;
    let (step, extent) = (a.int(1)?, x.shape()[dim]);
    ensure!(
        step >= 0,
        Runtime,
        "split expects split_size be non-negative, but got split_size={step}"
    );
    ensure!(
        step > 0 || extent == 0,
        Runtime,
        "split_size can only be 0 if dimension size is 0, but got dimension size of {extent}"
    );
    let count = if step == 0 {
        1
    } else {
        ((extent + step - 1) / step).max(1)
    };
    Ok(pieces(
        x,
        dim,
        (0..count).map(|i| step.min(extent - i * step)),
    ))
}

fn split_with_sizes(a: Args) -> Result<Aliases> {
    let (x, dim) = splittable(a, "split_with_sizes", a.int(2)?)?;
    let (sizes, extent) = (a.ints(1)?, x.shape()[dim]);
    ensure!(
        sizes.iter().all(|&s| s >= 0),
        Runtime,
        "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes:?}"
    );
    ensure!(
        sizes.iter().sum::<i64>() == extent,
        Runtime,
        "split_with_sizes expects split_sizes to sum exactly to {extent} (input tensor's size at dimension {dim}), but got split_sizes={sizes:?}"
    );
    Ok(pieces(x, dim, sizes.iter().copied()))
}

fn unbind(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() > 0,
        Index,
        "Dimension specified as 0 but tensor has no dimensions"
    );
    let dim = wrap_dim(a.int(1)?, x.ndim())?;
    Ok((0..x.shape()[dim])
        .map(|i| x.layout().select(dim, i).into())
        .collect())
}

/// The gradients of all outputs; zeros for those that got none.
fn all_grads(c: &Ctx, outputs: usize) -> Result<Vec<Tensor>> {
    let known = (0..outputs).find_map(|i| c.grad(i));
    let like = known.unwrap_or_else(|| c.g()).get()?;
    (0..outputs)
        .map(|i| match c.grad(i) {
            Some(g) => g.get(),
            None => super::view::zeros(&c.out_shape(i), &like),
        })
        .collect()
}

fn joined(c: &Ctx) -> Grads {
    let cat = || call!("cat", all_grads(c, c.outputs())?, c.args().int(2)?);
    grads![Val(cat())]
}

fn stacked(c: &Ctx) -> Grads {
    let stack = || call!("stack", all_grads(c, c.outputs())?, c.args().int(1)?);
    grads![Val(stack())]
}

fn chunk_size(a: Args, name: &str) -> Result<i64> {
    let (x, dim) = splittable(a, name, a.int(2)?)?;
    let chunks = a.int(1)?;
    ensure!(
        chunks > 0,
        Runtime,
        "chunk expects `chunks` to be greater than 0, got: {chunks}"
    );
    Ok((x.shape()[dim] + chunks - 1) / chunks)
}

/// An empty dimension gives as many empty chunks as were asked for.
fn chunk(a: Args) -> Result<Outputs> {
    let size = chunk_size(a, "chunk")?;
    if size == 0 {
        return call_all!(
            "split_with_sizes",
            a.t(0)?,
            vec![0i64; a.int(1)? as usize],
            a.int(2)?
        );
    }
    call_all!("split", a.t(0)?, size, a.int(2)?)
}

fn unsafe_chunk(a: Args) -> Result<Outputs> {
    let size = chunk_size(a, "unsafe_chunk")?;
    if size == 0 {
        return call_all!(
            "unsafe_split_with_sizes",
            a.t(0)?,
            vec![0i64; a.int(1)? as usize],
            a.int(2)?
        );
    }
    call_all!("unsafe_split", a.t(0)?, size, a.int(2)?)
}

/// Slices between the given indices, as NumPy's `array_split`.
fn at_indices(x: &Tensor, indices: &[i64], dim: i64) -> Result<Outputs> {
    let mut start: Option<i64> = Some(0);
    let ends = indices.iter().copied().map(Some).chain([None]);
    let parts = ends.map(|end| {
        let part = call!("slice", x, dim, start, end, 1i64);
        start = end;
        part
    });
    Ok(output_list(parts.collect::<Result<_>>()?))
}

fn in_sections(x: &Tensor, sections: i64, dim: i64) -> Result<Outputs> {
    ensure!(
        sections > 0,
        Runtime,
        "number of sections must be larger than 0, got {sections}"
    );
    let extent = x.shape()[wrap_dim(dim, x.ndim())?];
    let (size, longer) = (extent / sections, extent % sections);
    let indices: Vec<i64> = (1..sections).map(|i| i * size + i.min(longer)).collect();
    at_indices(x, &indices, dim)
}

fn tensor_split(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() > 0,
        Runtime,
        "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
    );
    let dim = a.int(2)?;
    wrap_dim(dim, x.ndim())?;
    match a.get(1) {
        super::Value::Ints(indices) => at_indices(x, indices, dim),
        super::Value::Tensor(t) => {
            ensure!(
                t.dtype() == DType::I64,
                Runtime,
                "tensor_split expected tensor_indices_or_sections to have dtype of long, but got {}",
                t.dtype().scalar_name()
            );
            ensure!(
                t.ndim() <= 1,
                Runtime,
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {} dims",
                t.ndim()
            );
            let values: Vec<i64> = crate::backend::to_cpu(t)?.to_vec()?;
            if t.ndim() == 0 {
                in_sections(x, values[0], dim)
            } else {
                at_indices(x, &values, dim)
            }
        }
        _ => in_sections(x, a.int(1)?, dim),
    }
}

/// `hsplit`, `vsplit` and `dsplit`: even sections, or slices between indices.
fn named_split(a: Args, name: &str, dim: usize, least: usize) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() >= least,
        Runtime,
        "torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {} dimensions!",
        x.ndim()
    );
    if let super::Value::Ints(indices) = a.get(1) {
        return at_indices(x, indices, dim as i64);
    }
    let (sections, extent) = (a.int(1)?, x.shape()[dim]);
    ensure!(
        sections > 0 && extent % sections == 0,
        Runtime,
        "torch.{name} attempted to split along dimension {dim}, but the size of the dimension {extent} is not divisible by the split_size {sections}!"
    );
    in_sections(x, sections, dim as i64)
}

fn hsplit(a: Args) -> Result<Outputs> {
    let dim = usize::from(a.t(0)?.ndim() > 1);
    named_split(a, "hsplit", dim, 1)
}

ops! {
    /// Views of a length along a dimension; the last may be shorter.
    "split(Tensor tensor, int split_size_or_sections, int dim=0) -> Tensor[]", F | M, Body::View(split), grad rule(0, joined);
    /// Views of the given lengths along a dimension.
    "split/sizes(Tensor tensor, int[] split_size_or_sections, int dim=0) -> Tensor[]", F | M, Body::View(split_with_sizes),
    grad named("SplitWithSizesBackward0", 0, joined);
    /// As `split`, by the name that the method gives its argument.
    "split/method(Tensor self, int split_size, int dim=0) -> Tensor[]", F | M | COPY, Body::View(split), grad rule(0, joined);
    /// As `split`, by the name that the method gives its argument.
    "split/method_sizes(Tensor self, int[] split_size, int dim=0) -> Tensor[]", F | M, Body::View(split_with_sizes),
    grad named("SplitWithSizesBackward0", 0, joined);
    /// Views of the given lengths along a dimension.
    "split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]", F | M | COPY, Body::View(split_with_sizes),
    grad rule(0, joined);
    /// Views of each index of a dimension.
    "unbind(Tensor self, int dim=0) -> Tensor[]", F | M | COPY, Body::View(unbind), grad rule(0, stacked);
    /// As `split`, with results that may be written in place.
    "unsafe_split(Tensor self, int split_size, int dim=0) -> Tensor[]", F | M, Body::Copies(split), grad rule(0, joined);
    /// As `split_with_sizes`, with results that may be written in place.
    "unsafe_split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]", F | M, Body::Copies(split_with_sizes),
    grad rule(0, joined);
    /// A number of views along a dimension, as even as they get.
    "chunk(Tensor self, int chunks, int dim=0) -> Tensor[]", F | M, Body::Composite(chunk);
    /// As `chunk`, with results that may be written in place.
    "unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]", F | M, Body::Composite(unsafe_chunk);
    /// Views of even sections.
    "tensor_split/sections(Tensor self, int sections, int dim=0) -> Tensor[]", F | M, Body::Composite(tensor_split);
    /// Views between indices.
    "tensor_split/indices(Tensor self, int[] indices, int dim=0) -> Tensor[]", F | M, Body::Composite(tensor_split);
    /// Views between indices, or even sections, as a tensor gives them.
    "tensor_split/tensor(Tensor self, Tensor tensor_indices_or_sections, int dim=0) -> Tensor[]", F | M, Body::Composite(tensor_split);
    /// Splits columns into even sections.
    "hsplit(Tensor self, int sections) -> Tensor[]", F | M, Body::Composite(hsplit);
    /// Splits columns at indices.
    "hsplit/array(Tensor self, int[] indices) -> Tensor[]", F | M, Body::Composite(hsplit);
    /// Splits rows into even sections.
    "vsplit(Tensor self, int sections) -> Tensor[]", F | M, Body::Composite(|a| named_split(a, "vsplit", 0, 2));
    /// Splits rows at indices.
    "vsplit/array(Tensor self, int[] indices) -> Tensor[]", F | M, Body::Composite(|a| named_split(a, "vsplit", 0, 2));
    /// Splits along the third dimension into even sections.
    "dsplit(Tensor self, int sections) -> Tensor[]", F | M, Body::Composite(|a| named_split(a, "dsplit", 2, 3));
    /// Splits along the third dimension at indices.
    "dsplit/array(Tensor self, int[] indices) -> Tensor[]", F | M, Body::Composite(|a| named_split(a, "dsplit", 2, 3));
}
