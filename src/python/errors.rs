//! Errors of the core as Python exceptions, and back.

use std::sync::Arc;

use pyo3::exceptions::{
    PyAttributeError, PyIndexError, PyNotImplementedError, PyOverflowError, PyRuntimeError,
    PyTypeError, PyUserWarning, PyValueError,
};
use pyo3::prelude::*;

use crate::error::{Error, ErrorKind};

pyo3::create_exception!(
    _C,
    LinAlgError,
    PyRuntimeError,
    "A matrix is singular, or a decomposition did not converge."
);
pyo3::create_exception!(
    _C,
    OutOfMemoryError,
    PyRuntimeError,
    "A device has no memory left."
);

/// An exception raised by a Python callback, on its way through the core.
struct Raised(Py<pyo3::exceptions::PyBaseException>);

impl From<Error> for PyErr {
    #[cold]
    fn from(error: Error) -> PyErr {
        let text = error.message().to_string();
        match error.kind() {
            ErrorKind::Runtime => PyRuntimeError::new_err(text),
            ErrorKind::Type => PyTypeError::new_err(text),
            ErrorKind::Value => PyValueError::new_err(text),
            ErrorKind::Index => PyIndexError::new_err(text),
            ErrorKind::NotImplemented => PyNotImplementedError::new_err(text),
            ErrorKind::OutOfMemory => OutOfMemoryError::new_err(text),
            ErrorKind::Linalg => LinAlgError::new_err(text),
            ErrorKind::Attribute => PyAttributeError::new_err(text),
            ErrorKind::Overflow => PyOverflowError::new_err(text),
            ErrorKind::Foreign => match error.payload().and_then(|p| p.downcast_ref::<Raised>()) {
                Some(raised) => {
                    Python::attach(|py| PyErr::from_value(raised.0.bind(py).clone().into_any()))
                }
                None => PyRuntimeError::new_err(text),
            },
        }
    }
}

impl From<PyErr> for Error {
    #[cold]
    fn from(error: PyErr) -> Error {
        Python::attach(|py| {
            Error::foreign(error.to_string(), Arc::new(Raised(error.into_value(py))))
        })
    }
}

/// Shows a `UserWarning`.
pub fn warn(message: &str) -> crate::Result<()> {
    Python::attach(|py| {
        let text = std::ffi::CString::new(message).unwrap_or_default();
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1).map_err(Error::from)
    })
}

/// Runs an op; a defect that panics raises instead of tearing the interpreter down.
pub fn guarded<R>(op: &str, work: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("unknown");
        Err(PyRuntimeError::new_err(format!(
            "{op}: internal error: {text}"
        )))
    })
}
