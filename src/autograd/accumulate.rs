//! Adding gradients up: at the inputs of nodes, and into the `grad` of leaves.

use std::sync::Arc;

use super::NoGrad;
use crate::tensor::Tensor;
use crate::{Result, call, inplace};

/// Is this the only handle of memory that nobody else sees?
fn is_ours(grad: &Tensor) -> bool {
    grad.handles() == 1
        && Arc::strong_count(grad.storage()) == 1
        && grad.storage().is_writable()
        && !grad.lazy().any()
}

/// The sum of two gradients of the same tensor; takes the first's memory where no one can tell.
pub(super) fn sum(total: Tensor, grad: &Tensor) -> Result<Tensor> {
    if !super::recording() && is_ours(&total) && total.layout().is_dense() {
        inplace!("add", &total, grad)?;
        return Ok(total);
    }
    call!("add", total, grad)
}

/// The first gradient of a leaf is taken over, later ones are added: in place unless that is recorded.
pub(super) fn accumulate(leaf: &Tensor, grad: Tensor) -> Result<()> {
    let recording = super::recording();
    match leaf.grad() {
        None if recording => leaf.set_grad(Some(copied(leaf, &grad)?)),
        None if is_ours(&grad) && fits_layout(leaf, &grad) => leaf.set_grad(Some(grad.detached())),
        None => {
            let _guard = NoGrad::enter();
            leaf.set_grad(Some(copied(leaf, &grad)?));
        }
        Some(total) if recording => leaf.set_grad(Some(call!("add", total, grad)?)),
        Some(total) => inplace!("add", total, grad)?,
    }
    Ok(())
}

/// A dense leaf's gradient has the leaf's strides, any other is row-major.
fn fits_layout(leaf: &Tensor, grad: &Tensor) -> bool {
    if leaf.layout().is_dense() && !leaf.is_contiguous() {
        grad.strides() == leaf.strides()
    } else {
        grad.is_contiguous()
    }
}

fn copied(leaf: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if fits_layout(leaf, grad) {
        return call!("clone", grad);
    }
    let target = crate::backend::empty(leaf.device(), &[leaf.numel()], grad.dtype())?;
    let mut layout = leaf.layout().clone();
    layout.offset = 0;
    if !layout.is_dense() {
        layout = crate::Layout::contiguous(leaf.shape());
    }
    let target = target.alias(layout)?;
    crate::ops::copy_into(&target, grad)?;
    Ok(target)
}

/// Keeps the gradient of a tensor that is no leaf.
pub(super) fn retain(tensor: &Tensor, grad: &Tensor) -> Result<()> {
    let kept = match tensor.grad() {
        None => call!("clone", grad)?,
        Some(total) => call!("add", total, grad)?,
    };
    tensor.set_grad(Some(kept));
    Ok(())
}
