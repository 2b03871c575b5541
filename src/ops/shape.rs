//! Reshaping and reordering of dimensions, composed of views.

use smallvec::SmallVec;

use super::view::{infer_shape, int_list};
use super::{Args, Body, F, M, OWNED, Outputs, P, Val, named, output, output_list};
use crate::tensor::{Dims, Tensor, broadcast_shapes, wrap_dim};
use crate::{Result, call, ensure, fail, grads, ops};

/// A view where there is one, else a view of a copy.
pub fn reshape(x: &Tensor, shape: &[i64]) -> Result<Tensor> {
    let shape = infer_shape(shape, x.numel())?;
    if x.layout().view(&shape).is_some() {
        return if x.is_contiguous() {
            call!("view", x, &shape)
        } else {
            call!("_reshape_alias", x, &shape)
        };
    }
    // The copy has to be row-major whatever order the source has in memory.
    let copy = call!("clone", x, super::MemoryFormat::Contiguous)?;
    call!("_unsafe_view", copy, &shape)
}

fn flatten(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    let (start, end) = (
        wrap_dim(a.int(1)?, x.ndim())?,
        wrap_dim(a.int(2)?, x.ndim())?,
    );
    ensure!(
        start <= end,
        Runtime,
        "flatten() has invalid args: start_dim cannot come after end_dim"
    );
    if x.ndim() == 0 {
        return output(reshape(x, &[1]));
    }
    if start == end {
        return output(Ok(x.clone()));
    }
    let shape = x.shape();
    let mut flat = Dims::from_slice(&shape[..start]);
    flat.push(shape[start..=end].iter().product());
    flat.extend_from_slice(&shape[end + 1..]);
    output(reshape(x, &flat))
}

fn unflatten(a: Args) -> Result<Outputs> {
    let (x, sizes) = (a.t(0)?, int_list(a, 2)?);
    let dim = wrap_dim(a.int(1)?, x.ndim())?;
    ensure!(
        !sizes.is_empty(),
        Runtime,
        "unflatten: sizes must be non-empty"
    );
    let extent = x.shape().get(dim).copied().unwrap_or(1);
    let fits = sizes.contains(&-1) || sizes.iter().product::<i64>() == extent;
    ensure!(
        fits,
        Runtime,
        "unflatten: Provided sizes {:?} don't multiply up to the size of dim {dim} ({extent}) in the input tensor",
        &sizes[..]
    );
    let inner = infer_shape(&sizes, extent)?;
    let mut shape = Dims::from_slice(&x.shape()[..dim]);
    shape.extend_from_slice(&inner);
    shape.extend_from_slice(x.shape().get(dim + 1..).unwrap_or(&[]));
    output(call!("view", x, &shape))
}

fn reversed_dims(x: &Tensor) -> Vec<i64> {
    (0..x.ndim() as i64).rev().collect()
}

/// `T`: all dimensions in reverse order.
fn numpy_t(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    if x.ndim() != 2 && x.ndim() != 0 {
        crate::error::warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw an error in a future release. Consider `x.mT` to transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
        )?;
    }
    output(call!("permute", x, reversed_dims(x)))
}

/// Exchanges the last two dimensions; 0-dim tensors stay.
fn matrix_transpose(x: &Tensor, name: &str, conj: bool) -> Result<Outputs> {
    ensure!(
        x.ndim() != 1,
        Runtime,
        "tensor.{name} is only supported on matrices or batches of matrices. Got 1-D tensor."
    );
    let t = if x.ndim() == 0 {
        x.clone()
    } else {
        call!("transpose", x, -2i64, -1i64)?
    };
    output(if conj { call!("conj", t) } else { Ok(t) })
}

fn matrix_h(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() == 2 || x.ndim() == 0,
        Runtime,
        "tensor.H is only supported on matrices (2-D tensors). Got {}-D tensor.{}",
        x.ndim(),
        if x.ndim() > 2 {
            " For batches of matrices, consider using tensor.mH"
        } else {
            ""
        }
    );
    matrix_transpose(x, "H", true)
}

fn moved(x: &Tensor, source: &[i64], destination: &[i64], name: &str) -> Result<Tensor> {
    ensure!(
        source.len() == destination.len(),
        Runtime,
        "{name}: Invalid source or destination dims: source ({source:?} dims) should contain the same number of dims as destination ({destination:?} dims)"
    );
    let wrap = |dims: &[i64], what: &str| -> Result<SmallVec<[usize; 6]>> {
        let mut out: SmallVec<[usize; 6]> = SmallVec::new();
        for &dim in dims {
            let d = wrap_dim(dim, x.ndim())?;
            ensure!(
                !out.contains(&d),
                Runtime,
                "{name}: repeated dim in `{what}` ({dims:?})"
            );
            out.push(d);
        }
        Ok(out)
    };
    let (from, to) = (wrap(source, "source")?, wrap(destination, "destination")?);
    if x.ndim() == 0 {
        return call!("alias", x);
    }
    let mut rest = (0..x.ndim()).filter(|d| !from.contains(d));
    let order: Vec<i64> = (0..x.ndim())
        .map(|d| match to.iter().position(|&t| t == d) {
            Some(i) => from[i] as i64,
            None => rest.next().unwrap_or(d) as i64,
        })
        .collect();
    call!("permute", x, order)
}

