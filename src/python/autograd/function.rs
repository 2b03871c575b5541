//! User-defined functions: their contexts, and `Function.apply`.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::function_node::FunctionHost;
use super::function_outputs::{Outputs, wrap_outputs};
use super::grad_object;
use super::hooks::{NodeHook, PyHandle};
use crate::Tensor;
use crate::autograd::{
    Edges, NoGrad, Node, NodeBody, SavedTensor, edge_of, freed_error, recording,
};
use crate::python::tensor::PyTensor;

/// The native part of a function's context, which is also its `grad_fn`.
#[pyclass(
    name = "_FunctionBase",
    module = "torch._C",
    subclass,
    frozen,
    dict,
    weakref
)]
#[derive(Default)]
pub struct PyFunction {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The node holds the context, so the context must not hold the node.
    node: Weak<Node>,
    /// Shared, because unpacking may call hooks that look at the context.
    saved: Arc<Vec<Option<SavedTensor>>>,
    freed: bool,
    needs_input_grad: Option<Py<PyTuple>>,
}

/// The node of a context object.
pub fn node_of(object: &Bound<'_, PyAny>) -> Option<Arc<Node>> {
    object
        .cast::<PyFunction>()
        .ok()?
        .get()
        .state
        .lock()
        .node
        .upgrade()
}

pub fn flag(context: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    context.getattr(name)?.is_truthy()
}

#[pymethods]
impl PyFunction {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyFunction {
        PyFunction::default()
    }

    /// The tensors given to `save_for_backward`.
    #[getter]
    fn saved_tensors<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let state = slf.get().state.lock();
        if state.freed {
            return Err(freed_error().into());
        }
        let Some(node) = state.node.upgrade() else {
            return Ok(PyTuple::empty(py));
        };
        let saved = state.saved.clone();
        drop(state);
        let items = saved
            .iter()
            .map(|saved| saved.as_ref().map(|s| s.unpack(&node, true)).transpose());
        let items = items.collect::<crate::Result<Vec<_>>>()?;
        let items = items.iter().map(|t| grad_object(py, t.as_ref()));
        PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)
    }

    /// Which arguments of `forward` want a gradient.
    #[getter]
    fn get_needs_input_grad(slf: &Bound<'_, Self>) -> Option<Py<PyTuple>> {
        slf.get()
            .state
            .lock()
            .needs_input_grad
            .as_ref()
            .map(|t| t.clone_ref(slf.py()))
    }

    #[setter]
    fn set_needs_input_grad(&self, value: Py<PyTuple>) {
        self.state.lock().needs_input_grad = Some(value);
    }

    #[getter]
    fn next_functions<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        super::node::next_functions(slf.py(), &*slf.get().node("next_functions")?)
    }

    #[getter]
    fn metadata(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        super::node::metadata(slf.py(), &*slf.get().node("metadata")?)
    }

    #[getter]
    fn requires_grad(&self) -> bool {
        self.state.lock().node.strong_count() > 0
    }

    fn name(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(slf.get_type().name()?.to_string())
    }

    fn _sequence_nr(&self) -> PyResult<u64> {
        Ok(self.node("_sequence_nr")?.sequence)
    }

    /// Calls `hook(grad_inputs, grad_outputs)` after `backward` ran.
    fn register_hook(&self, hook: Py<PyAny>) -> PyResult<PyHandle> {
        let hook = Arc::new(NodeHook {
            hook,
            before: false,
        });
        Ok(PyHandle(
            self.node("register_hook")?.extras().post.add(0, hook),
        ))
    }

    /// Calls `hook(grad_outputs)` before `backward` runs.
    fn register_prehook(&self, hook: Py<PyAny>) -> PyResult<PyHandle> {
        let hook = Arc::new(NodeHook { hook, before: true });
        Ok(PyHandle(
            self.node("register_prehook")?.extras().pre.add(0, hook),
        ))
    }
}

impl PyFunction {
    /// Frees what was saved; asking for it is an error from now on.
    pub fn free(&self) {
        let mut state = self.state.lock();
        state.freed = true;
        let saved = std::mem::take(&mut state.saved);
        drop(state);
        drop(saved);
    }

    fn node(&self, what: &str) -> PyResult<Arc<Node>> {
        self.state.lock().node.upgrade().ok_or_else(|| {
            PyRuntimeError::new_err(format!(
                "Attribute '{what}' is invalid for this instance of _C._FunctionBase. Accessing this attribute directly on an instance of autograd.Function is a legacy access pattern that is no longer supported. For examples on how to use new-style autograd functions, see https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function "
            ))
        })
    }
}

/// The tensors among the arguments of `forward`, and which want a gradient.
struct Inputs {
    tensors: Vec<Tensor>,
    is_tensor: Vec<bool>,
    recorded: bool,
}

