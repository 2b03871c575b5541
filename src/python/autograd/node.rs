//! `grad_fn`: nodes of the tape as Python objects, one class per kind of node.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::function_node::FunctionHost;
use super::grad_object;
use super::hooks::{NodeHook, PyHandle};
use crate::Tensor;
use crate::autograd::{Node, NodeBody, Saved};
use crate::python::convert::{tensor_tuple, value_object};
use crate::python::tensor::{PyTensor, wrap};

/// A step of the tape, from a result back to its operands.
#[pyclass(name = "_Node", module = "torch._C", subclass, frozen, weakref)]
pub struct PyNode {
    pub node: Arc<Node>,
}

impl Drop for PyNode {
    fn drop(&mut self) {
        self.node
            .object
            .store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

/// Carries a node into the constructor of its class.
#[pyclass(frozen)]
struct NodeHandle(Arc<Node>);

/// The object of a node: the one it has, or a new one; a user's function is its context object.
pub fn wrap_node(py: Python<'_>, node: &Arc<Node>) -> PyResult<Py<PyAny>> {
    if let Some(host) = host_of(node) {
        return Ok(host.context.clone_ref(py));
    }
    let known = node.object.load(Ordering::Relaxed);
    if !known.is_null() {
        // SAFETY: the slot is emptied when its object dies, and the interpreter lock is held, so the object is alive.
        return Ok(unsafe { Bound::from_borrowed_ptr(py, known.cast()) }.unbind());
    }
    let object = class_of(py, &node.name)?.call1((NodeHandle(node.clone()),))?;
    node.object.store(object.as_ptr().cast(), Ordering::Relaxed);
    Ok(object.unbind())
}

fn host_of(node: &Node) -> Option<&FunctionHost> {
    let NodeBody::Custom(function) = &node.body else {
        return None;
    };
    let host: &(dyn Any + Send + Sync) = function.host()?;
    host.downcast_ref()
}

/// The node behind an object of `wrap_node`.
pub fn node_of(object: &Bound<'_, PyAny>) -> Option<Arc<Node>> {
    match object.cast::<PyNode>() {
        Ok(node) => Some(node.get().node.clone()),
        Err(_) => super::function::node_of(object),
    }
}

/// One class per name, as `type(y.grad_fn).__name__` shows it.
fn class_of<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let classes = CLASSES
        .get_or_init(py, || PyDict::new(py).unbind())
        .bind(py);
    if let Some(class) = classes.get_item(name)? {
        return Ok(class);
    }
    let body = PyDict::new(py);
    body.set_item("__slots__", PyTuple::empty(py))?;
    // As PyTorch's own classes, whose objects print as `<AddBackward0 object at 0x...>`.
    body.set_item("__module__", "builtins")?;
    let bases = PyTuple::new(py, [py.get_type::<PyNode>()])?;
    let class = py.get_type::<PyType>().call1((name, bases, body))?;
    classes.set_item(name, &class)?;
    Ok(class)
}

/// `((node, output), ...)`, `(None, 0)` where no gradient flows.
pub fn next_functions<'py>(py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyTuple>> {
    let items = node.edges.iter().map(|edge| match edge {
        Some(edge) => Ok((wrap_node(py, &edge.node)?, edge.output)),
        None => Ok((py.None(), 0)),
    });
    PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)
}

/// The dict that users may write notes on a node into.
pub fn metadata(py: Python<'_>, node: &Node) -> PyResult<Py<PyAny>> {
    let notes = node
        .extras()
        .notes
        .get_or_init(|| Box::new(PyDict::new(py).unbind()));
    match notes.downcast_ref::<Py<PyDict>>() {
        Some(dict) => Ok(dict.clone_ref(py).into_any()),
        None => Err(PyRuntimeError::new_err(
            "the notes of this node are not Python's",
        )),
    }
}

#[pymethods]
impl PyNode {
    #[new]
    fn new(handle: &Bound<'_, PyAny>) -> PyResult<PyNode> {
        match handle.cast::<NodeHandle>() {
            Ok(handle) => Ok(PyNode {
                node: handle.get().0.clone(),
            }),
            Err(_) => Err(PyTypeError::new_err("cannot create node instances")),
        }
    }

    /// The name of the kind of node.
    fn name(&self) -> String {
        self.node.full_name()
    }

