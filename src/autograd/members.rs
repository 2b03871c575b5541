//! Which nodes take part in a run of the engine, and their numbers in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use super::node::{Edge, Node};
use crate::tensor::Tensor;

pub type GradVec = SmallVec<[Option<Tensor>; 1]>;

/// A node in this run.
pub struct State<'a> {
    pub node: &'a Arc<Node>,
    /// How many edges into the node are still to deliver.
    pub waiting: u32,
    /// Does the node lead to a wanted gradient?
    pub runs: bool,
    /// Is the node itself the end of a wanted edge?
    pub target: bool,
    /// Has it had its turn, or a place in the heap? A node may be a root more than once.
    pub queued: bool,
    pub grads: GradVec,
}

/// The nodes behind the roots. Each carries the number of its state as a mark, so that finding it
/// takes no look-up.
pub struct Members<'a> {
    pub id: u32,
    pub roots: &'a [Edge],
    pub states: Vec<State<'a>>,
    /// Nodes that another run (of another thread, or around this one) has marked.
    contested: HashMap<*const Node, u32>,
}

static RUNS: AtomicU32 = AtomicU32::new(1);

fn mark(run: u32, state: u32) -> u64 {
    u64::from(run) << 32 | u64::from(state)
}

impl<'a> Members<'a> {
    /// Visits every node behind the roots, and counts the edges between them.
    pub fn behind(roots: &'a [Edge]) -> Members<'a> {
        let mut members = Members {
            id: RUNS.fetch_add(1, Ordering::Relaxed).max(1),
            roots,
            states: Vec::with_capacity(16),
            contested: HashMap::new(),
        };
        members.discover();
        members
    }

    /// The state of a node that takes part.
    #[inline]
    pub fn find(&self, node: &Node) -> Option<u32> {
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

    fn discover(&mut self) {
        for edge in self.roots {
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

    /// Marks the nodes that lead to a target: children before parents, without recursion.
    pub fn mark_paths(&mut self) {
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
}

impl Drop for Members<'_> {
    fn drop(&mut self) {
        for (i, state) in self.states.iter().enumerate() {
            let mine = mark(self.id, i as u32);
            // Contested nodes carry the mark of another run.
            if state.node.mark.load(Ordering::Relaxed) == mine {
                state.node.mark.store(0, Ordering::Relaxed);
            }
        }
    }
}
