//! Recording a call on the tape.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::node::{Edge, Edges, Node, NodeBody, TensorInfo};
use super::saved::{Saved, SavedTensor};
use crate::Result;
use crate::ops::{Entry, SHAPES, Type, Value};
use crate::tensor::Tensor;

/// Gives the results of a recorded call their history.
pub fn record(entry: &'static Entry, args: &[Value], results: &[Tensor]) -> Result<()> {
    if results.iter().any(|t| t.dtype().is_differentiable()) {
        let node = build(entry, args, results, None)?;
        attach(&node, results);
    }
    Ok(())
}

fn attach(node: &Arc<Node>, results: &[Tensor]) {
    for (i, result) in results.iter().enumerate() {
        if result.dtype().is_differentiable() {
            result.set_history(node, i as u32);
        }
    }
}

/// What an in-place call overwrote.
pub(super) struct Written {
    /// The target's version before the write.
    pub version: u32,
    /// The target's values before it, where the rule needs them.
    pub original: Option<Tensor>,
    /// Where the gradients of the arguments went before the write: it makes views stale.
    pub edges: Edges,
}

/// A node for the call; an in-place call says what it overwrote.
pub(super) fn build(
    entry: &'static Entry,
    args: &[Value],
    results: &[Tensor],
    written: Option<Written>,
) -> Result<Arc<Node>> {
    let save = entry.saves(args);
    let mut node = Arc::new(Node::of_op(entry, args.len()));
    // Filled where it lies: a node is too large to be moved about.
    if let Some(node) = Arc::get_mut(&mut node) {
        node.outputs.extend(results.iter().map(TensorInfo::from));
        if let NodeBody::Op { saved, .. } = &mut node.body
            && let Some(saved) = saved.get_mut()
        {
            let target = results.first().zip(written.as_ref());
            keep_arguments(save, args, target, saved)?;
            keep_outputs(save, results, saved)?;
        }
        match written {
            Some(written) => node.edges = written.edges,
            None => arg_edges(entry, args, &mut node.edges)?,
        }
        if save & SHAPES != 0 {
            node.input_shapes = Some(arg_infos(entry, args)?);
        }
    }
    Ok(node)
}

fn keep_arguments(
    save: u32,
    args: &[Value],
    target: Option<(&Tensor, &Written)>,
    saved: &mut Saved,
) -> Result<()> {
    let mut saver = Saver {
        save,
        saved,
        target,
    };
    args.iter()
        .enumerate()
        .try_for_each(|(i, value)| saver.add(i, value))
}

fn keep_outputs(save: u32, results: &[Tensor], saved: &mut Saved) -> Result<()> {
    // `save` has bits for the first outputs only: no rule needs one of a long list.
    for (i, result) in results.iter().enumerate().take(15) {
        if save & crate::ops::out(i) != 0 {
            let kept = SavedTensor::output(result, i as u32)?;
            saved.outputs.push((i as u8, kept));
        }
    }
    Ok(())
}

/// Visits the tensor parameters with lists flattened, as rules count them; `None` where no tensor was given.
#[inline]
fn each_slot<'a>(
    entry: &Entry,
    args: &'a [Value],
    mut visit: impl FnMut(Option<&'a Tensor>) -> Result<()>,
) -> Result<()> {
    for (i, value) in args.iter().enumerate() {
        match value {
            Value::Tensor(t) => visit(Some(t))?,
            Value::Tensors(list) => list.iter().try_for_each(|t| visit(Some(t)))?,
            Value::OptTensors(list) => list.iter().try_for_each(|t| visit(t.as_ref()))?,
            _ => {
                let ty = entry.schema.params.get(i).map(|p| p.ty);
                if matches!(ty, Some(Type::Tensor | Type::Operand)) {
                    visit(None)?;
                }
            }
        }
    }
    Ok(())
}

