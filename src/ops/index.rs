//! Reading and writing by index tensors: `x[i]`, `index_select`, `gather`, `take`.

use super::selection::{check_given, long, row_major, select, whole_mask};
use super::view::{on_cpu, zeros};
use super::{
    APART, Args, Body, EXACT, F, Grads, I, M, O, Out, Outputs, Outs, SHAPES, STRIDED, Val, arg,
    kernel, output, rule,
};
use crate::autograd::Ctx;
use crate::cpu::index::{gather_tensor, out_of_range};
use crate::cpu::nonzero;
use crate::cpu::scatter::Combine;
use crate::tensor::{DType, Dims, Tensor, broadcast_shapes, wrap_dim};
use crate::{Result, call, ensure, err, fail, grads, ops};

fn index(a: Args) -> Result<Vec<Tensor>> {
    let (x, indices) = (a.t(0)?, a.opt_tensors(1)?);
    check_given(&indices)?;
    if let Some(mask) = whole_mask(x, &indices) {
        let mask = row_major(&on_cpu(mask)?)?;
        return Ok(vec![nonzero::select(&row_major(x)?, &mask)?]);
    }
    Ok(vec![select(x, &indices)?.read(x)?])
}

fn index_back(c: &Ctx) -> Grads {
    let g = c.g();
    let scattered = || {
        let whole = zeros(&c.shape(0), &g.clone().get()?)?;
        call!("index_put", whole, c.args().get(1), &g, true)
    };
    grads![Val(scattered())]
}

/// One output of the sizes and dtype of the tensor itself.
pub(super) fn like_self(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    Ok(smallvec::smallvec![Out::new(x.shape(), x.dtype())])
}

/// The output starts as a copy of the tensor, unless it is the tensor itself.
pub fn start_from(out: &Tensor, x: &Tensor) -> Result<()> {
    if out.data_ptr() == x.data_ptr() && out.layout() == x.layout() {
        return Ok(());
    }
    crate::cpu::copy::copy(out, x)
}

fn index_put(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, indices, values) = (a.t(0)?, a.opt_tensors(1)?, on_cpu(a.t(2)?)?);
    check_given(&indices)?;
    ensure!(
        values.dtype() == x.dtype(),
        Runtime,
        "Index put requires the source and destination dtypes match, got {} for the destination and {} for the source.",
        x.dtype().scalar_name(),
        values.dtype().scalar_name()
    );
    let out = &outs[0];
    let selection = select(out, &indices)?;
    // A value that does not fit has to fail before anything is written.
    values.layout().expand(&selection.shape).map_err(|_| {
        err!(
            Runtime,
            "shape mismatch: value tensor of shape {:?} cannot be broadcast to indexing result of shape {:?}",
            values.shape(),
            &selection.shape[..]
        )
    })?;
    start_from(out, x)?;
    let combine = if a.bool(3)? {
        Combine::Add
    } else {
        Combine::Set
    };
    selection.write(out, &values, combine)
}

fn index_put_back(c: &Ctx) -> Grads {
    let (g, indices) = (c.g(), c.args().get(1));
    let accumulate = c.args().bool(3).unwrap_or(false);
    let own = || {
        if accumulate {
            return g.clone();
        }
        let put = || {
            let zero = zeros(&[], &g.clone().get()?)?;
            call!("index_put", &g, indices, zero, false)
        };
        Val(put())
    };
    let slots = c.slots();
    let mut grads: Grads = smallvec::smallvec![None; slots];
    grads[0] = c.when(0, own);
    grads[slots - 1] = c.when(slots - 1, || {
        Val(call!("index", &g, indices)).sum_to_size(c.shape(slots - 1))
    });
    grads
}

/// The dimension of an index along `dim`, and the index.
fn vector_index<'a>(a: Args<'a>, name: &str) -> Result<(usize, &'a Tensor)> {
    let (x, index) = (a.t(0)?, a.t(2)?);
    let dim = wrap_dim(a.int(1)?, x.ndim())?;
    ensure!(
        index.ndim() <= 1,
        Index,
        "{name}(): Index is supposed to be a vector"
    );
    ensure!(
        matches!(index.dtype(), DType::I64 | DType::I32),
        Runtime,
        "{name}(): Expected dtype int32 or int64 for index"
    );
    Ok((dim, index))
}

fn index_select_meta(a: Args) -> Result<Outs> {
    let (x, (dim, index)) = (a.t(0)?, vector_index(a, "index_select")?);
    let mut shape = Dims::from_slice(x.shape());
    if let Some(size) = shape.get_mut(dim) {
        *size = index.numel();
    } else {
        ensure!(
            index.numel() == 1,
            Runtime,
            "index_select(): Index to scalar can have only 1 value, got {} value(s)",
            index.numel()
        );
    }
    Ok(smallvec::smallvec![Out::new(&shape, x.dtype())])
}

