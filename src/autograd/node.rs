//! Nodes of the tape: what an op saved, where its gradients go, and how the graph is freed.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Ctx;
use crate::Result;
use crate::ops::{Entry, Grads, Value};
use crate::tensor::{DType, Device, Dims, Tensor};

/// Sizes, dtype and device of a tensor that a gradient must fit.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    pub shape: Dims,
    pub dtype: DType,
    pub device: Device,
}

impl From<&Tensor> for TensorInfo {
    fn from(t: &Tensor) -> TensorInfo {
        TensorInfo {
            shape: t.layout().shape.clone(),
            dtype: t.dtype(),
            device: t.device(),
        }
    }
}

/// Where the gradient of an input goes: an output of an earlier node.
#[derive(Clone)]
pub struct Edge {
    pub node: Arc<Node>,
    pub output: u32,
}

/// A tensor kept for the backward pass, with the version it had.
pub enum SavedTensor {
    /// An input, or an alias of an output (a node that held its own output would be a cycle).
    Plain {
        tensor: Tensor,
        version: u32,
        output: Option<u32>,
    },
    /// Handed to a saved-tensors hook.
    Packed {
        hook: Box<dyn PackedTensor>,
        output: Option<u32>,
    },
}

/// What a pack hook returned; `unpack` gives the tensor back.
pub trait PackedTensor: Send + Sync {
    fn unpack(&self) -> Result<Tensor>;
}

/// The saved part of a call: arguments with tensors taken out, saved tensors by position.
#[derive(Default)]
pub struct Saved {
    /// The call's arguments; tensors are replaced by `None`.
    pub args: SmallVec<[Value; 6]>,
    /// Saved tensor arguments, by position in the schema.
    pub inputs: SmallVec<[(u8, SavedTensor); 2]>,
    /// Saved lists of tensors, by position in the schema.
    pub lists: Vec<(u8, Vec<Option<SavedTensor>>)>,
    /// Saved outputs, by index.
    pub outputs: SmallVec<[(u8, SavedTensor); 1]>,
}

/// A user-defined or built-in backward function that is no op of the table.
pub trait Function: Send + Sync {
    /// Gradients of the inputs from those of the outputs, one per edge.
    fn apply(&self, node: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>;
    /// Frees what was saved; a later `apply` raises PyTorch's error.
    fn release(&self) {}
    /// The host language's object behind the function, if any.
    fn host(&self) -> Option<&(dyn std::any::Any + Send + Sync)> {
        None
    }
}

pub enum NodeBody {
    Op {
        entry: &'static Entry,
        saved: Mutex<Option<Saved>>,
    },
    /// The end of the tape at a leaf.
    Accumulate(Tensor),
    Custom(Box<dyn Function>),
}

/// A hook on gradients: of a tensor, or of all inputs or outputs of a node.
pub trait Hook: Send + Sync {
    /// May replace gradients in place of the list.
    fn call(
        &self,
        grads: &mut Vec<Option<Tensor>>,
        outputs: Option<&[Option<Tensor>]>,
    ) -> Result<()>;
}

/// Hooks with the keys by which they are removed, in the order of registration.
#[derive(Default)]
pub struct Hooks {
    pub next: u64,
    pub list: Vec<(u64, Arc<dyn Hook>)>,
}

pub struct Node {
    pub name: String,
    /// Order of recording, per thread: later nodes run first.
    pub sequence: u64,
    /// One per tensor parameter (lists flattened); `None` where no gradient flows.
    pub edges: SmallVec<[Option<Edge>; 2]>,
    /// What the gradients that arrive must look like.
    pub outputs: SmallVec<[TensorInfo; 1]>,
    pub body: NodeBody,
    /// Sizes of the inputs, where the rule asked for them.
    pub input_shapes: Option<Box<[TensorInfo]>>,
    pub pre_hooks: Mutex<Option<Box<Hooks>>>,
    pub post_hooks: Mutex<Option<Box<Hooks>>>,
    /// Tensors whose `retain_grad` or hooks want the gradient of an output: (output, hook).
    pub tensor_hooks: Mutex<Vec<(u32, u64, Arc<dyn Hook>)>>,
}

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

impl Node {
    #[must_use]
    pub fn new(
        name: String,
        edges: SmallVec<[Option<Edge>; 2]>,
        outputs: SmallVec<[TensorInfo; 1]>,
        body: NodeBody,
    ) -> Node {
        // Accumulators run as soon as they are ready, so they come last in recording order.
        let sequence = match body {
            NodeBody::Accumulate(_) => u64::MAX,
            _ => SEQUENCE.fetch_add(1, Ordering::Relaxed),
        };
        Node {
            name,
            sequence,
            edges,
            outputs,
            body,
            input_shapes: None,
            pre_hooks: Mutex::new(None),
            post_hooks: Mutex::new(None),
            tensor_hooks: Mutex::new(Vec::new()),
        }
    }

