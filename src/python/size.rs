//! `Size`: the tuple subclass in which shapes are given to Python.

use std::ffi::{c_int, c_void};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

type Object = *mut ffi::PyObject;

/// The class, and what of `tuple` it builds on.
struct Size {
    class: Py<PyType>,
    alloc: ffi::allocfunc,
    tuple_new: ffi::newfunc,
    tuple_item: ffi::binaryfunc,
    tuple_concat: ffi::binaryfunc,
    tuple_repeat: ffi::ssizeargfunc,
}

static SIZE: PyOnceLock<Size> = PyOnceLock::new();

fn get(py: Python<'_>) -> PyResult<&'static Size> {
    SIZE.get_or_try_init(py, || make(py))
}

/// The class object.
pub fn class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    Ok(get(py)?.class.bind(py).clone())
}

/// A `Size` of the given numbers.
pub fn new<'py>(py: Python<'py>, shape: &[i64]) -> PyResult<Bound<'py, PyAny>> {
    let size = get(py)?;
    // SAFETY: a fresh tuple of this length is filled before anybody else sees it.
    unsafe {
        let raw = (size.alloc)(size.class.as_ptr().cast(), shape.len() as isize);
        let tuple = Bound::from_owned_ptr_or_err(py, raw)?;
        for (i, &length) in shape.iter().enumerate() {
            ffi::PyTuple_SetItem(raw, i as isize, ffi::PyLong_FromLongLong(length));
        }
        Ok(tuple)
    }
}

/// A function of a type's slot.
///
/// # Safety
/// `F` is the function type of the slot, which the type fills.
pub unsafe fn slot<F: Copy>(class: *mut ffi::PyTypeObject, id: c_int) -> F {
    // SAFETY: passed on to the caller.
    unsafe {
        let found = ffi::PyType_GetSlot(class, id);
        std::mem::transmute_copy::<*mut c_void, F>(&found)
    }
}

fn make(py: Python<'_>) -> PyResult<Size> {
    let slots = [
        (ffi::Py_tp_new, new_size as *mut c_void),
        (ffi::Py_tp_repr, repr as *mut c_void),
        (ffi::Py_mp_subscript, subscript as *mut c_void),
        (ffi::Py_nb_add, add as *mut c_void),
        (ffi::Py_sq_repeat, repeat as *mut c_void),
        (ffi::Py_tp_methods, methods().cast()),
        (0, std::ptr::null_mut()),
    ];
    let mut slots = slots.map(|(slot, pfunc)| ffi::PyType_Slot { slot, pfunc });
    let mut spec = ffi::PyType_Spec {
        name: c"rtensor.Size".as_ptr(),
        basicsize: 0,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the slots have the function types that the interpreter expects of them; tuple fills those asked for.
    unsafe {
        let tuple = &raw mut ffi::PyTuple_Type;
        let raw = ffi::PyType_FromSpecWithBases(&raw mut spec, tuple.cast());
        let class = Bound::from_owned_ptr_or_err(py, raw)?.cast_into_unchecked::<PyType>();
        class.setattr("__module__", "rtensor")?;
        Ok(Size {
            alloc: slot(class.as_type_ptr(), ffi::Py_tp_alloc),
            tuple_new: slot(tuple, ffi::Py_tp_new),
            tuple_item: slot(tuple, ffi::Py_mp_subscript),
            tuple_concat: slot(tuple, ffi::Py_sq_concat),
            tuple_repeat: slot(tuple, ffi::Py_sq_repeat),
            class: class.unbind(),
        })
    }
}

fn methods() -> *mut ffi::PyMethodDef {
    let entry =
        |name: &'static std::ffi::CStr, function, doc: &'static std::ffi::CStr| ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunction: function,
            },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: doc.as_ptr(),
        };
    // The interpreter keeps the table as long as the class, so it is never freed.
    Box::leak(Box::new([
        entry(
            c"numel",
            numel,
            c"Number of elements of a tensor of this size.",
        ),
        entry(
            c"__reduce__",
            reduce,
            c"Pickles as a call of the class on a tuple.",
        ),
        ffi::PyMethodDef::zeroed(),
    ]))
    .as_mut_ptr()
}

