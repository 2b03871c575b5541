//! NumPy arrays in and out without a copy, through NumPy's table of C functions.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyUserWarning, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCapsule;

use crate::tensor::{DType, Device, Dims, Layout, Storage, Tensor};

/// The public part of NumPy's array object, the same in every version that we take.
#[repr(C)]
struct ArrayObject {
    head: ffi::PyObject,
    data: *mut u8,
    ndim: c_int,
    shape: *mut isize,
    strides: *mut isize,
    base: *mut ffi::PyObject,
    descr: *mut DescrObject,
    flags: c_int,
}

/// The leading part of NumPy's dtype object.
#[repr(C)]
struct DescrObject {
    head: ffi::PyObject,
    scalar_type: *mut ffi::PyTypeObject,
    kind: c_char,
    letter: c_char,
    byte_order: c_char,
    former_flags: c_char,
    type_number: c_int,
}

const ALIGNED: c_int = 0x0100;
const WRITEABLE: c_int = 0x0400;

type NewFromDescr = unsafe extern "C" fn(
    *mut ffi::PyTypeObject,
    *mut ffi::PyObject,
    c_int,
    *const isize,
    *const isize,
    *mut c_void,
    c_int,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
type SetBaseObject = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> c_int;
type DescrFromType = unsafe extern "C" fn(c_int) -> *mut ffi::PyObject;

/// What we use of NumPy, looked up once.
struct Api {
    array_type: *mut ffi::PyTypeObject,
    generic_type: *mut ffi::PyTypeObject,
    new_from_descr: NewFromDescr,
    set_base_object: SetBaseObject,
    /// NumPy's dtype object of each of ours; bfloat16's is that of `ml_dtypes`.
    descrs: [*mut ffi::PyObject; DType::ALL.len()],
    bfloat16: c_int,
}

// SAFETY: the objects are immortal for us (never released), and used under the interpreter lock.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

static API: PyOnceLock<Api> = PyOnceLock::new();

impl Api {
    fn get(py: Python<'_>) -> PyResult<&'static Api> {
        API.get_or_try_init(py, || Api::load(py))
    }

    fn load(py: Python<'_>) -> PyResult<Api> {
        let module = py.import("numpy._core._multiarray_umath")?;
        let capsule = module.getattr("_ARRAY_API")?.cast_into::<PyCapsule>()?;
        // SAFETY: the capsule holds NumPy's table of function pointers, whose numbering is stable.
        unsafe {
            let table =
                ffi::PyCapsule_GetPointer(capsule.as_ptr(), std::ptr::null()).cast::<*mut c_void>();
            if table.is_null() {
                return Err(PyErr::fetch(py));
            }
            let entry = |i: usize| *table.add(i);
            let descr_from_type = std::mem::transmute::<*mut c_void, DescrFromType>(entry(45));
            let mut descrs = [std::ptr::null_mut(); DType::ALL.len()];
            for (slot, &dtype) in descrs.iter_mut().zip(DType::ALL) {
                if let Some(number) = type_number(dtype) {
                    *slot = descr_from_type(number);
                }
            }
            let mut bfloat16 = -1;
            if let Ok(descr) = ml_dtypes_bfloat16(py) {
                bfloat16 = (*descr.as_ptr().cast::<DescrObject>()).type_number;
                descrs[DType::BF16 as usize] = descr.into_ptr();
            }
            Ok(Api {
                array_type: entry(2).cast(),
                generic_type: entry(10).cast(),
                new_from_descr: std::mem::transmute::<*mut c_void, NewFromDescr>(entry(94)),
                set_base_object: std::mem::transmute::<*mut c_void, SetBaseObject>(entry(282)),
                descrs,
                bfloat16,
            })
        }
    }

    fn dtype_of(&self, descr: &DescrObject) -> Option<DType> {
        Some(match descr.type_number {
            0 => DType::Bool,
            1 => DType::I8,
            2 => DType::U8,
            3 => DType::I16,
            4 => DType::U16,
            5 => DType::I32,
            6 => DType::U32,
            7 | 9 => DType::I64,
            8 | 10 => DType::U64,
            11 => DType::F32,
            12 => DType::F64,
            14 => DType::C64,
            15 => DType::C128,
            23 => DType::F16,
            n if n == self.bfloat16 => DType::BF16,
            _ => return None,
        })
    }

    #[inline]
    fn array<'a>(&self, object: &'a Bound<'_, PyAny>) -> Option<&'a ArrayObject> {
        // SAFETY: the object is an instance of NumPy's array type, whose layout this is.
        unsafe {
            (ffi::PyObject_TypeCheck(object.as_ptr(), self.array_type) != 0)
                .then(|| &*object.as_ptr().cast::<ArrayObject>())
        }
    }
}

/// NumPy's number of the C type (64-bit `long`, as on every platform that we build for).
fn type_number(dtype: DType) -> Option<c_int> {
    Some(match dtype {
        DType::Bool => 0,
        DType::I8 => 1,
        DType::U8 => 2,
        DType::I16 => 3,
        DType::U16 => 4,
        DType::I32 => 5,
        DType::U32 => 6,
        DType::I64 => 7,
        DType::U64 => 8,
        DType::F32 => 11,
        DType::F64 => 12,
        DType::C64 => 14,
        DType::C128 => 15,
        DType::F16 => 23,
        DType::BF16 => return None,
    })
}

fn ml_dtypes_bfloat16(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let scalar = py.import("ml_dtypes")?.getattr("bfloat16")?;
    py.import("numpy")?.getattr("dtype")?.call1((scalar,))
}

/// Is the object a NumPy array? Costs nothing while NumPy was never used.
pub fn is_array(object: &Bound<'_, PyAny>) -> bool {
    numpy_loaded(object.py()).is_some_and(|api| api.array(object).is_some())
}

/// Is the object a NumPy scalar, as `np.float32(1)`?
pub fn is_scalar(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a type check of a live object.
    numpy_loaded(object.py()).is_some_and(|api| unsafe {
        ffi::PyObject_TypeCheck(object.as_ptr(), api.generic_type) != 0
    })
}

/// The table, if this process has imported NumPy: no object is an array before that.
fn numpy_loaded(py: Python<'_>) -> Option<&'static Api> {
    if let Some(api) = API.get(py) {
        return Some(api);
    }
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    if modules.contains("numpy").ok()? {
        Api::get(py).ok()
    } else {
        None
    }
}

/// The dtype of a NumPy array or scalar.
pub fn dtype_of(object: &Bound<'_, PyAny>) -> PyResult<DType> {
    let py = object.py();
    let api = Api::get(py)?;
    let descr = object.getattr(pyo3::intern!(py, "dtype"))?;
    // SAFETY: `dtype` of an array or scalar is a NumPy dtype object.
    let found = api.dtype_of(unsafe { &*descr.as_ptr().cast::<DescrObject>() });
    found.ok_or_else(|| foreign_dtype(&descr))
}

fn foreign_dtype(descr: &Bound<'_, PyAny>) -> PyErr {
    let kind = descr.getattr("type").and_then(|t| t.getattr("__name__"));
    let name = kind.map_or_else(|_| "object_".to_string(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "can't convert np.ndarray of type numpy.{name}. The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
    ))
}

/// `from_numpy`: a tensor on the array's memory.
pub fn from_array(object: &Bound<'_, PyAny>, warn: bool) -> PyResult<Tensor> {
    let py = object.py();
    let api = Api::get(py)?;
    let Some(array) = api.array(object) else {
        return Err(PyTypeError::new_err(format!(
            "expected np.ndarray (got {})",
            object.get_type().fully_qualified_name()?
        )));
    };
    // SAFETY: an array always has a dtype.
    let descr = unsafe { &*array.descr };
    let dtype = api
        .dtype_of(descr)
        .ok_or_else(|| match object.getattr("dtype") {
            Ok(descr) => foreign_dtype(&descr),
            Err(error) => error,
        })?;
    if descr.byte_order as u8 == b'>' {
        return Err(PyValueError::new_err(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.",
        ));
    }
    let layout = layout_of(array, dtype)?;
    let writable = array.flags & WRITEABLE != 0;
    if !writable && warn {
        warn_read_only(py)?;
    }
    if array.flags & ALIGNED == 0 {
        return from_array(&object.call_method0("copy")?, warn);
    }
    let nbytes = layout
        .extent()
        .map_or(0, |(_, high)| (high as usize + 1) * dtype.size());
    let owner = Box::new(object.clone().unbind());
    // SAFETY: the array's memory reaches as far as its shape and strides, and lives as long as the array.
    let storage = unsafe { Storage::foreign(array.data, nbytes, owner, Device::CPU, writable) };
    Ok(Tensor::from_storage(storage, layout, dtype)?)
}

fn layout_of(array: &ArrayObject, dtype: DType) -> PyResult<Layout> {
    let (ndim, size) = (array.ndim as usize, dtype.size() as isize);
    let mut layout = Layout {
        shape: Dims::with_capacity(ndim),
        strides: Dims::with_capacity(ndim),
        offset: 0,
    };
    for d in 0..ndim {
        // SAFETY: an array has as many sizes and strides as dimensions.
        let (length, step) = unsafe { (*array.shape.add(d), *array.strides.add(d)) };
        if step % size != 0 {
            return Err(PyValueError::new_err(
                "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.",
            ));
        }
        if step < 0 {
            return Err(PyValueError::new_err(
                "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. (You can probably work around this by making a copy of your array  with array.copy().) ",
            ));
        }
        layout.shape.push(length as i64);
        layout.strides.push((step / size) as i64);
    }
    Ok(layout)
}

/// PyTorch's warning, once a process.
fn warn_read_only(py: Python<'_>) -> PyResult<()> {
    static WARNED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    if WARNED.swap(true, std::sync::atomic::Ordering::Relaxed) {
        return Ok(());
    }
    PyErr::warn(
        py,
        &py.get_type::<PyUserWarning>(),
        c"The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to this tensor will result in undefined behavior. You may want to copy the array to protect its data or make it writable before converting it to a tensor. This type of warning will be suppressed for the rest of this program.",
        1,
    )
}

/// `Tensor.numpy()`: an array on the tensor's memory.
pub fn to_array<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    check_exportable(tensor)?;
    let api = Api::get(py)?;
    let descr = api.descrs[tensor.dtype() as usize];
    if descr.is_null() {
        return Err(PyTypeError::new_err(format!(
            "Got unsupported ScalarType {}",
            tensor.dtype().scalar_name()
        )));
    }
    let size = tensor.dtype().size() as i64;
    let strides: Dims = tensor.strides().iter().map(|s| s * size).collect();
    let storage = tensor.storage();
    let flags = if storage.is_writable() { WRITEABLE } else { 0 };
    storage.forbid_resize();
    // SAFETY: sizes and strides lie within the storage, which the array's base keeps alive.
    unsafe {
        let base = keep_alive(py, storage)?;
        ffi::Py_INCREF(descr);
        let array = (api.new_from_descr)(
            api.array_type,
            descr,
            tensor.ndim() as c_int,
            tensor.shape().as_ptr().cast(),
            strides.as_ptr().cast(),
            tensor.data_ptr().cast(),
            flags,
            std::ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if (api.set_base_object)(array.as_ptr(), base.into_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(array)
    }
}

const STORAGE: &std::ffi::CStr = c"rtensor.storage";

/// A capsule that holds the storage: the tensor itself may be given other memory meanwhile.
fn keep_alive<'py>(py: Python<'py>, storage: &Arc<Storage>) -> PyResult<Bound<'py, PyAny>> {
    unsafe extern "C" fn release(capsule: *mut ffi::PyObject) {
        // SAFETY: the pointer is the storage that `keep_alive` gave away, released once.
        unsafe {
            let held = ffi::PyCapsule_GetPointer(capsule, STORAGE.as_ptr());
            drop(Arc::from_raw(held.cast::<Storage>().cast_const()));
        }
    }
    let held = Arc::into_raw(storage.clone()).cast_mut().cast();
    // SAFETY: the capsule owns one count of the storage, given back by its destructor.
    unsafe {
        let capsule = ffi::PyCapsule_New(held, STORAGE.as_ptr(), Some(release));
        Bound::from_owned_ptr_or_err(py, capsule)
    }
}

fn check_exportable(tensor: &Tensor) -> PyResult<()> {
    if !tensor.device().is_cpu() {
        return Err(PyTypeError::new_err(format!(
            "can't convert {} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.",
            tensor.device()
        )));
    }
    let refusal = if tensor.requires_grad() && crate::autograd::grad_enabled() {
        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    } else if tensor.lazy().conj {
        "Can't call numpy() on Tensor that has conjugate bit set. Use tensor.resolve_conj().numpy() instead."
    } else if tensor.lazy().neg {
        "Can't call numpy() on Tensor that has negative bit set. Use tensor.resolve_neg().numpy() instead."
    } else {
        return Ok(());
    };
    Err(PyRuntimeError::new_err(refusal))
}

/// `Tensor.numpy(force=True)`: copies where sharing is not possible.
pub fn to_array_forced<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    let plain = crate::backend::to_cpu(&tensor.detached()).and_then(|t| t.resolved())?;
    to_array(py, &plain)
}
