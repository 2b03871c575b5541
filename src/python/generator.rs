//! `torch.Generator`: a stream of random numbers that calls draw from.

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyTuple};

use super::convert::type_name;
use super::objects::{PyDevice, parse_device};
use super::tensor::{PyTensor, wrap};
use crate::cpu::random::{DEFAULT_SEED, Generator, STATE_BYTES, StateError};
use crate::ops::Value;
use crate::ops::random::{SharedGenerator, default_generator, fresh_seed};
use crate::tensor::{DType, Device, DeviceType, Tensor};

/// Where the numbers come from.
enum Source {
    Host(SharedGenerator),
    /// A generator of another device: an object of its package, with this class's methods.
    Device(Py<PyAny>),
}

/// A random number generator; every function that draws takes one as `generator=`.
#[pyclass(name = "Generator", module = "rtensor", frozen, weakref, subclass)]
pub struct PyGenerator {
    source: Source,
    device: Device,
}

/// The generator that `rtensor.cuda` makes for a GPU.
fn of_device(py: Python<'_>, device: Device) -> PyResult<Py<PyAny>> {
    crate::backend::of(device)?;
    let class = py.import("rtensor.cuda._random")?.getattr("Philox")?;
    Ok(class.call1((PyDevice(device.resolved()),))?.unbind())
}

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (device = None))]
    fn new(py: Python<'_>, device: Option<&Bound<'_, PyAny>>) -> PyResult<PyGenerator> {
        let device = device.map_or(Ok(Device::CPU), parse_device)?;
        let source = if device.kind == DeviceType::Cuda {
            Source::Device(of_device(py, device)?)
        } else {
            Source::Host(Arc::new(Mutex::new(Generator::new(DEFAULT_SEED))))
        };
        Ok(PyGenerator { source, device })
    }

    #[getter]
    fn device(&self) -> PyDevice {
        PyDevice(self.device)
    }

    /// Starts the stream that belongs to a seed.
    fn manual_seed<'py>(
        slf: &Bound<'py, Self>,
        seed: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let seed = seed_of(seed)?;
        match &slf.get().source {
            Source::Host(shared) => *shared.lock() = Generator::new(seed),
            Source::Device(object) => {
                drop(object.call_method1(slf.py(), "manual_seed", (seed,))?);
            }
        }
        Ok(slf.clone())
    }

    /// Seeds with an unforeseeable number, and returns it.
    fn seed(&self, py: Python<'_>) -> PyResult<u64> {
        match &self.source {
            Source::Host(shared) => {
                let seed = fresh_seed();
                *shared.lock() = Generator::new(seed);
                Ok(seed)
            }
            Source::Device(object) => object.call_method0(py, "seed")?.extract(py),
        }
    }

    /// The seed of the stream.
    fn initial_seed(&self, py: Python<'_>) -> PyResult<u64> {
        match &self.source {
            Source::Host(shared) => Ok(shared.lock().seed()),
            Source::Device(object) => object.call_method0(py, "initial_seed")?.extract(py),
        }
    }

    /// The state as a tensor of bytes.
    fn get_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.source {
            Source::Host(shared) => {
                let bytes = shared.lock().save();
                let state = Tensor::from_slice(&bytes, &[bytes.len() as i64])?;
                Ok(wrap(py, state)?.into_any())
            }
            Source::Device(object) => Ok(object.call_method0(py, "get_state")?.into_bound(py)),
        }
    }

    /// Goes on from a state that `get_state` gave.
    fn set_state<'py>(
        slf: &Bound<'py, Self>,
        new_state: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        match &slf.get().source {
            Source::Host(shared) => *shared.lock() = restored(new_state)?,
            Source::Device(object) => {
                object.call_method1(slf.py(), "set_state", (new_state,))?;
            }
        }
        Ok(slf.clone())
    }

    /// Another generator that goes on from the same state.
    fn clone_state(&self, py: Python<'_>) -> PyResult<PyGenerator> {
        let source = match &self.source {
            Source::Host(shared) => Source::Host(Arc::new(Mutex::new(shared.lock().clone()))),
            Source::Device(object) => Source::Device(object.call_method0(py, "clone_state")?),
        };
        Ok(PyGenerator {
            source,
            device: self.device,
        })
    }

    /// How far the stream of a GPU has been used.
    fn get_offset(&self, py: Python<'_>) -> PyResult<u64> {
        match &self.source {
            Source::Host(_) => Err(no_offset()),
            Source::Device(object) => object.call_method0(py, "get_offset")?.extract(py),
        }
    }

    /// Goes on from another place of the stream of a GPU.
    fn set_offset(&self, py: Python<'_>, offset: u64) -> PyResult<()> {
        match &self.source {
            Source::Host(_) => Err(no_offset()),
            Source::Device(object) => object.call_method1(py, "set_offset", (offset,)).map(drop),
        }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let (this, class) = (slf.get(), slf.get_type());
        (
            class,
            (this.device(),),
            (this.initial_seed(py)?, py.None(), this.get_state(py)?),
        )
            .into_pyobject(py)
    }

    fn __setstate__(
        slf: &Bound<'_, Self>,
        state: (u64, Py<PyAny>, Bound<'_, PyAny>),
    ) -> PyResult<()> {
        Self::set_state(slf, &state.2).map(drop)
    }
}

