//! Autograd for Python: what tensors and nodes show of the tape, modes, hooks, user-defined functions.

mod engine;
mod function;
mod function_node;
mod function_outputs;
mod grad_switch;
mod hooks;
mod modes;
mod node;
mod tensor;

use pyo3::prelude::*;

use crate::Tensor;
use crate::python::tensor::wrap;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::autograd::anomaly::set_traceback(modes::traceback);
    node::register(module)?;
    hooks::register(module)?;
    modes::register(module)?;
    grad_switch::register(module)?;
    engine::register(module)?;
    function::register(module)
}

/// A gradient as Python sees it: `None` where none came.
fn grad_object(py: Python<'_>, grad: Option<&Tensor>) -> PyResult<Py<PyAny>> {
    Ok(match grad {
        Some(grad) => wrap(py, grad.clone())?.into_any().unbind(),
        None => py.None(),
    })
}
