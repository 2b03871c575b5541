//! Backends written in Python: an object with the methods of `rtensor.backend.Backend` serves a kind of device.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::convert::value_object;
use super::tensor::{PyTensor, unwrap, wrap};
use crate::backend::Backend;
use crate::ops::{Args, Entry};
use crate::tensor::{Device, Storage, Tensor};
use crate::{Result, err};

struct PyBackend(Py<PyAny>);

/// The op's name in the table, with its overload: `max/dim`.
fn table_name(entry: &Entry) -> String {
    match entry.schema.overload {
        "" => entry.schema.name.to_string(),
        overload => format!("{}/{overload}", entry.schema.name),
    }
}

fn arguments<'py>(py: Python<'py>, args: Args) -> PyResult<Bound<'py, PyTuple>> {
    let items: Vec<_> = args
        .0
        .iter()
        .map(|v| value_object(py, v.clone()))
        .collect::<PyResult<_>>()?;
    PyTuple::new(py, items)
}

fn tensors<'py>(py: Python<'py>, list: &[Tensor]) -> PyResult<Bound<'py, PyTuple>> {
    let items: Vec<_> = list
        .iter()
        .map(|t| wrap(py, t.clone()))
        .collect::<PyResult<_>>()?;
    PyTuple::new(py, items)
}

impl PyBackend {
    /// Calls into Python; its exception passes through the core unchanged.
    fn call<R>(&self, body: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<R>) -> Result<R> {
        Ok(Python::attach(|py| body(self.0.bind(py)))?)
    }
}

impl Backend for PyBackend {
    fn alloc(&self, device: Device, nbytes: usize, zeroed: bool) -> Result<Arc<Storage>> {
        self.call(|backend| {
            let block = backend.call_method1("alloc", (nbytes, device.index.max(0), zeroed))?;
            let address: usize = backend.call_method1("address", (&block,))?.extract()?;
            let owner = Box::new(block.unbind());
            // SAFETY: memory of another device is never dereferenced here, and its owner is kept.
            Ok(unsafe { Storage::foreign(address as *mut u8, nbytes, owner, device, true) })
        })
    }

    fn copy(&self, target: &Tensor, source: &Tensor) -> Result<()> {
        self.call(|backend| {
            let py = backend.py();
            backend.call_method1(
                "copy",
                (wrap(py, target.clone())?, wrap(py, source.clone())?),
            )?;
            Ok(())
        })
    }

    fn run(&self, entry: &'static Entry, args: Args, outs: &[Tensor]) -> Result<()> {
        match entry.schema.name {
            "_to_copy" | "clone" => return self.copy(&outs[0], args.t(0)?),
            "copy" => {
                let source = args.t(1)?;
                return self.copy(
                    &outs[0],
                    &source.alias(source.layout().expand(outs[0].shape())?)?,
                );
            }
            _ => {}
        }
        self.call(|backend| {
            let py = backend.py();
            backend.call_method1(
                "run",
                (table_name(entry), arguments(py, args)?, tensors(py, outs)?),
            )?;
            Ok(())
        })
    }

    fn run_dynamic(&self, entry: &'static Entry, args: Args) -> Result<Vec<Tensor>> {
        self.call(|backend| {
            let results = backend.call_method1(
                "run_dynamic",
                (table_name(entry), arguments(backend.py(), args)?),
            )?;
            let list = results.try_iter()?.map(|item| {
                let item = item?;
                unwrap(&item).cloned().ok_or_else(|| {
                    err!(
                        Type,
                        "run_dynamic: a backend returns tensors, got {}",
                        super::convert::type_name(&item)
                    )
                    .into()
                })
            });
            list.collect()
        })
    }

    fn synchronize(&self, device: Device) -> Result<()> {
        self.call(|backend| {
            backend
                .call_method1("synchronize", (device.index.max(0),))
                .map(drop)
        })
    }
}

/// Makes a Python object the backend of a kind of device.
#[pyfunction]
fn _register_backend(device_type: &str, backend: Py<PyAny>) -> PyResult<()> {
    let device = Device::parse(device_type)?;
    if device.is_cpu() {
        return Err(err!(Value, "the CPU's backend cannot be replaced").into());
    }
    crate::backend::register(device.kind, Arc::new(PyBackend(backend)));
    Ok(())
}

/// Waits until a device has done all work given to it.
#[pyfunction]
fn _synchronize(device: &super::objects::PyDevice) -> PyResult<()> {
    Ok(crate::backend::of(device.0)?.synchronize(device.0)?)
}

/// The object that owns the memory of a tensor: what a Python backend's `alloc` returned, or a NumPy array.
#[pyfunction]
fn _memory(py: Python<'_>, tensor: &PyTensor) -> Option<Py<PyAny>> {
    let owner = tensor.tensor.storage().foreign_owner()?;
    owner
        .downcast_ref::<Py<PyAny>>()
        .map(|object| object.clone_ref(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_register_backend, module)?)?;
    module.add_function(wrap_pyfunction!(_synchronize, module)?)?;
    module.add_function(wrap_pyfunction!(_memory, module)?)
}
