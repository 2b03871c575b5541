//! The native half of `no_grad` and `enable_grad`. A block of a few small calls would notice the time that making,
//! entering and leaving an object of a Python class takes.

use std::ffi::{CStr, c_char, c_void};

use pyo3::ffi;
use pyo3::prelude::*;

use super::super::size::{guarded, slot};
use crate::autograd;

type Object = *mut ffi::PyObject;

/// An object of the class: a switch to `ON` that knows how to go back.
#[repr(C)]
struct Switch {
    head: ffi::PyObject,
    before: bool,
}

/// Makes the class of switches to `ON`, which Python code completes to a decorator.
fn class<'py, const ON: bool>(py: Python<'py>, name: &'static CStr) -> PyResult<Bound<'py, PyAny>> {
    let slots = [
        (ffi::Py_tp_new, new::<ON> as *mut c_void),
        (ffi::Py_tp_methods, methods::<ON>().cast()),
        (0, std::ptr::null_mut()),
    ];
    let mut slots = slots.map(|(slot, pfunc)| ffi::PyType_Slot { slot, pfunc });
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size_of::<Switch>() as i32,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the slots have the function types that the interpreter expects of them.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec)) }
}

fn methods<const ON: bool>() -> *mut ffi::PyMethodDef {
    let enter = ffi::PyMethodDef {
        ml_name: c"__enter__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: enter::<ON>,
        },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: std::ptr::null(),
    };
    let exit = ffi::PyMethodDef {
        ml_name: c"__exit__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: exit,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: std::ptr::null(),
    };
    // The interpreter keeps the table as long as the class, so it is never freed.
    Box::leak(Box::new([enter, exit, ffi::PyMethodDef::zeroed()])).as_mut_ptr()
}

/// An object; or what it makes of a function that is given, as in `@no_grad` without parentheses.
unsafe extern "C" fn new<const ON: bool>(
    class: *mut ffi::PyTypeObject,
    args: Object,
    kwargs: Object,
) -> Object {
    // SAFETY: arguments are those of a `tp_new` call, `tp_alloc` is inherited from `object`.
    guarded(|py| unsafe {
        let alloc: ffi::allocfunc = slot(class, ffi::Py_tp_alloc);
        let object = Bound::from_owned_ptr_or_err(py, alloc(class, 0))?;
        if ffi::PyTuple_Size(args) == 0 && kwargs.is_null() {
            return Ok(object.into_ptr());
        }
        let mut names = [c"orig_func".as_ptr().cast_mut(), std::ptr::null_mut()];
        let mut function: Object = std::ptr::null_mut();
        let names: *mut *mut c_char = names.as_mut_ptr();
        let format = c"|O".as_ptr();
        if ffi::PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &raw mut function) == 0 {
            return Err(PyErr::fetch(py));
        }
        match Bound::from_borrowed_ptr_or_opt(py, function) {
            Some(function) if !function.is_none() => Ok(object.call1((function,))?.into_ptr()),
            _ => Ok(object.into_ptr()),
        }
    })
}

unsafe extern "C" fn enter<const ON: bool>(this: Object, _: Object) -> Object {
    // SAFETY: the interpreter passes an object of the class, with its lock held.
    unsafe {
        (*this.cast::<Switch>()).before = autograd::set_grad_enabled(ON);
        ffi::Py_NewRef(ffi::Py_None())
    }
}

unsafe extern "C" fn exit(this: Object, _: *mut Object, _: isize) -> Object {
    // SAFETY: as in `enter`.
    unsafe {
        autograd::set_grad_enabled((*this.cast::<Switch>()).before);
        ffi::Py_NewRef(ffi::Py_None())
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("_NoGrad", class::<false>(py, c"rtensor._C._NoGrad")?)?;
    module.add("_EnableGrad", class::<true>(py, c"rtensor._C._EnableGrad")?)
}
