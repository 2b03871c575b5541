//! Index expressions, `x[...]`: views for the basic items, `index` and `index_put_` for tensors.

use super::{Value, check_writable};
use crate::tensor::{DType, Dims, FromScalar, Layout, Scalar, Tensor, slice_bounds};
use crate::{Result, autograd, backend, call, dispatch, ensure, err, inplace};

/// One item of a subscript, as the host language converted it.
#[derive(Clone)]
pub enum IndexItem {
    Int(i64),
    Slice {
        start: Option<i64>,
        stop: Option<i64>,
        step: Option<i64>,
    },
    None,
    Ellipsis,
    Bool(bool),
    Tensor(Tensor),
}

/// `x[items]`: a view where all items are basic, a copy where one is a tensor.
pub fn get(x: &Tensor, items: &[IndexItem]) -> Result<Tensor> {
    match basic(x.layout(), items)? {
        Some(layout) if !is_recorded(x) => x.view_with(layout),
        Some(_) => match applied(x, items)?.view {
            // `x[...]` is a tensor of its own.
            view if view.same(x) => call!("alias", view),
            view => Ok(view),
        },
        None => {
            let Applied { view, indices } = applied(x, items)?;
            call!("index", view, Value::OptTensors(indices))
        }
    }
}

/// `x[items] = value`; the value is a tensor or a number.
pub fn set(x: &Tensor, items: &[IndexItem], value: &Value) -> Result<()> {
    let recorded = is_recorded(x)
        || autograd::recording() && value.tensor().is_some_and(Tensor::requires_grad);
    match basic(x.layout(), items)? {
        Some(layout) if !recorded => {
            autograd::check_inplace(x)?;
            write(&x.alias(layout)?, value)
        }
        Some(_) => match (applied(x, items)?.view, value) {
            (place, Value::Num(number)) => inplace!("fill/Scalar", place, *number),
            (place, _) => {
                let value = value.clone().into_tensor()?;
                super::copy_into(&place, &fitted(&value, place.ndim())?)
            }
        },
        None => {
            let Applied { view, indices } = applied(x, items)?;
            put(&view, indices, value)
        }
    }
}

fn is_recorded(x: &Tensor) -> bool {
    autograd::recording() && (x.requires_grad() || x.base_requires_grad())
}

/// Writes into a part of a tensor that the tape does not follow.
fn write(place: &Tensor, value: &Value) -> Result<()> {
    check_writable(place)?;
    match value {
        Value::Num(number)
            if place.numel() == 1 && place.device().is_cpu() && !place.lazy().any() =>
        {
            store(place, *number);
            place.bump_version();
            Ok(())
        }
        Value::Num(number) => inplace!("fill/Scalar", place, *number),
        _ => {
            let value = fitted(&value.clone().into_tensor()?, place.ndim())?;
            if value.shares_storage(place) {
                return super::copy_into(place, &value);
            }
            let expanded = value.layout().expand(place.shape())?;
            backend::copy(place, &value.alias(expanded)?)?;
            place.bump_version();
            Ok(())
        }
    }
}

fn store(place: &Tensor, number: Scalar) {
    dispatch!(all place.dtype(), T => {
        // SAFETY: the one element lies within the storage.
        unsafe { *place.ptr::<T>() = T::from_scalar(number) }
    });
}

/// The value without leading dimensions of size 1 beyond those of the place.
fn fitted(value: &Tensor, ndim: usize) -> Result<Tensor> {
    let surplus = value.ndim().saturating_sub(ndim);
    let ones = value.shape().iter().take_while(|&&size| size == 1).count();
    if surplus == 0 || ones == 0 {
        return Ok(value.clone());
    }
    call!("reshape", value, &value.shape()[surplus.min(ones)..])
}

