//! `torch.Generator`: a stream of random numbers that calls draw from.

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
use crate::tensor::{DType, Device, Tensor};

/// A random number generator; every function that draws takes one as `generator=`.
#[pyclass(name = "Generator", module = "rtensor", frozen, weakref, subclass)]
pub struct PyGenerator {
    shared: SharedGenerator,
    device: Device,
}

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (device = None))]
    fn new(device: Option<&Bound<'_, PyAny>>) -> PyResult<PyGenerator> {
        let device = device.map_or(Ok(Device::CPU), parse_device)?;
        Ok(PyGenerator {
            shared: Arc::new(Mutex::new(Generator::new(DEFAULT_SEED))),
            device,
        })
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
        *slf.get().shared.lock() = Generator::new(seed_of(seed)?);
        Ok(slf.clone())
    }

    /// Seeds with an unforeseeable number, and returns it.
    fn seed(&self) -> u64 {
        let seed = fresh_seed();
        *self.shared.lock() = Generator::new(seed);
        seed
    }

    /// The seed of the stream.
    fn initial_seed(&self) -> u64 {
        self.shared.lock().seed()
    }

    /// The state as a tensor of bytes.
    fn get_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        let bytes = self.shared.lock().save();
        wrap(py, Tensor::from_slice(&bytes, &[bytes.len() as i64])?)
    }

    /// Goes on from a state that `get_state` gave.
    fn set_state<'py>(
        slf: &Bound<'py, Self>,
        new_state: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let state = new_state
            .cast::<PyTensor>()
            .map_err(|_| PyTypeError::new_err("expected a torch.ByteTensor"))?;
        let state = &state.get().tensor;
        if state.dtype() != DType::U8 {
            return Err(PyTypeError::new_err("RNG state must be a torch.ByteTensor"));
        }
        let restored = Generator::load(&state.to_vec::<u8>()?).map_err(|why| {
            PyRuntimeError::new_err(match why {
                StateError::Size(size) => format!(
                    "Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input RNG state size to be {size}"
                ),
                StateError::Invalid => "Invalid mt19937 state".to_string(),
            })
        })?;
        *slf.get().shared.lock() = restored;
        Ok(slf.clone())
    }

    /// Another generator that goes on from the same state.
    fn clone_state(&self) -> PyGenerator {
        PyGenerator {
            shared: Arc::new(Mutex::new(self.shared.lock().clone())),
            device: self.device,
        }
    }

    fn get_offset(&self) -> PyResult<u64> {
        Err(PyRuntimeError::new_err("CPU Generator does not use offset"))
    }

    fn set_offset(&self, _offset: u64) -> PyResult<()> {
        Err(PyRuntimeError::new_err("CPU Generator does not use offset"))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let (this, class) = (slf.get(), slf.get_type());
        (
            class,
            (this.device(),),
            (this.initial_seed(), py.None(), this.get_state(py)?),
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
    object
        .cast::<PyGenerator>()
        .ok()
        .map(|g| Value::Object(g.get().shared.clone()))
}

/// Puts the class and the default generator into the module.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyGenerator>()?;
    let default = PyGenerator {
        shared: default_generator().clone(),
        device: Device::CPU,
    };
    module.add("default_generator", Py::new(module.py(), default)?)
}
