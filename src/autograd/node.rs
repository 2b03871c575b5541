//! Nodes of the tape: what an op saved, and where its gradients go.

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU64};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use super::anomaly::{self, Trace};
use super::hooks::HookList;
use super::saved::Saved;
use super::{Ctx, remains};
use crate::Result;
use crate::ops::{Entry, Grads};
use crate::tensor::{DType, Device, Dims, Tensor, WeakTensor};

/// Sizes, dtype and device of a tensor that a gradient must fit.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    pub shape: Dims,
    pub dtype: DType,
    pub device: Device,
}

impl Default for TensorInfo {
    fn default() -> TensorInfo {
        TensorInfo {
            shape: Dims::new(),
            dtype: DType::F32,
            device: Device::CPU,
        }
    }
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

/// The edges of a node: one per tensor parameter (lists flattened); `None` where no gradient flows.
pub type Edges = SmallVec<[Option<Edge>; 2]>;

/// A user-defined or built-in backward function that is no op of the table.
pub trait Function: Send + Sync {
    /// Gradients of the inputs from those of the outputs, one per edge.
    fn apply(&self, node: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>;
    /// Frees what was saved; a later `apply` raises PyTorch's error.
    fn release(&self) {}
    /// Is it called where no gradient arrived, too?
    fn wants_missing(&self) -> bool {
        false
    }
    /// The host language's object behind the function, if any.
    fn host(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }
}

pub enum NodeBody {
    Op {
        entry: &'static Entry,
        /// Read while hooks of the user run, which may look at the node again.
        saved: RwLock<Option<Saved>>,
    },
    /// The end of the tape at a leaf.
    Accumulate(Tensor),
    Custom(Box<dyn Function>),
}

/// What only few nodes have.
#[derive(Default)]
pub struct Extras {
    /// Hooks of the tensors that are the node's outputs.
    pub tensor: HookList,
    /// Hooks of the node, before and after it runs.
    pub pre: HookList,
    pub post: HookList,
    /// Outputs whose gradient is kept.
    pub retained: Mutex<Vec<(u32, WeakTensor)>>,
    /// Where the forward call was made (anomaly mode).
    pub trace: OnceLock<Arc<Trace>>,
    /// The host language's notes on the node.
    pub notes: OnceLock<Box<dyn Any + Send + Sync>>,
}

pub struct Node {
    pub name: Cow<'static, str>,
    /// Order of recording, per thread: later nodes run first.
    pub sequence: u64,
    pub edges: Edges,
    /// What the gradients that arrive must look like.
    pub outputs: SmallVec<[TensorInfo; 1]>,
    pub body: NodeBody,
    /// Sizes of the inputs, where the rule asked for them.
    pub input_shapes: Option<Box<[TensorInfo]>>,
    extras: OnceLock<Box<Extras>>,
    /// The run of the engine that holds the node, and the node's number in it.
    pub(super) mark: AtomicU64,
    /// The host language's object for this node (borrowed), if it has one now.
    pub object: AtomicPtr<()>,
}

thread_local! {
    static SEQUENCE: Cell<u64> = const { Cell::new(0) };
}

impl Node {
    #[must_use]
    pub fn new(
        name: Cow<'static, str>,
        edges: Edges,
        outputs: SmallVec<[TensorInfo; 1]>,
        body: NodeBody,
    ) -> Node {
        // Accumulators run as soon as they are ready, so they come last in recording order.
        let sequence = match body {
            NodeBody::Accumulate(_) => u64::MAX,
            _ => SEQUENCE.replace(SEQUENCE.get() + 1),
        };
        let node = Node {
            name,
            sequence,
            edges,
            outputs,
            body,
            input_shapes: None,
            extras: OnceLock::new(),
            mark: AtomicU64::new(0),
            object: AtomicPtr::default(),
        };
        if anomaly::enabled() {
            anomaly::note(&node);
        }
        node
    }

    /// A node for a call of an op, to be filled by who records it.
    pub(super) fn of_op(entry: &'static Entry, len: usize) -> Node {
        let saved = Saved {
            len: len as u8,
            ..Saved::default()
        };
        let body = NodeBody::Op {
            entry,
            saved: RwLock::new(Some(saved)),
        };
        let name = Cow::Borrowed(entry.node_name.as_str());
        Node::new(name, Edges::new(), SmallVec::new(), body)
    }

    /// The name that messages use: with PyTorch's namespace where the node is no op's.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.name.as_ref() {
            name @ ("AccumulateGrad" | "CopySlices" | "CopyBackwards") => {
                format!("torch::autograd::{name}")
            }
            name => name.to_string(),
        }
    }

    /// A node that takes gradients and passes none on.
    pub(super) fn dead_end(name: &'static str, tensor: &Tensor) -> Arc<Node> {
        struct Nothing;
        impl Function for Nothing {
            fn apply(&self, _: &Arc<Node>, _: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
                Ok(Vec::new())
            }
        }
        Arc::new(Node::new(
            name.into(),
            smallvec::smallvec![None],
            smallvec::smallvec![TensorInfo::from(tensor)],
            NodeBody::Custom(Box::new(Nothing)),
        ))
    }

    /// What the node has beyond the ordinary, made on demand.
    pub fn extras(&self) -> &Extras {
        self.extras.get_or_init(Box::default)
    }

    /// As `extras`; `None` for an ordinary node.
    #[inline]
    pub(super) fn rare(&self) -> Option<&Extras> {
        self.extras.get().map(Box::as_ref)
    }

    /// Stops keeping a tensor's gradient; was it kept?
    pub(super) fn forget_retained(&self, tensor: &Tensor) -> bool {
        let Some(extras) = self.rare() else {
            return false;
        };
        let mut retained = extras.retained.lock();
        let before = retained.len();
        retained.retain(|(_, t)| !t.upgrade().is_some_and(|t| t.same(tensor)));
        retained.len() != before
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
        match &self.body {
            NodeBody::Op { saved, .. } => {
                // Whoever reads it now still needs it.
                let freed = saved.try_write().and_then(|mut saved| saved.take());
                drop(freed);
            }
            NodeBody::Custom(function) => function.release(),
            NodeBody::Accumulate(_) => {}
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let saved = match &mut self.body {
            NodeBody::Op { saved, .. } => saved.get_mut(),
            _ => &mut None,
        };
        let only_owner = |edge: &Edge| Arc::strong_count(&edge.node) == 1;
        let holds_tensors = saved.as_ref().is_some_and(Saved::holds_tensors);
        if holds_tensors || self.edges.iter().flatten().any(only_owner) {
            let saved = saved.take().map(Box::new);
            remains::drop_later(std::mem::take(&mut self.edges), saved);
        }
    }
}
