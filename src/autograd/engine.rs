//! Walking the tape backward: nodes run once all their gradients have arrived, latest first.

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;

use super::node::{Edge, Node, NodeBody, TensorInfo};
use super::{NoGrad, set_grad_enabled};
use crate::ops::Val;
use crate::tensor::Tensor;
use crate::{Result, call, ensure, err};

/// `autograd.backward`: accumulates into the `grad` of the leaves (all, or those in `inputs`).
pub fn backward(
    roots: &[Tensor],
    grads: &[Option<Tensor>],
    retain_graph: bool,
    create_graph: bool,
    inputs: Option<&[Tensor]>,
) -> Result<()> {
    let mut run = Run::new(retain_graph, create_graph);
    if let Some(inputs) = inputs {
        run.only(inputs, false)?;
    }
    run.start(roots, grads)?;
    run.walk()
}

/// `autograd.grad`: the gradients of the inputs, without touching any `grad`.
pub fn grad(
    roots: &[Tensor],
    grads: &[Option<Tensor>],
    inputs: &[Tensor],
    retain_graph: bool,
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    let mut run = Run::new(retain_graph, create_graph);
    run.only(inputs, true)?;
    run.start(roots, grads)?;
    run.walk()?;
    Ok(run.captured)
}

type Key = *const Node;

/// A node that waits for its turn in the heap: the latest recorded comes first.
struct Ready(Arc<Node>);

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.0.sequence == other.0.sequence
    }
}
impl Eq for Ready {}
impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ready {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.sequence.cmp(&other.0.sequence)
    }
}

struct Run {
    retain: bool,
    create: bool,
    /// How many edges into a node are still to deliver, and the gradients that came so far.
    waiting: HashMap<Key, (usize, SmallVec<[Option<Tensor>; 1]>)>,
    heap: BinaryHeap<Ready>,
    /// Gradients to hand out: (node, output) -> index into `captured`.
    captures: HashMap<(Key, u32), Vec<usize>>,
    captured: Vec<Option<Tensor>>,
    /// Capture instead of accumulating (`autograd.grad`).
    capturing: bool,
    /// Nodes from which a wanted input can be reached; `None`: all.
    needed: Option<HashMap<Key, bool>>,
    /// Keeps the wanted inputs' nodes alive.
    targets: Vec<Edge>,
}

impl Run {
    fn new(retain: bool, create: bool) -> Run {
        Run {
            retain,
            create,
            waiting: HashMap::new(),
            heap: BinaryHeap::new(),
            captures: HashMap::new(),
            captured: Vec::new(),
            capturing: false,
            needed: None,
            targets: Vec::new(),
        }
    }

    fn only(&mut self, inputs: &[Tensor], capture: bool) -> Result<()> {
        let mut needed = HashMap::new();
        for (i, input) in inputs.iter().enumerate() {
            let edge = super::record::edge_of(input).ok_or_else(|| {
                err!(
                    Runtime,
                    "One of the differentiated Tensors does not require grad"
                )
            })?;
            needed.insert(Arc::as_ptr(&edge.node), true);
            if capture {
                self.captures
                    .entry((Arc::as_ptr(&edge.node), edge.output))
                    .or_default()
                    .push(i);
            }
            self.targets.push(edge);
        }
        self.capturing = capture;
        self.captured = vec![None; inputs.len()];
        self.needed = Some(needed);
        Ok(())
    }

    fn start(&mut self, roots: &[Tensor], grads: &[Option<Tensor>]) -> Result<()> {
        let mut edges = Vec::new();
        for (i, root) in roots.iter().enumerate() {
            let edge = super::record::edge_of(root).ok_or_else(|| {
                err!(
                    Runtime,
                    "element {i} of tensors does not require grad and does not have a grad_fn"
                )
            })?;
            let grad = match grads.get(i).and_then(Option::as_ref) {
                Some(g) => {
                    ensure!(
                        g.shape() == root.shape(),
                        Runtime,
                        "Mismatch in shape: grad_output[{i}] has a shape of {} and output[{i}] has a shape of {}.",
                        crate::ops::size_text(g.shape()),
                        crate::ops::size_text(root.shape())
                    );
                    g.clone()
                }
                None => {
                    ensure!(
                        root.numel() == 1,
                        Runtime,
                        "grad can be implicitly created only for scalar outputs"
                    );
                    Val::from(root).ones_like().get()?
                }
            };
            edges.push((edge, grad));
        }
        let roots: Vec<Arc<Node>> = edges.iter().map(|(edge, _)| edge.node.clone()).collect();
        self.count_dependencies(&roots);
        if self.needed.is_some() {
            self.mark_needed(&roots);
        }
        let mut started: Vec<Key> = Vec::new();
        for (edge, grad) in edges {
            let key = Arc::as_ptr(&edge.node);
            self.deliver(&edge, grad)?;
            if !started.contains(&key) && self.waiting[&key].0 == 0 {
                started.push(key);
                self.heap.push(Ready(edge.node));
            }
        }
        Ok(())
    }

