//! Joining tensors along a dimension, old or new.

use super::view::on_cpu;
use super::{
    Args, Body, F, Grads, O, Out, Outputs, Outs, SHAPES, Val, Value, kernel, named, output,
    result_type, rule,
};
use crate::autograd::Ctx;
use crate::tensor::{Dims, Tensor, wrap_dim};
use crate::{Result, call, ensure, ops};

/// Empty vectors join anything, as they always did in PyTorch.
fn counts(t: &Tensor) -> bool {
    t.shape() != [0]
}

fn cat_dim(a: Args) -> Result<usize> {
    let ndim = a.ts(0)?.iter().find(|t| counts(t)).map_or(1, Tensor::ndim);
    wrap_dim(a.int(1)?, ndim)
}

fn cat_meta(a: Args) -> Result<Outs> {
    let tensors = a.ts(0)?;
    ensure!(
        !tensors.is_empty(),
        Value,
        "torch.cat(): expected a non-empty list of Tensors"
    );
    for (i, t) in tensors.iter().enumerate() {
        ensure!(
            t.ndim() > 0,
            Runtime,
            "zero-dimensional tensor (at position {i}) cannot be concatenated"
        );
    }
    let dim = cat_dim(a)?;
    let mut shape: Option<Dims> = None;
    for (i, t) in tensors.iter().enumerate().filter(|(_, t)| counts(t)) {
        match &mut shape {
            None => shape = Some(Dims::from_slice(t.shape())),
            Some(shape) => grow(shape, t, dim, i)?,
        }
    }
    let shape = shape.unwrap_or_else(|| smallvec::smallvec![0]);
    Ok(smallvec::smallvec![Out::new(
        &shape,
        joined_dtype(tensors)?
    )])
}

fn grow(shape: &mut Dims, t: &Tensor, dim: usize, position: usize) -> Result<()> {
    ensure!(
        shape.len() == t.ndim(),
        Runtime,
        "Tensors must have same number of dimensions: got {} and {}",
        shape.len(),
        t.ndim()
    );
    for (d, (&want, &have)) in shape.iter().zip(t.shape()).enumerate() {
        ensure!(
            d == dim || want == have,
            Runtime,
            "Sizes of tensors must match except in dimension {dim}. Expected size {want} but got size {have} for tensor number {position} in the list."
        );
    }
    shape[dim] += t.shape()[dim];
    Ok(())
}

fn joined_dtype(tensors: &[Tensor]) -> Result<crate::DType> {
    let first = tensors[0].dtype();
    if tensors.iter().all(|t| t.dtype() == first) {
        return Ok(first);
    }
    let values: Vec<Value> = tensors.iter().map(Value::from).collect();
    result_type(&values)
}

fn cat(a: Args, outs: &[Tensor]) -> Result<()> {
    let dim = cat_dim(a)?;
    let parts = a.ts(0)?.iter().filter(|t| counts(t)).map(on_cpu);
    let parts: Vec<Tensor> = parts.collect::<Result<_>>()?;
    let lengths: Vec<i64> = parts.iter().map(|t| t.shape()[dim]).collect();
    crate::cpu::join::join(&outs[0], &parts, dim, &lengths)
}

fn cat_back(c: &Ctx) -> Grads {
    let (g, mut start) = (c.g(), 0);
    let dim = c.args().int(1).unwrap_or(0);
    let dim = if dim < 0 { dim + g.ndim() as i64 } else { dim };
    let mut grads = Grads::new();
    for slot in 0..c.slots() {
        let shape = c.shape(slot);
        let length = shape.get(dim as usize).copied().unwrap_or(0);
        let part = |start: i64| {
            if shape[..] == [0] {
                g.reshape([-1i64]).narrow(0i64, 0i64, 0i64)
            } else {
                g.narrow(dim, start, length)
            }
        };
        let real = |part: Val| {
            if part.is_complex() && !c.dtype(slot).is_complex() {
                part.real()
            } else {
                part
            }
        };
        grads.push(c.when(slot, || real(part(start))));
        if shape[..] != [0] {
            start += length;
        }
    }
    grads
}

fn stack_meta(a: Args) -> Result<Outs> {
    let tensors = a.ts(0)?;
    ensure!(
        !tensors.is_empty(),
        Runtime,
        "stack expects a non-empty TensorList"
    );
    let first = tensors[0].shape();
    let dim = wrap_dim(a.int(1)?, first.len() + 1)?;
    for (i, t) in tensors.iter().enumerate() {
        ensure!(
            t.shape() == first,
            Runtime,
            "stack expects each tensor to be equal size, but got {first:?} at entry 0 and {:?} at entry {i}",
            t.shape()
        );
    }
    let mut shape = Dims::from_slice(first);
    shape.insert(dim, tensors.len() as i64);
    Ok(smallvec::smallvec![Out::new(
        &shape,
        joined_dtype(tensors)?
    )])
}

