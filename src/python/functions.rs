//! Functions of the module that make tensors from Python data, and its process-wide settings.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyUserWarning};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::objects::{PyDType, PyDevice, dtype_object, parse_device};
use super::storage::UntypedStorage;
use super::tensor::{PyTensor, unwrap, wrap};
use super::{convert, data, dlpack, numpy, storage};
use crate::Tensor;
use crate::cpu::gemm_precision::{self, Precision};
use crate::tensor::{DType, Device};

type Wrapped<'py> = PyResult<Bound<'py, PyTensor>>;

/// A `dtype=` argument.
fn dtype_argument(name: &str, object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<DType>> {
    let Some(object) = object else {
        return Ok(None);
    };
    convert::dtype(object).map(Some).ok_or_else(|| {
        PyTypeError::new_err(format!(
            "{name}(): argument 'dtype' must be torch.dtype, not {}",
            convert::type_name(object)
        ))
    })
}

fn device_argument(object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Device>> {
    object.map(parse_device).transpose()
}

/// The tensor on the device asked for, without history.
fn moved(tensor: Tensor, device: Device) -> PyResult<Tensor> {
    Ok(crate::backend::to_device(&tensor, device)?)
}

fn set_requires_grad(tensor: &Tensor, requires_grad: bool) -> PyResult<()> {
    if requires_grad && !tensor.dtype().is_differentiable() {
        return Err(PyRuntimeError::new_err(
            "Only Tensors of floating point and complex dtype can require gradients",
        ));
    }
    tensor.set_requires_grad_flag(requires_grad);
    Ok(())
}

/// A tensor that copies the data: numbers, nested sequences, arrays, tensors.
///
/// The dtype follows the data unless it is given.
#[pyfunction]
#[pyo3(signature = (data, *, dtype = None, device = None, requires_grad = false, pin_memory = false))]
fn tensor<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    requires_grad: bool,
    pin_memory: bool,
) -> Wrapped<'py> {
    let (dtype, device) = (dtype_argument("tensor", dtype)?, device_argument(device)?);
    if unwrap(data).is_some() {
        PyErr::warn(
            py,
            &py.get_type::<PyUserWarning>(),
            c"To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            1,
        )?;
    }
    let made = data::copy_of(data, dtype)?;
    let device = match device {
        Some(device) => device,
        None if unwrap(data).is_some() || !made.device().is_cpu() => made.device(),
        None => crate::tensor::default_device(),
    };
    let mut made = moved(made, device)?;
    if pin_memory {
        made = crate::backend::pinned(&made)?;
    }
    set_requires_grad(&made, requires_grad)?;
    wrap(py, made)
}

/// The data as a tensor, without a copy where dtype and device allow; history is kept.
#[pyfunction]
#[pyo3(signature = (data, dtype = None, device = None))]
fn as_tensor<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (wanted, place) = (
        dtype_argument("as_tensor", dtype)?,
        device_argument(device)?,
    );
    if unwrap(data).is_some() {
        let options = PyDict::new(py);
        options.set_item("dtype", dtype)?;
        options.set_item("device", device)?;
        return if wanted.is_none() && place.is_none() {
            Ok(data.clone())
        } else {
            data.call_method("to", (), Some(&options))
        };
    }
    if let Some(shared) = data::on_gpu(data)? {
        return as_tensor(py, wrap(py, shared)?.as_any(), dtype, device);
    }
    let shared = if numpy::is_array(data) {
        let shared = numpy::from_array(data, true)?;
        match wanted {
            Some(dtype) if dtype != shared.dtype() => data::duplicate(&shared, dtype)?,
            _ => shared,
        }
    } else {
        data::copy_of(data, wanted)?
    };
    let made = moved(shared, place.unwrap_or_else(crate::tensor::default_device))?;
    Ok(wrap(py, made)?.into_any())
}

/// A tensor on the memory of a NumPy array.
#[pyfunction]
#[pyo3(signature = (ndarray, /))]
fn from_numpy<'py>(py: Python<'py>, ndarray: &Bound<'py, PyAny>) -> Wrapped<'py> {
    wrap(py, numpy::from_array(ndarray, true)?)
}

/// A 1-dim tensor on the memory of an object with the buffer protocol.
#[pyfunction]
#[pyo3(signature = (buffer, *, dtype, count = -1, offset = 0, requires_grad = false))]
fn frombuffer<'py>(
    py: Python<'py>,
    buffer: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    count: i64,
    offset: i64,
    requires_grad: bool,
) -> Wrapped<'py> {
    let dtype = dtype_argument("frombuffer", Some(dtype))?.unwrap_or(DType::U8);
    let made = storage::from_buffer(buffer, dtype, count, offset)?;
    set_requires_grad(&made, requires_grad)?;
    wrap(py, made)
}