    fn count_dependencies(&mut self, roots: &[Arc<Node>]) {
        let mut stack: Vec<&Node> = Vec::new();
        for root in roots {
            if let std::collections::hash_map::Entry::Vacant(slot) =
                self.waiting.entry(Arc::as_ptr(root))
            {
                slot.insert((0, SmallVec::new()));
                stack.push(root);
            }
        }
        while let Some(node) = stack.pop() {
            for edge in node.edges.iter().flatten() {
                let (count, _) = self
                    .waiting
                    .entry(Arc::as_ptr(&edge.node))
                    .or_insert_with(|| {
                        stack.push(&edge.node);
                        (0, SmallVec::new())
                    });
                *count += 1;
            }
        }
    }

    /// Marks the nodes on the way to a wanted input, children before parents, without recursion.
    fn mark_needed(&mut self, roots: &[Arc<Node>]) {
        let Some(needed) = self.needed.as_mut() else {
            return;
        };
        let mut stack: Vec<(&Node, usize)> = roots.iter().map(|node| (node.as_ref(), 0)).collect();
        while let Some((node, next)) = stack.pop() {
            let key = std::ptr::from_ref(node);
            if next == 0 && needed.get(&key) == Some(&false) {
                continue;
            }
            let is_target = needed.get(&key) == Some(&true);
            match node.edges.get(next) {
                Some(edge) => {
                    stack.push((node, next + 1));
                    if let Some(edge) = edge
                        && !needed.contains_key(&Arc::as_ptr(&edge.node))
                    {
                        stack.push((&edge.node, 0));
                    }
                }
                None => {
                    let reaches = is_target
                        || node
                            .edges
                            .iter()
                            .flatten()
                            .any(|e| needed.get(&Arc::as_ptr(&e.node)) == Some(&true));
                    needed.insert(key, reaches);
                }
            }
        }
    }

    /// Adds a gradient to those that wait at the edge's end.
    fn deliver(&mut self, edge: &Edge, grad: Tensor) -> Result<()> {
        let info = edge.node.outputs.get(edge.output as usize);
        let grad = match info {
            Some(info) => fit(grad, info, &edge.node)?,
            None => grad,
        };
        let Some((_, buffer)) = self.waiting.get_mut(&Arc::as_ptr(&edge.node)) else {
            return Ok(());
        };
        let slot = edge.output as usize;
        if buffer.len() <= slot {
            buffer.resize(slot + 1, None);
        }
        buffer[slot] = Some(match buffer[slot].take() {
            None => grad,
            Some(sum) => call!("add", sum, grad)?,
        });
        Ok(())
    }

    fn walk(&mut self) -> Result<()> {
        let before = set_grad_enabled(self.create);
        let result = self.walk_inner();
        set_grad_enabled(before);
        result
    }

    fn walk_inner(&mut self) -> Result<()> {
        while let Some(Ready(node)) = self.heap.pop() {
            let key = Arc::as_ptr(&node);
            let Some((_, buffer)) = self.waiting.remove(&key) else {
                continue;
            };
            let mut grads: Vec<Option<Tensor>> = buffer.into_vec();
            grads.resize(node.outputs.len().max(grads.len()), None);
            self.run_tensor_hooks(&node, &mut grads)?;
            if let Some(outputs) = self.capture(key, &grads) {
                grads = outputs;
            }
            let wanted = self
                .needed
                .as_ref()
                .is_none_or(|needed| needed.get(&key) == Some(&true));
            if let NodeBody::Accumulate(leaf) = &node.body {
                if !self.capturing && wanted {
                    accumulate(leaf, grads.into_iter().next().flatten(), self.create)?;
                }
                continue;
            }
            let results = if wanted && grads.iter().any(Option::is_some) && self.goes_on(&node) {
                self.apply(&node, &mut grads)?
            } else {
                SmallVec::new()
            };
            self.pass_on(&node, results)?;
        }
        Ok(())
    }

