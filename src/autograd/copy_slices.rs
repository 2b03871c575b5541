//! A write through a view, seen from the base: its gradient takes the place of the view's part.

use std::sync::Arc;

use super::engine::fit;
use super::node::{Edges, Function, Node, NodeBody, TensorInfo};
use super::record::edge_of;
use super::view::{Geometry, regenerate, replay};
use crate::tensor::{Layout, Tensor};
use crate::{Result, backend};

struct CopySlices {
    base: Geometry,
    view: Geometry,
    /// The view as the written-to operand of `inner`.
    info: TensorInfo,
    inner: Arc<Node>,
}

/// Gives the base of a view the history of a write through that view.
pub(super) fn rebase(view: &Tensor, base: &Tensor, node: &Arc<Node>) -> Result<()> {
    let mut edges = Edges::new();
    edges.push(edge_of(base)?);
    edges.extend(node.edges.iter().skip(1).cloned());
    let body = CopySlices {
        base: base.into(),
        view: view.into(),
        info: view.into(),
        inner: node.clone(),
    };
    let slices = Arc::new(Node::new(
        "CopySlices".into(),
        edges,
        smallvec::smallvec![TensorInfo::from(base)],
        NodeBody::Custom(Box::new(body)),
    ));
    base.set_history(&slices, 0);
    regenerate(view, base)
}

impl CopySlices {
    /// The gradient in memory of its own, laid out as the base.
    fn buffer(&self, grad: &Tensor) -> Result<Tensor> {
        let (low, high) = self.base.layout.extent().unwrap_or((0, -1));
        let memory = backend::empty(grad.device(), &[high - low + 1], self.base.dtype)?;
        let layout = Layout {
            offset: self.base.layout.offset - low,
            ..self.base.layout.clone()
        };
        let buffer = memory.alias(layout)?;
        crate::ops::copy_into(&buffer, grad)?;
        Ok(buffer)
    }

    /// The view's part of a buffer.
    fn slice(&self, buffer: &Tensor) -> Result<Tensor> {
        let moved = buffer.layout().offset - self.base.layout.offset;
        let (base_size, view_size) = (self.base.dtype.size(), self.view.dtype.size());
        let moved = moved * base_size as i64 / view_size as i64;
        replay(
            buffer,
            &self.base,
            &self.view,
            self.view.layout.offset + moved,
        )
    }
}

impl Function for CopySlices {
    fn apply(&self, _: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let Some(Some(grad)) = grads.first() else {
            return Ok(Vec::new());
        };
        let buffer = self.buffer(grad)?;
        let slice = self.slice(&buffer)?;
        let copy = crate::call!("clone", &slice)?;
        let mut results = self.inner.apply(&[Some(copy)])?.into_vec();
        if let Some(first) = results.first_mut() {
            match first.take() {
                Some(grad) => {
                    let grad = fit(grad, &self.info, &self.inner, 0)?;
                    crate::ops::copy_into(&slice, &grad)?;
                }
                None => crate::inplace!("zero", &slice)?,
            }
            *first = Some(buffer);
        }
        Ok(results)
    }

    fn release(&self) {
        self.inner.release();
    }
}
