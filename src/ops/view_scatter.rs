//! Copies of a tensor with one of its views replaced: `select_scatter` and its kin, and changes of a tensor's own layout.

use super::as_strided::as_strided;
use super::index::{like_self, start_from};
use super::view::{diagonal, select, slice, zeros};
use super::{Aliases, ArgVec, Args, Body, F, Grads, M, Outputs, SHAPES, Val, Value, kernel, rule};
use crate::autograd::Ctx;
use crate::tensor::{Dims, Layout, Tensor};
use crate::{Result, ensure, err, grads, ops};

/// The arguments of the view itself: those of the call without `src`.
fn view_args(first: Value, a: Args) -> ArgVec {
    std::iter::once(first)
        .chain(a.0[2..].iter().cloned())
        .collect()
}

fn replace(a: Args, out: &Tensor, look: fn(Args) -> Result<Aliases>) -> Result<()> {
    let (x, src) = (a.t(0)?, a.t(1)?);
    let args = view_args(out.into(), a);
    let alias = look(Args(&args))?.into_iter().next();
    let alias = alias.ok_or_else(|| err!(Runtime, "the view is empty"))?;
    ensure!(
        alias.layout.shape[..] == *src.shape(),
        Runtime,
        "expected src to have a size equal to the slice of self. src size = {:?}, slice size = {:?}",
        src.shape(),
        &alias.layout.shape[..]
    );
    let place = out.alias(alias.layout)?;
    start_from(out, x)?;
    crate::cpu::copy::copy(&place, src)
}

fn call_named(name: &str, args: ArgVec) -> Val {
    let call = || {
        let entry = super::find_overload(name)
            .ok_or_else(|| err!(NotImplemented, "no operator '{name}'"))?;
        entry
            .call(args)?
            .into_iter()
            .next()
            .unwrap_or_default()
            .into_tensor()
    };
    Val(call())
}

/// Zero where the view was replaced; the view of the gradient for what replaced it.
fn replaced_back(c: &Ctx, scatter: &str, view: &str) -> Grads {
    let g = c.g();
    let own = || {
        let zero = g.clone().get().and_then(|like| zeros(&c.shape(1), &like));
        let rest = c.args().0[2..].iter().cloned();
        call_named(
            scatter,
            [Value::from(&g), zero.into()]
                .into_iter()
                .chain(rest)
                .collect(),
        )
    };
    grads![
        c.when(0, own),
        c.when(1, || call_named(view, view_args((&g).into(), c.args())))
    ]
}

fn check_resizable(x: &Tensor) -> Result<()> {
    ensure!(
        !x.requires_grad(),
        Runtime,
        "cannot resize variables that require grad"
    );
    Ok(())
}

fn resize(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    check_resizable(x)?;
    super::resize(x, a.ints(1)?)?;
    Ok(smallvec::smallvec![a.get(0).clone()])
}

fn resize_as(a: Args) -> Result<Outputs> {
    let x = a.t(0)?;
    check_resizable(x)?;
    super::resize(x, a.t(1)?.shape())?;
    Ok(smallvec::smallvec![a.get(0).clone()])
}

/// Takes over another tensor's storage, in the given place of it.
fn set_source(a: Args, source: &Tensor) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.dtype() == source.dtype(),
        Runtime,
        "Could not set tensor of type {} to a tensor of type {}",
        source.dtype(),
        x.dtype()
    );
    ensure!(
        !(x.is_leaf() && x.requires_grad() && crate::autograd::recording()),
        Runtime,
        "a leaf Variable that requires grad is being used in an in-place operation."
    );
    // SAFETY: ops are called under the call lock, and no borrow of the metadata is alive.
    unsafe { x.set_body(source) }
    Ok(smallvec::smallvec![a.get(0).clone()])
}

fn set_part(a: Args) -> Result<Outputs> {
    let (size, stride) = (a.ints(3)?, a.ints(4)?);
    let mut layout = Layout {
        offset: a.int(2)?,
        ..Layout::contiguous(size)
    };
    if !stride.is_empty() {
        ensure!(
            stride.len() == size.len(),
            Runtime,
            "mismatch in length of strides and shape"
        );
        layout.strides = Dims::from_slice(stride);
    }
    set_source(a, &a.t(1)?.alias(layout)?)
}

ops! {
    /// A copy with one index of a dimension replaced.
    "select_scatter(Tensor self, Tensor src, int dim, int index) -> Tensor", F | M,
    kernel(like_self, |a, o| replace(a, &o[0], select)), grad rule(SHAPES, |c| replaced_back(c, "select_scatter", "select"));
    /// A copy with a slice of a dimension replaced.
    "slice_scatter(Tensor self, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor", F | M,
    kernel(like_self, |a, o| replace(a, &o[0], slice)), grad rule(SHAPES, |c| replaced_back(c, "slice_scatter", "slice"));
    /// A copy with a diagonal replaced.
    "diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor", F | M,
    kernel(like_self, |a, o| replace(a, &o[0], diagonal)), grad rule(SHAPES, |c| replaced_back(c, "diagonal_scatter", "diagonal"));
    /// A copy with what `as_strided` views replaced.
    "as_strided_scatter(Tensor self, Tensor src, int[] size, int[] stride, int? storage_offset=None) -> Tensor", F | M,
    kernel(like_self, |a, o| replace(a, &o[0], as_strided)),
    grad rule(0, |c| {
        // As in PyTorch, the tensor's own gradient is that of the part that was replaced.
        let part = || call_named("as_strided", view_args((&c.g()).into(), c.args()));
        let own = || super::view::embed(&part(), &c.shape(0), |whole| {
            call_named("as_strided", view_args(whole.into(), c.args()))
        });
        grads![c.when(0, own), c.when(1, part)]
    });
    /// Gives the tensor row-major sizes; new elements are not initialised.
    "resize_(Tensor self, int[] size, *, MemoryFormat? memory_format=None) -> Tensor", M, Body::Composite(resize);
    /// Gives the tensor the sizes of another one.
    "resize_as_(Tensor self, Tensor the_template, *, MemoryFormat? memory_format=None) -> Tensor", F | M, Body::Composite(resize_as);
    /// Makes the tensor one without elements.
    "set_(Tensor self) -> Tensor", M, Body::Composite(|a| set_source(a, &super::view::zeros(&[0], a.t(0)?)?));
    /// Makes the tensor share another one's storage.
    "set_/tensor(Tensor self, Tensor source) -> Tensor", M, Body::Composite(|a| set_source(a, a.t(1)?));
    /// Makes the tensor share a part of another one's storage.
    "set_/part(Tensor self, Tensor source, int storage_offset, int[] size, int[] stride=[]) -> Tensor", M,
    Body::Composite(set_part);
}