/// Where the gradients of the arguments go.
pub(super) fn arg_edges(entry: &Entry, args: &[Value], edges: &mut Edges) -> Result<()> {
    each_slot(entry, args, |t| {
        edges.push(t.map_or(Ok(None), edge_of)?);
        Ok(())
    })
}

fn arg_infos(entry: &Entry, args: &[Value]) -> Result<Box<[TensorInfo]>> {
    let mut infos = Vec::new();
    each_slot(entry, args, |t| {
        infos.push(t.map_or_else(TensorInfo::default, TensorInfo::from));
        Ok(())
    })?;
    Ok(infos.into())
}

/// Collects what a call saves.
struct Saver<'a> {
    save: u32,
    saved: &'a mut Saved,
    /// The target of an in-place call.
    target: Option<(&'a Tensor, &'a Written)>,
}

impl Saver<'_> {
    fn add(&mut self, i: usize, value: &Value) -> Result<()> {
        let keep = i < 16 && self.save & crate::ops::arg(i) != 0;
        match value {
            Value::Tensor(t) if keep => {
                let kept = self.keep(t, i)?;
                self.saved.inputs.push((i as u8, kept));
            }
            Value::Tensors(list) if keep => {
                let kept = list.iter().map(|t| self.keep(t, i).map(Some));
                let kept = kept.collect::<Result<_>>()?;
                self.saved.lists.push((i as u8, kept));
            }
            Value::OptTensors(list) if keep => {
                let kept = list
                    .iter()
                    .map(|t| t.as_ref().map(|t| self.keep(t, i)).transpose());
                let kept = kept.collect::<Result<_>>()?;
                self.saved.lists.push((i as u8, kept));
            }
            Value::None | Value::Tensor(_) | Value::Tensors(_) | Value::OptTensors(_) => {}
            other => self.saved.args.push((i as u8, other.clone())),
        }
        Ok(())
    }

    fn keep(&self, t: &Tensor, position: usize) -> Result<SavedTensor> {
        match self.target {
            Some((_, written)) if position == 0 => {
                SavedTensor::input(written.original.as_ref().unwrap_or(t), None)
            }
            // Saved after the write: the version tells that it is not what the rule expects.
            Some((target, written)) if t.shares_storage(target) => {
                SavedTensor::input(&alias_of(t), Some(written.version))
            }
            _ => SavedTensor::input(t, None),
        }
    }
}

/// A tensor that the call wrote to, with the history it had before. The tensor itself would hold
/// the node that holds it.
fn alias_of(t: &Tensor) -> Tensor {
    let alias = t.detached();
    let before = t.with_meta(|m| m.and_then(|m| Some((m.grad_fn.clone()?, m.output))));
    if let Some((node, output)) = before {
        alias.set_history(&node, output);
    }
    alias
}

/// Where the gradient of a tensor goes: the node that made it, or the leaf's accumulator.
pub fn edge_of(t: &Tensor) -> Result<Option<Edge>> {
    if !t.requires_grad() {
        return Ok(None);
    }
    super::view::refresh(t)?;
    // A view that was made unrecorded leads nowhere, though its base requires grad.
    let accumulates = t.has_grad_flag();
    Ok(t.with_meta_mut(|meta| {
        if let Some(node) = &meta.grad_fn {
            return Some(Edge {
                node: node.clone(),
                output: meta.output,
            });
        }
        if !accumulates {
            return None;
        }
        let node = meta.accumulator.upgrade().unwrap_or_else(|| {
            let node = accumulator(t);
            meta.accumulator = Arc::downgrade(&node);
            node
        });
        Some(Edge { node, output: 0 })
    }))
}

fn accumulator(leaf: &Tensor) -> Arc<Node> {
    Arc::new(Node::new(
        Cow::Borrowed("AccumulateGrad"),
        SmallVec::new(),
        smallvec::smallvec![TensorInfo::from(leaf)],
        NodeBody::Accumulate(leaf.clone()),
    ))
}