fn stack(a: Args, outs: &[Tensor]) -> Result<()> {
    let dim = wrap_dim(a.int(1)?, outs[0].ndim())?;
    let parts = a.ts(0)?.iter().map(|t| {
        let t = on_cpu(t)?;
        t.alias(t.layout().unsqueezed(dim))
    });
    let parts: Vec<Tensor> = parts.collect::<Result<_>>()?;
    crate::cpu::join::join(&outs[0], &parts, dim, &vec![1; parts.len()])
}

fn stack_back(c: &Ctx) -> Grads {
    let (g, dim) = (c.g(), c.args().int(1).unwrap_or(0));
    (0..c.slots())
        .map(|slot| c.when(slot, || g.select(dim, slot as i64)))
        .collect()
}

/// `hstack` and its kin: at least so many dimensions each, then `cat`.
fn stacked(
    a: Args,
    name: &str,
    least: &'static str,
    dim: impl Fn(&[Tensor]) -> i64,
) -> Result<Outputs> {
    let tensors = a.ts(0)?;
    ensure!(
        !tensors.is_empty(),
        Runtime,
        "{name} expects a non-empty TensorList"
    );
    let entry = super::find_overload(least);
    let entry = entry.ok_or_else(|| crate::err!(NotImplemented, "no operator '{least}'"))?;
    let parts = tensors.iter().map(|t| {
        let outs = entry.call(smallvec::smallvec![t.into()])?;
        outs.into_iter().next().unwrap_or_default().into_tensor()
    });
    let parts: Vec<Tensor> = parts.collect::<Result<_>>()?;
    let dim = dim(&parts);
    output(call!("cat", parts, dim))
}

fn hstack(a: Args) -> Result<Outputs> {
    stacked(a, "hstack", "atleast_1d", |parts| {
        i64::from(parts[0].ndim() > 1)
    })
}

/// Vectors become columns.
fn column_stack(a: Args) -> Result<Outputs> {
    let tensors = a.ts(0)?;
    ensure!(
        !tensors.is_empty(),
        Runtime,
        "column_stack expects a non-empty TensorList"
    );
    let columns = tensors.iter().map(|t| {
        if t.ndim() <= 1 {
            call!("reshape", t, [t.numel(), 1])
        } else {
            Ok(t.clone())
        }
    });
    output(call!("cat", columns.collect::<Result<Vec<_>>>()?, 1i64))
}

ops! {
    /// Joins tensors along a dimension.
    "cat(Tensor[] tensors, int dim=0) -> Tensor", F | O | super::APART, kernel(cat_meta, cat), grad rule(SHAPES, cat_back);
    /// Alias of `cat`.
    "concat(Tensor[] tensors, int dim=0) -> Tensor", F | O, kernel(cat_meta, cat), grad named("CatBackward0", SHAPES, cat_back);
    /// Alias of `cat`.
    "concatenate(Tensor[] tensors, int dim=0) -> Tensor", F | O, kernel(cat_meta, cat),
    grad named("CatBackward0", SHAPES, cat_back);
    /// Joins tensors along a new dimension.
    "stack(Tensor[] tensors, int dim=0) -> Tensor", F | O, kernel(stack_meta, stack), grad rule(0, stack_back);
    /// Joins tensors along their columns.
    "hstack(Tensor[] tensors) -> Tensor", F | O, Body::Composite(hstack);
    /// Joins tensors along their rows.
    "vstack(Tensor[] tensors) -> Tensor", F | O, Body::Composite(|a| stacked(a, "vstack", "atleast_2d", |_| 0));
    /// Alias of `vstack`.
    "row_stack(Tensor[] tensors) -> Tensor", F | O, Body::Composite(|a| stacked(a, "row_stack", "atleast_2d", |_| 0));
    /// Joins tensors along their third dimension.
    "dstack(Tensor[] tensors) -> Tensor", F | O, Body::Composite(|a| stacked(a, "dstack", "atleast_3d", |_| 2));
    /// Joins vectors as columns of a matrix.
    "column_stack(Tensor[] tensors) -> Tensor", F | O, Body::Composite(column_stack);
}
