//! Backends written in Python: an object with the methods of `rtensor.backend.Backend` serves a kind of device.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::backend_map::Maps;
use super::convert::{type_name, value_object};
use super::objects::PyDevice;
use super::tensor::{PyTensor, unwrap, wrap};
use crate::autograd::NoGrad;
use crate::backend::{Backend, Map};
use crate::ops::{Args, Entry};
use crate::tensor::{
    Device, DeviceType, Dims, Layout, Storage, Tensor, checked_numel, current_index,
    set_current_index,
};
use crate::{Result, ensure, err};

struct PyBackend {
    kind: DeviceType,
    object: Py<PyAny>,
    /// What computes each op of the table, asked for once.
    kernels: Vec<OnceLock<Py<PyAny>>>,
    maps: Maps,
}

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

/// The device of a call: its results', else that of its tensors, else the current one.
fn device_of(kind: DeviceType, args: Args, outs: &[Tensor]) -> Device {
    let own = |t: &Tensor| (t.device().kind == kind).then(|| t.device());
    let mut found = outs.iter().find_map(own);
    for value in args.0 {
        value.each_tensor(|t| found = found.or_else(|| own(t)));
    }
    found.unwrap_or(Device { kind, index: -1 }.resolved())
}

impl PyBackend {
    /// Calls into Python with the device as the current one; an exception passes through the core unchanged.
    fn on<R>(
        &self,
        device: Device,
        body: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<R>,
    ) -> Result<R> {
        Ok(Python::attach(|py| {
            let object = self.object.bind(py);
            let before = current_index(self.kind);
            if device.index == before {
                return body(object);
            }
            self.enter(object, device.index)?;
            let result = body(object);
            self.enter(object, before)?;
            result
        })?)
    }

    /// Makes a device of this kind the thread's current one.
    fn enter(&self, object: &Bound<'_, PyAny>, index: i8) -> PyResult<()> {
        object.call_method1("set_device", (index,))?;
        set_current_index(self.kind, index);
        Ok(())
    }

    fn kernel<'py>(
        &self,
        object: &Bound<'py, PyAny>,
        entry: &'static Entry,
    ) -> PyResult<Bound<'py, PyAny>> {
        let slot = &self.kernels[entry.id];
        if slot.get().is_none() {
            let found = object.call_method1("kernel", (table_name(entry),))?;
            let _ = slot.set(found.unbind());
        }
        let found = slot.get().map(|kernel| kernel.bind(object.py()).clone());
        found.ok_or_else(|| err!(Runtime, "{}: no kernel", table_name(entry)).into())
    }
}

