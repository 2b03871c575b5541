//! Tensors from Python data.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::Tensor;

/// `Tensor(...)`: sizes, or data, in the default dtype.
pub fn legacy_new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Tensor> {
    Err(PyTypeError::new_err("new(): invalid arguments"))
}
