//! One walk over the tape: nodes run once all their gradients have arrived, latest first.

use std::cell::Cell;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::accumulate;
use super::engine::{Wanted, fit};
use super::members::{GradVec, Members};
use super::node::{Edge, Node, NodeBody};
use super::{GradMode, anomaly};
use crate::Result;
use crate::tensor::Tensor;

/// Where a captured gradient is found, and its place in the answer.
struct Capture {
    state: u32,
    output: u32,
    place: usize,
}

pub(super) struct Run<'a> {
    members: Members<'a>,
    retain: bool,
    create: bool,
    /// The nodes that are ready, by order of recording.
    ready: BinaryHeap<(u64, u32)>,
    captures: Vec<Capture>,
    captured: Vec<Option<Tensor>>,
    /// Do leaves accumulate?
    accumulates: bool,
    /// The run around this one.
    outer: u32,
}

thread_local! {
    /// The run that this thread is in.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// The number of the run that this thread is in; 0 outside of one.
#[must_use]
pub fn current_run() -> u32 {
    CURRENT.get()
}

/// Does the node take part in the run that this thread is in?
#[must_use]
pub fn takes_part(node: &Node) -> bool {
    let run = (node.mark.load(Ordering::Relaxed) >> 32) as u32;
    run != 0 && run == CURRENT.get()
}

impl<'a> Run<'a> {
    pub fn new(roots: &'a [Edge], retain: bool, create: bool) -> Run<'a> {
        Run {
            members: Members::behind(roots),
            retain,
            create,
            ready: BinaryHeap::new(),
            captures: Vec::new(),
            captured: Vec::new(),
            accumulates: true,
            outer: 0,
        }
    }

    /// Limits the run to what leads to the wanted gradients.
    pub fn want(&mut self, wanted: &Wanted) {
        let (edges, capture) = match wanted {
            Wanted::Leaves => return,
            Wanted::Accumulate(edges) => (edges, false),
            Wanted::Capture(edges) => (edges, true),
        };
        self.accumulates = !capture;
        self.members
            .states
            .iter_mut()
            .for_each(|state| state.runs = false);
        for (place, edge) in edges.iter().enumerate() {
            let Some(state) = self.members.find(&edge.node) else {
                continue;
            };
            self.members.states[state as usize].target = true;
            if capture {
                self.captures.push(Capture {
                    state,
                    output: edge.output,
                    place,
                });
            }
        }
        if capture {
            self.captured = vec![None; edges.len()];
        }
        self.members.mark_paths();
    }

    /// Runs everything; gives the captured gradients.
    pub fn walk(mut self, grads: Vec<Tensor>) -> Result<Vec<Option<Tensor>>> {
        let _mode = GradMode::enter(self.create);
        self.outer = CURRENT.replace(self.members.id);
        for (i, (edge, grad)) in self.members.roots.iter().zip(grads).enumerate() {
            self.deliver(edge, grad, &edge.node, i)?;
        }
        for edge in self.members.roots {
            if let Some(state) = self.members.find(&edge.node) {
                self.push_if_ready(state);
            }
        }
        while let Some((_, state)) = self.ready.pop() {
            self.step(state as usize)?;
        }
        Ok(std::mem::take(&mut self.captured))
    }

    fn push_if_ready(&mut self, state: u32) {
        let it = &mut self.members.states[state as usize];
        if it.waiting == 0 && !std::mem::replace(&mut it.queued, true) {
            self.ready.push((it.node.sequence, state));
        }
    }

    /// Adds a gradient to those that wait at the edge's end.
    fn deliver(&mut self, edge: &Edge, grad: Tensor, from: &Arc<Node>, index: usize) -> Result<()> {
        let Some(state) = self.members.find(&edge.node) else {
            return Ok(());
        };
        let slot = edge.output as usize;
        let grad = match edge.node.outputs.get(slot) {
            Some(info) => fit(grad, info, from, index)?,
            None => grad,
        };
        let grads = &mut self.members.states[state as usize].grads;
        if grads.len() <= slot {
            grads.resize(slot + 1, None);
        }
        grads[slot] = Some(match grads[slot].take() {
            None => grad,
            Some(total) => accumulate::sum(total, &grad)?,
        });
        Ok(())
    }

    /// Runs one node with the gradients that came.
    fn step(&mut self, at: usize) -> Result<()> {
        let node: &'a Arc<Node> = self.members.states[at].node;
        let mut grads = std::mem::take(&mut self.members.states[at].grads);
        grads.resize(node.outputs.len().max(grads.len()), None);
        // As PyTorch: a gradient that is handed out and passed on is handed out as it came.
        let passes = self.members.states[at].runs;
        if passes {
            self.capture(at as u32, &grads);
        }
        run_tensor_hooks(node, &mut grads)?;
        if !passes {
            self.capture(at as u32, &grads);
        }
        if let NodeBody::Accumulate(leaf) = &node.body {
            if self.accumulates {
                finish_leaf(leaf, node, grads)?;
            }
            return Ok(());
        }
        let results = if self.members.states[at].runs {
            self.apply(node, grads)?
        } else {
            SmallVec::new()
        };
        self.pass_on(node, results)
    }

    fn capture(&mut self, state: u32, grads: &[Option<Tensor>]) {
        for capture in &self.captures {
            if capture.state == state {
                self.captured[capture.place] =
                    grads.get(capture.output as usize).cloned().flatten();
            }
        }
    }

    fn apply(&self, node: &Arc<Node>, grads: GradVec) -> Result<SmallVec<[Option<Tensor>; 3]>> {
        let mut grads = grads;
        if let Some(extras) = node.rare().filter(|extras| !extras.pre.is_empty()) {
            let mut list = grads.into_vec();
            extras.pre.run_all(&mut list, None)?;
            grads = list.into();
        }
        let missing = grads.iter().all(Option::is_none);
        let mut results = match &node.body {
            NodeBody::Custom(function) if missing && !function.wants_missing() => SmallVec::new(),
            NodeBody::Op { .. } if missing || node.edges.iter().all(Option::is_none) => {
                SmallVec::new()
            }
            _ if anomaly::enabled() => anomaly::watch(node, || node.apply(&grads))?,
            _ => node.apply(&grads)?,
        };
        if let Some(extras) = node.rare().filter(|extras| !extras.post.is_empty()) {
            results.resize(node.edges.len(), None);
            let mut list = results.into_vec();
            extras.post.run_all(&mut list, Some(&grads))?;
            results = list.into();
        }
        if !self.retain {
            node.release();
        }
        Ok(results)
    }

    /// Hands the results to the nodes that they belong to.
    fn pass_on(
        &mut self,
        node: &'a Arc<Node>,
        results: SmallVec<[Option<Tensor>; 3]>,
    ) -> Result<()> {
        let mut results = results.into_iter();
        for (i, edge) in node.edges.iter().enumerate() {
            let grad = results.next().flatten();
            let Some(edge) = edge else { continue };
            let Some(child) = self.members.find(&edge.node) else {
                continue;
            };
            let state = &mut self.members.states[child as usize];
            if !(state.runs || state.target) {
                continue;
            }
            state.waiting -= 1;
            if let Some(grad) = grad {
                self.deliver(edge, grad, node, i)?;
            }
            self.push_if_ready(child);
        }
        Ok(())
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if CURRENT.get() == self.members.id {
            CURRENT.set(self.outer);
        }
    }
}

/// Hooks of the tensors whose gradients arrived, then the gradients that are kept.
fn run_tensor_hooks(node: &Node, grads: &mut [Option<Tensor>]) -> Result<()> {
    if let NodeBody::Accumulate(leaf) = &node.body {
        let hooks = leaf.with_meta(|m| Some(m?.hooks.as_ref()?.before.snapshot()));
        return hooks.map_or(Ok(()), |hooks| hooks.run_each(grads));
    }
    let Some(extras) = node.rare() else {
        return Ok(());
    };
    extras.tensor.snapshot().run_each(grads)?;
    let retained = extras.retained.lock().clone();
    for (output, tensor) in retained {
        if let (Some(Some(grad)), Some(tensor)) = (grads.get(output as usize), tensor.upgrade()) {
            accumulate::retain(&tensor, grad)?;
        }
    }
    Ok(())
}

fn finish_leaf(leaf: &Tensor, node: &Node, grads: GradVec) -> Result<()> {
    let mut list = grads.into_vec();
    let extras = node.rare();
    if let Some(extras) = extras {
        extras.pre.run_all(&mut list, None)?;
    }
    let arrived = extras
        .filter(|extras| !extras.post.is_empty())
        .map(|_| list.clone());
    let Some(grad) = list.into_iter().next().flatten() else {
        return Ok(());
    };
    if !leaf.requires_grad() {
        return Ok(());
    }
    accumulate::accumulate(leaf, grad)?;
    let after = leaf.with_meta(|m| Some(m?.hooks.as_ref()?.after.snapshot()));
    if let Some(after) = after {
        after.run_all(&mut vec![Some(leaf.clone())], None)?;
    }
    if let (Some(extras), Some(arrived)) = (extras, arrived) {
        extras.post.run_all(&mut Vec::new(), Some(&arrived))?;
    }
    Ok(())
}
