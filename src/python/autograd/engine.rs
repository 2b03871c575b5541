//! The backward pass, called from Python.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::grad_object;
use super::node::node_of;
use crate::Tensor;
use crate::autograd::{Edge, Wanted, backward_edges, edge_of, input_edge, start};
use crate::python::errors::guarded;
use crate::python::tensor::PyTensor;

/// One tensor (or `GradientEdge`), or a sequence of them.
fn sequence<'py>(object: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if object.cast::<PyTensor>().is_ok() || gradient_edge(object).is_some() {
        return Ok(vec![object.clone()]);
    }
    object.try_iter()?.collect()
}

/// A `GradientEdge`: a node and the number of one of its outputs.
fn gradient_edge(object: &Bound<'_, PyAny>) -> Option<Edge> {
    if object.cast::<PyTuple>().is_err() || !object.hasattr("output_nr").ok()? {
        return None;
    }
    let node = node_of(&object.getattr("node").ok()?)?;
    let output = object.getattr("output_nr").ok()?.extract().ok()?;
    Some(Edge { node, output })
}

fn tensor_of(object: &Bound<'_, PyAny>) -> Option<Tensor> {
    object
        .cast::<PyTensor>()
        .ok()
        .map(|t| t.get().tensor.clone())
}

/// Gradients given for roots; `None` stands for "one" at a scalar.
fn given_grads(object: Option<&Bound<'_, PyAny>>, roots: usize) -> PyResult<Vec<Option<Tensor>>> {
    let Some(object) = object.filter(|o| !o.is_none()) else {
        return Ok(vec![None; roots]);
    };
    let items = if object.cast::<PyTensor>().is_ok() {
        vec![object.clone()]
    } else {
        object.try_iter()?.collect::<PyResult<_>>()?
    };
    let grads = items.iter().map(|item| match tensor_of(item) {
        Some(t) => Ok(Some(t)),
        None if item.is_none() => Ok(None),
        None => Err(PyTypeError::new_err(format!(
            "gradients can be either Tensors or None, but got {}",
            item.get_type().name()?
        ))),
    });
    grads.collect()
}

