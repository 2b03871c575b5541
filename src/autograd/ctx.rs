//! What a gradient rule sees: the gradients that arrived, and what the call saved.

use std::sync::Arc;

use smallvec::SmallVec;

use super::node::{Node, NodeBody};
use super::saved::freed_error;
use crate::ops::{ArgVec, Args, Val, Value};
use crate::tensor::{Device, Dims, Tensor};
use crate::{Result, err};

pub struct Ctx<'a> {
    node: &'a Node,
    grads: &'a [Option<Tensor>],
    args: ArgVec,
    outputs: SmallVec<[Option<Tensor>; 1]>,
}

impl<'a> Ctx<'a> {
    pub(super) fn new(node: &'a Arc<Node>, grads: &'a [Option<Tensor>]) -> Result<Ctx<'a>> {
        let NodeBody::Op { saved, .. } = &node.body else {
            return Err(err!(Runtime, "{} saves no arguments", node.name));
        };
        let saved = saved.read_recursive();
        let saved = saved.as_ref().ok_or_else(freed_error)?;
        let history = super::recording();
        let mut args = ArgVec::new();
        args.resize_with(saved.len as usize, Value::default);
        for (i, value) in &saved.args {
            args[*i as usize] = value.clone();
        }
        for (i, tensor) in &saved.inputs {
            args[*i as usize] = Value::Tensor(tensor.unpack(node, history)?);
        }
        for (i, list) in &saved.lists {
            let list = list
                .iter()
                .map(|t| t.as_ref().map(|t| t.unpack(node, history)).transpose());
            args[*i as usize] = Value::OptTensors(list.collect::<Result<_>>()?);
        }
        let mut outputs = SmallVec::new();
        for (i, tensor) in &saved.outputs {
            outputs.resize(*i as usize + 1, None);
            outputs[*i as usize] = Some(tensor.unpack(node, history)?);
        }
        Ok(Ctx {
            node,
            grads,
            args,
            outputs,
        })
    }

    /// The gradient of the only (or first) output.
    #[must_use]
    pub fn g(&self) -> Val {
        self.grad(0).unwrap_or_else(|| missing("a gradient", 0))
    }

    /// The gradient of an output; `None` where none arrived.
    #[must_use]
    pub fn grad(&self, output: usize) -> Option<Val> {
        self.grads
            .get(output)
            .and_then(Option::as_ref)
            .map(Val::from)
    }

    /// The saved tensor argument at a position of the schema.
    #[must_use]
    pub fn x(&self, position: usize) -> Val {
        match self.args.get(position) {
            Some(Value::Tensor(t)) => t.into(),
            _ => missing("argument", position),
        }
    }

    /// As `x`, `None` where the argument was None or no tensor.
    #[must_use]
    pub fn opt_x(&self, position: usize) -> Option<Val> {
        self.args
            .get(position)
            .and_then(Value::tensor)
            .map(Val::from)
    }

    /// A saved output.
    #[must_use]
    pub fn y(&self, index: usize) -> Val {
        match self.outputs.get(index) {
            Some(Some(t)) => t.into(),
            _ => missing("output", index),
        }
    }

    /// The other arguments; tensors that were not saved read as None.
    #[must_use]
    pub fn args(&self) -> Args<'_> {
        Args(&self.args)
    }

    /// Does the tensor parameter in this slot (tensor parameters counted, lists flattened) want a gradient?
    #[must_use]
    pub fn needs(&self, slot: usize) -> bool {
        self.node.edges.get(slot).is_some_and(Option::is_some)
    }

    /// The gradient for a slot, computed only if it is wanted.
    pub fn when(&self, slot: usize, grad: impl FnOnce() -> Val) -> Option<Val> {
        self.needs(slot).then(grad)
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.node.edges.len()
    }

    /// Sizes of the tensor in a slot; known where it wants a gradient, or where the rule saves `SHAPES`.
    #[must_use]
    pub fn shape(&self, slot: usize) -> Dims {
        self.info(slot)
            .map(|info| info.shape.clone())
            .unwrap_or_default()
    }

    fn info(&self, slot: usize) -> Option<&super::TensorInfo> {
        match &self.node.input_shapes {
            Some(shapes) => shapes.get(slot),
            None => {
                let edge = self.node.edges.get(slot)?.as_ref()?;
                edge.node.outputs.get(edge.output as usize)
            }
        }
    }

    /// Dtype of the tensor in a slot, under the same conditions as `shape`.
    #[must_use]
    pub fn dtype(&self, slot: usize) -> crate::DType {
        self.info(slot).map_or(crate::DType::F32, |info| info.dtype)
    }

    /// Device of the tensor in a slot, under the same conditions as `shape`.
    #[must_use]
    pub fn device(&self, slot: usize) -> Device {
        self.info(slot).map_or(Device::CPU, |info| info.device)
    }

    /// How many outputs the call had.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// Sizes of an output.
    #[must_use]
    pub fn out_shape(&self, output: usize) -> Dims {
        self.node
            .outputs
            .get(output)
            .map(|info| info.shape.clone())
            .unwrap_or_default()
    }
}

fn missing(what: &str, index: usize) -> Val {
    Val(Err(err!(
        Runtime,
        "the gradient rule asks for {what} {index}, which was not saved"
    )))
}
