//! Writes to tensors that have history: what is forbidden, and how history is rebased.

use std::sync::Arc;

use super::record::{Written, arg_edges, build};
use super::view::check_creation;
use super::{Edges, copy_slices, inference_enabled, recording};
use crate::ops::{Entry, Value};
use crate::tensor::Tensor;
use crate::{Result, ensure};

/// A leaf that requires grad, or a view of one, may not be written while recording.
pub fn check_inplace(target: &Tensor) -> Result<()> {
    ensure!(
        !target.is_inference() || inference_enabled(),
        Runtime,
        "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
    );
    if recording() && target.requires_grad() {
        if let Some(base) = target.view_base() {
            check_creation(target, false)?;
            ensure!(
                !base.is_leaf(),
                Runtime,
                "a view of a leaf Variable that requires grad is being used in an in-place operation."
            );
        }
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
    if !recording() {
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
    /// Where the call is one to record.
    written: Option<Written>,
}

impl InPlace {
    pub fn begin(entry: &'static Entry, args: &[Value], recorded: bool) -> Result<InPlace> {
        let Some(target) = args.first().and_then(Value::tensor) else {
            return Ok(InPlace { written: None });
        };
        if !recorded || !target.dtype().is_differentiable() {
            return Ok(InPlace { written: None });
        }
        check_creation(target, false)?;
        let mut written = Written {
            version: target.version(),
            original: None,
            edges: Edges::new(),
        };
        arg_edges(entry, args, &mut written.edges)?;
        if entry.saves(args) & crate::ops::arg(0) != 0 {
            let copy = crate::ops::resolve_lazy(target)?;
            if let Some(edge) = super::record::edge_of(target)? {
                copy.set_history(&edge.node, edge.output);
            }
            written.original = Some(copy);
        }
        Ok(InPlace {
            written: Some(written),
        })
    }

    /// Makes the written tensor the result of the call.
    pub fn record(self, entry: &'static Entry, args: &[Value], target: &Tensor) -> Result<()> {
        let Some(written) = self.written else {
            return Ok(());
        };
        let results = std::slice::from_ref(target);
        let node = build(entry, args, results, Some(written))?;
        rebase(target, &node, 0)
    }
}

/// The target's new history; a view's base takes part in it.
pub fn rebase(target: &Tensor, node: &Arc<super::Node>, output: u32) -> Result<()> {
    match target.view_base() {
        Some(base) => copy_slices::rebase(target, &base, node),
        None => {
            target.set_history(node, output);
            Ok(())
        }
    }
}