/// How many dimensions the items name.
fn named_dims(items: &[IndexItem]) -> usize {
    let dims = items.iter().map(|item| match item {
        IndexItem::Int(_) | IndexItem::Slice { .. } => 1,
        IndexItem::Tensor(t) if is_mask(t) => t.ndim(),
        IndexItem::Tensor(_) => 1,
        IndexItem::None | IndexItem::Ellipsis | IndexItem::Bool(_) => 0,
    });
    dims.sum()
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

fn check_named(named: usize, ndim: usize) -> Result<()> {
    ensure!(
        named <= ndim || ndim > 0,
        Index,
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
    );
    ensure!(
        named <= ndim,
        Index,
        "too many indices for tensor of dimension {ndim}"
    );
    Ok(())
}

fn wrapped(index: i64, dim: usize, size: i64) -> Result<i64> {
    ensure!(
        -size <= index && index < size,
        Index,
        "index {index} is out of bounds for dimension {dim} with size {size}"
    );
    Ok(if index < 0 { index + size } else { index })
}

fn positive(step: Option<i64>) -> Result<i64> {
    let step = step.unwrap_or(1);
    ensure!(step > 0, Value, "step must be greater than zero");
    Ok(step)
}

/// The layout that basic items read, in one pass; `None` where an item is a tensor.
fn basic(from: &Layout, items: &[IndexItem]) -> Result<Option<Layout>> {
    let is_advanced = |item: &IndexItem| matches!(item, IndexItem::Tensor(_) | IndexItem::Bool(_));
    let named = named_dims(items);
    check_named(named, from.ndim())?;
    if items.iter().any(is_advanced) {
        return Ok(None);
    }
    let mut unnamed = from.ndim() - named;
    let (mut shape, mut strides, mut offset) = (Dims::new(), Dims::new(), from.offset);
    let mut dim = 0;
    for item in items {
        match item {
            IndexItem::Int(index) => {
                offset += wrapped(*index, dim, from.shape[dim])? * from.strides[dim];
                dim += 1;
            }
            IndexItem::Slice { start, stop, step } => {
                let step = positive(*step)?;
                let (start, length) = slice_bounds(from.shape[dim], *start, *stop, step);
                offset += start * from.strides[dim];
                shape.push(length);
                strides.push(from.strides[dim].saturating_mul(step));
                dim += 1;
            }
            IndexItem::None => {
                let stride = from
                    .shape
                    .get(dim)
                    .map_or(1, |size| size * from.strides[dim]);
                shape.push(1);
                strides.push(stride);
            }
            _ => {
                shape.extend_from_slice(&from.shape[dim..dim + unnamed]);
                strides.extend_from_slice(&from.strides[dim..dim + unnamed]);
                dim += unnamed;
                unnamed = 0;
            }
        }
    }
    shape.extend_from_slice(&from.shape[dim..]);
    strides.extend_from_slice(&from.strides[dim..]);
    Ok(Some(Layout {
        shape,
        strides,
        offset,
    }))
}

/// A tensor with the basic items applied, and the index tensors for its dimensions.
struct Applied {
    view: Tensor,
    indices: Vec<Option<Tensor>>,
}

/// Applies the items one by one, each as an op.
fn applied(x: &Tensor, items: &[IndexItem]) -> Result<Applied> {
    let mut unnamed = x.ndim().saturating_sub(named_dims(items));
    let (mut view, mut indices) = (x.clone(), Vec::new());
    // The dimension of the view that is next, that of `x`, and how many the indices cover.
    let (mut dim, mut source, mut covered) = (0, 0, 0);
    for item in items {
        match item {
            IndexItem::Int(index) => {
                let index = wrapped(*index, source, view.shape()[dim])?;
                view = call!("select", view, dim as i64, index)?;
                source += 1;
            }
            IndexItem::Slice { start, stop, step } => {
                let (step, size) = (positive(*step)?, view.shape()[dim]);
                let whole = step == 1 && slice_bounds(size, *start, *stop, 1) == (0, size);
                // As in PyTorch, all of a dimension is no op of its own, unless it is the only one.
                if !whole || items.len() == 1 {
                    view = call!("slice", view, dim as i64, *start, *stop, step)?;
                }
                dim += 1;
                source += 1;
            }
            IndexItem::None => {
                view = call!("unsqueeze", view, dim as i64)?;
                dim += 1;
            }
            IndexItem::Ellipsis => {
                dim += std::mem::take(&mut unnamed);
                source = x.ndim() - (view.ndim() - dim).min(x.ndim());
            }
            IndexItem::Bool(_) | IndexItem::Tensor(_) => {
                let index = match index_tensor(item)? {
                    Some(index) => index.clone(),
                    None => {
                        view = call!("unsqueeze", view, dim as i64)?;
                        chosen(item)?
                    }
                };
                let index = on_device_of(index, &view)?;
                let dims = if is_mask(&index) { index.ndim() } else { 1 };
                indices.resize(indices.len() + dim - covered, None);
                indices.push(Some(index));
                dim += dims;
                source += dims;
                covered = dim;
            }
        }
    }
    Ok(Applied { view, indices })
}

/// An index on the device of what it selects from: one on the CPU may be for any device.
fn on_device_of(index: Tensor, view: &Tensor) -> Result<Tensor> {
    if index.device() == view.device() {
        return Ok(index);
    }
    ensure!(
        index.device().is_cpu(),
        Runtime,
        "indices should be either on cpu or on the same device as the indexed tensor ({})",
        view.device()
    );
    backend::to_device(&index, view.device())
}

/// The index as it is, unless it is a single truth value.
fn index_tensor(item: &IndexItem) -> Result<Option<&Tensor>> {
    match item {
        IndexItem::Tensor(t) if t.ndim() > 0 || !is_mask(t) => Ok(Some(t)),
        IndexItem::Tensor(_) | IndexItem::Bool(_) => Ok(None),
        _ => Err(err!(Index, "unsupported index")),
    }
}

/// A truth value selects all or nothing of a new dimension of size 1.
fn chosen(item: &IndexItem) -> Result<Tensor> {
    let set = match item {
        IndexItem::Tensor(t) => t.item()?.to_bool(),
        IndexItem::Bool(set) => *set,
        _ => false,
    };
    Tensor::zeros(&[i64::from(set)], DType::I64)
}

/// `view[indices] = value`.
fn put(view: &Tensor, indices: Vec<Option<Tensor>>, value: &Value) -> Result<()> {
    if let (Some((mask, lead)), Value::Num(number)) = (only_mask(&indices), value) {
        let trailing = view.ndim().saturating_sub(lead + mask.ndim());
        let fits = view.shape().get(lead..lead + mask.ndim()) == Some(mask.shape());
        if fits {
            let mut shape = Dims::from_slice(mask.shape());
            shape.resize(mask.ndim() + trailing, 1);
            let mask = if trailing > 0 {
                call!("reshape", mask, shape)?
            } else {
                mask.clone()
            };
            return inplace!("masked_fill", view, mask, *number);
        }
    }
    let value = match value {
        Value::Num(number) => backend::scalar(view.device(), *number, view.dtype())?,
        other => other.clone().into_tensor()?,
    };
    let value = backend_value(&value, view)?;
    inplace!("index_put", view, Value::OptTensors(indices), value, false)
}

/// A mask as the only index, and how many dimensions are in front of it.
fn only_mask(indices: &[Option<Tensor>]) -> Option<(&Tensor, usize)> {
    let (last, rest) = indices.split_last()?;
    let mask = last.as_ref().filter(|t| t.dtype() == DType::Bool)?;
    rest.iter()
        .all(Option::is_none)
        .then_some((mask, rest.len()))
}

/// Leading dimensions of size 1 do not count, and a single number may come from another device.
fn backend_value(value: &Tensor, view: &Tensor) -> Result<Tensor> {
    let ones = value.shape().iter().take_while(|&&size| size == 1).count();
    let value = if ones > 0 {
        call!("reshape", value, &value.shape()[ones..])?
    } else {
        value.clone()
    };
    if value.ndim() == 0 && value.device() != view.device() {
        return backend::to_device(&value, view.device());
    }
    Ok(value)
}
