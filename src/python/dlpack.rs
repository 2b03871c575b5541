//! DLPack both ways: tensors lent to, and borrowed from, other libraries.

use std::ffi::{CStr, c_void};

use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::tensor::{DType, Device, DeviceType, Dims, Layout, Storage, Tensor, contiguous_strides};

#[repr(C)]
#[derive(Clone, Copy)]
struct DlTensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// The exchange structure before DLPack 1.0.
#[repr(C)]
struct Legacy {
    tensor: DlTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Legacy)>,
}

#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    tensor: DlTensor,
}

const READ_ONLY: u64 = 1;
const CPU: i32 = 1;
const CUDA: i32 = 2;
const CUDA_HOST: i32 = 3;

/// What an exported structure points into.
struct Held {
    _tensor: Tensor,
    shape: Dims,
    strides: Dims,
}

fn type_code(dtype: DType) -> u8 {
    match dtype {
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => 0,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => 1,
        DType::F16 | DType::F32 | DType::F64 => 2,
        DType::BF16 => 4,
        DType::C64 | DType::C128 => 5,
        DType::Bool => 6,
    }
}

fn dtype_from(tensor: &DlTensor) -> PyResult<DType> {
    let found = DType::ALL
        .iter()
        .copied()
        .find(|&d| type_code(d) == tensor.code && d.size() * 8 == tensor.bits as usize);
    match found {
        Some(dtype) if tensor.lanes == 1 => Ok(dtype),
        _ => Err(PyBufferError::new_err(format!(
            "Unsupported DLPack dtype: code {}, bits {}, lanes {}",
            tensor.code, tensor.bits, tensor.lanes
        ))),
    }
}

/// The `(type, id)` pair of `__dlpack_device__`.
#[must_use]
pub fn device_of(tensor: &Tensor) -> (i32, i32) {
    let device = tensor.device();
    let kind = match device.kind {
        DeviceType::Cuda => CUDA,
        _ => CPU,
    };
    (kind, i32::from(device.index.max(0)))
}

fn describe(tensor: &Tensor, held: &mut Held) -> DlTensor {
    let (device_type, device_id) = device_of(tensor);
    DlTensor {
        data: tensor.data_ptr().cast(),
        device_type,
        device_id,
        ndim: tensor.ndim() as i32,
        code: type_code(tensor.dtype()),
        bits: (tensor.dtype().size() * 8) as u8,
        lanes: 1,
        shape: held.shape.as_mut_ptr(),
        strides: held.strides.as_mut_ptr(),
        byte_offset: 0,
    }
}

/// A capsule that lends the tensor's memory.
pub fn export<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    versioned: bool,
) -> PyResult<Bound<'py, PyAny>> {
    if tensor.requires_grad() {
        return Err(PyBufferError::new_err(
            "Can't export tensors that require gradient, use tensor.detach()",
        ));
    }
    if tensor.lazy().any() {
        return Err(PyBufferError::new_err(
            "Can't export tensors with the conjugate bit set",
        ));
    }
    tensor.storage().forbid_resize();
    let mut held = Box::new(Held {
        _tensor: tensor.clone(),
        shape: Dims::from_slice(tensor.shape()),
        strides: Dims::from_slice(tensor.strides()),
    });
    let described = describe(tensor, &mut held);
    let context = Box::into_raw(held).cast();
    // SAFETY: the capsule owns the structure until a consumer renames it and calls its deleter.
    unsafe {
        let capsule = if versioned {
            let managed = Box::new(Versioned {
                major: 1,
                minor: 0,
                context,
                deleter: Some(delete_versioned),
                flags: if tensor.storage().is_writable() {
                    0
                } else {
                    READ_ONLY
                },
                tensor: described,
            });
            ffi::PyCapsule_New(
                Box::into_raw(managed).cast(),
                NEW_VERSIONED.as_ptr(),
                Some(drop_versioned),
            )
        } else {
            let managed = Box::new(Legacy {
                tensor: described,
                context,
                deleter: Some(delete_legacy),
            });
            ffi::PyCapsule_New(
                Box::into_raw(managed).cast(),
                NEW.as_ptr(),
                Some(drop_legacy),
            )
        };
        Bound::from_owned_ptr_or_err(py, capsule)
    }
}

const NEW: &CStr = c"dltensor";
const USED: &CStr = c"used_dltensor";
const NEW_VERSIONED: &CStr = c"dltensor_versioned";
const USED_VERSIONED: &CStr = c"used_dltensor_versioned";

unsafe extern "C" fn delete_legacy(managed: *mut Legacy) {
    // SAFETY: made by `export`, deleted once by its consumer.
    unsafe {
        drop(Box::from_raw((*managed).context.cast::<Held>()));
        drop(Box::from_raw(managed));
    }
}

unsafe extern "C" fn delete_versioned(managed: *mut Versioned) {
    // SAFETY: as above.
    unsafe {
        drop(Box::from_raw((*managed).context.cast::<Held>()));
        drop(Box::from_raw(managed));
    }
}

