//! One walk over the tape: nodes run once all their gradients have arrived, latest first.

use std::cell::Cell;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use super::accumulate;
use super::engine::{Wanted, fit};
use super::node::{Edge, Node, NodeBody};
use super::{GradMode, anomaly};
use crate::Result;
use crate::tensor::Tensor;

type GradVec = SmallVec<[Option<Tensor>; 1]>;

/// A node in this run.
struct State<'a> {
    node: &'a Arc<Node>,
    /// How many edges into the node are still to deliver.
    waiting: u32,
    /// Does the node lead to a wanted gradient?
    runs: bool,
    /// Is the node itself the end of a wanted edge?
    target: bool,
    /// Has it had its turn, or a place in the heap? A node may be a root more than once.
    queued: bool,
    grads: GradVec,
}

/// Where a captured gradient is found, and its place in the answer.
struct Capture {
    state: u32,
    output: u32,
    place: usize,
}

pub(super) struct Run<'a> {
    id: u32,
    retain: bool,
    create: bool,
    roots: &'a [Edge],
    states: Vec<State<'a>>,
    /// Nodes that another run (of another thread, or around this one) has marked.
    contested: HashMap<*const Node, u32>,
    /// The nodes that are ready, by order of recording.
    ready: BinaryHeap<(u64, u32)>,
    captures: Vec<Capture>,
    captured: Vec<Option<Tensor>>,
    /// Do leaves accumulate?
    accumulates: bool,
    /// The run around this one.
    outer: u32,
}

static RUNS: AtomicU32 = AtomicU32::new(1);

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

fn mark(run: u32, state: u32) -> u64 {
    u64::from(run) << 32 | u64::from(state)
}

impl<'a> Run<'a> {
    pub fn new(roots: &'a [Edge], retain: bool, create: bool) -> Run<'a> {
        let mut run = Run {
            id: RUNS.fetch_add(1, Ordering::Relaxed).max(1),
            retain,
            create,
            roots,
            states: Vec::new(),
            contested: HashMap::new(),
            ready: BinaryHeap::new(),
            captures: Vec::new(),
            captured: Vec::new(),
            accumulates: true,
            outer: 0,
        };
        run.discover();
        run
    }

    /// The state of a node that takes part.
    #[inline]
    fn find(&self, node: &Node) -> Option<u32> {
        let found = node.mark.load(Ordering::Relaxed);
        if (found >> 32) as u32 == self.id {
            return Some(found as u32);
        }
        if self.contested.is_empty() {
            return None;
        }
        self.contested.get(&std::ptr::from_ref(node)).copied()
    }

    /// The state of a node, made at the first visit.
    fn visit(&mut self, node: &'a Arc<Node>) -> u32 {
        if let Some(found) = self.find(node) {
            return found;
        }
        let index = self.states.len() as u32;
        self.states.push(State {
            node,
            waiting: 0,
            runs: true,
            target: false,
            queued: false,
            grads: GradVec::new(),
        });
        let free = node.mark.compare_exchange(
            0,
            mark(self.id, index),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if free.is_err() {
            self.contested.insert(Arc::as_ptr(node), index);
        }
        index
    }

    /// Visits every node behind the roots, and counts the edges between them.
    fn discover(&mut self) {
        let roots = self.roots;
        for edge in roots {
            self.visit(&edge.node);
        }
        let mut next = 0;
        while next < self.states.len() {
            let node: &'a Arc<Node> = self.states[next].node;
            for edge in node.edges.iter().flatten() {
                let child = self.visit(&edge.node);
                self.states[child as usize].waiting += 1;
            }
            next += 1;
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
        self.states.iter_mut().for_each(|state| state.runs = false);
        for (place, edge) in edges.iter().enumerate() {
            let Some(state) = self.find(&edge.node) else {
                continue;
            };
            self.states[state as usize].target = true;
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
        self.mark_paths();
    }

    /// Marks the nodes that lead to a target: children before parents, without recursion.
    fn mark_paths(&mut self) {
        let mut seen = vec![false; self.states.len()];
        let mut stack: Vec<(u32, usize)> = Vec::new();
        for root in self.roots {
            stack.extend(self.find(&root.node).map(|state| (state, 0)));
        }
        while let Some((state, next)) = stack.pop() {
            let at = state as usize;
            if next == 0 && std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let node: &'a Arc<Node> = self.states[at].node;
            let Some(slot) = node.edges.get(next) else {
                self.states[at].runs = node.edges.iter().flatten().any(|edge| {
                    self.find(&edge.node).is_some_and(|child| {
                        let child = &self.states[child as usize];
                        child.runs || child.target
                    })
                });
                continue;
            };
            stack.push((state, next + 1));
            let child = slot.as_ref().and_then(|edge| self.find(&edge.node));
            if let Some(child) = child.filter(|&child| !seen[child as usize]) {
                stack.push((child, 0));
            }
        }
    }

    /// Runs everything; gives the captured gradients.
    pub fn walk(mut self, grads: Vec<Tensor>) -> Result<Vec<Option<Tensor>>> {
        let _mode = GradMode::enter(self.create);
        self.outer = CURRENT.replace(self.id);
        for (i, (edge, grad)) in self.roots.iter().zip(grads).enumerate() {
            self.deliver(edge, grad, &edge.node, i)?;
        }
        for edge in self.roots {
            if let Some(state) = self.find(&edge.node) {
                self.push_if_ready(state);
            }
        }
        while let Some((_, state)) = self.ready.pop() {
            self.step(state as usize)?;
        }
        Ok(std::mem::take(&mut self.captured))
    }

    fn push_if_ready(&mut self, state: u32) {
        let it = &mut self.states[state as usize];
        if it.waiting == 0 && !std::mem::replace(&mut it.queued, true) {
            self.ready.push((it.node.sequence, state));
        }
    }

    /// Adds a gradient to those that wait at the edge's end.
    fn deliver(&mut self, edge: &Edge, grad: Tensor, from: &Arc<Node>, index: usize) -> Result<()> {
        let Some(state) = self.find(&edge.node) else {
            return Ok(());
        };
        let slot = edge.output as usize;
        let grad = match edge.node.outputs.get(slot) {
            Some(info) => fit(grad, info, from, index)?,
            None => grad,
        };
        let grads = &mut self.states[state as usize].grads;
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
        let node: &'a Arc<Node> = self.states[at].node;
        let mut grads = std::mem::take(&mut self.states[at].grads);
        grads.resize(node.outputs.len().max(grads.len()), None);
        // As PyTorch: a gradient that is handed out and passed on is handed out as it came.
        let passes = self.states[at].runs;
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
        let results = if self.states[at].runs {
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
            NodeBody::Op { .. } if missing || node.edges.iter().all(Option::is_none) => SmallVec::new(),
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
            let Some(child) = self.find(&edge.node) else {
                continue;
            };
            let state = &mut self.states[child as usize];
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
        if CURRENT.get() == self.id {
            CURRENT.set(self.outer);
        }
        for (i, state) in self.states.iter().enumerate() {
            let mine = mark(self.id, i as u32);
            // Contested nodes carry the mark of another run.
            if state.node.mark.load(Ordering::Relaxed) == mine {
                state.node.mark.store(0, Ordering::Relaxed);
            }
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
