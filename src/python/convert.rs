//! Python objects as the core's values, and results as Python objects.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt, PyList, PySequence, PyString, PyTuple};

use super::objects::{PyDType, PyDevice, PyLayout, PyMemoryFormat, dtype_object, parse_device};
use super::tensor::{PyTensor, wrap};
use crate::ops::{Entry, Outputs, Param, Returns, Type, Value};
use crate::tensor::{DType, Scalar, c128};

/// The name that PyTorch's messages use for the type of an argument.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    match () {
        () if object.is_none() => "NoneType".to_string(),
        () if object.cast::<PyTensor>().is_ok() => "Tensor".to_string(),
        () => object
            .get_type()
            .name()
            .map_or_else(|_| "object".to_string(), |name| name.to_string()),
    }
}

/// A number: Python's, NumPy's, or a 0-dim array; tensors are not numbers here.
pub fn number(object: &Bound<'_, PyAny>) -> Option<Scalar> {
    if object.is_exact_instance_of::<PyFloat>() {
        return object.extract().ok().map(Scalar::Float);
    }
    if object.cast::<PyBool>().is_ok() {
        return object.extract().ok().map(Scalar::Bool);
    }
    if object.cast::<PyInt>().is_ok() {
        return object
            .extract::<i64>()
            .ok()
            .map(Scalar::Int)
            .or_else(|| object.extract::<u64>().ok().map(Scalar::UInt));
    }
    if object.cast::<PyFloat>().is_ok() {
        return object.extract().ok().map(Scalar::Float);
    }
    if let Ok(c) = object.cast::<PyComplex>() {
        use pyo3::types::PyComplexMethods;
        return Some(Scalar::Complex(c128::new(c.real(), c.imag())));
    }
    numpy_number(object)
}

/// A NumPy scalar (or Python enum of ints): what its `item()` is.
fn numpy_number(object: &Bound<'_, PyAny>) -> Option<Scalar> {
    static GENERIC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    if object.cast::<PyTensor>().is_ok()
        || object.cast::<PyString>().is_ok()
        || object.cast::<PySequence>().is_ok()
    {
        return None;
    }
    let generic = GENERIC
        .get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("numpy")?.getattr("generic")?.unbind())
        })
        .ok()?;
    if !object.is_instance(generic.bind(py)).ok()? {
        return None;
    }
    let item = object.call_method0("item").ok()?;
    if item.get_type().is(object.get_type()) {
        None
    } else {
        number(&item)
    }
}

/// The element of a 0-dim (or one-element) tensor given where a number is wanted.
fn tensor_number(object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    match object.cast::<PyTensor>() {
        Ok(t) if t.get().tensor.ndim() == 0 => Ok(Some(t.get().tensor.item()?)),
        _ => Ok(None),
    }
}

/// An integer argument: ints, NumPy integers, 0-dim integer tensors, objects with `__index__`.
pub fn int(object: &Bound<'_, PyAny>) -> Option<i64> {
    if object.is_exact_instance_of::<PyInt>() {
        return object.extract().ok();
    }
    if object.cast::<PyBool>().is_ok() || object.cast::<PyFloat>().is_ok() {
        return None;
    }
    if let Ok(t) = object.cast::<PyTensor>() {
        let tensor = &t.get().tensor;
        let integral = tensor.dtype().is_integral(false) && tensor.numel() == 1;
        return if integral {
            tensor.item().ok().map(Scalar::to_i64)
        } else {
            None
        };
    }
    // Asked first, because a conversion that fails makes an exception.
    // SAFETY: the object is alive.
    let is_index = unsafe { pyo3::ffi::PyIndex_Check(object.as_ptr()) } != 0;
    is_index.then(|| object.extract().ok()).flatten()
}

fn ints(object: &Bound<'_, PyAny>) -> Option<Vec<i64>> {
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.iter_borrowed().map(|item| int(&item)).collect();
    }
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().map(|item| int(&item)).collect();
    }
    if let Ok(t) = object.cast::<PyTensor>() {
        let tensor = &t.get().tensor;
        return (tensor.ndim() == 1 && tensor.dtype().is_integral(false))
            .then(|| tensor.to_vec().ok())
            .flatten();
    }
    None
}

