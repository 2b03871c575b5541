//! Tensors from Python data: numbers, nested sequences, arrays.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PySequence, PyString, PyTuple,
};

use super::{convert, numpy, tensor};
use crate::dispatch;
use crate::tensor::{
    Category, DType, Dims, Element, FromScalar, Scalar, Tensor, c128, default_dtype,
};

const MAX_DIMS: usize = 128;

/// A new CPU tensor that holds a copy of the data. Without a dtype it follows the data.
pub fn copy_of(data: &Bound<'_, PyAny>, dtype: Option<DType>) -> PyResult<Tensor> {
    refuse_text(data)?;
    let source = if let Some(source) = tensor::unwrap(data) {
        source.detached()
    } else if numpy::is_array(data) {
        numpy::from_array(data, false)?
    } else if let Some(shared) = on_gpu(data)? {
        shared
    } else if is_exporter(data)? {
        super::dlpack::from_object(data)?
    } else {
        return from_sequence(data, dtype);
    };
    duplicate(&source, dtype.unwrap_or(source.dtype()))
}

/// The tensor on the memory of a GPU's array.
pub fn on_gpu(data: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    let py = data.py();
    if is_plain(data) || !data.hasattr(pyo3::intern!(py, "__cuda_array_interface__"))? {
        return Ok(None);
    }
    let exchange = py.import("rtensor.cuda._exchange")?;
    let shared = exchange.call_method1("from_interface", (data,))?;
    Ok(tensor::unwrap(&shared).cloned())
}

fn refuse_text(data: &Bound<'_, PyAny>) -> PyResult<()> {
    if data.is_instance_of::<PyString>() || data.is_instance_of::<PyBytes>() {
        return Err(invalid_type(data));
    }
    Ok(())
}

fn invalid_type(data: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("new(): invalid data type '{}'", type_name(data)))
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "object".to_string(), |name| name.to_string())
}

/// Does the object lend its memory through DLPack (and is not a plain number or sequence)?
fn is_exporter(data: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!is_plain(data) && data.hasattr(pyo3::intern!(data.py(), "__dlpack__"))?)
}

fn is_plain(data: &Bound<'_, PyAny>) -> bool {
    is_number(data) || data.is_instance_of::<PyList>() || data.is_instance_of::<PyTuple>()
}

fn is_number(data: &Bound<'_, PyAny>) -> bool {
    data.is_instance_of::<PyFloat>()
        || data.is_instance_of::<PyInt>()
        || data.is_instance_of::<PyComplex>()
}

/// A row-major copy on the source's device, without history.
pub fn duplicate(source: &Tensor, dtype: DType) -> PyResult<Tensor> {
    let target = crate::backend::empty(source.device(), source.shape(), dtype)?;
    crate::backend::copy(&target, source)?;
    Ok(target)
}

fn from_sequence(data: &Bound<'_, PyAny>, dtype: Option<DType>) -> PyResult<Tensor> {
    let dtype = match dtype {
        Some(dtype) => dtype,
        None => infer_dtype(data, 0)?,
    };
    let shape = sizes(data)?;
    let result = Tensor::empty(&shape, dtype)?;
    let mut writer = Writer {
        dtype,
        shape: &shape,
        next: result.data_ptr(),
    };
    writer.store(data, 0)?;
    Ok(result)
}

/// The dtype that all numbers of nested sequences promote to.
pub fn infer_dtype(data: &Bound<'_, PyAny>, depth: usize) -> PyResult<DType> {
    if let Some(dtype) = number_dtype(data)? {
        return Ok(dtype);
    }
    refuse_text(data)?;
    if depth > MAX_DIMS {
        return Err(PyValueError::new_err(format!(
            "too many dimensions '{}'",
            type_name(data)
        )));
    }
    let Ok(items) = as_sequence(data) else {
        return Err(PyRuntimeError::new_err(format!(
            "Could not infer dtype of {}",
            type_name(data)
        )));
    };
    let mut found: Option<DType> = None;
    for i in 0..items.len()? {
        let item = items.get_item(i)?;
        if item.is(data) {
            return Err(PyTypeError::new_err(
                "new(): self-referential lists are incompatible",
            ));
        }
        let dtype = infer_dtype(&item, depth + 1)?;
        let joined = match found {
            Some(before) if before != dtype => before.promote(dtype)?,
            _ => dtype,
        };
        if joined == DType::C128 {
            return Ok(joined);
        }
        found = Some(joined);
    }
    Ok(found.unwrap_or_else(default_dtype))
}

