//! Tensors kept for the backward pass: with the version they had, or handed to a user's hooks.

use std::cell::RefCell;
use std::sync::Arc;

use smallvec::SmallVec;

use super::anomaly;
use super::node::{Edge, Node};
use super::record::edge_of;
use super::{NoGrad, inference_enabled};
use crate::ops::Value;
use crate::tensor::Tensor;
use crate::{Error, Result, ensure, err};

/// A tensor kept for the backward pass, with the version it had.
pub enum SavedTensor {
    /// An input, or an alias of an output (a node that held its own output would be a cycle).
    Plain {
        tensor: Tensor,
        version: u32,
        output: Option<u32>,
    },
    /// Handed to a saved-tensors hook.
    Packed(Box<Packed>),
}

pub struct Packed {
    hook: Box<dyn PackedTensor>,
    /// The output that the tensor is of the node which saved it.
    output: Option<u32>,
    /// Where its gradient goes otherwise.
    edge: Option<Edge>,
}

/// What a pack hook returned; `unpack` gives the tensor back.
pub trait PackedTensor: Send + Sync {
    fn unpack(&self) -> Result<Tensor>;
}

/// A pair of saved-tensors hooks.
pub trait SavedHooks: Send + Sync {
    fn pack(&self, tensor: &Tensor) -> Result<Box<dyn PackedTensor>>;
}

/// The saved part of a call: arguments with tensors taken out, saved tensors by position.
#[derive(Default)]
pub struct Saved {
    /// The arguments that are no tensors (and not None), by position in the schema.
    pub args: SmallVec<[(u8, Value); 1]>,
    /// How many arguments the call had.
    pub len: u8,
    /// Saved tensor arguments, by position in the schema.
    pub inputs: SmallVec<[(u8, SavedTensor); 2]>,
    /// Saved lists of tensors, by position in the schema.
    pub lists: Vec<(u8, Vec<Option<SavedTensor>>)>,
    /// Saved outputs, by index.
    pub outputs: SmallVec<[(u8, SavedTensor); 1]>,
}

impl Saved {
    pub(super) fn holds_tensors(&self) -> bool {
        !(self.inputs.is_empty() && self.lists.is_empty() && self.outputs.is_empty())
    }
}

/// The hooks in force on a thread, innermost last; a message forbids new ones.
#[derive(Default)]
struct HookState {
    stack: Vec<Arc<dyn SavedHooks>>,
    forbidden: Option<Arc<str>>,
}

thread_local! {
    static HOOKS: RefCell<HookState> = const {
        RefCell::new(HookState { stack: Vec::new(), forbidden: None })
    };
}

/// From now on, tensors saved on this thread go through the hooks.
pub fn push_saved_hooks(hooks: Arc<dyn SavedHooks>) -> Result<()> {
    HOOKS.with_borrow_mut(|state| match &state.forbidden {
        Some(message) => Err(err!(Runtime, "{message}")),
        None => {
            state.stack.push(hooks);
            Ok(())
        }
    })
}

pub fn pop_saved_hooks() {
    let popped = HOOKS.with_borrow_mut(|state| state.stack.pop());
    drop(popped);
}

/// Forbids saved-tensors hooks with a message, or allows them again; returns the message before.
pub fn forbid_saved_hooks(message: Option<Arc<str>>) -> Result<Option<Arc<str>>> {
    HOOKS.with_borrow_mut(|state| {
        if let (Some(message), false) = (&message, state.stack.is_empty()) {
            return Err(err!(Runtime, "{message}"));
        }
        Ok(std::mem::replace(&mut state.forbidden, message))
    })
}

fn current_hooks() -> Option<Arc<dyn SavedHooks>> {
    HOOKS.with_borrow(|state| state.stack.last().cloned())
}

impl SavedTensor {
    /// Keeps an input. `version` is that before the call, where the call writes to it.
    pub fn input(t: &Tensor, version: Option<u32>) -> Result<SavedTensor> {
        SavedTensor::keep(t, version, None)
    }

    /// Keeps an output of the node that saves it.
    pub fn output(t: &Tensor, index: u32) -> Result<SavedTensor> {
        SavedTensor::keep(t, None, Some(index))
    }

