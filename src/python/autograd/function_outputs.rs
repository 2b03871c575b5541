//! What `forward` of a user-defined function returned, made into the results of a recorded call.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::autograd::{Creation, Node, TensorInfo, rebase};
use crate::python::tensor::{PyTensor, wrap};
use crate::{Result, Tensor, ensure};

/// A tensor that `forward` returned.
struct Output {
    tensor: Tensor,
    /// It is one of the arguments.
    is_input: bool,
    /// It was given to `mark_dirty`.
    dirty: bool,
    differentiable: bool,
}

/// The results of `forward`, in order; `None` for those that are no tensors.
pub struct Outputs(Vec<Option<Output>>);

/// The tensors in an attribute of the context that is a tuple or None.
fn marked(context: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<Tensor>> {
    let value = context.getattr(name)?;
    if value.is_none() {
        return Ok(Vec::new());
    }
    let tensors = value.cast::<PyTuple>().map_err(PyErr::from)?.iter();
    tensors
        .map(|item| {
            Ok(item
                .cast::<PyTensor>()
                .map_err(PyErr::from)?
                .get()
                .tensor
                .clone())
        })
        .collect()
}

fn contains(list: &[Tensor], tensor: &Tensor) -> bool {
    list.iter().any(|t| t.same(tensor))
}

impl Outputs {
    pub fn sort(
        context: &Bound<'_, PyAny>,
        raw: &[Bound<'_, PyAny>],
        inputs: &[Tensor],
    ) -> PyResult<Outputs> {
        let dirty = marked(context, "dirty_tensors")?;
        let fixed = marked(context, "non_differentiable")?;
        let output = |object: &Bound<'_, PyAny>| {
            let tensor = object.cast::<PyTensor>().ok()?.get().tensor.clone();
            Some(Output {
                is_input: contains(inputs, &tensor),
                dirty: contains(&dirty, &tensor),
                differentiable: tensor.dtype().is_differentiable() && !contains(&fixed, &tensor),
                tensor,
            })
        };
        Ok(Outputs(raw.iter().map(output).collect()))
    }

    /// Sizes and dtypes of the results that are tensors.
    pub fn infos(&self) -> Vec<Option<TensorInfo>> {
        self.0
            .iter()
            .map(|o| o.as_ref().map(|o| TensorInfo::from(&o.tensor)))
            .collect()
    }
}

/// Gives the results their history (none without a node), and wraps them.
pub fn wrap_outputs<'py>(
    py: Python<'py>,
    outputs: Outputs,
    node: Option<&Arc<Node>>,
    raw: Vec<Bound<'py, PyAny>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let several = outputs
        .0
        .iter()
        .flatten()
        .filter(|o| o.differentiable)
        .count()
        > 1;
    let total = outputs.0.len();
    let mut wrapped = Vec::with_capacity(total);
    for (i, (output, object)) in outputs.0.into_iter().zip(raw).enumerate() {
        let Some(output) = output else {
            wrapped.push(object);
            continue;
        };
        let tensor = attach(&output, node, i as u32, total)?;
        if node.is_some() && !(output.is_input && output.dirty) {
            tensor.set_creation(if several {
                Creation::MultiOutput
            } else {
                Creation::CustomFunction
            });
        }
        wrapped.push(if tensor.same(&output.tensor) {
            object
        } else {
            wrap(py, tensor)?.into_any()
        });
    }
    Ok(wrapped)
}

fn attach(output: &Output, node: Option<&Arc<Node>>, index: u32, total: usize) -> Result<Tensor> {
    let tensor = &output.tensor;
    let Some(node) = node.filter(|_| output.differentiable) else {
        return unrecorded(output);
    };
    if output.dirty {
        rebase_dirty(output, node, index, total)?;
        return Ok(tensor.clone());
    }
    let result = if output.is_input {
        tensor.view_as_self()?
    } else {
        tensor.clone()
    };
    result.set_history(node, index);
    Ok(result)
}

/// A result that no gradient flows to.
fn unrecorded(output: &Output) -> Result<Tensor> {
    let tensor = &output.tensor;
    if output.is_input && !output.dirty {
        return tensor.view_as_self();
    }
    if tensor.requires_grad() && !output.is_input && tensor.view_base().is_none() {
        tensor.detach_inplace()?;
    }
    Ok(tensor.clone())
}

fn rebase_dirty(output: &Output, node: &Arc<Node>, index: u32, total: usize) -> Result<()> {
    let tensor = &output.tensor;
    if !output.is_input {
        crate::error::warn(
            "Only input Tensors should be given to ctx.mark_dirty(). If a Tensor is not an input, there is no need to pass it to mark_dirty().",
        )?;
    }
    let base = tensor.view_base();
    ensure!(
        base.is_none() || total == 1,
        Runtime,
        "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return more than one Tensor. This is not supported by the current autograd engine. You should either make sure the input is not a view (using .clone() for example) or make your Function only return one Tensor (potentially splitting it into two Functions: one doing the inplace that returns a single Tensor and a second one that does the other operations). You can ask on the forum https://discuss.pytorch.org/ if you need help to do this change."
    );
    ensure!(
        !(tensor.requires_grad() && tensor.is_leaf()),
        Runtime,
        "a leaf Variable that requires grad has been used in an in-place operation."
    );
    ensure!(
        !(tensor.requires_grad() && base.is_some_and(|base| base.is_leaf())),
        Runtime,
        "a view of a leaf Variable that requires grad is being used in an in-place operation."
    );
    rebase(tensor, node, index)
}