    /// Is any input behind the node wanted (beyond the node itself)?
    fn goes_on(&self, node: &Node) -> bool {
        self.needed.as_ref().is_none_or(|needed| {
            node.edges
                .iter()
                .flatten()
                .any(|edge| needed.get(&Arc::as_ptr(&edge.node)) == Some(&true))
        })
    }

    fn apply(
        &mut self,
        node: &Arc<Node>,
        grads: &mut Vec<Option<Tensor>>,
    ) -> Result<SmallVec<[Option<Tensor>; 3]>> {
        let pre = node
            .pre_hooks
            .lock()
            .as_ref()
            .map(|hooks| hooks.list.clone());
        for (_, hook) in pre.into_iter().flatten() {
            hook.call(grads, None)?;
        }
        let mut results = node.apply(grads)?;
        let post = node
            .post_hooks
            .lock()
            .as_ref()
            .map(|hooks| hooks.list.clone());
        if let Some(post) = post {
            let mut list = results.into_vec();
            for (_, hook) in post {
                hook.call(&mut list, Some(grads))?;
            }
            results = list.into();
        }
        if !self.retain {
            node.release();
        }
        Ok(results)
    }

    fn run_tensor_hooks(&self, node: &Node, grads: &mut [Option<Tensor>]) -> Result<()> {
        let hooks: Vec<_> = node.tensor_hooks.lock().clone();
        for (output, _, hook) in hooks {
            if let Some(Some(grad)) = grads.get_mut(output as usize) {
                let mut one = vec![Some(grad.clone())];
                hook.call(&mut one, None)?;
                if let Some(Some(replaced)) = one.into_iter().next() {
                    *grad = replaced;
                }
            }
        }
        Ok(())
    }

    /// Hands captured gradients out.
    fn capture(&mut self, key: Key, grads: &[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> {
        if self.captures.is_empty() {
            return None;
        }
        for (output, grad) in grads.iter().enumerate() {
            for &i in self
                .captures
                .get(&(key, output as u32))
                .into_iter()
                .flatten()
            {
                self.captured[i] = grad.clone();
            }
        }
        None
    }

    fn pass_on(&mut self, node: &Node, results: SmallVec<[Option<Tensor>; 3]>) -> Result<()> {
        let mut results = results.into_iter();
        for edge in &node.edges {
            let grad = results.next().flatten();
            let Some(edge) = edge else { continue };
            if let Some(grad) = grad {
                self.deliver(edge, grad)?;
            }
            if let Some((count, _)) = self.waiting.get_mut(&Arc::as_ptr(&edge.node)) {
                *count -= 1;
                if *count == 0 {
                    self.heap.push(Ready(edge.node.clone()));
                }
            }
        }
        Ok(())
    }
}

/// Reduces broadcast dimensions and casts, so that rules need not.
fn fit(grad: Tensor, info: &TensorInfo, node: &Node) -> Result<Tensor> {
    let mut grad = grad;
    if grad.shape() != &info.shape[..] {
        ensure!(
            crate::tensor::broadcast_shapes(grad.shape(), &info.shape)
                .is_ok_and(|s| s[..] == *grad.shape()),
            Runtime,
            "Function {} returned an invalid gradient at index 0 - got {:?} but expected shape compatible with {:?}",
            node.name,
            grad.shape(),
            &info.shape[..]
        );
        grad = Val::from(grad).sum_to_size(&info.shape).get()?;
    }
    if grad.dtype() != info.dtype {
        if grad.dtype().is_complex() && !info.dtype.is_complex() {
            grad = Val::from(grad).real().get()?;
        }
        grad = Val::from(grad).to(info.dtype).get()?;
    }
    Ok(grad)
}

/// The first gradient of a leaf is taken over, later ones are added (in place where no one can tell).
fn accumulate(leaf: &Tensor, grad: Option<Tensor>, create: bool) -> Result<()> {
    let Some(grad) = grad else { return Ok(()) };
    match leaf.grad() {
        None => {
            let owned = if create {
                grad
            } else if grad.handles() == 1
                && grad.is_contiguous()
                && !grad.lazy().any()
                && std::sync::Arc::strong_count(grad.storage()) == 1
            {
                grad.detached()
            } else {
                let _guard = NoGrad::enter();
                call!("clone", grad)?
            };
            leaf.set_grad(Some(owned));
        }
        Some(sum) if create => leaf.set_grad(Some(call!("add", sum, grad)?)),
        Some(sum) => {
            let _guard = NoGrad::enter();
            crate::inplace!("add", sum, grad)?;
        }
    }
    Ok(())
}