    /// Runs the rule: gradients of the inputs, one per edge.
    pub fn apply(
        self: &Arc<Node>,
        grads: &[Option<Tensor>],
    ) -> Result<SmallVec<[Option<Tensor>; 3]>> {
        match &self.body {
            NodeBody::Op { entry, .. } => match entry.op.grad {
                Some(grad) => {
                    let ctx = Ctx::new(self, grads)?;
                    let results: Grads = (grad.rule)(&ctx);
                    results
                        .into_iter()
                        .map(|g| g.map(crate::ops::Val::get).transpose())
                        .collect()
                }
                None => Ok(SmallVec::new()),
            },
            NodeBody::Custom(function) => Ok(function.apply(self, grads)?.into()),
            NodeBody::Accumulate(_) => Ok(SmallVec::new()),
        }
    }

    /// Frees what the node saved (after a backward pass without `retain_graph`).
    pub fn release(&self) {
        let freed = match &self.body {
            NodeBody::Op { saved, .. } => saved.lock().take(),
            NodeBody::Custom(function) => {
                function.release();
                None
            }
            NodeBody::Accumulate(_) => None,
        };
        if let Some(freed) = freed {
            drop_later(Remains {
                edges: SmallVec::new(),
                saved: Some(freed),
            });
        }
    }
}

/// What a dying node leaves to be dropped: it may own the only handles of earlier nodes.
struct Remains {
    #[allow(dead_code)] // held only to be dropped
    edges: SmallVec<[Option<Edge>; 2]>,
    #[allow(dead_code)] // held only to be dropped
    saved: Option<Saved>,
}

thread_local! {
    static REMAINS: RefCell<Option<Vec<Remains>>> = const { RefCell::new(None) };
}

/// Drops a node's remains in a loop, so that a long chain does not recurse.
fn drop_later(remains: Remains) {
    let mut mine = Some(remains);
    let outermost = REMAINS
        .try_with(|queue| {
            let mut queue = queue.borrow_mut();
            match queue.as_mut() {
                Some(list) => {
                    list.extend(mine.take());
                    false
                }
                None => {
                    *queue = Some(Vec::new());
                    true
                }
            }
        })
        .unwrap_or(false);
    if !outermost {
        return;
    }
    let mut next = mine;
    while let Some(one) = next {
        drop(one);
        next = REMAINS.with(|queue| queue.borrow_mut().as_mut().and_then(Vec::pop));
    }
    REMAINS.with(|queue| *queue.borrow_mut() = None);
}

impl Drop for Node {
    fn drop(&mut self) {
        let edges = std::mem::take(&mut self.edges);
        let saved = match &mut self.body {
            NodeBody::Op { saved, .. } => saved.get_mut().take(),
            _ => None,
        };
        if saved.is_some() || edges.iter().any(Option::is_some) {
            drop_later(Remains { edges, saved });
        }
    }
}
