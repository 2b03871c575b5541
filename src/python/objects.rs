//! `dtype`, `device`, `layout` and `memory_format` objects, which print and compare as PyTorch's.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};

use crate::ops::MemoryFormat;
use crate::tensor::{DType, Device, DeviceType};

/// The type of a tensor's elements.
#[pyclass(
    name = "dtype",
    module = "rtensor",
    frozen,
    eq,
    hash,
    skip_from_py_object
)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PyDType(pub DType);

#[pymethods]
impl PyDType {
    fn __repr__(&self) -> String {
        format!("torch.{}", self.0.name())
    }

    fn __reduce__(&self) -> &'static str {
        self.0.name()
    }

    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }

    #[getter]
    fn is_complex(&self) -> bool {
        self.0.is_complex()
    }

    #[getter]
    fn is_signed(&self) -> bool {
        self.0.is_signed()
    }

    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }

    fn to_real(slf: &Bound<'_, Self>) -> Py<PyDType> {
        dtype_object(slf.py(), slf.get().0.to_real())
    }

    fn to_complex(slf: &Bound<'_, Self>) -> Py<PyDType> {
        dtype_object(slf.py(), slf.get().0.to_complex())
    }
}

/// The one object of a dtype: `x.dtype is torch.float32` holds.
pub fn dtype_object(py: Python<'_>, dtype: DType) -> Py<PyDType> {
    static OBJECTS: PyOnceLock<Vec<Py<PyDType>>> = PyOnceLock::new();
    let objects = OBJECTS.get_or_init(py, || {
        DType::ALL
            .iter()
            .filter_map(|&d| Py::new(py, PyDType(d)).ok())
            .collect()
    });
    objects[dtype as usize].clone_ref(py)
}

thread_local! {
    /// The default devices outside of the `with device:` blocks that this thread is in.
    static DEVICES: std::cell::RefCell<Vec<Device>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Where a tensor lies: `device("cuda", 1)`, `device("cuda:1")`.
#[pyclass(
    name = "device",
    module = "rtensor",
    frozen,
    eq,
    hash,
    weakref,
    skip_from_py_object
)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PyDevice(pub Device);

#[pymethods]
impl PyDevice {
    #[new]
    #[pyo3(signature = (r#type, index = None))]
    fn new(r#type: &Bound<'_, PyAny>, index: Option<i64>) -> PyResult<PyDevice> {
        let mut device = parse_device(r#type)?;
        if let Some(index) = index {
            if device.index >= 0 {
                let text = format!(
                    "type (string) must not include an index because index was passed explicitly: {device}"
                );
                return Err(PyRuntimeError::new_err(text));
            }
            device.index = i8::try_from(index)
                .ok()
                .filter(|&i| i >= 0)
                .ok_or_else(|| {
                    PyRuntimeError::new_err(format!(
                        "Device index must be between 0 and 127, got {index}"
                    ))
                })?;
        }
        Ok(PyDevice(device))
    }

    fn __repr__(&self) -> String {
        match self.0.index {
            i if i < 0 => format!("device(type='{}')", self.0.type_name()),
            i => format!("device(type='{}', index={i})", self.0.type_name()),
        }
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    #[getter]
    fn r#type(&self) -> &'static str {
        self.0.type_name()
    }

    #[getter]
    fn index(&self) -> Option<i8> {
        (self.0.index >= 0).then_some(self.0.index)
    }

    /// Within the block, tensors are made on this device.
    fn __enter__(slf: &Bound<'_, Self>) -> Py<Self> {
        let before = crate::tensor::set_default_device(slf.get().0);
        DEVICES.with_borrow_mut(|stack| stack.push(before));
        slf.clone().unbind()
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, _exc: &Bound<'_, PyTuple>) {
        if let Some(before) = DEVICES.with_borrow_mut(Vec::pop) {
            crate::tensor::set_default_device(before);
        }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let device = slf.get();
        let args = match device.index() {
            None => PyTuple::new(slf.py(), [device.r#type()])?.into_any(),
            Some(i) => (device.r#type(), i).into_pyobject(slf.py())?.into_any(),
        };
        (slf.get_type(), args).into_pyobject(slf.py())
    }
}

/// A device from a `device`, a string or an index.
pub fn parse_device(object: &Bound<'_, PyAny>) -> PyResult<Device> {
    if let Ok(device) = object.cast::<PyDevice>() {
        return Ok(device.get().0);
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Device::parse(text.to_str()?)?);
    }
    if let Ok(index) = object.extract::<i64>() {
        let index = i8::try_from(index)
            .ok()
            .filter(|&i| i >= 0)
            .ok_or_else(|| {
                PyRuntimeError::new_err(format!(
                    "Device index must be between 0 and 127, got {index}"
                ))
            })?;
        return Ok(Device {
            kind: DeviceType::Cuda,
            index,
        });
    }
    Err(PyTypeError::new_err(format!(
        "device must be torch.device, str or int, not {}",
        super::convert::type_name(object)
    )))
}

/// How elements are stored; dense tensors are `torch.strided`.
#[pyclass(name = "layout", module = "rtensor", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub struct PyLayout(&'static str);

#[pymethods]
impl PyLayout {
    fn __repr__(&self) -> String {
        format!("torch.{}", self.0)
    }

    fn __reduce__(&self) -> &'static str {
        self.0
    }
}

/// The order of dimensions in memory.
#[pyclass(name = "memory_format", module = "rtensor", frozen)]
pub struct PyMemoryFormat(pub MemoryFormat);

#[pymethods]
impl PyMemoryFormat {
    fn __repr__(&self) -> String {
        format!("torch.{}", self.__reduce__())
    }

    fn __reduce__(&self) -> &'static str {
        match self.0 {
            MemoryFormat::Contiguous => "contiguous_format",
            MemoryFormat::Preserve => "preserve_format",
            MemoryFormat::ChannelsLast => "channels_last",
            MemoryFormat::ChannelsLast3d => "channels_last_3d",
        }
    }
}

const DTYPE_ALIASES: &[(&str, DType)] = &[
    ("float", DType::F32),
    ("double", DType::F64),
    ("half", DType::F16),
    ("cfloat", DType::C64),
    ("cdouble", DType::C128),
    ("uint8", DType::U8),
    ("short", DType::I16),
    ("int", DType::I32),
    ("long", DType::I64),
];

/// Puts the constants into the module: every dtype under its names, layouts, memory formats.
pub fn add_constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let named = DType::ALL
        .iter()
        .map(|&d| (d.name(), d))
        .chain(DTYPE_ALIASES.iter().copied());
    for (name, dtype) in named {
        module.add(name, dtype_object(py, dtype))?;
    }
    for name in [
        "strided",
        "sparse_coo",
        "sparse_csr",
        "sparse_csc",
        "sparse_bsr",
        "sparse_bsc",
    ] {
        module.add(name, Py::new(py, PyLayout(name))?)?;
    }
    for format in [
        MemoryFormat::Contiguous,
        MemoryFormat::Preserve,
        MemoryFormat::ChannelsLast,
        MemoryFormat::ChannelsLast3d,
    ] {
        let object = PyMemoryFormat(format);
        module.add(object.__reduce__(), Py::new(py, object)?)?;
    }
    Ok(())
}
