//! What autograd keeps of a tensor, and the rules by which users change it.

use std::sync::{Arc, Weak};

use super::hooks::{Hook, HookHandle, HookList};
use super::view::ViewInfo;
use super::{Edge, Node, inference_enabled};
use crate::tensor::Tensor;
use crate::{Result, ensure, fail};

/// Autograd state of a tensor; absent for most.
#[derive(Default)]
pub struct Meta {
    pub grad: Option<Tensor>,
    /// The node that made the tensor, and which of its outputs this is.
    pub grad_fn: Option<Arc<Node>>,
    pub output: u32,
    pub retains_grad: bool,
    /// The node through which gradients of this leaf are accumulated.
    pub accumulator: Weak<Node>,
    /// Set on differentiable views.
    pub view: Option<ViewInfo>,
    /// Hooks of a leaf; those of other tensors live at their node.
    pub hooks: Option<Box<LeafHooks>>,
}

#[derive(Default)]
pub struct LeafHooks {
    /// Before accumulation, on the gradient.
    pub before: HookList,
    /// After it, on the leaf.
    pub after: HookList,
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
        // As PyTorch: a view that is stale is judged by what it was.
        self.with_meta(|m| m.is_none_or(|m| m.grad_fn.is_none()))
    }

    /// The node that made the tensor. Views get a fresh one when their base was written meanwhile.
    pub fn grad_fn(&self) -> Result<Option<Edge>> {
        super::view::refresh(self)?;
        Ok(self.with_meta(|m| {
            let m = m?;
            let node = m.grad_fn.clone()?;
            Some(Edge {
                node,
                output: m.output,
            })
        }))
    }

    #[must_use]
    pub fn grad(&self) -> Option<Tensor> {
        self.with_meta(|m| m.and_then(|m| m.grad.clone()))
    }

    pub fn set_grad(&self, grad: Option<Tensor>) {
        if grad.is_none() && self.with_meta(|m| m.is_none()) {
            return;
        }
        let old = self.with_meta_mut(|m| std::mem::replace(&mut m.grad, grad));
        drop(old);
    }

    /// Makes the tensor an output of a node.
    pub fn set_history(&self, node: &Arc<Node>, output: u32) {
        let old = self.with_meta_mut(|meta| {
            meta.output = output;
            meta.grad_fn.replace(node.clone())
        });
        self.set_requires_grad_flag(true);
        if let Some(old) = old {
            self.move_retained(&old, node, output);
        }
    }

    /// `retain_grad` follows a tensor that gets a new history.
    fn move_retained(&self, old: &Node, new: &Node, output: u32) {
        if self.with_meta(|m| m.is_some_and(|m| m.retains_grad)) && old.forget_retained(self) {
            new.extras()
                .retained
                .lock()
                .push((output, self.downgrade()));
        }
    }

    /// Makes a leaf ask for gradients, or not.
    pub fn set_requires_grad(&self, wanted: bool) -> Result<()> {
        if !self.is_leaf() {
            ensure!(wanted, Runtime, "{}", leaf_flag_error(false));
            return Ok(());
        }
        ensure!(
            !wanted || self.dtype().is_differentiable(),
            Runtime,
            "only Tensors of floating point dtype can require gradients"
        );
        ensure!(
            !wanted || !self.is_inference() || inference_enabled(),
            Runtime,
            "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
        );
        self.set_requires_grad_flag(wanted);
        Ok(())
    }

    /// Takes over another tensor's elements (`x.data = y`); history and gradient stay.
    pub fn set_data(&self, data: &Tensor) -> Result<()> {
        ensure!(
            !self.requires_grad() || data.dtype().is_differentiable(),
            Runtime,
            "data set to a tensor that requires gradients must be floating point or complex dtype"
        );
        let same = self.dtype() == data.dtype() && self.device() == data.device();
        if !same || self.shape() != data.shape() {
            // An accumulator expects gradients of the old kind.
            self.with_meta_mut(|m| m.accumulator = Weak::new());
        }
        // SAFETY: the call lock is held by whoever calls this, and no borrow of the layout is alive.
        unsafe { self.set_body(data) }
        Ok(())
    }

    /// Cuts the tensor off its history, in place.
    pub fn detach_inplace(&self) -> Result<()> {
        if inference_enabled() {
            // As PyTorch, where the mode takes autograd out of all calls.
            return Ok(());
        }
        ensure!(
            self.view_base().is_none(),
            Runtime,
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be called on these gradients. To fix this error, please refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
        );
        self.set_requires_grad_flag(false);
        let old = self.meta().lock().as_mut().and_then(|m| {
            m.output = 0;
            m.grad_fn.take()
        });
        drop(old);
        Ok(())
    }

    /// Keeps the gradient of a tensor that is no leaf.
    pub fn retain_grad(&self) -> Result<()> {
        ensure!(
            self.requires_grad(),
            Runtime,
            "can't retain_grad on Tensor that has requires_grad=False"
        );
        if self.is_leaf() {
            return Ok(());
        }
        let Some(edge) = self.grad_fn()? else {
            return Ok(());
        };
        if self.with_meta_mut(|m| !std::mem::replace(&mut m.retains_grad, true)) {
            let mut retained = edge.node.extras().retained.lock();
            retained.push((edge.output, self.downgrade()));
        }
        Ok(())
    }

    #[must_use]
    pub fn retains_grad(&self) -> bool {
        self.with_meta(|m| m.is_some_and(|m| m.retains_grad))
    }

    /// Calls the hook with every gradient of this tensor.
    pub fn register_hook(&self, hook: Arc<dyn Hook>) -> Result<HookHandle> {
        ensure!(
            self.requires_grad(),
            Runtime,
            "cannot register a hook on a tensor that doesn't require gradient"
        );
        Ok(match self.grad_fn()? {
            Some(edge) => edge.node.extras().tensor.add(edge.output, hook),
            None => self.with_meta_mut(|m| m.hooks.get_or_insert_default().before.add(0, hook)),
        })
    }

    /// Calls the hook with this leaf after a gradient was accumulated into it.
    pub fn register_post_accumulate_hook(&self, hook: Arc<dyn Hook>) -> Result<HookHandle> {
        ensure!(
            self.requires_grad(),
            Runtime,
            "cannot register a hook on a tensor that doesn't require gradient"
        );
        if self.grad_fn()?.is_some() {
            fail!(
                Runtime,
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            );
        }
        Ok(self.with_meta_mut(|m| m.hooks.get_or_insert_default().after.add(0, hook)))
    }
}

/// The text of the error of changing `requires_grad` where it follows from the history.
#[must_use]
pub fn leaf_flag_error(wanted: bool) -> &'static str {
    if wanted {
        "you can only change requires_grad flags of leaf variables."
    } else {
        "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
    }
}
