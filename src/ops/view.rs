//! Views: aliases of a tensor's storage under another layout.

use super::{Aliases, Args, F, I, M, alias, rule};
use crate::tensor::{Layout, wrap_dim};
use crate::{Result, grads, ops};

/// The layout with two dimensions exchanged.
fn transposed(layout: &Layout, a: usize, b: usize) -> Layout {
    let mut out = layout.clone();
    if a != b {
        out.shape.swap(a, b);
        out.strides.swap(a, b);
    }
    out
}

fn transpose(a: Args) -> Result<Aliases> {
    let x = a.t(0)?;
    let (d0, d1) = (
        wrap_dim(a.int(1)?, x.ndim())?,
        wrap_dim(a.int(2)?, x.ndim())?,
    );
    alias(transposed(x.layout(), d0, d1))
}

ops! {
    /// A view with two dimensions exchanged.
    "transpose(Tensor self, int dim0, int dim1) -> Tensor", F | M | I, super::Body::View(transpose),
    grad rule(0, |c| {
        let (d0, d1) = (c.args().int(1), c.args().int(2));
        grads![c.g().transpose(d0, d1)]
    });
}