fn index_select(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, (dim, index)) = (a.t(0)?, vector_index(a, "index_select")?);
    let index = long(index)?;
    let mut strides: Dims = smallvec::smallvec![0; x.ndim()];
    if let Some(stride) = strides.get_mut(dim) {
        *stride = index.strides().first().copied().unwrap_or(0);
    }
    ensure!(
        gather_tensor(&outs[0], x, dim, &index, &strides),
        Index,
        "index out of range in self"
    );
    Ok(())
}

/// Checks the sizes of an index that has as many dimensions as the tensor.
pub fn full_index<'a>(a: Args<'a>, name: &str) -> Result<(usize, &'a Tensor)> {
    let (x, index) = (a.t(0)?, a.t(2)?);
    let dim = wrap_dim(a.int(1)?, x.ndim())?;
    ensure!(
        index.numel() == 0 || matches!(index.dtype(), DType::I64 | DType::I32),
        Runtime,
        "{name}(): Expected dtype int32/int64 for index"
    );
    ensure!(
        index.numel() == 0 || index.ndim().max(1) == x.ndim().max(1),
        Runtime,
        "Index tensor must have the same number of dimensions as self tensor"
    );
    Ok((dim, index))
}

/// PyTorch's error of `gather` and `scatter` for an index that names no place.
pub fn check_range(index: &Tensor, dim: usize, size: i64) -> Result<()> {
    match out_of_range(index, 0, size) {
        None => Ok(()),
        Some(bad) => Err(err!(
            Runtime,
            "index {bad} is out of bounds for dimension {dim} with size {size}"
        )),
    }
}

fn gather_meta(a: Args) -> Result<Outs> {
    let (x, (dim, index)) = (a.t(0)?, full_index(a, "gather")?);
    for (d, (&want, &have)) in index.shape().iter().zip(x.shape()).enumerate() {
        ensure!(
            d == dim || want <= have || index.numel() == 0,
            Runtime,
            "Size does not match at dimension {d} expected index {:?} to be no larger than self {:?} apart from dimension {dim}",
            index.shape(),
            x.shape()
        );
    }
    Ok(smallvec::smallvec![Out::new(index.shape(), x.dtype())])
}

fn gather(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, (dim, index)) = (a.t(0)?, full_index(a, "gather")?);
    if index.numel() == 0 {
        return Ok(());
    }
    let index = long(index)?;
    if gather_tensor(&outs[0], x, dim, &index, index.strides()) {
        return Ok(());
    }
    check_range(&index, dim, x.shape().get(dim).copied().unwrap_or(1))
}

/// Indices in which those from the end, if there are any, are replaced.
fn counted_from_front(index: &Tensor, size: i64) -> Result<Tensor> {
    if index.device().is_cpu() && out_of_range(index, 0, i64::MAX).is_none() {
        return Ok(index.clone());
    }
    let index = Val::from(index);
    (&index + index.lt(0i64).mul(size)).get()
}

fn take_along_dim(a: Args) -> Result<Outputs> {
    let (x, indices) = (a.t(0)?, a.t(1)?);
    ensure!(
        indices.dtype() == DType::I64,
        Runtime,
        "torch.take_along_dim(): dtype of indices should be Long but got {}",
        indices.dtype().scalar_name()
    );
    let Some(dim) = a.opt_int(2)? else {
        let indices = Val::from(counted_from_front(indices, x.numel())?);
        let x = Val::from(x);
        return output(
            x.reshape([-1i64])
                .gather(0i64, indices.reshape([-1i64]))
                .get(),
        );
    };
    ensure!(
        x.ndim() == indices.ndim(),
        Runtime,
        "torch.take_along_dim(): input and indices should have the same number of dimensions, but got {} dimensions for input, and {} dimensions for indices",
        x.ndim(),
        indices.ndim()
    );
    let dim = wrap_dim(dim, x.ndim())?;
    let indices = &counted_from_front(indices, x.shape().get(dim).copied().unwrap_or(1))?;
    let without = |t: &Tensor| {
        let mut shape = Dims::from_slice(t.shape());
        if let Some(size) = shape.get_mut(dim) {
            *size = 1;
        }
        shape
    };
    let common = broadcast_shapes(&without(x), &without(indices))?;
    let sized = |t: &Tensor| {
        let mut shape = common.clone();
        if let Some(size) = shape.get_mut(dim) {
            *size = t.shape()[dim];
        }
        call!("expand", t, shape)
    };
    output(call!("gather", sized(x)?, dim as i64, sized(indices)?))
}