/// The roots of a pass with their gradients.
fn roots(outputs: &[Bound<'_, PyAny>], grads: &[Option<Tensor>]) -> PyResult<Vec<(Edge, Tensor)>> {
    if grads.len() < outputs.len() {
        return Err(PyRuntimeError::new_err(format!(
            "got {} tensors and {} gradients",
            outputs.len(),
            grads.len()
        )));
    }
    let mut started = Vec::with_capacity(outputs.len());
    for (i, (output, grad)) in outputs.iter().zip(grads).enumerate() {
        if let Some(tensor) = tensor_of(output) {
            let one = start(i, &tensor, grad.as_ref())?;
            started.push(one);
        } else if let Some(edge) = gradient_edge(output) {
            let grad = grad.clone().ok_or_else(|| {
                PyRuntimeError::new_err("gradient must be given for a GradientEdge")
            })?;
            started.push((edge, grad));
        } else {
            return Err(PyTypeError::new_err(format!(
                "element {i} of tensors argument must be a Tensor, not {}",
                output.get_type().name()?
            )));
        }
    }
    Ok(started)
}

fn input_edges(inputs: &[Bound<'_, PyAny>]) -> PyResult<Vec<Edge>> {
    let edge = |(i, input): (usize, &Bound<'_, PyAny>)| match tensor_of(input) {
        Some(tensor) => Ok(input_edge(&tensor)?),
        None => gradient_edge(input).ok_or_else(|| {
            let name = input
                .get_type()
                .name()
                .map_or_else(|_| "object".into(), |n| n.to_string());
            PyTypeError::new_err(format!(
                "all inputs have to be Tensors or GradientEdges, but got {name} at index {i}"
            ))
        }),
    };
    inputs.iter().enumerate().map(edge).collect()
}

/// The core's walk over the tape.
fn walk(
    roots: Vec<(Edge, Tensor)>,
    wanted: &Wanted,
    retain: bool,
    create: bool,
) -> PyResult<Vec<Option<Tensor>>> {
    guarded("backward", || {
        Ok(backward_edges(roots, wanted, retain, create)?)
    })
}

/// Accumulates gradients into leaves.
pub fn run_backward(
    tensors: &Bound<'_, PyAny>,
    grads: Option<&Bound<'_, PyAny>>,
    retain_graph: Option<bool>,
    create_graph: bool,
    inputs: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let outputs = sequence(tensors)?;
    let grads = given_grads(grads, outputs.len())?;
    let inputs = inputs.filter(|i| !i.is_none()).map(sequence).transpose()?;
    if inputs.as_ref().is_some_and(Vec::is_empty) {
        return Err(PyRuntimeError::new_err(
            "`inputs` argument to `backward()` cannot be empty.",
        ));
    }
    let started = roots(&outputs, &grads)?;
    let retain = retain_graph.unwrap_or(create_graph);
    let Some(inputs) = inputs else {
        walk(started, &Wanted::Leaves, retain, create_graph)?;
        return Ok(());
    };
    let edges = input_edges(&inputs)?;
    for tensor in inputs.iter().filter_map(tensor_of) {
        tensor.retain_grad()?;
    }
    walk(started, &Wanted::Accumulate(&edges), retain, create_graph)?;
    Ok(())
}

/// Computes the sum of gradients of the tensors with respect to the leaves of the graph.
#[pyfunction]
#[pyo3(signature = (tensors, grad_tensors = None, retain_graph = None, create_graph = false, grad_variables = None, inputs = None))]
fn backward(
    tensors: &Bound<'_, PyAny>,
    grad_tensors: Option<&Bound<'_, PyAny>>,
    retain_graph: Option<bool>,
    create_graph: bool,
    grad_variables: Option<&Bound<'_, PyAny>>,
    inputs: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    if grad_tensors.is_some() && grad_variables.is_some() {
        return Err(PyRuntimeError::new_err(
            "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only use `grad_tensors`.",
        ));
    }
    run_backward(
        tensors,
        grad_tensors.or(grad_variables),
        retain_graph,
        create_graph,
        inputs,
    )
}

/// The gradients of the outputs with respect to the inputs, as a list; None where an input was not used.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // PyTorch's own
#[pyo3(signature = (outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads))]
fn _grad<'py>(
    py: Python<'py>,
    outputs: &Bound<'py, PyAny>,
    inputs: &Bound<'py, PyAny>,
    grad_outputs: Option<&Bound<'py, PyAny>>,
    retain_graph: Option<bool>,
    create_graph: bool,
    allow_unused: Option<bool>,
    materialize_grads: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    if materialize_grads && allow_unused == Some(false) {
        return Err(PyValueError::new_err(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.",
        ));
    }
    let (outputs, inputs) = (sequence(outputs)?, sequence(inputs)?);
    if inputs.is_empty() {
        return Err(PyRuntimeError::new_err(
            "`inputs` argument to `grad()` cannot be empty.",
        ));
    }
    let started = roots(&outputs, &given_grads(grad_outputs, outputs.len())?)?;
    let edges = input_edges(&inputs)?;
    let retain = retain_graph.unwrap_or(create_graph);
    let grads = walk(started, &Wanted::Capture(&edges), retain, create_graph)?;
    let items = PyList::empty(py);
    for (i, (grad, input)) in grads.into_iter().zip(&inputs).enumerate() {
        if grad.is_none() && !materialize_grads && allow_unused != Some(true) {
            return Err(PyRuntimeError::new_err(format!(
                "The differentiated Tensor at index {i} appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior."
            )));
        }
        let grad = match tensor_of(input) {
            Some(tensor) if grad.is_none() && materialize_grads => {
                Some(zeros_like(&tensor, create_graph)?)
            }
            _ => grad,
        };
        items.append(grad_object(py, grad.as_ref())?)?;
    }
    Ok(items.to_tuple())
}

/// The edge at which a tensor's gradient arrives, as `(node, output)`.
#[pyfunction]
fn _gradient_edge(tensor: &Bound<'_, PyTensor>) -> PyResult<Option<(Py<PyAny>, u32)>> {
    let edge = edge_of(&tensor.get().tensor)?;
    edge.map(|edge| {
        Ok((
            super::node::wrap_node(tensor.py(), &edge.node)?,
            edge.output,
        ))
    })
    .transpose()
}

/// The number of the backward pass that this thread is in; 0 outside of one.
#[pyfunction]
fn _current_run() -> u32 {
    crate::autograd::current_run()
}

/// Will the gradient of the tensor arrive in the pass that this thread is in?
#[pyfunction]
fn _takes_part(tensor: &Bound<'_, PyTensor>) -> PyResult<bool> {
    let edge = edge_of(&tensor.get().tensor)?;
    Ok(edge.is_some_and(|edge| crate::autograd::takes_part(&edge.node)))
}

/// Counts a write that autograd did not see.
#[pyfunction]
fn _bump_version(tensor: &Bound<'_, PyTensor>) {
    tensor.get().tensor.bump_version();
}

fn zeros_like(tensor: &Tensor, requires_grad: bool) -> crate::Result<Tensor> {
    let zeros = crate::call!("zeros_like", &tensor.detached())?;
    zeros.set_requires_grad(requires_grad)?;
    Ok(zeros)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let backward = wrap_pyfunction!(backward, module)?;
    module.add("_backward", backward)?;
    module.add_function(wrap_pyfunction!(_gradient_edge, module)?)?;
    module.add_function(wrap_pyfunction!(_current_run, module)?)?;
    module.add_function(wrap_pyfunction!(_takes_part, module)?)?;
    module.add_function(wrap_pyfunction!(_bump_version, module)?)?;
    module.add_function(wrap_pyfunction!(_grad, module)?)
}
