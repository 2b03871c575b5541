//! What tensors show of autograd: history, gradient, hooks, flags.

use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::engine::run_backward;
use super::hooks::{LeafHook, PyHandle, TensorHook};
use super::node::wrap_node;
use crate::Tensor;
use crate::autograd::leaf_flag_error;
use crate::python::convert::type_name;
use crate::python::tensor::{PyTensor, wrap};

const NON_LEAF_GRAD: &str = "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more informations.";

#[pymethods]
impl PyTensor {
    /// Computes the gradients of this tensor with respect to the leaves of its graph, and adds them to their `grad`.
    #[pyo3(signature = (gradient = None, retain_graph = None, create_graph = false, inputs = None))]
    fn backward(
        slf: &Bound<'_, Self>,
        gradient: Option<&Bound<'_, PyAny>>,
        retain_graph: Option<bool>,
        create_graph: bool,
        inputs: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        run_backward(slf.as_any(), gradient, retain_graph, create_graph, inputs)
    }

    /// Calls `hook(grad)` with every gradient of this tensor; what it returns takes the gradient's place.
    fn register_hook(slf: &Bound<'_, Self>, hook: Py<PyAny>) -> PyResult<PyHandle> {
        Ok(PyHandle(
            slf.get().tensor.register_hook(Arc::new(TensorHook(hook)))?,
        ))
    }

    /// Calls `hook(tensor)` whenever a gradient was accumulated into this leaf.
    fn register_post_accumulate_grad_hook(
        slf: &Bound<'_, Self>,
        hook: Py<PyAny>,
    ) -> PyResult<PyHandle> {
        Ok(PyHandle(
            slf.get()
                .tensor
                .register_post_accumulate_hook(Arc::new(LeafHook(hook)))?,
        ))
    }

    /// Keeps the gradient of this tensor in `grad` though it is no leaf.
    fn retain_grad(&self) -> PyResult<()> {
        Ok(self.tensor.retain_grad()?)
    }

    #[getter]
    fn retains_grad(&self) -> bool {
        self.tensor.retains_grad()
    }

    #[getter]
    fn get_requires_grad(&self) -> bool {
        self.tensor.requires_grad()
    }

    #[setter]
    fn set_requires_grad(&self, value: bool) -> PyResult<()> {
        if !self.tensor.is_leaf() {
            return Err(PyRuntimeError::new_err(leaf_flag_error(value)));
        }
        if value && !self.tensor.dtype().is_differentiable() {
            return Err(PyRuntimeError::new_err(
                "only Tensors of floating point and complex dtype can require gradients",
            ));
        }
        Ok(self.tensor.set_requires_grad(value)?)
    }

    /// Switches whether operations on this tensor are recorded, in place.
    #[pyo3(signature = (requires_grad = true))]
    fn requires_grad_<'py>(
        slf: &Bound<'py, Self>,
        requires_grad: bool,
    ) -> PyResult<Bound<'py, Self>> {
        slf.get().tensor.set_requires_grad(requires_grad)?;
        Ok(slf.clone())
    }

    #[getter]
    fn is_leaf(&self) -> PyResult<bool> {
        Ok(self.tensor.grad_fn()?.is_none())
    }

    #[getter]
    fn get_grad<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyTensor>>> {
        let tensor = &slf.get().tensor;
        if let Some(grad) = tensor.grad() {
            return wrap(slf.py(), grad).map(Some);
        }
        if tensor.requires_grad() && !tensor.is_leaf() && !tensor.retains_grad() {
            crate::error::warn(NON_LEAF_GRAD)?;
        }
        Ok(None)
    }

    #[setter]
    fn set_grad(&self, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(value) = value.filter(|v| !v.is_none()) else {
            self.tensor.set_grad(None);
            return Ok(());
        };
        let Ok(grad) = value.cast::<PyTensor>() else {
            return Err(PyTypeError::new_err(format!(
                "assigned grad expected to be a Tensor or None but got grad of type {}",
                type_name(value)
            )));
        };
        let grad = &grad.get().tensor;
        check_assigned(&self.tensor, grad)?;
        self.tensor.set_grad(Some(grad.clone()));
        Ok(())
    }

    #[deleter]
    fn delete_grad(&self) {
        self.tensor.set_grad(None);
    }

    /// The node that made this tensor; None for a leaf.
    #[getter]
    fn grad_fn(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let edge = slf.get().tensor.grad_fn()?;
        edge.map(|edge| wrap_node(slf.py(), &edge.node)).transpose()
    }

    #[getter]
    fn output_nr(&self) -> u32 {
        self.tensor.with_meta(|m| m.map_or(0, |m| m.output))
    }

    #[getter]
    fn _version(&self) -> PyResult<u32> {
        if self.tensor.is_inference() {
            return Err(PyRuntimeError::new_err(
                "Inference tensors do not track version counter.",
            ));
        }
        Ok(self.tensor.version())
    }

    /// This tensor's elements without its history.
    fn detach<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTensor>> {
        wrap(slf.py(), slf.get().tensor.detached())
    }

    /// Cuts this tensor off its history, in place.
    fn detach_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().tensor.detach_inplace()?;
        Ok(slf.clone())
    }

    /// The elements without history; writes to them are not seen by autograd.
    #[getter]
    fn get_data<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTensor>> {
        wrap(slf.py(), slf.get().tensor.untracked())
    }

    #[setter]
    fn set_data(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(data) = value.cast::<PyTensor>() else {
            return Err(PyTypeError::new_err(format!(
                "Variable data has to be a tensor, but got {}",
                type_name(value)
            )));
        };
        Ok(self.tensor.set_data(&data.get().tensor)?)
    }

    #[getter]
    fn _base<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyTensor>>> {
        slf.get()
            .tensor
            .view_base()
            .map(|base| wrap(slf.py(), base))
            .transpose()
    }

    fn _is_view(&self) -> bool {
        self.tensor.view_base().is_some()
    }

    fn is_inference(&self) -> bool {
        self.tensor.is_inference()
    }

    /// The hooks registered on this tensor, by number; kept for code that looks whether there are any.
    #[getter]
    fn _backward_hooks(slf: &Bound<'_, Self>) -> Option<Py<PyDict>> {
        let hooked = slf
            .get()
            .tensor
            .with_meta(|m| m.is_some_and(|m| m.hooks.is_some()));
        hooked.then(|| PyDict::new(slf.py()).unbind())
    }
}

/// A gradient assigned by hand looks like its tensor.
fn check_assigned(tensor: &Tensor, grad: &Tensor) -> PyResult<()> {
    let error = if tensor.same(grad) {
        "can't assign Variable as its own grad".to_string()
    } else if tensor.dtype() != grad.dtype() {
        format!(
            "attempting to assign a gradient with dtype '{}' to a tensor with grad_dtype '{}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may break downstream systems that assume they match.",
            grad.dtype().scalar_name(),
            tensor.dtype().scalar_name()
        )
    } else if tensor.device() != grad.device() {
        format!(
            "attempting to assign a gradient located on device with type '{}' to a tensor located on device with type '{}'. Please ensure that the gradient and the tensor are on the same device",
            grad.device().type_name(),
            tensor.device().type_name()
        )
    } else if tensor.shape() != grad.shape() {
        format!(
            "attempting to assign a gradient of size '{:?}' to a tensor of size '{:?}'. Please ensure that the gradient and the tensor are the same size",
            grad.shape(),
            tensor.shape()
        )
    } else {
        return Ok(());
    };
    Err(PyRuntimeError::new_err(error))
}