    #[getter]
    fn next_functions<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        next_functions(slf.py(), &slf.get().node)
    }

    #[getter]
    fn metadata(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        metadata(slf.py(), &slf.get().node)
    }

    #[getter]
    fn requires_grad(&self) -> bool {
        true
    }

    fn _sequence_nr(&self) -> u64 {
        self.node.sequence
    }

    /// Calls `hook(grad_inputs, grad_outputs)` after this node ran.
    fn register_hook(&self, hook: Py<PyAny>) -> PyHandle {
        PyHandle(self.node.extras().post.add(
            0,
            Arc::new(NodeHook {
                hook,
                before: false,
            }),
        ))
    }

    /// Calls `hook(grad_outputs)` before this node runs.
    fn register_prehook(&self, hook: Py<PyAny>) -> PyHandle {
        PyHandle(
            self.node
                .extras()
                .pre
                .add(0, Arc::new(NodeHook { hook, before: true })),
        )
    }

    /// Runs the node on gradients of its outputs.
    #[pyo3(signature = (*grads))]
    fn __call__(&self, py: Python<'_>, grads: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let grads = grads.iter().map(|grad| match grad.cast::<PyTensor>() {
            Ok(t) => Ok(Some(t.get().tensor.clone())),
            Err(_) if grad.is_none() => Ok(None),
            Err(_) => Err(PyTypeError::new_err(
                "gradients can be either Tensors or None",
            )),
        });
        let results = self.node.apply(&grads.collect::<PyResult<Vec<_>>>()?)?;
        let items: Vec<_> = results
            .iter()
            .map(|grad| grad_object(py, grad.as_ref()))
            .collect::<PyResult<_>>()?;
        match <[Py<PyAny>; 1]>::try_from(items) {
            Ok([one]) => Ok(one),
            Err(items) => Ok(PyTuple::new(py, items)?.into_any().unbind()),
        }
    }

    fn __getattr__(slf: &Bound<'_, Self>, name: &str) -> PyResult<Py<PyAny>> {
        let (py, node) = (slf.py(), &slf.get().node);
        if let (NodeBody::Accumulate(leaf), "variable") = (&node.body, name) {
            return Ok(wrap(py, leaf.clone())?.into_any().unbind());
        }
        let found = match name.strip_prefix("_saved_") {
            Some(field) => saved_field(py, node, field)?,
            None => None,
        };
        found.ok_or_else(|| {
            PyAttributeError::new_err(format!("'{}' object has no attribute '{name}'", node.name))
        })
    }

    fn __dir__(slf: &Bound<'_, Self>) -> PyResult<Vec<Py<PyAny>>> {
        let py = slf.py();
        let base = py.get_type::<PyAny>().getattr("__dir__")?.call1((slf,))?;
        let mut names: Vec<Py<PyAny>> = base.extract()?;
        let mut extra = saved_names(&slf.get().node);
        if matches!(slf.get().node.body, NodeBody::Accumulate(_)) {
            extra.push("variable".to_string());
        }
        for name in extra {
            names.push(name.into_pyobject(py)?.into_any().unbind());
        }
        Ok(names)
    }
}

/// The attributes that show what a node saved.
fn saved_names(node: &Node) -> Vec<String> {
    let NodeBody::Op { entry, .. } = &node.body else {
        return Vec::new();
    };
    let save = entry.op.grad.map_or(0, |grad| grad.save);
    let mut names = Vec::new();
    for (i, param) in entry.schema.params.iter().enumerate() {
        let tensor = param.ty.holds_tensors();
        if !tensor || (i < 16 && save & crate::ops::arg(i) != 0) {
            names.push(format!("_saved_{}", param.name));
        }
    }
    for i in 0..node.outputs.len().min(15) {
        if save & crate::ops::out(i) != 0 {
            names.push(format!("_saved_{}", output_name(node, i)));
        }
    }
    names
}

fn output_name(node: &Node, index: usize) -> String {
    if node.outputs.len() == 1 {
        "result".to_string()
    } else {
        format!("result{index}")
    }
}

/// What a node saved under the name of a parameter, or of an output.
fn saved_field(py: Python<'_>, node: &Arc<Node>, field: &str) -> PyResult<Option<Py<PyAny>>> {
    let NodeBody::Op { entry, saved } = &node.body else {
        return Ok(None);
    };
    if !saved_names(node)
        .iter()
        .any(|name| &name["_saved_".len()..] == field)
    {
        return Ok(None);
    }
    let saved = saved.read_recursive();
    let saved = saved.as_ref().ok_or_else(crate::autograd::freed_error)?;
    if let Some(position) = entry.schema.position(field) {
        return argument(py, node, saved, position).map(Some);
    }
    for (index, tensor) in &saved.outputs {
        if output_name(node, *index as usize) == field {
            return Ok(Some(
                wrap(py, tensor.unpack(node, true)?)?.into_any().unbind(),
            ));
        }
    }
    Ok(None)
}

fn argument(
    py: Python<'_>,
    node: &Arc<Node>,
    saved: &Saved,
    position: usize,
) -> PyResult<Py<PyAny>> {
    let here = |i: &u8| *i as usize == position;
    if let Some((_, tensor)) = saved.inputs.iter().find(|(i, _)| here(i)) {
        return Ok(wrap(py, tensor.unpack(node, true)?)?.into_any().unbind());
    }
    if let Some((_, list)) = saved.lists.iter().find(|(i, _)| here(i)) {
        let list = list.iter().flatten().map(|t| t.unpack(node, true));
        let list = list.collect::<crate::Result<Vec<Tensor>>>()?;
        return Ok(tensor_tuple(py, list)?.into_any().unbind());
    }
    let plain = saved.args.iter().find(|(i, _)| here(i));
    value_object(
        py,
        plain.map(|(_, value)| value.clone()).unwrap_or_default(),
    )
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyNode>()
}