/// Runs a slot's body and hands its error to the interpreter.
pub fn guarded(body: impl FnOnce(Python<'_>) -> PyResult<Object>) -> Object {
    // SAFETY: the interpreter calls slots with its lock held.
    let py = unsafe { Python::assume_attached() };
    body(py).unwrap_or_else(|error| {
        error.restore(py);
        std::ptr::null_mut()
    })
}

/// A plain tuple, owned by the caller, as a `Size` of the same items.
unsafe fn from_tuple(py: Python<'_>, tuple: Object) -> PyResult<Object> {
    // SAFETY: `tuple` is null (an error is set) or an owned tuple.
    unsafe {
        let tuple = Bound::from_owned_ptr_or_err(py, tuple)?;
        if ffi::PyTuple_CheckExact(tuple.as_ptr()) == 0 {
            return Ok(tuple.into_ptr());
        }
        let size = get(py)?;
        let length = ffi::PyTuple_Size(tuple.as_ptr());
        let raw = (size.alloc)(size.class.as_ptr().cast(), length);
        let result = Bound::from_owned_ptr_or_err(py, raw)?;
        for i in 0..length {
            let item = ffi::PyTuple_GetItem(tuple.as_ptr(), i);
            ffi::Py_INCREF(item);
            ffi::PyTuple_SetItem(raw, i, item);
        }
        Ok(result.into_ptr())
    }
}

unsafe extern "C" fn new_size(
    class: *mut ffi::PyTypeObject,
    args: Object,
    kwargs: Object,
) -> Object {
    guarded(|py| {
        // SAFETY: arguments are those of a `tp_new` call.
        unsafe {
            let made = Bound::from_owned_ptr_or_err(py, (get(py)?.tuple_new)(class, args, kwargs))?;
            for i in 0..ffi::PyTuple_Size(made.as_ptr()) {
                let item = Bound::from_borrowed_ptr(py, ffi::PyTuple_GetItem(made.as_ptr(), i));
                if ffi::PyLong_Check(item.as_ptr()) != 0 {
                    continue;
                }
                let index = ffi::PyNumber_Index(item.as_ptr());
                if index.is_null() {
                    ffi::PyErr_Clear();
                    return Err(PyTypeError::new_err(format!(
                        "torch.Size() takes an iterable of 'int' (item {i} is '{}')",
                        item.get_type().name()?
                    )));
                }
                ffi::PyTuple_SetItem(made.as_ptr(), i, index);
            }
            Ok(made.into_ptr())
        }
    })
}

unsafe extern "C" fn repr(this: Object) -> Object {
    guarded(|py| {
        // SAFETY: `this` is a live Size.
        let items: Vec<i64> = unsafe { Bound::from_borrowed_ptr(py, this) }.extract()?;
        Ok(format!("torch.Size({items:?})")
            .into_pyobject(py)?
            .into_any()
            .into_ptr())
    })
}

unsafe extern "C" fn subscript(this: Object, key: Object) -> Object {
    guarded(|py| {
        // SAFETY: both are live objects; tuple's own function gives an owned result.
        unsafe {
            let found = (get(py)?.tuple_item)(this, key);
            if found.is_null() || ffi::PyTuple_Check(found) == 0 {
                return if found.is_null() {
                    Err(PyErr::fetch(py))
                } else {
                    Ok(found)
                };
            }
            from_tuple(py, found)
        }
    })
}

/// Sums of a size and a tuple, on either side, are sizes.
unsafe extern "C" fn add(left: Object, right: Object) -> Object {
    // SAFETY: as in `subscript`; tuple's function takes tuples on both sides.
    guarded(|py| unsafe {
        if ffi::PyTuple_Check(left) == 0 || ffi::PyTuple_Check(right) == 0 {
            return Ok(py.NotImplemented().into_ptr());
        }
        from_tuple(py, (get(py)?.tuple_concat)(left, right))
    })
}

unsafe extern "C" fn repeat(this: Object, count: isize) -> Object {
    // SAFETY: as in `subscript`.
    guarded(|py| unsafe { from_tuple(py, (get(py)?.tuple_repeat)(this, count)) })
}

unsafe extern "C" fn numel(this: Object, _: Object) -> Object {
    guarded(|py| {
        // SAFETY: `this` is a live Size.
        let items: Vec<i64> = unsafe { Bound::from_borrowed_ptr(py, this) }.extract()?;
        let count = items
            .iter()
            .try_fold(1i64, |n, &length| n.checked_mul(length));
        let count = count.ok_or_else(|| {
            pyo3::exceptions::PyOverflowError::new_err("numel: integer multiplication overflow")
        })?;
        Ok(count.into_pyobject(py)?.into_any().into_ptr())
    })
}

unsafe extern "C" fn reduce(this: Object, _: Object) -> Object {
    guarded(|py| {
        // SAFETY: `this` is a live Size.
        let this = unsafe { Bound::from_borrowed_ptr(py, this) };
        let items: Vec<i64> = this.extract()?;
        let plain = pyo3::types::PyTuple::new(py, items)?;
        Ok((class(py)?, (plain,))
            .into_pyobject(py)?
            .into_any()
            .into_ptr())
    })
}
