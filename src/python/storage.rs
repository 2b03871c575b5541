//! `UntypedStorage`: the bytes behind tensors as a Python object, and tensors on given bytes.

use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::tensor::{DType, Device, Dims, Layout, Storage, Tensor};

/// The bytes that tensors share.
#[pyclass(frozen, name = "UntypedStorage", module = "rtensor", subclass, weakref)]
pub struct UntypedStorage(pub Arc<Storage>);

#[pymethods]
impl UntypedStorage {
    #[new]
    #[pyo3(signature = (size=0))]
    fn new(size: i64) -> PyResult<Self> {
        let size = usize::try_from(size).map_err(|_| {
            PyTypeError::new_err(format!(
                "UntypedStorage: size must be non-negative, got {size}"
            ))
        })?;
        Ok(Storage::zeroed(size).map(Self)?)
    }

    /// A storage that holds a copy of the bytes.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        let storage = Storage::empty(data.len())?;
        // SAFETY: the storage was just made for this many bytes.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), storage.ptr(), data.len()) }
        Ok(Self(storage))
    }

    /// Pickles as its bytes.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let make = slf.py().get_type::<Self>().getattr("from_bytes")?;
        Ok((make, (slf.get().tobytes(slf.py())?,))
            .into_pyobject(slf.py())?
            .into_any())
    }

    #[getter]
    fn device(&self) -> super::objects::PyDevice {
        super::objects::PyDevice(self.0.device())
    }

    fn nbytes(&self) -> usize {
        self.0.nbytes()
    }

    fn size(&self) -> usize {
        self.0.nbytes()
    }

    fn __len__(&self) -> usize {
        self.0.nbytes()
    }

    fn element_size(&self) -> usize {
        1
    }

    fn data_ptr(&self) -> usize {
        self.0.ptr() as usize
    }

    #[getter]
    fn _cdata(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    #[getter]
    fn is_cuda(&self) -> bool {
        !self.0.device().is_cpu()
    }

    fn resizable(&self) -> bool {
        self.0.foreign_owner().is_none()
    }

    fn resize_(&self, size: i64) -> PyResult<()> {
        let size = usize::try_from(size).map_err(|_| {
            PyValueError::new_err(format!("resize_: size must be non-negative, got {size}"))
        })?;
        // SAFETY: the interpreter lock is the call lock.
        Ok(unsafe { crate::backend::resize(&self.0, size) }?)
    }

    /// The content as `bytes`.
    fn tobytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let all = Layout::contiguous(&[self.0.nbytes() as i64]);
        let here = Tensor::from_storage(self.0.clone(), all, DType::U8)
            .and_then(|t| crate::backend::to_cpu(&t))?;
        Ok(PyBytes::new(py, here.as_slice::<u8>()?))
    }

    fn __getitem__(&self, index: i64) -> PyResult<u8> {
        Ok(self.at(index)?.item()?.to_i64() as u8)
    }

    fn __setitem__(&self, index: i64, value: u8) -> PyResult<()> {
        Ok(crate::backend::fill(
            &self.at(index)?,
            i64::from(value).into(),
        )?)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| Arc::ptr_eq(&self.0, &other.get().0))
    }

    fn __hash__(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl UntypedStorage {
    /// One byte as a tensor.
    fn at(&self, index: i64) -> PyResult<Tensor> {
        let size = self.0.nbytes() as i64;
        let wrapped = if index < 0 { index + size } else { index };
        if !(0..size).contains(&wrapped) {
            return Err(PyIndexError::new_err(format!(
                "index {index} out of range for storage of size {size}"
            )));
        }
        tensor_on(self, DType::U8, wrapped, &[], &[])
    }
}

/// A tensor of the given layout on a storage; offset and strides in elements.
pub fn tensor_on(
    storage: &UntypedStorage,
    dtype: DType,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
) -> PyResult<Tensor> {
    if shape.len() != strides.len() {
        return Err(PyValueError::new_err(format!(
            "mismatch in length of strides and shape: {} and {}",
            strides.len(),
            shape.len()
        )));
    }
    let layout = Layout {
        shape: Dims::from_slice(shape),
        strides: Dims::from_slice(strides),
        offset,
    };
    crate::tensor::checked_numel(shape)?;
    Ok(Tensor::from_storage(storage.0.clone(), layout, dtype)?)
}

/// `frombuffer`: a tensor on the memory of an object with the buffer protocol.
pub fn from_buffer(
    object: &Bound<'_, PyAny>,
    dtype: DType,
    count: i64,
    offset: i64,
) -> PyResult<Tensor> {
    let buffer = PyBuffer::<u8>::get(object)
        .or_else(|_| {
            let flat = object
                .py()
                .import("builtins")?
                .getattr("memoryview")?
                .call1((object,))?;
            PyBuffer::<u8>::get(&flat.call_method1("cast", ("B",))?)
        })
        .map_err(|_| PyValueError::new_err("object does not implement Python buffer protocol."))?;
    let length = buffer.len_bytes();
    let elements = count_elements(length as i64, dtype.size() as i64, count, offset)?;
    if buffer.readonly() {
        warn_read_only(object.py())?;
    }
    let start = buffer.buf_ptr().cast::<u8>().wrapping_add(offset as usize);
    let layout = Layout::contiguous(&[elements]);
    let nbytes = elements as usize * dtype.size();
    if !(start as usize).is_multiple_of(dtype.size().min(8)) {
        let copy = Tensor::empty(&[elements], dtype)?;
        // SAFETY: `count_elements` found this many bytes from the start.
        unsafe { std::ptr::copy_nonoverlapping(start, copy.data_ptr(), nbytes) }
        return Ok(copy);
    }
    let writable = !buffer.readonly();
    // SAFETY: the exporter keeps the memory where it is as long as the buffer is held.
    let storage =
        unsafe { Storage::foreign(start, nbytes, Box::new(buffer), Device::CPU, writable) };
    Ok(Tensor::from_storage(storage, layout, dtype)?)
}

/// How many elements `frombuffer` takes, with PyTorch's errors.
fn count_elements(length: i64, size: i64, count: i64, offset: i64) -> PyResult<i64> {
    let refuse = |message: String| Err(PyValueError::new_err(message));
    if length == 0 || count == 0 {
        return refuse(format!(
            "both buffer length ({length}) and count ({count}) must not be 0"
        ));
    }
    if offset < 0 || offset >= length {
        return refuse(format!(
            "offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1"
        ));
    }
    let room = length - offset;
    if count < 0 {
        if room % size != 0 {
            return refuse(format!(
                "buffer length ({length} bytes) after offset ({offset} bytes) must be a multiple of element size ({size})"
            ));
        }
        return Ok(room / size);
    }
    if count > room / size {
        return refuse(format!(
            "requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must not be greater than actual buffer length ({length} bytes)"
        ));
    }
    Ok(count)
}

fn warn_read_only(py: Python<'_>) -> PyResult<()> {
    PyErr::warn(
        py,
        &py.get_type::<PyUserWarning>(),
        c"The given buffer is not writable, and PyTorch does not support non-writable tensors. This means you can write to the underlying (supposedly non-writable) buffer using the tensor. You may want to copy the buffer to protect its data or make it writable before converting it to a tensor. This type of warning will be suppressed for the rest of this program.",
        1,
    )
}