/// A tensor on the memory of an object with `__dlpack__`, or of a DLPack capsule.
#[pyfunction]
fn _from_dlpack<'py>(py: Python<'py>, object: &Bound<'py, PyAny>) -> Wrapped<'py> {
    wrap(py, dlpack::from_object(object)?)
}

/// Data of an old-style constructor: `FloatTensor(2, 3)`, `LongTensor([1, 2])`.
#[pyfunction]
#[pyo3(signature = (dtype, *args, **kwargs))]
fn _legacy<'py>(
    py: Python<'py>,
    dtype: &PyDType,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> Wrapped<'py> {
    wrap(py, data::legacy(args, kwargs, Some(dtype.0))?)
}

/// A tensor of the given layout on a storage; offset and strides in elements.
#[pyfunction]
fn _tensor_on<'py>(
    py: Python<'py>,
    storage: &UntypedStorage,
    dtype: &PyDType,
    offset: i64,
    size: Vec<i64>,
    stride: Vec<i64>,
) -> Wrapped<'py> {
    wrap(
        py,
        storage::tensor_on(storage, dtype.0, offset, &size, &stride)?,
    )
}

/// The dtype of floating-point tensors made without one.
#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> Py<PyDType> {
    dtype_object(py, crate::tensor::default_dtype())
}

#[pyfunction]
fn set_default_dtype(d: &Bound<'_, PyAny>) -> PyResult<()> {
    let dtype = dtype_argument("set_default_dtype", Some(d))?.unwrap_or(DType::F32);
    Ok(crate::tensor::set_default_dtype(dtype)?)
}

/// The device of tensors made without one, on this thread.
#[pyfunction]
fn get_default_device() -> PyDevice {
    PyDevice(crate::tensor::default_device())
}

/// Sets the device of tensors made without one; gives back the one before.
#[pyfunction]
#[pyo3(signature = (device))]
fn _set_default_device(device: Option<&Bound<'_, PyAny>>) -> PyResult<PyDevice> {
    let device = device_argument(device)?.unwrap_or(Device::CPU);
    Ok(PyDevice(crate::tensor::set_default_device(device)))
}

/// How many threads kernels use.
#[pyfunction]
fn get_num_threads() -> usize {
    crate::cpu::pool::threads()
}

#[pyfunction]
fn set_num_threads(int: i64) -> PyResult<()> {
    match usize::try_from(int) {
        Ok(count) if count > 0 => {
            crate::cpu::pool::set_num_threads(count);
            Ok(())
        }
        _ => Err(PyRuntimeError::new_err(
            "set_num_threads expects a positive integer",
        )),
    }
}

#[pyfunction]
fn _set_float32_matmul_precision(precision: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(precision) = precision.extract::<String>() else {
        return Err(PyRuntimeError::new_err(format!(
            "set_float32_matmul_precision expects a str, but got {}",
            convert::type_name(precision)
        )));
    };
    let Some(known) = Precision::named(&precision) else {
        return Err(PyRuntimeError::new_err(format!(
            "{precision} is not one of 'highest', 'high', or 'medium'"
        )));
    };
    gemm_precision::set_precision(known);
    Ok(())
}

#[pyfunction]
fn _float32_matmul_precision() -> &'static str {
    gemm_precision::precision().name()
}

/// Gives cached memory back to the system.
#[pyfunction]
fn empty_cache() {
    crate::cpu::alloc::empty_cache();
}

/// Bytes of CPU memory: `reserved`, taken from the system, and of these `cached`, freed large blocks that wait for reuse.
#[pyfunction]
fn memory_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = crate::cpu::alloc::stats();
    let dict = PyDict::new(py);
    dict.set_item("reserved", stats.reserved)?;
    dict.set_item("cached", stats.cached)?;
    Ok(dict)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    macro_rules! add {
        ($($name:ident)*) => { $(module.add_function(wrap_pyfunction!($name, module)?)?;)* };
    }
    add!(
        tensor as_tensor from_numpy frombuffer _from_dlpack _legacy _tensor_on
        get_default_dtype set_default_dtype get_default_device _set_default_device
        get_num_threads set_num_threads empty_cache memory_stats
        _float32_matmul_precision _set_float32_matmul_precision
    );
    module.add_class::<UntypedStorage>()?;
    module.add("Size", super::size::class(module.py())?)
}
