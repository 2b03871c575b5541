//! Methods of `Tensor` that exchange data with Python: numbers, lists, arrays, subscripts, storage.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::objects::{PyDevice, parse_device};
use super::storage::UntypedStorage;
use super::tensor::{PyTensor, wrap};
use super::{convert, dlpack, indexing, numpy, storage, values};

#[pymethods]
impl PyTensor {
    /// The only element as a Python number.
    fn item<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::item(py, &self.tensor)
    }

    /// The elements as nested lists of Python numbers; a number for a 0-dim tensor.
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_list(py, &self.tensor)
    }

    fn __bool__(&self) -> PyResult<bool> {
        values::is_true(&self.tensor)
    }

    fn __float__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_float(py, &self.tensor)
    }

    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_int(py, &self.tensor)
    }

    fn __index__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_index(py, &self.tensor)
    }

    fn __complex__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_complex(py, &self.tensor)
    }

    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyTensor>> {
        wrap(slf.py(), indexing::subscript(&slf.get().tensor, key)?)
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        indexing::assign(&self.tensor, key, value)
    }

    fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "Tensor does not support deleting items",
        ))
    }

    /// A NumPy array on the tensor's memory; with `force`, of a detached copy on the CPU where it cannot be shared.
    #[pyo3(signature = (*, force = false))]
    fn numpy<'py>(&self, py: Python<'py>, force: bool) -> PyResult<Bound<'py, PyAny>> {
        if force {
            numpy::to_array_forced(py, &self.tensor)
        } else {
            numpy::to_array(py, &self.tensor)
        }
    }

    #[pyo3(signature = (dtype = None, *, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = numpy::to_array(py, &self.tensor)?;
        if dtype.is_none() && copy != Some(true) {
            return Ok(array);
        }
        let dtype = match dtype {
            Some(dtype) => dtype.clone(),
            None => array.getattr("dtype")?,
        };
        let options = PyDict::new(py);
        options.set_item("copy", copy == Some(true))?;
        array.call_method("astype", (dtype,), Some(&options))
    }

    /// Ahead of NumPy's arrays in mixed operations.
    #[getter]
    fn __array_priority__(&self) -> i32 {
        1000
    }

    #[pyo3(signature = (versioned = false))]
    fn _to_dlpack<'py>(&self, py: Python<'py>, versioned: bool) -> PyResult<Bound<'py, PyAny>> {
        dlpack::export(py, &self.tensor, versioned)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        dlpack::device_of(&self.tensor)
    }

    /// The bytes behind the tensor, shared with every view of them.
    fn untyped_storage(&self) -> UntypedStorage {
        UntypedStorage(self.tensor.storage().clone())
    }

    /// PyTorch's old name of the dtype: `torch.FloatTensor`.
    fn _type_name(&self) -> String {
        indexing::legacy_type(&self.tensor)
    }

    /// The tensor on the CPU: itself, where it is there.
    #[pyo3(signature = (memory_format = None))]
    fn cpu<'py>(
        slf: &Bound<'py, Self>,
        memory_format: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().tensor.device().is_cpu() && memory_format.is_none() {
            return Ok(slf.clone().into_any());
        }
        slf.call_method1("to", ("cpu",))
    }

    /// The tensor on a GPU: the current one, unless one is given.
    #[pyo3(signature = (device = None, non_blocking = false, memory_format = None))]
    fn cuda<'py>(
        slf: &Bound<'py, Self>,
        device: Option<&Bound<'py, PyAny>>,
        non_blocking: bool,
        memory_format: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = (non_blocking, memory_format);
        match device {
            Some(device) => slf.call_method1("to", (PyDevice(parse_device(device)?),)),
            None => slf.call_method1("to", ("cuda",)),
        }
    }

    /// Is the only element not zero?
    fn is_nonzero(&self) -> PyResult<bool> {
        values::is_true(&self.tensor)
    }

    fn is_same_size(&self, other: &Bound<'_, PyTensor>) -> bool {
        self.tensor.shape() == other.get().tensor.shape()
    }

    /// Gives the tensor other sizes, row-major; new elements are not initialised.
    #[pyo3(signature = (*sizes, memory_format = None))]
    fn resize_<'py>(
        slf: &Bound<'py, Self>,
        sizes: &Bound<'py, PyTuple>,
        memory_format: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let _ = memory_format;
        if slf.get().tensor.requires_grad() {
            return Err(PyRuntimeError::new_err(
                "cannot resize variables that require grad",
            ));
        }
        let shape: Vec<i64> = match sizes.get_item(0) {
            Ok(first) if sizes.len() == 1 && convert::int(&first).is_none() => first.extract()?,
            _ => sizes.extract()?,
        };
        crate::ops::resize(&slf.get().tensor, &shape)?;
        Ok(slf.clone())
    }

    /// Gives the tensor the sizes of another one.
    #[pyo3(signature = (tensor, memory_format = None))]
    fn resize_as_<'py>(
        slf: &Bound<'py, Self>,
        tensor: &Bound<'py, PyTensor>,
        memory_format: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let sizes = PyTuple::new(slf.py(), tensor.get().tensor.shape())?;
        Self::resize_(slf, &sizes, memory_format)
    }

    /// Lets the tensor look at the memory of a tensor or storage.
    #[pyo3(signature = (source = None, storage_offset = 0, size = None, stride = None))]
    fn set_<'py>(
        slf: &Bound<'py, Self>,
        source: Option<&Bound<'py, PyAny>>,
        storage_offset: i64,
        size: Option<Vec<i64>>,
        stride: Option<Vec<i64>>,
    ) -> PyResult<Bound<'py, Self>> {
        let target = &slf.get().tensor;
        let other = storage::source(source, target.dtype(), storage_offset, size, stride)?;
        if other.dtype() != target.dtype() {
            return Err(PyRuntimeError::new_err(format!(
                "Could not set tensor of type {} to a tensor of type {}",
                other.dtype(),
                target.dtype()
            )));
        }
        // SAFETY: the interpreter lock is the call lock, and no reference to the metadata is kept.
        unsafe { target.set_body(&other) }
        Ok(slf.clone())
    }

    /// Is the memory laid out row-major (or in another of PyTorch's formats)?
    #[pyo3(signature = (memory_format = None))]
    fn is_contiguous(&self, memory_format: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        use super::objects::PyMemoryFormat;
        use crate::ops::MemoryFormat;
        let format = match memory_format {
            None => MemoryFormat::Contiguous,
            Some(object) => object.cast::<PyMemoryFormat>()?.get().0,
        };
        Ok(match format {
            MemoryFormat::Contiguous | MemoryFormat::Preserve => self.tensor.is_contiguous(),
            MemoryFormat::ChannelsLast => is_channels_last(&self.tensor, 4),
            MemoryFormat::ChannelsLast3d => is_channels_last(&self.tensor, 5),
        })
    }
}

/// Are the strides row-major once the channels come last?
fn is_channels_last(tensor: &crate::Tensor, ndim: usize) -> bool {
    if tensor.ndim() != ndim {
        return false;
    }
    let mut layout = tensor.layout().clone();
    for list in [&mut layout.shape, &mut layout.strides] {
        let channels = list.remove(1);
        list.push(channels);
    }
    layout.is_contiguous()
}
