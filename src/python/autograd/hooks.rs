//! Python callables as hooks on gradients, and on what the tape saves.

use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::grad_object;
use crate::autograd::{
    Hook, HookHandle, PackedTensor, SavedHooks, forbid_saved_hooks, pop_saved_hooks,
    push_saved_hooks, tensor_type,
};
use crate::python::tensor::{PyTensor, wrap};
use crate::{Result, Tensor};

/// What `register_hook` returns; `remove()` takes the hook away. Also a context manager.
#[pyclass(
    frozen,
    weakref,
    name = "RemovableHandle",
    module = "torch.utils.hooks"
)]
pub struct PyHandle(pub HookHandle);

#[pymethods]
impl PyHandle {
    fn remove(&self) {
        self.0.remove();
    }

    #[getter]
    fn id(&self) -> u64 {
        self.0.key()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, _kind: Py<PyAny>, _value: Py<PyAny>, _traceback: Py<PyAny>) {
        self.0.remove();
    }
}

fn name_of(hook: &Bound<'_, PyAny>) -> String {
    match hook.getattr("__name__").and_then(|name| name.extract()) {
        Ok(name) => name,
        Err(_) => hook.get_type().to_string(),
    }
}

fn type_text(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "object".into(), |name| name.to_string())
}

/// What a hook gave instead of a gradient, if that may take its place.
fn replacement(
    hook: &Bound<'_, PyAny>,
    before: Option<&Tensor>,
    after: &Bound<'_, PyAny>,
) -> PyResult<Option<Tensor>> {
    if after.is_none() {
        return Ok(None);
    }
    let Some(before) = before else {
        return Err(PyRuntimeError::new_err(
            "can't replace a None gradient with a non-None value",
        ));
    };
    let Ok(after) = after.cast::<PyTensor>() else {
        return Err(PyTypeError::new_err(format!(
            "expected Variable, but hook returned '{}'",
            type_text(after)
        )));
    };
    let after = after.get().tensor.clone();
    if tensor_type(&after) != tensor_type(before) {
        return Err(PyRuntimeError::new_err(format!(
            "hook '{}' has changed the type of value (was {} got {})",
            name_of(hook),
            tensor_type(before),
            tensor_type(&after)
        )));
    }
    if after.shape() != before.shape() {
        return Err(PyRuntimeError::new_err(format!(
            "hook '{}' has changed the size of value",
            name_of(hook)
        )));
    }
    Ok(Some(after))
}

/// A hook on the gradient of one tensor.
pub struct TensorHook(pub Py<PyAny>);

impl Hook for TensorHook {
    fn call(&self, grads: &mut Vec<Option<Tensor>>, _: Option<&[Option<Tensor>]>) -> Result<()> {
        Python::attach(|py| {
            let hook = self.0.bind(py);
            for grad in grads.iter_mut() {
                let result = hook.call1((grad_object(py, grad.as_ref())?,))?;
                if let Some(after) = replacement(hook, grad.as_ref(), &result)? {
                    *grad = Some(after);
                }
            }
            Ok(())
        })
    }
}

/// A hook that is called with a leaf once its gradient was accumulated.
pub struct LeafHook(pub Py<PyAny>);

impl Hook for LeafHook {
    fn call(&self, leaves: &mut Vec<Option<Tensor>>, _: Option<&[Option<Tensor>]>) -> Result<()> {
        Python::attach(|py| {
            for leaf in leaves.iter() {
                let result = self.0.bind(py).call1((grad_object(py, leaf.as_ref())?,))?;
                if !result.is_none() {
                    return Err(PyRuntimeError::new_err(
                        "Tensor post accumulate grad hooks should return None.",
                    )
                    .into());
                }
            }
            Ok(())
        })
    }
}

/// A hook of a node: before it runs (gradients of its outputs), or after (of its inputs, and those).
pub struct NodeHook {
    pub hook: Py<PyAny>,
    /// Before the node runs, a result that is no tuple counts as one gradient.
    pub before: bool,
}

