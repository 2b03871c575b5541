//! Recording a call on the tape.

use std::sync::Arc;

use smallvec::SmallVec;

use super::grad_enabled;
use super::node::{Edge, Node, NodeBody, Saved, SavedTensor, TensorInfo};
use crate::Result;
use crate::ops::{Entry, SHAPES, Type, Value};
use crate::tensor::Tensor;

/// Does a gradient flow into any of the arguments while recording is on?
#[inline]
pub(super) fn is_recorded(entry: &Entry, args: &[Value]) -> bool {
    if entry.op.grad.is_none() || !grad_enabled() {
        return false;
    }
    let mut wanted = false;
    for value in args {
        value.each_tensor(|t| wanted |= t.requires_grad());
    }
    wanted
}

/// Gives the results their history, if the call is one to record.
#[inline]
pub fn record(entry: &'static Entry, args: &[Value], results: &[Tensor]) -> Result<()> {
    if is_recorded(entry, args) && results.iter().any(|t| t.dtype().is_differentiable()) {
        let node = Arc::new(build(entry, args, results, None)?);
        attach(&node, results);
    }
    Ok(())
}

/// As `record`, and remembers the base of differentiable views.
pub fn record_view(
    entry: &'static Entry,
    args: &[Value],
    source: &Tensor,
    results: &[Tensor],
) -> Result<()> {
    record(entry, args, results)?;
    super::inplace::mark_views(source, results);
    Ok(())
}

pub(super) fn attach(node: &Arc<Node>, results: &[Tensor]) {
    for (i, result) in results.iter().enumerate() {
        if result.dtype().is_differentiable() {
            result.set_history(node, i as u32);
        }
    }
}

/// A node for the call. `original` stands for the first argument where that was overwritten.
pub(super) fn build(
    entry: &'static Entry,
    args: &[Value],
    results: &[Tensor],
    original: Option<&Tensor>,
) -> Result<Node> {
    let save = entry.op.grad.map_or(0, |grad| grad.save);
    let mut saved = Saved::default();
    let mut edges = SmallVec::new();
    let mut shapes = (save & SHAPES != 0).then(Vec::new);
    for (i, value) in args.iter().enumerate() {
        let keep = i < 16 && save & crate::ops::arg(i) != 0;
        match value {
            Value::Tensor(t) => {
                edges.push(edge_of(t));
                if let Some(list) = shapes.as_mut() {
                    list.push(TensorInfo::from(t));
                }
                if keep {
                    let t = if i == 0 { original.unwrap_or(t) } else { t };
                    saved.inputs.push((i as u8, save_input(t)?));
                }
                saved.args.push(Value::None);
            }
            Value::Tensors(list) => {
                list.iter().for_each(|t| edges.push(edge_of(t)));
                if let Some(infos) = shapes.as_mut() {
                    infos.extend(list.iter().map(TensorInfo::from));
                }
                if keep {
                    saved.lists.push((
                        i as u8,
                        list.iter()
                            .map(|t| save_input(t).map(Some))
                            .collect::<Result<_>>()?,
                    ));
                }
                saved.args.push(Value::None);
            }
            Value::OptTensors(list) => {
                list.iter()
                    .for_each(|t| edges.push(t.as_ref().and_then(edge_of)));
                if keep {
                    let list = list.iter().map(|t| t.as_ref().map(save_input).transpose());
                    saved.lists.push((i as u8, list.collect::<Result<_>>()?));
                }
                saved.args.push(Value::None);
            }
            other => {
                if matches!(
                    entry.schema.params.get(i).map(|p| p.ty),
                    Some(Type::Tensor | Type::Operand)
                ) {
                    edges.push(None);
                }
                saved.args.push(other.clone());
            }
        }
    }
    for (i, result) in results.iter().enumerate() {
        if save & crate::ops::out(i) != 0 {
            saved
                .outputs
                .push((i as u8, save_output(result, i as u32)?));
        }
    }
    let outputs = results.iter().map(TensorInfo::from).collect();
    let body = NodeBody::Op {
        entry,
        saved: parking_lot::Mutex::new(Some(saved)),
    };
    let mut node = Node::new(entry.node_name.clone(), edges, outputs, body);
    node.input_shapes = shapes.map(Vec::into_boxed_slice);
    Ok(node)
}

pub(super) fn save_input(t: &Tensor) -> Result<SavedTensor> {
    Ok(SavedTensor::Plain {
        tensor: t.clone(),
        version: t.version(),
        output: None,
    })
}

fn save_output(t: &Tensor, index: u32) -> Result<SavedTensor> {
    Ok(SavedTensor::Plain {
        tensor: t.detached(),
        version: t.version(),
        output: Some(index),
    })
}

/// Where the gradient of a tensor goes: the node that made it, or the leaf's accumulator.
pub(super) fn edge_of(t: &Tensor) -> Option<Edge> {
    if !t.requires_grad() {
        return None;
    }
    t.with_meta_mut(|meta| {
        if let Some(node) = &meta.grad_fn {
            return Some(Edge {
                node: node.clone(),
                output: meta.output,
            });
        }
        let node = meta.accumulator.upgrade().unwrap_or_else(|| {
            let body = NodeBody::Accumulate(t.clone());
            let node = Arc::new(Node::new(
                "AccumulateGrad".to_string(),
                SmallVec::new(),
                smallvec::smallvec![TensorInfo::from(t)],
                body,
            ));
            meta.accumulator = Arc::downgrade(&node);
            node
        });
        Some(Edge { node, output: 0 })
    })
}

impl Tensor {
    /// Makes the tensor an output of a node.
    pub fn set_history(&self, node: &Arc<Node>, output: u32) {
        self.with_meta_mut(|meta| {
            meta.grad_fn = Some(node.clone());
            meta.output = output;
        });
        self.set_requires_grad_flag(true);
    }
}