fn no_offset() -> PyErr {
    PyRuntimeError::new_err("CPU Generator does not use offset")
}

/// The generator whose state a tensor of bytes holds.
fn restored(new_state: &Bound<'_, PyAny>) -> PyResult<Generator> {
    let state = new_state
        .cast::<PyTensor>()
        .map_err(|_| PyTypeError::new_err("expected a torch.ByteTensor"))?;
    let state = &state.get().tensor;
    if state.dtype() != DType::U8 {
        return Err(PyTypeError::new_err("RNG state must be a torch.ByteTensor"));
    }
    Generator::load(&state.to_vec::<u8>()?).map_err(|why| {
        PyRuntimeError::new_err(match why {
            StateError::Size(size) => format!(
                "Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input RNG state size to be {size}"
            ),
            StateError::Invalid => "Invalid mt19937 state".to_string(),
        })
    })
}

/// A seed as PyTorch takes it: negative ones count back from 2^64.
fn seed_of(seed: &Bound<'_, PyAny>) -> PyResult<u64> {
    if seed.cast::<PyInt>().is_err() {
        return Err(PyRuntimeError::new_err(format!(
            "manual_seed expected a long, but got {}",
            type_name(seed)
        )));
    }
    let wide = seed
        .extract::<u64>()
        .or_else(|_| seed.extract::<i64>().map(|negative| negative as u64));
    wide.map_err(|_| PyValueError::new_err("Overflow when unpacking long long"))
}

/// The generator that a call draws from.
pub fn argument(object: &Bound<'_, PyAny>) -> Option<Value> {
    let generator = object.cast::<PyGenerator>().ok()?.get();
    Some(Value::Object(match &generator.source {
        Source::Host(shared) => shared.clone(),
        Source::Device(own) => Arc::new(own.clone_ref(object.py())),
    }))
}

/// The generator as the kernels of its device know it.
pub fn object(py: Python<'_>, value: &(dyn Any + Send + Sync)) -> PyResult<Py<PyAny>> {
    match value.downcast_ref::<Py<PyAny>>() {
        Some(own) => Ok(own.clone_ref(py)),
        None => Err(PyRuntimeError::new_err(
            "Expected a 'cuda' device type for generator but found 'cpu'",
        )),
    }
}

/// Puts the class and the default generator into the module.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyGenerator>()?;
    let default = PyGenerator {
        source: Source::Host(default_generator().clone()),
        device: Device::CPU,
    };
    module.add("default_generator", Py::new(module.py(), default)?)
}
