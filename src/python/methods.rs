//! Methods of `Tensor` that exchange data with Python: numbers, lists, arrays, subscripts, storage.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::objects::{PyDevice, parse_device};
use super::storage::UntypedStorage;
use super::tensor::{PyTensor, wrap};
use super::{dlpack, indexing, numpy, values};

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