fn moved_out(a: Args, name: &str) -> Result<Outputs> {
    output(moved(a.t(0)?, &int_list(a, 1)?, &int_list(a, 2)?, name))
}

fn broadcast_tensors(a: Args) -> Result<Outputs> {
    let tensors = a.ts(0)?;
    let mut shape = Dims::new();
    for t in tensors {
        shape = broadcast_shapes(&shape, t.shape())?;
    }
    let expanded = tensors.iter().map(|t| {
        if t.shape() == &shape[..] {
            Ok(t.clone())
        } else {
            call!("expand", t, &shape)
        }
    });
    Ok(output_list(expanded.collect::<Result<_>>()?))
}

/// Sums the dimensions that broadcasting to `x`'s sizes added or stretched.
fn sum_to_size(a: Args) -> Result<Outputs> {
    let (x, size) = (a.t(0)?, int_list(a, 1)?);
    let expandable = size.len() <= x.ndim()
        && size
            .iter()
            .rev()
            .zip(x.shape().iter().rev())
            .all(|(&want, &have)| want == have || want == 1);
    ensure!(
        expandable,
        Runtime,
        "size {{{:?}}} is not expandable to size {{{:?}}}.",
        &size[..],
        x.shape()
    );
    if size.is_empty() {
        return output(call!("sum", x));
    }
    if x.shape() == &size[..] {
        return output(Ok(x.clone()));
    }
    let lead = x.ndim() - size.len();
    let summed: Vec<i64> = (0..x.ndim())
        .filter(|&d| d < lead || (size[d - lead] == 1 && x.shape()[d] != 1))
        .map(|d| d as i64)
        .collect();
    let sum = if summed.is_empty() {
        x.clone()
    } else {
        call!("sum", x, summed, true)?
    };
    output(if lead > 0 {
        call!("view", sum, &size[..])
    } else {
        Ok(sum)
    })
}

fn at_least(x: &Tensor, ndim: usize) -> Result<Tensor> {
    match (ndim, x.ndim()) {
        (_, have) if have >= ndim => Ok(x.clone()),
        (_, 0) => call!("reshape", x, vec![1i64; ndim]),
        (2, _) => call!("unsqueeze", x, 0i64),
        (_, 1) => Val::from(x).unsqueeze(0i64).unsqueeze(-1i64).get(),
        _ => call!("unsqueeze", x, -1i64),
    }
}

fn at_least_all(a: Args, ndim: usize) -> Result<Outputs> {
    let list = a.ts(0)?.iter().map(|x| at_least(x, ndim));
    Ok(output_list(list.collect::<Result<_>>()?))
}

fn narrow(a: Args) -> Result<Outputs> {
    let (x, length) = (a.t(0)?, a.int(3)?);
    ensure!(
        x.ndim() > 0,
        Runtime,
        "narrow() cannot be applied to a 0-dim tensor."
    );
    ensure!(
        length >= 0,
        Runtime,
        "narrow(): length must be non-negative."
    );
    let dim = wrap_dim(a.int(1)?, x.ndim())?;
    let start = match a.get(2) {
        super::Value::Tensor(t) => {
            ensure!(
                t.ndim() == 0 && t.dtype().is_integral(false),
                Runtime,
                "start must be an 0-dim integral Tensor."
            );
            t.item()?.to_i64()
        }
        _ => a.int(2)?,
    };
    let size = x.shape()[dim];
    ensure!(
        -size <= start && start <= size,
        Index,
        "start out of range (expected to be in range of [{}, {size}], but got {start})",
        -size
    );
    let start = if start < 0 { start + size } else { start };
    ensure!(
        start <= size - length,
        Runtime,
        "start ({start}) + length ({length}) exceeds dimension size ({size})."
    );
    output(call!("slice", x, dim as i64, start, start + length, 1i64))
}

fn narrow_copy(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    if x.ndim() > 0 && wrap_dim(a.int(1)?, x.ndim()).is_err() {
        fail!(
            Runtime,
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false."
        );
    }
    let part = narrow(a)?.into_iter().next().unwrap_or_default();
    output(call!("clone", part))
}