    fn keep(t: &Tensor, version: Option<u32>, output: Option<u32>) -> Result<SavedTensor> {
        ensure!(
            !t.is_inference() || inference_enabled(),
            Runtime,
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        );
        if let Some(hooks) = current_hooks() {
            return pack(hooks.as_ref(), t, output);
        }
        Ok(SavedTensor::Plain {
            tensor: if output.is_some() {
                t.detached()
            } else {
                t.clone()
            },
            version: version.unwrap_or_else(|| t.version()),
            output,
        })
    }

    /// The tensor as it was saved; an error if it was written since. An output comes back with its
    /// history only if asked for.
    pub fn unpack(&self, node: &Arc<Node>, history: bool) -> Result<Tensor> {
        match self {
            SavedTensor::Plain {
                tensor,
                version,
                output,
            } => {
                if tensor.version() != *version {
                    return Err(modified_error(tensor, *version, *output, node));
                }
                Ok(match output {
                    Some(output) if history => with_history(tensor, node, *output),
                    _ => tensor.clone(),
                })
            }
            SavedTensor::Packed(packed) => {
                let tensor = packed.hook.unpack()?;
                Ok(match (packed.output, &packed.edge) {
                    (Some(output), _) => with_history(&tensor, node, output),
                    (None, Some(edge)) => with_edge(&tensor, edge),
                    (None, None) => tensor,
                })
            }
        }
    }
}

fn pack(hooks: &dyn SavedHooks, t: &Tensor, output: Option<u32>) -> Result<SavedTensor> {
    let edge = if output.is_none() { edge_of(t)? } else { None };
    let version = t.version();
    let hook = {
        let _guard = NoGrad::enter();
        match output {
            // A hook that keeps what it gets would keep the node alive by its own output.
            Some(_) => hooks.pack(&t.detached())?,
            None => hooks.pack(t)?,
        }
    };
    ensure!(
        t.version() == version,
        Runtime,
        "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need to perform in-place operations on the input to a pack hook."
    );
    Ok(SavedTensor::Packed(Box::new(Packed { hook, output, edge })))
}

/// A saved output gets its history back, so that it can be differentiated again.
fn with_history(tensor: &Tensor, node: &Arc<Node>, output: u32) -> Tensor {
    let again = tensor.detached();
    again.set_history(node, output);
    again
}

/// An unpacked tensor stands for the one that was packed: its gradient goes the same way.
fn with_edge(tensor: &Tensor, edge: &Edge) -> Tensor {
    let again = tensor.detached();
    if matches!(edge.node.body, super::NodeBody::Accumulate(_)) {
        again.with_meta_mut(|m| m.accumulator = Arc::downgrade(&edge.node));
        again.set_requires_grad_flag(true);
    } else {
        again.set_history(&edge.node, edge.output);
    }
    again
}

/// The error of using a graph whose saved tensors were freed.
#[must_use]
pub fn freed_error() -> Error {
    err!(
        Runtime,
        "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward."
    )
}

fn modified_error(tensor: &Tensor, version: u32, output: Option<u32>, node: &Node) -> Error {
    let origin = match output {
        Some(n) => format!(", which is output {n} of {},", node.full_name()),
        None => tensor
            .with_meta(|m| m.and_then(|m| m.grad_fn.as_ref().map(|f| (f.full_name(), m.output))))
            .map(|(name, n)| format!(", which is output {n} of {name},"))
            .unwrap_or_default(),
    };
    let hint = if anomaly::enabled() {
        "the backtrace further above shows the operation that failed to compute its gradient. The variable in question was changed in there or anywhere later. Good luck!"
    } else {
        "enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
    };
    err!(
        Runtime,
        "one of the variables needed for gradient computation has been modified by an inplace operation: [{} {:?}]{origin} is at version {}; expected version {version} instead. Hint: {hint}",
        tensor_type(tensor),
        tensor.shape(),
        tensor.version()
    )
}

/// `torch.FloatTensor`, PyTorch's name of a dtype on a device.
#[must_use]
pub fn tensor_type(tensor: &Tensor) -> String {
    let prefix = if tensor.device().is_cpu() {
        "torch."
    } else {
        "torch.cuda."
    };
    format!("{prefix}{}Tensor", tensor.dtype().scalar_name())
}