/// The dtype of a number, array or tensor; `None` for anything else.
fn number_dtype(data: &Bound<'_, PyAny>) -> PyResult<Option<DType>> {
    if data.is_exact_instance_of::<PyFloat>() {
        return Ok(Some(default_dtype()));
    }
    if data.is_exact_instance_of::<PyInt>() {
        return Ok(Some(DType::I64));
    }
    if let Some(tensor) = tensor::unwrap(data) {
        return Ok(Some(tensor.dtype()));
    }
    if numpy::is_array(data) || numpy::is_scalar(data) {
        return numpy::dtype_of(data).map(Some);
    }
    Ok(if data.is_instance_of::<PyBool>() {
        Some(DType::Bool)
    } else if data.is_instance_of::<PyFloat>() {
        Some(default_dtype())
    } else if data.is_instance_of::<PyInt>() {
        Some(DType::I64)
    } else if data.is_instance_of::<PyComplex>() {
        Some(default_dtype().to_complex())
    } else {
        None
    })
}

/// Anything with items by position, as C sees it (`range`, `array.array`, `deque`), but no mapping.
fn as_sequence<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySequence>> {
    // SAFETY: a check of a live object, and a cast that trusts no more than the check.
    unsafe {
        if ffi::PySequence_Check(data.as_ptr()) == 0 {
            return Err(PyTypeError::new_err("not a sequence"));
        }
        Ok(data.clone().cast_into_unchecked())
    }
}

fn is_nested(data: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a check of a live object.
    tensor::unwrap(data).is_none() && unsafe { ffi::PySequence_Check(data.as_ptr()) != 0 }
}

/// The shape that the first item of each level announces.
fn sizes(data: &Bound<'_, PyAny>) -> PyResult<Dims> {
    let mut shape = Dims::new();
    let mut level = data.clone();
    while is_nested(&level) {
        if shape.len() == MAX_DIMS || level.is_instance_of::<PyString>() {
            return Err(PyValueError::new_err(format!(
                "too many dimensions '{}'",
                type_name(&level)
            )));
        }
        let items = as_sequence(&level)?;
        let length = items.len()?;
        shape.push(length as i64);
        if length == 0 {
            break;
        }
        level = items.get_item(0).map_err(|_| {
            PyValueError::new_err(format!(
                "could not determine the shape of object type '{}'",
                type_name(&level)
            ))
        })?;
    }
    Ok(shape)
}

/// Fills a row-major tensor from nested sequences.
struct Writer<'a> {
    dtype: DType,
    shape: &'a [i64],
    next: *mut u8,
}

impl Writer<'_> {
    fn store(&mut self, data: &Bound<'_, PyAny>, dim: usize) -> PyResult<()> {
        if dim == self.shape.len() {
            return self.store_number(data);
        }
        if let Ok(list) = data.cast_exact::<PyList>() {
            self.check_length(list.len(), dim)?;
            (0..list.len()).try_for_each(|i| self.store(&list.get_item(i)?, dim + 1))
        } else if let Ok(tuple) = data.cast_exact::<PyTuple>() {
            self.check_length(tuple.len(), dim)?;
            (0..tuple.len()).try_for_each(|i| self.store(&tuple.get_item(i)?, dim + 1))
        } else {
            let items = as_sequence(data)?;
            let length = items.len()?;
            self.check_length(length, dim)?;
            (0..length).try_for_each(|i| self.store(&items.get_item(i)?, dim + 1))
        }
    }

    fn check_length(&self, length: usize, dim: usize) -> PyResult<()> {
        if length as i64 == self.shape[dim] {
            return Ok(());
        }
        Err(PyValueError::new_err(format!(
            "expected sequence of length {} at dim {dim} (got {length})",
            self.shape[dim]
        )))
    }

    fn store_number(&mut self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = number(data, self.dtype)?;
        dispatch!(all self.dtype, T => {
            let value = narrow::<T>(value)?;
            // SAFETY: `check_length` at every level makes the visits as many as the elements.
            unsafe {
                self.next.cast::<T>().write(value);
                self.next = self.next.add(size_of::<T>());
            }
        });
        Ok(())
    }
}

