//! `x[...]` and `x[...] = value`: subscripts as the core's index items.

use std::ffi::c_int;

use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError, PyUserWarning, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PySlice, PyTuple};
use smallvec::SmallVec;

use super::{data, numpy, tensor, values};
use crate::dispatch;
use crate::ops::Value;
use crate::ops::indexing::{IndexItem, get, set};
use crate::tensor::{Category, DType, Scalar, Tensor};

type Items = SmallVec<[IndexItem; 4]>;

/// `x[key]`.
pub fn subscript(x: &Tensor, key: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    Ok(get(x, &items(key)?)?)
}

/// `x[key] = value`.
pub fn assign(x: &Tensor, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = assigned(x, value)?;
    Ok(set(x, &items(key)?, &value)?)
}

/// What is assigned: a tensor, or a number that takes the target's dtype.
fn assigned(x: &Tensor, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Some(tensor) = tensor::unwrap(value) {
        return Ok(Value::Tensor(tensor.clone()));
    }
    match values::plain_number(value)? {
        Some(number) => fitting(x, number),
        None => Err(PyTypeError::new_err(format!(
            "can't assign a {} to a {}",
            value.get_type().fully_qualified_name()?,
            legacy_type(x)
        ))),
    }
}

/// A number that the target's dtype can hold.
fn fitting(x: &Tensor, number: Scalar) -> PyResult<Value> {
    let imaginary = matches!(number, Scalar::Complex(z) if z.im != 0.0);
    if imaginary && x.dtype().category() != Category::Complex {
        return Err(PyRuntimeError::new_err(format!(
            "value cannot be converted to type {} without overflow",
            x.dtype()
        )));
    }
    if x.dtype().category() == Category::Int {
        let real = match number {
            Scalar::Complex(z) => Scalar::Float(z.re),
            other => other,
        };
        dispatch!(all x.dtype(), T => data::narrow::<T>(real).map(drop))?;
    }
    Ok(Value::Num(number))
}

/// PyTorch's name of the tensor's old-style type: `torch.FloatTensor`.
pub fn legacy_type(x: &Tensor) -> String {
    let place = if x.device().is_cpu() {
        String::new()
    } else {
        format!("{}.", x.device().type_name())
    };
    format!("torch.{place}{}Tensor", x.dtype().scalar_name())
}

fn items(key: &Bound<'_, PyAny>) -> PyResult<Items> {
    if let Ok(tuple) = key.cast::<PyTuple>() {
        return tuple.iter_borrowed().map(|part| item(&part)).collect();
    }
    match key.cast_exact::<PyList>() {
        Ok(list) if counts_as_tuple(list) => {
            PyErr::warn(
                key.py(),
                &key.py().get_type::<PyUserWarning>(),
                LIST_AS_TUPLE,
                1,
            )?;
            list.iter().map(|part| item(&part)).collect()
        }
        _ => Ok(smallvec::smallvec![item(key)?]),
    }
}

const LIST_AS_TUPLE: &std::ffi::CStr = c"Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index, x[torch.tensor(seq)], which will result either in an error or a different result";

/// PyTorch's (and old NumPy's) guess: a short list with anything but numbers inside means a tuple.
fn counts_as_tuple(list: &Bound<'_, PyList>) -> bool {
    list.len() < 32
        && list.iter().any(|part| {
            // SAFETY: a check of a live object.
            let sequence = unsafe { ffi::PySequence_Check(part.as_ptr()) != 0 };
            sequence
                || part.is_none()
                || part.is_instance_of::<PySlice>()
                || part.is_instance_of::<PyEllipsis>()
                || tensor::unwrap(&part).is_some()
        })
}

fn item(key: &Bound<'_, PyAny>) -> PyResult<IndexItem> {
    if key.is_exact_instance_of::<PyInt>() {
        return Ok(IndexItem::Int(int(key)?));
    }
    if let Ok(slice) = key.cast_exact::<PySlice>() {
        return slice_item(slice);
    }
    if key.is_none() {
        return Ok(IndexItem::None);
    }
    if let Some(index) = tensor::unwrap(key) {
        return tensor_item(index);
    }
    if key.is_instance_of::<PyEllipsis>() {
        return Ok(IndexItem::Ellipsis);
    }
    if let Ok(flag) = key.cast::<PyBool>() {
        return Ok(IndexItem::Bool(flag.is_true()));
    }
    other_item(key)
}

fn int(key: &Bound<'_, PyAny>) -> PyResult<i64> {
    let mut overflow = 0;
    // SAFETY: the object is a live int.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(key.as_ptr(), &raw mut overflow) };
    if overflow != 0 {
        return Err(PyValueError::new_err("Overflow when unpacking long long"));
    }
    Ok(value)
}

fn slice_item(slice: &Bound<'_, PySlice>) -> PyResult<IndexItem> {
    let (mut start, mut stop, mut step) = (0isize, 0isize, 0isize);
    // SAFETY: the object is a slice, and the three places are ours.
    let status: c_int = unsafe {
        ffi::PySlice_Unpack(slice.as_ptr(), &raw mut start, &raw mut stop, &raw mut step)
    };
    if status < 0 {
        return Err(PyErr::fetch(slice.py()));
    }
    if step <= 0 {
        return Err(PyValueError::new_err("step must be greater than zero"));
    }
    Ok(IndexItem::Slice {
        start: Some(start as i64),
        stop: Some(stop as i64),
        step: Some(step as i64),
    })
}

/// 0-dim integer tensors count as ints, 0-dim bools as bools.
fn tensor_item(index: &Tensor) -> PyResult<IndexItem> {
    let counts_as_number =
        index.ndim() == 0 && index.dtype().is_integral(true) && index.dtype() != DType::U8;
    if !counts_as_number {
        return Ok(IndexItem::Tensor(index.clone()));
    }
    Ok(match index.item()? {
        Scalar::Bool(flag) => IndexItem::Bool(flag),
        other => IndexItem::Int(other.to_i64()),
    })
}

/// Arrays, sequences, and objects with `__index__`.
fn other_item(key: &Bound<'_, PyAny>) -> PyResult<IndexItem> {
    if numpy::is_array(key) {
        return tensor_item(&index_tensor(key)?);
    }
    // SAFETY: checks of a live object, and a call whose result is owned.
    unsafe {
        if ffi::PySequence_Check(key.as_ptr()) != 0 {
            return Ok(IndexItem::Tensor(index_tensor(key)?));
        }
        if ffi::PyIndex_Check(key.as_ptr()) != 0 {
            let index = Bound::from_owned_ptr_or_err(key.py(), ffi::PyNumber_Index(key.as_ptr()))?;
            return Ok(IndexItem::Int(int(&index)?));
        }
    }
    if numpy::is_scalar(key) && numpy::dtype_of(key)? == DType::Bool {
        return Ok(IndexItem::Bool(key.is_truthy()?));
    }
    Err(PyIndexError::new_err(format!(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})",
        key.get_type().name()?
    )))
}

/// A mask where the data are bools (or bytes), else int64 positions.
fn index_tensor(key: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let dtype = match data::infer_dtype(key, 0)? {
        mask @ (DType::Bool | DType::U8) if !key.is_empty().unwrap_or(false) => mask,
        _ => DType::I64,
    };
    data::copy_of(key, Some(dtype))
}