fn inputs(args: &Bound<'_, PyTuple>) -> (Inputs, Vec<bool>) {
    let (mut tensors, mut is_tensor, mut needs) = (Vec::new(), Vec::new(), Vec::new());
    for arg in args.iter() {
        let tensor = arg.cast::<PyTensor>().ok().map(|t| t.get().tensor.clone());
        is_tensor.push(tensor.is_some());
        needs.push(tensor.as_ref().is_some_and(Tensor::requires_grad));
        tensors.extend(tensor);
    }
    let recorded = recording() && needs.contains(&true);
    (
        Inputs {
            tensors,
            is_tensor,
            recorded,
        },
        needs,
    )
}

/// `Function.apply`: runs `forward` unrecorded, and records the function as one node.
#[pyfunction]
#[pyo3(signature = (cls, *args))]
fn _apply_function<'py>(
    cls: &Bound<'py, PyType>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = cls.py();
    let context = cls.getattr("_backward_cls")?.call0()?;
    let (inputs, needs) = inputs(args);
    let function = context.cast::<PyFunction>()?.get();
    function.state.lock().needs_input_grad = Some(PyTuple::new(py, needs)?.unbind());
    let raw = {
        let _guard = NoGrad::enter();
        forward(cls, &context, args)?
    };
    let is_tuple = raw.cast::<PyTuple>().is_ok();
    let raw: Vec<Bound<'py, PyAny>> = match raw.cast::<PyTuple>() {
        Ok(tuple) => tuple.iter().collect(),
        Err(_) => vec![raw],
    };
    let outputs = Outputs::sort(&context, &raw, &inputs.tensors)?;
    let node = if inputs.recorded {
        Some(make_node(&context, &inputs, &outputs)?)
    } else {
        None
    };
    let wrapped = wrap_outputs(py, outputs, node.as_ref(), raw)?;
    if let Some(node) = &node {
        function.state.lock().node = Arc::downgrade(node);
        let saved = save(&context, node)?;
        function.state.lock().saved = Arc::new(saved);
    }
    context.call_method0("_forget_forward")?;
    match wrapped.first() {
        Some(one) if !is_tuple => Ok(one.clone()),
        _ => Ok(PyTuple::new(py, wrapped)?.into_any()),
    }
}

fn forward<'py>(
    cls: &Bound<'py, PyType>,
    context: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    if flag(cls.as_any(), "_has_setup_context")? {
        let result = cls.getattr("forward")?.call1(args)?;
        cls.getattr("setup_context")?
            .call1((context, args, &result))?;
        return Ok(result);
    }
    let mut all = vec![context.clone()];
    all.extend(args.iter());
    cls.getattr("forward")?.call1(PyTuple::new(cls.py(), all)?)
}

fn make_node(
    context: &Bound<'_, PyAny>,
    inputs: &Inputs,
    outputs: &Outputs,
) -> PyResult<Arc<Node>> {
    let mut edges = Edges::new();
    for tensor in &inputs.tensors {
        edges.push(edge_of(tensor)?);
    }
    let host = FunctionHost {
        context: context.clone().unbind(),
        is_tensor: inputs.is_tensor.clone(),
        outputs: outputs.infos(),
    };
    let infos = host
        .outputs
        .iter()
        .map(|info| info.clone().unwrap_or_default())
        .collect();
    let name = context.get_type().name()?.to_string();
    Ok(Arc::new(Node::new(
        name.into(),
        edges,
        infos,
        NodeBody::Custom(Box::new(host)),
    )))
}

/// What `save_for_backward` was given, kept as the tape keeps tensors.
fn save(context: &Bound<'_, PyAny>, node: &Arc<Node>) -> PyResult<Vec<Option<SavedTensor>>> {
    let to_save = context.getattr("to_save")?;
    if to_save.is_none() {
        return Ok(Vec::new());
    }
    let to_save = to_save.cast::<PyTuple>().map_err(|_| {
        PyTypeError::new_err(format!(
            "saved tensors argument is expected to be a tuple, but is a {}",
            to_save.get_type()
        ))
    })?;
    let mut saved = Vec::with_capacity(to_save.len());
    for (i, item) in to_save.iter().enumerate() {
        saved.push(match item.cast::<PyTensor>() {
            Ok(tensor) => Some(save_one(&tensor.get().tensor, node)?),
            Err(_) if item.is_none() => None,
            Err(_) => {
                return Err(PyTypeError::new_err(format!(
                    "save_for_backward can only save variables, but argument {i} is of type {}",
                    item.get_type().name()?
                )));
            }
        });
    }
    Ok(saved)
}

fn save_one(tensor: &Tensor, node: &Arc<Node>) -> crate::Result<SavedTensor> {
    match tensor.grad_fn()? {
        Some(edge) if Arc::ptr_eq(&edge.node, node) => SavedTensor::output(tensor, edge.output),
        _ => SavedTensor::input(tensor, None),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFunction>()?;
    module.add_function(wrap_pyfunction!(_apply_function, module)?)
}
