//! What autograd keeps of a tensor.

use std::sync::{Arc, Weak};

use super::{Node, node::Hooks};
use crate::tensor::{Layout, Tensor};

/// Autograd state of a tensor; absent for most.
#[derive(Default)]
pub struct Meta {
    pub grad: Option<Tensor>,
    /// The node that made the tensor, and which of its outputs this is.
    pub grad_fn: Option<Arc<Node>>,
    pub output: u32,
    /// The node through which gradients of this leaf are accumulated.
    pub accumulator: Weak<Node>,
    pub retains_grad: bool,
    /// Set on differentiable views.
    pub view: Option<Box<ViewInfo>>,
    pub hooks: Option<Box<Hooks>>,
}

/// The tensor that a view looks at, so that writes through the view reach its history.
pub struct ViewInfo {
    pub base: Tensor,
    /// The view's layout over the base's storage.
    pub layout: Layout,
    /// Version at which `grad_fn` was made; it is stale once the base was written through another view.
    pub version: u32,
}

impl Tensor {
    /// Reads autograd state.
    pub fn with_meta<R>(&self, read: impl FnOnce(Option<&Meta>) -> R) -> R {
        read(self.meta().lock().as_deref())
    }

    /// Changes autograd state, making it if there is none.
    pub fn with_meta_mut<R>(&self, change: impl FnOnce(&mut Meta) -> R) -> R {
        change(self.meta().lock().get_or_insert_with(Box::default))
    }

    #[must_use]
    pub fn is_leaf(&self) -> bool {
        !self.requires_grad() || self.with_meta(|m| m.is_none_or(|m| m.grad_fn.is_none()))
    }

    #[must_use]
    pub fn grad(&self) -> Option<Tensor> {
        self.with_meta(|m| m.and_then(|m| m.grad.clone()))
    }

    pub fn set_grad(&self, grad: Option<Tensor>) {
        let old = self.with_meta_mut(|m| std::mem::replace(&mut m.grad, grad));
        drop(old);
    }
}
