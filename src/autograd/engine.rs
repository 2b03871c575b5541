//! The entrances of the backward pass: what is asked for, and what must hold of it.

use std::sync::Arc;

use super::node::{Edge, Node, TensorInfo};
use super::record::edge_of;
use super::run::Run;
use crate::ops::{Val, size_text};
use crate::tensor::Tensor;
use crate::{Result, ensure, err, fail};

/// What happens to the gradients that reach the ends of the tape.
pub enum Wanted<'a> {
    /// All leaves accumulate.
    Leaves,
    /// Only these accumulate.
    Accumulate(&'a [Edge]),
    /// These are handed out, and nothing accumulates.
    Capture(&'a [Edge]),
}

/// `autograd.backward`: accumulates into the `grad` of the leaves (all, or those in `inputs`).
pub fn backward(
    roots: &[Tensor],
    grads: &[Option<Tensor>],
    retain_graph: bool,
    create_graph: bool,
    inputs: Option<&[Tensor]>,
) -> Result<()> {
    let roots = start_all(roots, grads)?;
    let targets = inputs.map(input_edges).transpose()?;
    for input in inputs.into_iter().flatten() {
        input.retain_grad()?;
    }
    let wanted = match &targets {
        Some(edges) => Wanted::Accumulate(edges),
        None => Wanted::Leaves,
    };
    backward_edges(roots, &wanted, retain_graph, create_graph).map(drop)
}

/// `autograd.grad`: the gradients of the inputs, without touching any `grad`.
pub fn grad(
    roots: &[Tensor],
    grads: &[Option<Tensor>],
    inputs: &[Tensor],
    retain_graph: bool,
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    let wanted = Wanted::Capture(&input_edges(inputs)?);
    backward_edges(
        start_all(roots, grads)?,
        &wanted,
        retain_graph,
        create_graph,
    )
}

/// The pass itself, from edges with gradients.
pub fn backward_edges(
    roots: Vec<(Edge, Tensor)>,
    wanted: &Wanted,
    retain_graph: bool,
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    let (edges, grads): (Vec<Edge>, Vec<Tensor>) = roots.into_iter().unzip();
    let mut run = Run::new(&edges, retain_graph, create_graph);
    run.want(wanted);
    run.walk(grads)
}

fn start_all(roots: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<(Edge, Tensor)>> {
    let one = |(i, root)| start(i, root, grads.get(i).and_then(Option::as_ref));
    roots.iter().enumerate().map(one).collect()
}

/// A root with its gradient; that of a scalar defaults to one. `i` is its number among the roots.
pub fn start(i: usize, root: &Tensor, grad: Option<&Tensor>) -> Result<(Edge, Tensor)> {
    let grad = match grad {
        Some(grad) => {
            check_root_grad(i, root, grad)?;
            grad.clone()
        }
        None => implicit_grad(root)?,
    };
    let edge = edge_of(root)?.ok_or_else(|| {
        err!(
            Runtime,
            "element {i} of tensors does not require grad and does not have a grad_fn"
        )
    })?;
    Ok((edge, grad))
}

fn check_root_grad(i: usize, root: &Tensor, grad: &Tensor) -> Result<()> {
    ensure!(
        grad.shape() == root.shape(),
        Runtime,
        "Mismatch in shape: grad_output[{i}] has a shape of {} and output[{i}] has a shape of {}.",
        size_text(grad.shape()),
        size_text(root.shape())
    );
    ensure!(
        grad.dtype().is_complex() == root.dtype().is_complex(),
        Runtime,
        "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: grad_output[{i}] has a dtype of torch.{} and output[{i}] has a dtype of torch.{}.",
        grad.dtype(),
        root.dtype()
    );
    Ok(())
}

fn implicit_grad(root: &Tensor) -> Result<Tensor> {
    if root.requires_grad() {
        ensure!(
            root.numel() == 1,
            Runtime,
            "grad can be implicitly created only for scalar outputs"
        );
        ensure!(
            !root.dtype().is_complex(),
            Runtime,
            "grad can be implicitly created only for real scalar outputs but got torch.{}",
            root.dtype()
        );
    }
    if root.ndim() == 0 && root.device().is_cpu() {
        return Tensor::scalar(crate::Scalar::Float(1.0), root.dtype());
    }
    let _guard = super::NoGrad::enter();
    Val::from(root).ones_like().get()
}

fn input_edges(inputs: &[Tensor]) -> Result<Vec<Edge>> {
    inputs.iter().map(input_edge).collect()
}

/// Where the gradient of a tensor arrives that is differentiated with respect to.
pub fn input_edge(input: &Tensor) -> Result<Edge> {
    ensure!(
        input.requires_grad(),
        Runtime,
        "One of the differentiated Tensors does not require grad"
    );
    // A view made without recording requires grad by its base, but no gradient ever comes.
    Ok(edge_of(input)?.unwrap_or_else(|| Edge {
        node: Node::dead_end("Unreachable", input),
        output: 0,
    }))
}

/// Reduces broadcast dimensions and casts, so that rules need not.
pub(super) fn fit(
    grad: Tensor,
    info: &TensorInfo,
    node: &Arc<Node>,
    index: usize,
) -> Result<Tensor> {
    let mut grad = grad;
    if grad.shape() != &info.shape[..] {
        if crate::tensor::broadcast_shapes(&info.shape, grad.shape())
            .is_ok_and(|shape| shape[..] == *grad.shape())
        {
            grad = Val::from(grad).sum_to_size(&info.shape).get()?;
        } else {
            fail!(
                Runtime,
                "Function {} returned an invalid gradient at index {index} - got {:?} but expected shape compatible with {:?}",
                node.name,
                grad.shape(),
                &info.shape[..]
            );
        }
    }
    if grad.dtype() != info.dtype {
        if grad.dtype().is_complex() && !info.dtype.is_complex() {
            grad = Val::from(grad).real().get()?;
        }
        grad = Val::from(grad).to(info.dtype).get()?;
    }
    ensure!(
        grad.device() == info.device,
        Runtime,
        "Function {} returned an invalid gradient at index {index} - expected device {} but got {}",
        node.name,
        info.device,
        grad.device()
    );
    Ok(grad)
}
