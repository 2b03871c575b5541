//! Grad mode, inference mode and anomaly mode, as switches.

use pyo3::prelude::*;

use crate::autograd::{self, anomaly};

/// Is recording on?
#[pyfunction]
fn is_grad_enabled() -> bool {
    autograd::grad_enabled()
}

#[pyfunction]
fn is_inference_mode_enabled() -> bool {
    autograd::inference_enabled()
}

/// Switches recording; gives what it was.
#[pyfunction]
fn _set_grad_enabled(mode: bool) -> bool {
    autograd::set_grad_enabled(mode)
}

/// Switches inference mode; gives what it was.
#[pyfunction]
fn _set_inference_mode(mode: bool) -> bool {
    autograd::set_inference_enabled(mode)
}

#[pyfunction]
fn is_anomaly_enabled() -> bool {
    anomaly::enabled()
}

#[pyfunction]
fn is_anomaly_check_nan_enabled() -> bool {
    anomaly::checks_nan()
}

#[pyfunction]
#[pyo3(signature = (mode, check_nan = true))]
fn set_anomaly_enabled(mode: bool, check_nan: bool) {
    anomaly::set_enabled(mode, check_nan);
}

/// The Python stack as text, for anomaly mode.
pub fn traceback() -> String {
    Python::attach(|py| {
        let lines = py.import("traceback")?.call_method0("format_stack")?;
        lines.extract::<Vec<String>>()
    })
    .map(|lines| lines.concat())
    .unwrap_or_default()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(is_grad_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(is_inference_mode_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(_set_grad_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(_set_inference_mode, module)?)?;
    module.add_function(wrap_pyfunction!(is_anomaly_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(is_anomaly_check_nan_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(set_anomaly_enabled, module)?)
}