/// Elements of a list or tuple, each converted.
fn list_of<T>(
    object: &Bound<'_, PyAny>,
    mut convert: impl FnMut(&Bound<'_, PyAny>) -> Option<T>,
) -> Option<Vec<T>> {
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.iter().map(|item| convert(&item)).collect();
    }
    object
        .cast::<PyList>()
        .ok()?
        .iter()
        .map(|item| convert(&item))
        .collect()
}

fn tensor(object: &Bound<'_, PyAny>) -> Option<crate::Tensor> {
    object
        .cast::<PyTensor>()
        .ok()
        .map(|t| t.get().tensor.clone())
}

/// An argument as its parameter's type; `None` where it does not fit.
pub fn argument(object: &Bound<'_, PyAny>, param: &Param) -> PyResult<Option<Value>> {
    if object.is_none() {
        return Ok(if param.nullable {
            Some(Value::None)
        } else {
            None
        });
    }
    Ok(match param.ty {
        Type::Tensor => tensor(object).map(Value::Tensor),
        Type::Operand => match tensor(object) {
            Some(t) => Some(Value::Tensor(t)),
            None => number(object).map(Value::Num),
        },
        Type::Scalar => match number(object) {
            Some(n) => Some(Value::Num(n)),
            None => tensor_number(object)?.map(Value::Num),
        },
        Type::Int => int(object).map(Value::from),
        Type::Float => match number(object) {
            Some(Scalar::Complex(_)) => None,
            Some(n) => Some(Value::from(n.to_f64())),
            None => tensor_number(object)?.map(|n| Value::from(n.to_f64())),
        },
        Type::Bool => boolean(object).map(Value::from),
        Type::Ints(size) => match ints(object) {
            Some(list) => Some(Value::Ints(list)),
            None => size.and_then(|n| int(object).map(|v| Value::Ints(vec![v; n]))),
        },
        Type::Floats => list_of(object, |item| number(item).map(Scalar::to_f64)).map(Value::Floats),
        Type::Bools => list_of(object, boolean).map(Value::Bools),
        Type::Scalars => list_of(object, number).map(Value::Nums),
        Type::Tensors => list_of(object, tensor).map(Value::Tensors),
        Type::OptTensors => list_of(object, |item| {
            if item.is_none() {
                Some(None)
            } else {
                tensor(item).map(Some)
            }
        })
        .map(Value::OptTensors),
        Type::Str => object
            .cast::<PyString>()
            .ok()
            .map(|s| s.to_str().map(Value::from))
            .transpose()?,
        Type::DType => dtype(object).map(Value::DType),
        Type::Layout => object.cast::<PyLayout>().ok().map(|_| Value::None),
        Type::Device => device(object)?,
        Type::MemoryFormat => object
            .cast::<PyMemoryFormat>()
            .ok()
            .map(|f| Value::MemoryFormat(f.get().0)),
        Type::Generator => super::generator::argument(object),
        Type::Index => None,
    })
}

fn boolean(object: &Bound<'_, PyAny>) -> Option<bool> {
    match object.cast::<PyBool>() {
        Ok(b) => Some(b.is_true()),
        Err(_) => match numpy_number(object) {
            Some(Scalar::Bool(b)) => Some(b),
            _ => None,
        },
    }
}

fn device(object: &Bound<'_, PyAny>) -> PyResult<Option<Value>> {
    let fits = object.cast::<PyDevice>().is_ok()
        || object.cast::<PyString>().is_ok()
        || int(object).is_some();
    if fits {
        parse_device(object).map(|d| Some(Value::Device(d)))
    } else {
        Ok(None)
    }
}

/// A dtype from a `dtype`, or from Python's `float`, `int`, `bool`, `complex`.
pub fn dtype(object: &Bound<'_, PyAny>) -> Option<DType> {
    if let Ok(dtype) = object.cast::<PyDType>() {
        return Some(dtype.get().0);
    }
    let py = object.py();
    let kinds = [
        (py.get_type::<PyFloat>(), DType::F64),
        (py.get_type::<PyInt>(), DType::I64),
        (py.get_type::<PyBool>(), DType::Bool),
        (py.get_type::<PyComplex>(), DType::C128),
    ];
    kinds
        .into_iter()
        .find(|(kind, _)| object.is(kind))
        .map(|(_, dtype)| dtype)
}