impl Backend for PyBackend {
    fn alloc(&self, device: Device, nbytes: usize, zeroed: bool) -> Result<Arc<Storage>> {
        self.on(device, |object| {
            let made = object.call_method1("alloc", (nbytes, zeroed))?;
            let (owner, address): (Bound<'_, PyAny>, usize) = made.extract()?;
            let owner = Box::new(owner.unbind());
            // SAFETY: memory of another device is never dereferenced here, and its owner is kept.
            Ok(unsafe { Storage::foreign(address as *mut u8, nbytes, owner, device, true) })
        })
    }

    fn transfer(&self, target: &Tensor, source: &Tensor, non_blocking: bool) -> Result<()> {
        let device = if target.device().kind == self.kind {
            target.device()
        } else {
            source.device()
        };
        self.on(device, |object| {
            let py = object.py();
            let (target, source) = (wrap(py, target.clone())?, wrap(py, source.clone())?);
            let called = if non_blocking {
                object.call_method1("transfer", (target, source, true))
            } else {
                object.call_method1("transfer", (target, source))
            };
            called.map(drop)
        })
    }

    fn map(&self, map: &Map) -> Result<()> {
        self.on(map.target.device(), |object| self.maps.run(object, map))
    }

    fn run(&self, entry: &'static Entry, args: Args, outs: &[Tensor]) -> Result<()> {
        let _guard = NoGrad::enter();
        self.on(device_of(self.kind, args, outs), |object| {
            let py = object.py();
            let kernel = self.kernel(object, entry)?;
            kernel
                .call1((arguments(py, args)?, tensors(py, outs)?))
                .map(drop)
        })
    }

    fn run_dynamic(&self, entry: &'static Entry, args: Args) -> Result<Vec<Tensor>> {
        let _guard = NoGrad::enter();
        self.on(device_of(self.kind, args, &[]), |object| {
            let kernel = self.kernel(object, entry)?;
            let results = kernel.call1((arguments(object.py(), args)?,))?;
            let list = results.try_iter()?.map(|item| {
                let item = item?;
                unwrap(&item).cloned().ok_or_else(|| {
                    err!(
                        Type,
                        "{}: a kernel returns tensors, got {}",
                        entry.schema.name,
                        type_name(&item)
                    )
                    .into()
                })
            });
            list.collect()
        })
    }

    fn pinned(&self, source: &Tensor) -> Result<Tensor> {
        Ok(Python::attach(|py| -> PyResult<Tensor> {
            let source = wrap(py, source.clone())?;
            let made = self.object.bind(py).call_method1("pinned", (source,))?;
            let made = unwrap(&made).cloned();
            Ok(made.ok_or_else(|| err!(Type, "pinned: a backend returns a tensor"))?)
        })?)
    }

    fn synchronize(&self, device: Device) -> Result<()> {
        self.on(device.resolved(), |object| {
            object.call_method0("synchronize").map(drop)
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
    let mut kernels = Vec::new();
    kernels.resize_with(crate::ops::table().entries.len(), OnceLock::new);
    let made = PyBackend {
        kind: device.kind,
        object: backend,
        kernels,
        maps: Maps::default(),
    };
    crate::backend::register(device.kind, Arc::new(made));
    Ok(())
}

/// The backend for GPUs lives in Python and is imported when one is first asked for.
fn load(kind: DeviceType) -> Result<()> {
    if kind != DeviceType::Cuda {
        return Ok(());
    }
    Ok(Python::attach(|py| {
        py.import("rtensor.cuda")?.call_method0("_load").map(drop)
    })?)
}

/// Waits until a device has done all work given to it.
#[pyfunction]
fn _synchronize(device: &PyDevice) -> PyResult<()> {
    Ok(crate::backend::of(device.0)?.synchronize(device.0)?)
}

/// The index that this thread means by a kind of device without one.
#[pyfunction]
fn _current_index(device_type: &str) -> PyResult<i8> {
    Ok(current_index(Device::parse(device_type)?.kind))
}

/// Changes that index, and returns the one before.
#[pyfunction]
fn _set_current_index(device_type: &str, index: i8) -> PyResult<i8> {
    Ok(set_current_index(Device::parse(device_type)?.kind, index))
}

/// The object that owns the memory of a tensor: what a Python backend's `alloc` returned, or a NumPy array.
#[pyfunction]
fn _memory(py: Python<'_>, tensor: &PyTensor) -> Option<Py<PyAny>> {
    let owner = tensor.tensor.storage().foreign_owner()?;
    owner
        .downcast_ref::<Py<PyAny>>()
        .map(|object| object.clone_ref(py))
}

fn strided(shape: &[i64], strides: &[i64]) -> Result<Layout> {
    checked_numel(shape)?;
    ensure!(
        strides.len() == shape.len() && strides.iter().all(|&s| s >= 0),
        Value,
        "as many strides as sizes are expected, none negative, but got sizes={shape:?} and strides={strides:?}"
    );
    Ok(Layout {
        shape: Dims::from_slice(shape),
        strides: Dims::from_slice(strides),
        offset: 0,
    })
}

/// A tensor on memory of another device that `owner` keeps alive: an address, sizes, strides in elements.
///
/// # Errors
/// `ValueError` for a CPU device, `RuntimeError` for a layout that leaves the memory.
#[pyfunction]
fn _from_memory<'py>(
    py: Python<'py>,
    owner: Py<PyAny>,
    address: usize,
    shape: Vec<i64>,
    strides: Vec<i64>,
    dtype: &super::objects::PyDType,
    device: &PyDevice,
) -> PyResult<Bound<'py, PyTensor>> {
    if device.0.is_cpu() {
        return Err(err!(Value, "the CPU's memory is shared by NumPy or DLPack").into());
    }
    let layout = strided(&shape, &strides)?;
    let nbytes = layout.extent().map_or(0, |(_, last)| last as usize + 1) * dtype.0.size();
    // SAFETY: memory of another device is never dereferenced here, and its owner is kept.
    let storage = unsafe {
        Storage::foreign(
            address as *mut u8,
            nbytes,
            Box::new(owner),
            device.0.resolved(),
            true,
        )
    };
    wrap(py, Tensor::from_storage(storage, layout, dtype.0)?)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::backend::set_loader(load);
    module.add_function(wrap_pyfunction!(_register_backend, module)?)?;
    module.add_function(wrap_pyfunction!(_synchronize, module)?)?;
    module.add_function(wrap_pyfunction!(_current_index, module)?)?;
    module.add_function(wrap_pyfunction!(_set_current_index, module)?)?;
    module.add_function(wrap_pyfunction!(_from_memory, module)?)?;
    module.add_function(wrap_pyfunction!(_memory, module)?)
}