fn flat_index(a: Args, name: &str, size: i64) -> Result<Tensor> {
    let index = a.t(1)?;
    ensure!(
        index.dtype() == DType::I64,
        Runtime,
        "{name}(): Expected a long tensor for index, but got {}",
        index.dtype().scalar_name()
    );
    ensure!(
        size > 0 || index.numel() == 0,
        Index,
        "{name}(): tried to take from an empty tensor"
    );
    if let Some(bad) = out_of_range(index, -size, size) {
        fail!(
            Index,
            "out of range: tried to access index {bad} on a tensor of {size} elements."
        );
    }
    Ok(index.clone())
}

fn take(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = row_major(a.t(0)?)?;
    let index = flat_index(a, "take", x.numel())?;
    let flat = x.alias(crate::tensor::Layout {
        offset: x.layout().offset,
        ..crate::tensor::Layout::contiguous(&[x.numel()])
    })?;
    let read = select(&flat, &[Some(index)])?.read(&flat)?;
    crate::cpu::copy::copy(&outs[0], &read)
}

fn put(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, source) = (a.t(0)?, a.t(2)?);
    ensure!(
        x.dtype() == source.dtype(),
        Runtime,
        "put_(): self and source expected to have the same dtype, but got self.dtype = {} and source.dtype = {}",
        x.dtype().scalar_name(),
        source.dtype().scalar_name()
    );
    let index = flat_index(a, "put_", x.numel())?;
    ensure!(
        index.numel() == source.numel(),
        Index,
        "put_(): Expected source and index to have the same number of elements, but got source.numel() = {}, index.numel() = {}",
        source.numel(),
        index.numel()
    );
    let combine = if a.bool(3)? {
        Combine::Add
    } else {
        Combine::Set
    };
    let flat = |t: &Tensor| {
        row_major(t)?.alias(crate::tensor::Layout {
            offset: row_major(t)?.layout().offset,
            ..crate::tensor::Layout::contiguous(&[t.numel()])
        })
    };
    let whole = Tensor::empty(x.shape(), x.dtype())?;
    crate::cpu::copy::copy(&whole, x)?;
    let (target, index, source) = (flat(&whole)?, flat(&index)?, flat(source)?);
    select(&target, &[Some(index)])?.write(&target, &source, combine)?;
    crate::cpu::copy::copy(&outs[0], &whole)
}

fn put_back(c: &Ctx) -> Grads {
    let (g, accumulate) = (c.g(), c.args().bool(3).unwrap_or(false));
    let own = || {
        if accumulate {
            return g.clone();
        }
        let zero = || zeros(&c.shape(2), &g.clone().get()?);
        Val(call!("put", &g, c.x(1), zero(), false))
    };
    grads![
        c.when(0, own),
        None,
        c.when(2, || Val(call!("take", &g, c.x(1))).reshape(c.shape(2)))
    ]
}

ops! {
    /// The elements that index tensors and masks name, as `x[i, j]`.
    "index(Tensor self, Tensor?[] indices) -> Tensor", F, Body::Dynamic { cpu: index }, grad rule(arg(1), index_back);
    /// A copy with values written where index tensors and masks say.
    "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor", F | M | I | STRIDED,
    kernel(like_self, index_put), grad rule(arg(1), index_put_back);
    /// The given indices of one dimension.
    "index_select(Tensor self, int dim, Tensor index) -> Tensor", F | M | O | APART | EXACT, kernel(index_select_meta, index_select),
    grad rule(arg(2), |c| {
        let g = c.g();
        let sum = || {
            let whole = zeros(&c.shape(0), &g.clone().get()?)?;
            call!("index_add", whole, c.args().int(1), c.x(2), &g)
        };
        grads![Val(sum())]
    });
    /// Along one dimension, the element that the index names in each place.
    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor", F | M | O | APART | EXACT,
    kernel(gather_meta, gather), grad rule(arg(2), |c| {
        let g = c.g();
        let sum = || {
            let whole = zeros(&c.shape(0), &g.clone().get()?)?;
            call!("scatter_add", whole, c.args().int(1), c.x(2), &g)
        };
        grads![Val(sum())]
    });
    /// As `gather`, with broadcasting, or over all elements.
    "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor", F | M | O, Body::Composite(take_along_dim);
    /// The elements at row-major positions.
    "take(Tensor self, Tensor index) -> Tensor", F | M | O | APART | EXACT, kernel(|a| {
        Ok(smallvec::smallvec![Out::new(a.t(1)?.shape(), a.t(0)?.dtype())])
    }, take), grad rule(arg(1), |c| {
        let g = c.g();
        let sum = || {
            let whole = zeros(&c.shape(0), &g.clone().get()?)?;
            call!("put", whole, c.x(1), &g, true)
        };
        grads![Val(sum())]
    });
    /// A copy with values written at row-major positions.
    "put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor", F | M | I, kernel(like_self, put),
    grad rule(arg(1) | SHAPES, put_back);
}