ops! {
    /// The same elements under other sizes: a view where possible, else a copy.
    "reshape(Tensor self, int[] shape) -> Tensor", F | M, Body::Composite(|a| output(reshape(a.t(0)?, &int_list(a, 1)?)));
    /// A view of a fresh copy.
    "_unsafe_view(Tensor self, int[] size) -> Tensor", F | OWNED, Body::View(|a| {
        let shape = infer_shape(&int_list(a, 1)?, a.t(0)?.numel())?;
        super::alias(crate::tensor::Layout { offset: a.t(0)?.layout().offset, ..crate::tensor::Layout::contiguous(&shape) })
    }), grad named("UnsafeViewBackward0", 0, |c| grads![c.g().reshape(c.shape(0))]);
    /// Reshapes to the sizes of another tensor.
    "reshape_as(Tensor self, Tensor other) -> Tensor", M,
    Body::Composite(|a| output(reshape(a.t(0)?, a.t(1)?.shape())));
    /// A view with the sizes of another tensor.
    "view_as(Tensor self, Tensor other) -> Tensor", M,
    Body::Composite(|a| output(call!("view", a.t(0)?, a.t(1)?.shape())));
    /// Joins a range of dimensions into one.
    "flatten(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor", F | M, Body::Composite(flatten);
    /// Splits a dimension into several.
    "unflatten(Tensor self, int dim, int[] sizes) -> Tensor", F | M, Body::Composite(unflatten);
    /// All elements in one dimension.
    "ravel(Tensor self) -> Tensor", F | M, Body::Composite(|a| {
        output(reshape(&call!("contiguous", a.t(0)?)?, &[-1]))
    });
    /// The tensor with its dimensions reversed.
    "T(Tensor self) -> Tensor", P, Body::Composite(numpy_t);
    /// The transpose of the last two dimensions.
    "mT(Tensor self) -> Tensor", P, Body::Composite(|a| matrix_transpose(a.t(0)?, "mT", false));
    /// The conjugate transpose of a matrix.
    "H(Tensor self) -> Tensor", P, Body::Composite(matrix_h);
    /// The conjugate transpose of the last two dimensions.
    "mH(Tensor self) -> Tensor", P, Body::Composite(|a| matrix_transpose(a.t(0)?, "mH", true));
    /// The conjugate transpose of the last two dimensions.
    "adjoint(Tensor self) -> Tensor", F | M, Body::Composite(|a| matrix_transpose(a.t(0)?, "adjoint()", true));
    /// Moves dimensions to other positions; the rest keep their order.
    "movedim/int(Tensor self, int source, int destination) -> Tensor", F | M, Body::Composite(|a| moved_out(a, "movedim"));
    /// Moves dimensions to other positions; the rest keep their order.
    "movedim/intlist(Tensor self, int[] source, int[] destination) -> Tensor", F | M, Body::Composite(|a| moved_out(a, "movedim"));
    /// Alias of `movedim`.
    "moveaxis/int(Tensor self, int source, int destination) -> Tensor", F | M, Body::Composite(|a| moved_out(a, "moveaxis"));
    /// Alias of `movedim`.
    "moveaxis/intlist(Tensor self, int[] source, int[] destination) -> Tensor", F | M, Body::Composite(|a| moved_out(a, "moveaxis"));
    /// Expands to the sizes of another tensor.
    "expand_as(Tensor self, Tensor other) -> Tensor", M,
    Body::Composite(|a| output(call!("expand", a.t(0)?, a.t(1)?.shape())));
    /// Expands to the given sizes.
    "broadcast_to(Tensor self, int[] size) -> Tensor", F | M,
    Body::Composite(|a| output(call!("expand", a.t(0)?, a.get(1))));
    /// Expands all tensors to their common sizes.
    "broadcast_tensors(Tensor[] tensors) -> Tensor[]", F, Body::Composite(broadcast_tensors);
    /// Sums to sizes from which the tensor could have been expanded.
    "sum_to_size(Tensor self, int[] size) -> Tensor", M, Body::Composite(sum_to_size);
    /// At least one dimension.
    "atleast_1d(Tensor self) -> Tensor", F, Body::Composite(|a| output(at_least(a.t(0)?, 1)));
    /// At least one dimension, for each tensor.
    "atleast_1d/sequence(Tensor[] tensors) -> Tensor[]", F, Body::Composite(|a| at_least_all(a, 1));
    /// At least two dimensions.
    "atleast_2d(Tensor self) -> Tensor", F, Body::Composite(|a| output(at_least(a.t(0)?, 2)));
    /// At least two dimensions, for each tensor.
    "atleast_2d/sequence(Tensor[] tensors) -> Tensor[]", F, Body::Composite(|a| at_least_all(a, 2));
    /// At least three dimensions.
    "atleast_3d(Tensor self) -> Tensor", F, Body::Composite(|a| output(at_least(a.t(0)?, 3)));
    /// At least three dimensions, for each tensor.
    "atleast_3d/sequence(Tensor[] tensors) -> Tensor[]", F, Body::Composite(|a| at_least_all(a, 3));
    /// `length` indices of a dimension from `start` on, as a view.
    "narrow(Tensor self, int dim, int start, int length) -> Tensor", F | M, Body::Composite(narrow);
    /// `length` indices of a dimension from `start` on, as a view.
    "narrow/Tensor(Tensor self, int dim, Tensor start, int length) -> Tensor", F | M, Body::Composite(narrow);
    /// A copy of what `narrow` views.
    "narrow_copy(Tensor self, int dim, int start, int length) -> Tensor", F | M | super::O, Body::Composite(narrow_copy);
    /// A copy without history.
    "detach_copy(Tensor self) -> Tensor", F, Body::Composite(|a| output(call!("clone", a.t(0)?.detached())));
}