/// A number as a Python object.
pub fn scalar_object(py: Python<'_>, value: Scalar) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        Scalar::Bool(v) => PyBool::new(py, v).to_owned().into_any(),
        Scalar::Int(v) => v.into_pyobject(py)?.into_any(),
        Scalar::UInt(v) => v.into_pyobject(py)?.into_any(),
        Scalar::Float(v) => PyFloat::new(py, v).into_any(),
        Scalar::Complex(v) => PyComplex::from_doubles(py, v.re, v.im).into_any(),
    })
}

/// A `Size` of the sizes.
pub fn size_object<'py>(py: Python<'py>, shape: &[i64]) -> PyResult<Bound<'py, PyAny>> {
    super::size::new(py, shape)
}

pub fn value_object(py: Python<'_>, value: Value) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Value::None => py.None(),
        Value::Tensor(t) => wrap(py, t)?.into_any().unbind(),
        Value::Tensors(list) => tensor_tuple(py, list)?.into_any().unbind(),
        Value::OptTensors(list) => {
            let items = list
                .into_iter()
                .map(|t| t.map(|t| wrap(py, t)).transpose())
                .collect::<PyResult<Vec<_>>>()?;
            PyTuple::new(py, items)?.into_any().unbind()
        }
        Value::Num(s) => scalar_object(py, s)?.unbind(),
        Value::Ints(v) => size_object(py, &v)?.unbind(),
        Value::Floats(v) => v.into_pyobject(py)?.into_any().unbind(),
        Value::Bools(v) => v.into_pyobject(py)?.into_any().unbind(),
        Value::Nums(v) => PyList::new(
            py,
            v.into_iter()
                .map(|s| scalar_object(py, s))
                .collect::<PyResult<Vec<_>>>()?,
        )?
        .into_any()
        .unbind(),
        Value::Str(s) => PyString::new(py, &s).into_any().unbind(),
        Value::DType(d) => dtype_object(py, d).into_any(),
        Value::Device(d) => Py::new(py, PyDevice(d))?.into_any(),
        Value::MemoryFormat(f) => Py::new(py, PyMemoryFormat(f))?.into_any(),
        Value::Object(object) => super::generator::object(py, object.as_ref())?,
        Value::Failed(e) => return Err(e.into()),
    })
}

pub fn tensor_tuple(py: Python<'_>, list: Vec<crate::Tensor>) -> PyResult<Bound<'_, PyTuple>> {
    let items = list
        .into_iter()
        .map(|t| wrap(py, t))
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

/// What a call returns to Python, as its schema says.
pub fn outputs(py: Python<'_>, entry: &Entry, mut values: Outputs) -> PyResult<Py<PyAny>> {
    match &entry.schema.returns {
        Returns::Tuple(names) => {
            let items = values
                .into_iter()
                .map(|v| value_object(py, v))
                .collect::<PyResult<Vec<_>>>()?;
            named_tuple(py, entry, names, PyTuple::new(py, items)?)
        }
        Returns::Nothing => Ok(py.None()),
        _ => value_object(py, values.drain(..).next().unwrap_or_default()),
    }
}

/// A tuple, or PyTorch's named one (`rtensor.return_types`).
pub fn named_tuple(
    py: Python<'_>,
    entry: &Entry,
    names: &[&str],
    items: Bound<'_, PyTuple>,
) -> PyResult<Py<PyAny>> {
    if names.iter().any(|name| name.is_empty()) {
        return Ok(items.into_any().unbind());
    }
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = MAKE.get_or_try_init(py, || {
        Ok::<_, PyErr>(
            py.import("rtensor.return_types")?
                .getattr("_make")?
                .unbind(),
        )
    })?;
    make.call1(py, (entry.schema.name, PyTuple::new(py, names)?, items))
}