/// Reads a number that is to be stored as the dtype.
fn number(data: &Bound<'_, PyAny>, dtype: DType) -> PyResult<Scalar> {
    if let Some(value) = super::values::plain_number(data)? {
        return Ok(value);
    }
    if let Some(tensor) = tensor::unwrap(data) {
        return super::values::single(tensor);
    }
    match dtype.category() {
        Category::Bool => data.is_truthy().map(Scalar::Bool),
        Category::Int => {
            // SAFETY: a call on a live object; the result is owned.
            let index = unsafe {
                Bound::from_owned_ptr_or_err(data.py(), ffi::PyNumber_Index(data.as_ptr()))?
            };
            super::values::integer(&index)
        }
        Category::Float => data.extract::<f64>().map(Scalar::Float),
        Category::Complex => {
            let value = data.cast::<PyComplex>().map_or_else(
                |_| data.extract::<f64>().map(|re| c128::new(re, 0.0)),
                |z| Ok(c128::new(z.real(), z.imag())),
            )?;
            Ok(Scalar::Complex(value))
        }
    }
}

/// The element that a number becomes; integers must fit, negative ones may wrap into unsigned dtypes.
pub fn narrow<T: Element + FromScalar>(value: Scalar) -> PyResult<T> {
    let dtype = T::DTYPE;
    if let (Scalar::Complex(_), Category::Int | Category::Float) = (value, dtype.category()) {
        return Err(PyTypeError::new_err("must be real number, not complex"));
    }
    if dtype.category() == Category::Int && !fits(value, dtype) {
        return Err(PyRuntimeError::new_err(format!(
            "value cannot be converted to type {dtype} without overflow"
        )));
    }
    Ok(T::from_scalar(value))
}

fn fits(value: Scalar, dtype: DType) -> bool {
    let bits = dtype.size() as u32 * 8;
    let (low, high) = if dtype.is_signed() {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (-((1i128 << bits) - 1), (1i128 << bits) - 1)
    };
    match value {
        Scalar::Bool(_) => true,
        Scalar::Int(v) => (low..=high).contains(&i128::from(v)),
        Scalar::UInt(v) => i128::from(v) <= high,
        Scalar::Float(v) => v.is_finite() && v.trunc() >= low as f64 && v.trunc() <= high as f64,
        Scalar::Complex(_) => false,
    }
}

/// `Tensor(...)` and `FloatTensor(...)`: sizes, a tensor, or data, all of one dtype.
pub fn legacy_new(
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Tensor> {
    legacy(args, kwargs, None)
}

/// As [`legacy_new`]; without a dtype it is the default one, and tensors keep theirs.
pub fn legacy(
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
    dtype: Option<DType>,
) -> PyResult<Tensor> {
    let unknown = kwargs
        .into_iter()
        .flat_map(|k| k.iter())
        .find(|(key, _)| !key.eq("device").unwrap_or(false));
    if let Some((key, _)) = unknown {
        return Err(PyTypeError::new_err(format!(
            "new() received an invalid combination of arguments - got an unexpected keyword argument '{key}'"
        )));
    }
    let wanted = dtype.unwrap_or_else(default_dtype);
    let sizes: Option<Vec<i64>> = args.iter().map(|arg| convert::int(&arg)).collect();
    if let Some(sizes) = sizes.filter(|_| args.iter().all(|arg| tensor::unwrap(&arg).is_none())) {
        let shape = if args.is_empty() { vec![0] } else { sizes };
        return Ok(Tensor::empty(&shape, wanted)?);
    }
    let data = args.get_item(0)?;
    if args.len() > 1 {
        return Err(PyTypeError::new_err(
            "new() received an invalid combination of arguments",
        ));
    }
    if data.is_instance(super::size::class(data.py())?.as_any())? {
        return Ok(Tensor::empty(&data.extract::<Vec<i64>>()?, wanted)?);
    }
    if let Some(source) = tensor::unwrap(&data) {
        return match dtype {
            Some(dtype) if dtype != source.dtype() => Err(PyTypeError::new_err(format!(
                "expected a tensor of dtype {dtype} (got {})",
                source.dtype()
            ))),
            _ => Ok(source.detached()),
        };
    }
    if let Ok(storage) = data.cast::<super::storage::UntypedStorage>() {
        let length = (storage.get().0.nbytes() / wanted.size()) as i64;
        return super::storage::tensor_on(storage.get(), wanted, 0, &[length], &[1]);
    }
    refuse_text(&data)?;
    if !is_nested(&data) {
        return Err(PyTypeError::new_err(format!(
            "new(): data must be a sequence (got {})",
            type_name(&data)
        )));
    }
    copy_of(&data, Some(wanted))
}
