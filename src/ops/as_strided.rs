//! Views of any strides over a tensor's storage.

use super::view::{beside, zeros};
use super::{Aliases, Args, Body, F, Grads, I, M, O, Val, alias, named};
use crate::autograd::Ctx;
use crate::tensor::{Dims, Layout};
use crate::{Result, call, ensure, err, grads, ops};

pub(super) fn as_strided(a: Args) -> Result<Aliases> {
    let (x, size, stride) = (a.t(0)?, a.ints(1)?, a.ints(2)?);
    ensure!(
        size.len() == stride.len(),
        Runtime,
        "mismatch in length of strides and shape"
    );
    ensure!(
        stride.iter().all(|&s| s >= 0),
        Runtime,
        "as_strided: Negative strides are not supported at the moment, got strides: {stride:?}"
    );
    crate::tensor::checked_numel(size)?;
    let offset = a.opt_int(3)?.unwrap_or(x.layout().offset);
    ensure!(
        offset >= 0,
        Runtime,
        "Tensor: invalid storage offset {offset}"
    );
    alias(Layout {
        shape: Dims::from_slice(size),
        strides: Dims::from_slice(stride),
        offset,
    })
}

/// The arguments of `_as_strided`: the gradient needs to know how the source itself was laid out.
fn with_source_layout(a: Args) -> Result<super::ArgVec> {
    let from = a.t(0)?.layout();
    let offset = a.opt_int(3)?.unwrap_or(from.offset);
    Ok(smallvec::smallvec![
        a.get(0).clone(),
        a.get(1).clone(),
        a.get(2).clone(),
        offset.into(),
        from.strides.clone().into(),
        from.offset.into(),
    ])
}

fn internal_as_strided() -> Result<&'static super::Entry> {
    super::find_overload("_as_strided")
        .ok_or_else(|| err!(NotImplemented, "no operator '_as_strided'"))
}

/// Gradients of elements that were read twice are added up, in a buffer laid out as the storage is.
fn as_strided_back(c: &Ctx) -> Grads {
    let sum = || {
        let (a, g) = (c.args(), c.g());
        let layout = |shape: &[i64], strides: usize, offset: usize| -> Result<Layout> {
            Ok(Layout {
                shape: Dims::from_slice(shape),
                strides: Dims::from_slice(a.ints(strides)?),
                offset: a.int(offset)?,
            })
        };
        let (view, from) = (layout(a.ints(1)?, 2, 3)?, layout(&c.shape(0), 4, 5)?);
        let mut index = Vec::with_capacity(view.numel() as usize);
        crate::cpu::iter::for_each_offset(&view.shape, &view.strides, |o| {
            index.push(o + view.offset);
        });
        let reach = |layout: &Layout| layout.extent().map_or(0, |(_, high)| high + 1);
        let room = reach(&from).max(reach(&view));
        let like = g.clone().get()?;
        let index = beside(&index, &[index.len() as i64], &like)?;
        let buffer = Val::from(zeros(&[room], &like)?);
        let buffer = buffer.index_add(0i64, index, g.reshape([-1i64]));
        call!(
            "as_strided",
            buffer,
            &from.shape,
            &from.strides,
            from.offset
        )
    };
    grads![Val(sum())]
}

ops! {
    /// A view with the given sizes, strides and offset of the storage.
    "as_strided(Tensor self, int[] size, int[] stride, int? storage_offset=None) -> Tensor", F | M,
    Body::Composite(|a| super::call(internal_as_strided()?, &with_source_layout(a)?));
    /// Gives the tensor other sizes and strides over its storage.
    "as_strided_(Tensor self, int[] size, int[] stride, int? storage_offset=None) -> Tensor", F | M,
    Body::Composite(|a| {
        super::call_inplace(internal_as_strided()?, &with_source_layout(a)?)?;
        Ok(smallvec::smallvec![a.get(0).clone()])
    });
    /// A copy of what `as_strided` views.
    "as_strided_copy(Tensor self, int[] size, int[] stride, int? storage_offset=None) -> Tensor", F | O,
    Body::Composite(|a| {
        let view = call!("as_strided", a.t(0)?, a.get(1), a.get(2), a.get(3))?;
        super::output(call!("clone", view))
    });
    /// `as_strided`, with strides and offset of the source itself.
    "_as_strided(Tensor self, int[] size, int[] stride, int storage_offset, int[] from_strides, int from_offset) -> Tensor", I,
    Body::View(as_strided), grad named("AsStridedBackward0", 0, as_strided_back);
}
