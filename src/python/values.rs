//! Elements as Python numbers: `item`, `tolist`, and the number protocols.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt, PyList};

use super::convert::scalar_object;
use crate::dispatch;
use crate::tensor::{FromScalar, Scalar, Tensor, c128};

/// A Python bool, int, float or complex; `None` for anything else.
pub fn plain_number(data: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    if data.is_instance_of::<PyFloat>() {
        return Ok(Some(Scalar::Float(data.extract()?)));
    }
    if let Ok(v) = data.cast::<PyBool>() {
        return Ok(Some(Scalar::Bool(v.is_true())));
    }
    if data.is_instance_of::<PyInt>() {
        return integer(data).map(Some);
    }
    if let Ok(z) = data.cast::<PyComplex>() {
        return Ok(Some(Scalar::Complex(c128::new(z.real(), z.imag()))));
    }
    if super::numpy::is_scalar(data) {
        return plain_number(&data.call_method0(pyo3::intern!(data.py(), "item"))?);
    }
    Ok(None)
}

/// An `int` that fits 64 bits, signed or unsigned.
pub fn integer(data: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    let mut overflow = 0;
    // SAFETY: the object is a live int.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(data.as_ptr(), &raw mut overflow) };
    if overflow == 0 {
        if value == -1 && PyErr::occurred(data.py()) {
            return Err(PyErr::fetch(data.py()));
        }
        return Ok(Scalar::Int(value));
    }
    data.extract::<u64>()
        .map(Scalar::UInt)
        .map_err(|_| PyValueError::new_err("Overflow when unpacking long long"))
}

/// `Tensor.item()`.
pub fn item<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    scalar_object(py, tensor.item()?)
}

/// The only element, for the number protocols.
pub fn single(tensor: &Tensor) -> PyResult<Scalar> {
    if tensor.numel() != 1 {
        return Err(PyValueError::new_err(
            "only one element tensors can be converted to Python scalars",
        ));
    }
    Ok(tensor.item()?)
}

/// `float(tensor)`.
pub fn to_float<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    let value = match single(tensor)? {
        Scalar::Complex(z) if z.im != 0.0 => {
            return Err(PyRuntimeError::new_err(
                "value cannot be converted to type double without overflow",
            ));
        }
        other => other.to_f64(),
    };
    Ok(PyFloat::new(py, value).into_any())
}

/// `int(tensor)`.
pub fn to_int<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    let value = match single(tensor)? {
        Scalar::Complex(z) if z.im != 0.0 => {
            return Err(PyRuntimeError::new_err(
                "value cannot be converted to type int64_t without overflow",
            ));
        }
        Scalar::Complex(z) => Scalar::Float(z.re),
        other => other,
    };
    let number = scalar_object(py, value)?;
    // SAFETY: a call on a live object; the result is owned.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyNumber_Long(number.as_ptr())) }
}

/// `complex(tensor)`.
pub fn to_complex<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    let value = single(tensor)?.to_c128();
    scalar_object(py, Scalar::Complex(value))
}

/// `operator.index(tensor)`.
pub fn to_index<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    if tensor.numel() != 1 || !tensor.dtype().is_integral(true) {
        return Err(PyTypeError::new_err(
            "only integer tensors of a single element can be converted to an index",
        ));
    }
    match tensor.item()? {
        Scalar::Bool(v) => scalar_object(py, Scalar::Int(i64::from(v))),
        other => scalar_object(py, other),
    }
}

/// `bool(tensor)`.
pub fn is_true(tensor: &Tensor) -> PyResult<bool> {
    match tensor.numel() {
        1 => Ok(tensor.item()?.to_bool()),
        0 => Err(PyRuntimeError::new_err(
            "Boolean value of Tensor with no values is ambiguous",
        )),
        _ => Err(PyRuntimeError::new_err(
            "Boolean value of Tensor with more than one value is ambiguous",
        )),
    }
}

/// `Tensor.tolist()`: nested lists, or the number of a 0-dim tensor.
pub fn to_list<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    let source = crate::backend::to_cpu(tensor).and_then(|t| t.resolved())?;
    level(py, &source, 0, 0)
}

fn level<'py>(
    py: Python<'py>,
    source: &Tensor,
    dim: usize,
    offset: i64,
) -> PyResult<Bound<'py, PyAny>> {
    if dim == source.ndim() {
        return dispatch!(all source.dtype(), T => {
            // SAFETY: the offset is that of an index within the shape.
            scalar_object(py, unsafe { *source.ptr::<T>().offset(offset as isize) }.to_scalar())
        });
    }
    let (size, step) = (source.shape()[dim], source.strides()[dim]);
    let mut items = Vec::with_capacity(size as usize);
    for i in 0..size {
        items.push(level(py, source, dim + 1, offset + i * step)?);
    }
    Ok(PyList::new(py, items)?.into_any())
}