unsafe extern "C" fn drop_legacy(capsule: *mut ffi::PyObject) {
    // SAFETY: a capsule that still has its first name was never consumed.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, NEW.as_ptr()) != 0 {
            delete_legacy(ffi::PyCapsule_GetPointer(capsule, NEW.as_ptr()).cast());
        }
    }
}

unsafe extern "C" fn drop_versioned(capsule: *mut ffi::PyObject) {
    // SAFETY: as above.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, NEW_VERSIONED.as_ptr()) != 0 {
            delete_versioned(ffi::PyCapsule_GetPointer(capsule, NEW_VERSIONED.as_ptr()).cast());
        }
    }
}

/// A borrowed structure, given back when the last tensor on it is gone.
enum Borrowed {
    Legacy(*mut Legacy),
    Versioned(*mut Versioned),
}

// SAFETY: DLPack lets any thread call the deleter, and nothing else is done with the pointer.
unsafe impl Send for Borrowed {}
// SAFETY: as above.
unsafe impl Sync for Borrowed {}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: the structure is ours since the capsule was renamed, and is deleted once.
        unsafe {
            match *self {
                Borrowed::Legacy(p) => {
                    if let Some(deleter) = (*p).deleter {
                        deleter(p);
                    }
                }
                Borrowed::Versioned(p) => {
                    if let Some(deleter) = (*p).deleter {
                        deleter(p);
                    }
                }
            }
        }
    }
}

/// A tensor on the memory of an object with `__dlpack__`, or of a capsule.
pub fn from_object(object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let py = object.py();
    let name = pyo3::intern!(py, "__dlpack__");
    if !object.hasattr(name)? {
        return from_capsule(object);
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item("max_version", (1, 0))?;
    let capsule = match object.call_method(name, (), Some(&kwargs)) {
        Err(error) if error.is_instance_of::<PyTypeError>(py) => object.call_method0(name)?,
        other => other?,
    };
    from_capsule(&capsule)
}

fn from_capsule(capsule: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let raw = capsule.as_ptr();
    // SAFETY: names are checked before the pointer is used as the structure of that name.
    unsafe {
        let (tensor, borrowed, writable) = if ffi::PyCapsule_IsValid(raw, NEW_VERSIONED.as_ptr())
            != 0
        {
            let managed =
                ffi::PyCapsule_GetPointer(raw, NEW_VERSIONED.as_ptr()).cast::<Versioned>();
            if (*managed).major > 1 {
                return Err(PyBufferError::new_err(format!(
                    "Unsupported DLPack version {}",
                    (*managed).major
                )));
            }
            ffi::PyCapsule_SetName(raw, USED_VERSIONED.as_ptr());
            (
                (*managed).tensor,
                Borrowed::Versioned(managed),
                (*managed).flags & READ_ONLY == 0,
            )
        } else if ffi::PyCapsule_IsValid(raw, NEW.as_ptr()) != 0 {
            let managed = ffi::PyCapsule_GetPointer(raw, NEW.as_ptr()).cast::<Legacy>();
            ffi::PyCapsule_SetName(raw, USED.as_ptr());
            ((*managed).tensor, Borrowed::Legacy(managed), true)
        } else {
            return Err(PyRuntimeError::new_err(
                "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might have already constructed a tensor from it once.",
            ));
        };
        adopt(&tensor, borrowed, writable)
    }
}

/// # Safety
/// The structure describes memory that lives as long as `borrowed`.
unsafe fn adopt(tensor: &DlTensor, borrowed: Borrowed, writable: bool) -> PyResult<Tensor> {
    let dtype = dtype_from(tensor)?;
    let ndim = tensor.ndim.max(0) as usize;
    // SAFETY: DLPack arrays have `ndim` sizes, and as many strides unless row-major.
    let layout = unsafe {
        let shape = match ndim {
            0 => Dims::new(),
            _ => Dims::from_slice(std::slice::from_raw_parts(tensor.shape, ndim)),
        };
        let strides = if tensor.strides.is_null() || ndim == 0 {
            contiguous_strides(&shape)
        } else {
            Dims::from_slice(std::slice::from_raw_parts(tensor.strides, ndim))
        };
        Layout {
            shape,
            strides,
            offset: 0,
        }
    };
    let device = match tensor.device_type {
        CPU | CUDA_HOST => Device::CPU,
        CUDA => Device {
            kind: DeviceType::Cuda,
            index: tensor.device_id as i8,
        },
        other => {
            return Err(PyBufferError::new_err(format!(
                "Unsupported DLPack device type: {other}"
            )));
        }
    };
    let (low, high) = layout.extent().unwrap_or((0, -1));
    let data = tensor
        .data
        .cast::<u8>()
        .wrapping_add(tensor.byte_offset as usize);
    if low < 0 || !(data as usize).is_multiple_of(dtype.size().min(8)) {
        return Err(PyBufferError::new_err(
            "from_dlpack: memory with negative strides or unaligned elements is not supported",
        ));
    }
    let nbytes = (high + 1) as usize * dtype.size();
    // SAFETY: passed on to the caller.
    let storage = unsafe { Storage::foreign(data, nbytes, Box::new(borrowed), device, writable) };
    Ok(Tensor::from_storage(storage, layout, dtype)?)
}