impl Hook for NodeHook {
    fn call(
        &self,
        grads: &mut Vec<Option<Tensor>>,
        outputs: Option<&[Option<Tensor>]>,
    ) -> Result<()> {
        Python::attach(|py| {
            let hook = self.hook.bind(py);
            let first = grads_tuple(py, grads)?;
            let result = match outputs {
                None => hook.call1((first,))?,
                Some(outputs) => hook.call1((first, grads_tuple(py, outputs)?))?,
            };
            if result.is_none() {
                return Ok(());
            }
            let result = match result.cast_into::<PyTuple>() {
                Ok(tuple) => tuple,
                Err(other) if self.before => PyTuple::new(py, [other.into_inner()])?,
                Err(other) => {
                    let text = format!(
                        "expected tuple, but hook returned '{}'",
                        type_text(&other.into_inner())
                    );
                    return Err(PyTypeError::new_err(text).into());
                }
            };
            replace_all(hook, grads, &result)?;
            Ok(())
        })
    }
}

fn replace_all(
    hook: &Bound<'_, PyAny>,
    grads: &mut [Option<Tensor>],
    result: &Bound<'_, PyTuple>,
) -> PyResult<()> {
    if result.len() != grads.len() {
        return Err(PyRuntimeError::new_err(format!(
            "hook '{}' has returned an incorrect number of values (got {}, but expected {})",
            name_of(hook),
            result.len(),
            grads.len()
        )));
    }
    for (grad, after) in grads.iter_mut().zip(result.iter()) {
        *grad = replacement(hook, grad.as_ref(), &after)?;
    }
    Ok(())
}

fn grads_tuple<'py>(py: Python<'py>, grads: &[Option<Tensor>]) -> PyResult<Bound<'py, PyTuple>> {
    let items = grads
        .iter()
        .map(|grad| grad_object(py, grad.as_ref()))
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

/// `saved_tensors_hooks`: one callable packs what the tape saves, the other unpacks it.
struct PackHooks {
    pack: Py<PyAny>,
    unpack: Arc<Py<PyAny>>,
}

struct PackedObject {
    object: Py<PyAny>,
    unpack: Arc<Py<PyAny>>,
}

impl SavedHooks for PackHooks {
    fn pack(&self, tensor: &Tensor) -> Result<Box<dyn PackedTensor>> {
        Python::attach(|py| {
            let object = self.pack.call1(py, (wrap(py, tensor.clone())?,))?;
            let unpack = self.unpack.clone();
            Ok(Box::new(PackedObject { object, unpack }) as Box<dyn PackedTensor>)
        })
    }
}

impl PackedTensor for PackedObject {
    fn unpack(&self) -> Result<Tensor> {
        Python::attach(|py| {
            let result = self.unpack.bind(py).call1((self.object.bind(py),))?;
            match result.cast::<PyTensor>() {
                Ok(tensor) => Ok(tensor.get().tensor.clone()),
                Err(_) => Err(PyTypeError::new_err(format!(
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result of type {}",
                    result.get_type().repr()?
                ))
                .into()),
            }
        })
    }
}

#[pyfunction]
fn _push_saved_tensors_hooks(pack: Py<PyAny>, unpack: Py<PyAny>) -> PyResult<()> {
    let unpack = Arc::new(unpack);
    Ok(push_saved_hooks(Arc::new(PackHooks { pack, unpack }))?)
}

#[pyfunction]
fn _pop_saved_tensors_hooks() {
    pop_saved_hooks();
}

/// Forbids saved-tensors hooks with a message (None allows them); gives the message before.
#[pyfunction]
#[pyo3(signature = (message))]
fn _forbid_saved_tensors_hooks(message: Option<String>) -> PyResult<Option<String>> {
    let before = forbid_saved_hooks(message.map(Into::into))?;
    Ok(before.map(|text| text.to_string()))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyHandle>()?;
    module.add_function(wrap_pyfunction!(_push_saved_tensors_hooks, module)?)?;
    module.add_function(wrap_pyfunction!(_pop_saved_tensors_hooks, module)?)?;
    module.add_function(wrap_pyfunction!(_forbid_saved_tensors_hooks, module)?)
}
