//! The node of a user-defined function: it calls `backward`, and checks what that returns.

use std::any::Any;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::function::{PyFunction, flag};
use super::grad_object;
use crate::Tensor;
use crate::autograd::{Function, Node, TensorInfo};
use crate::python::tensor::{PyTensor, wrap};

/// The node's side of a user-defined function: the context object, and what `backward` must fit.
pub struct FunctionHost {
    pub context: Py<PyAny>,
    /// Which arguments of `forward` were tensors.
    pub is_tensor: Vec<bool>,
    pub outputs: Vec<Option<TensorInfo>>,
}

impl Function for FunctionHost {
    fn apply(&self, _: &Arc<Node>, grads: &[Option<Tensor>]) -> crate::Result<Vec<Option<Tensor>>> {
        Python::attach(|py| Ok(self.call(py, grads)?))
    }

    fn release(&self) {
        Python::attach(|py| {
            if let Ok(function) = self.context.bind(py).cast::<PyFunction>() {
                function.get().free();
            }
        });
    }

    fn wants_missing(&self) -> bool {
        true
    }

    fn host(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }
}

impl FunctionHost {
    /// Calls the user's `backward`, and checks what it returns.
    fn call(&self, py: Python<'_>, grads: &[Option<Tensor>]) -> PyResult<Vec<Option<Tensor>>> {
        let context = self.context.bind(py);
        let materialize = flag(context, "materialize_grads")?;
        let mut args = Vec::with_capacity(self.outputs.len());
        for (i, info) in self.outputs.iter().enumerate() {
            let grad = grads.get(i).and_then(Option::as_ref);
            args.push(match (grad, info) {
                (None, Some(info)) if materialize => wrap(py, zeros(info)?)?.into_any().unbind(),
                _ => grad_object(py, grad)?,
            });
        }
        let result = context.call_method1("_run_backward", PyTuple::new(py, args)?)?;
        let results = match result.cast_into::<PyTuple>() {
            Ok(tuple) => tuple.iter().collect(),
            Err(one) => vec![one.into_inner()],
        };
        self.take_results(context, results)
    }

    fn take_results(
        &self,
        context: &Bound<'_, PyAny>,
        mut results: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Option<Tensor>>> {
        let name = context.get_type().name()?;
        let expected = self.is_tensor.len();
        if results.len() > expected && results[expected..].iter().all(|r| r.is_none()) {
            results.truncate(expected);
        }
        if results.len() != expected {
            return Err(PyRuntimeError::new_err(format!(
                "function {name} returned an incorrect number of gradients (expected {expected}, got {})",
                results.len()
            )));
        }
        let mut grads = Vec::with_capacity(expected);
        for (i, (result, &is_tensor)) in results.iter().zip(&self.is_tensor).enumerate() {
            if !is_tensor {
                if result.is_none() {
                    continue;
                }
                return Err(PyRuntimeError::new_err(format!(
                    "function {name} returned a gradient different than None at position {}, but the corresponding forward input was not a Variable",
                    i + 1
                )));
            }
            grads.push(match result.cast::<PyTensor>() {
                Ok(t) => Some(t.get().tensor.clone()),
                Err(_) if result.is_none() => None,
                Err(_) => {
                    return Err(PyRuntimeError::new_err(format!(
                        "expected Variable or None (got {})",
                        result.get_type().name()?
                    )));
                }
            });
        }
        Ok(grads)
    }
}

fn zeros(info: &TensorInfo) -> crate::Result<Tensor> {
    let shape = info.shape.to_vec();
    crate::call!(
        "zeros",
        shape,
        info.dtype,
        crate::ops::Value::None,
        info.device
    )
}
