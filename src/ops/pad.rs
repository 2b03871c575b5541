//! Padding: with a constant, or with elements of the input itself.

use super::matmul::single;
use super::options::fill_tensor;
use super::view::beside;
use super::{ANY_DEVICE, Args, Body, F, Out, Outputs, Outs, SHAPES, Val, Value, kernel, named};
use crate::tensor::{DType, Dims, Tensor, check_room};
use crate::{Result, backend, call, ensure, fail, grads, ops};

/// (before, after) of each padded dimension, last dimension first, as `pad` arguments have them.
fn pairs(pad: &[i64], ndim: usize) -> Result<Vec<(i64, i64)>> {
    ensure!(
        pad.len().is_multiple_of(2),
        Runtime,
        "Length of pad must be even but instead it equals {}",
        pad.len()
    );
    ensure!(
        pad.len() / 2 <= ndim,
        Runtime,
        "Length of pad should be no more than twice the number of dimensions of the input. Pad length is {} while the input has {ndim} dimensions.",
        pad.len()
    );
    Ok(pad.chunks(2).map(|p| (p[0], p[1])).collect())
}

fn constant_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    let mut shape = Dims::from_slice(x.shape());
    for (i, (before, after)) in pairs(a.ints(1)?, x.ndim())?.into_iter().enumerate() {
        let d = x.ndim() - 1 - i;
        let size = shape[d] + before + after;
        ensure!(
            size >= 0,
            Runtime,
            "The input size {}, plus negative padding {before} and {after} resulted in a negative output size, which is invalid. Check dimension {d} of your input.",
            shape[d]
        );
        shape[d] = size;
    }
    Ok(smallvec::smallvec![Out::new(&shape, x.dtype())])
}

/// Negative amounts cut; positive ones add `value`.
fn constant(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, pad, out) = (a.t(0)?, a.ints(1)?, &outs[0]);
    let (mut from, mut to) = (x.layout().clone(), out.layout().clone());
    for (i, (before, after)) in pairs(pad, x.ndim())?.into_iter().enumerate() {
        let d = x.ndim() - 1 - i;
        let length = (from.shape[d] + before.min(0) + after.min(0)).max(0);
        from = from.narrow(d, (-before).clamp(0, from.shape[d] - length), length, 1);
        to = to.narrow(d, before.max(0).min(to.shape[d] - length), length, 1);
    }
    fill_tensor(out, a.scalar(2)?)?;
    backend::copy(&out.alias(to)?, &x.alias(from)?)
}

/// Where the elements of a padded dimension come from.
fn sources(mode: &str, size: i64, before: i64, after: i64, d: usize) -> Result<Vec<i64>> {
    match mode {
        "reflect" => ensure!(
            before < size && after < size,
            Runtime,
            "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding ({before}, {after}) at dimension {d} of input"
        ),
        "circular" => ensure!(
            before <= size && after <= size,
            Runtime,
            "Padding value causes wrapping around more than once."
        ),
        _ => {}
    }
    // What is left after negative amounts cut the ends goes round.
    let (first, kept) = ((-before).max(0), size - (-before).max(0) - (-after).max(0));
    let place = |i: i64| match mode {
        "reflect" if i < 0 => -i,
        "reflect" if i >= size => 2 * (size - 1) - i,
        "circular" => first + (i - first).rem_euclid(kept.max(1)),
        _ => i.clamp(0, (size - 1).max(0)),
    };
    check_room(
        size.saturating_add(before).saturating_add(after).max(0),
        DType::I64,
    )?;
    Ok((-before..size + after).map(place).collect())
}

/// One dimension after the other by look-up.
fn from_itself(x: &Tensor, pad: &[i64], mode: &str) -> Result<Val> {
    let (n, amounts) = (x.ndim(), pairs(pad, x.ndim())?);
    let spatial = amounts.len();
    ensure!(
        (1..=3).contains(&spatial) && (n == spatial + 1 || n == spatial + 2),
        NotImplemented,
        "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
    );
    let mut v = Val::from(x);
    for (i, (before, after)) in amounts.into_iter().enumerate() {
        let d = n - 1 - i;
        let size = x.shape()[d];
        ensure!(
            size + before + after > 0 && (size > 0 || mode == "circular"),
            Runtime,
            "input (size {size}) is too small for padding ({before}, {after}) at dimension {d}"
        );
        let index = sources(mode, size, before, after, d)?;
        if before != 0 || after != 0 {
            let index = beside(&index, &[index.len() as i64], x)?;
            v = v.index_select(d as i64, index);
        }
    }
    Ok(v)
}

fn pad(a: Args) -> Result<Outputs> {
    let (x, pad, mode) = (a.t(0)?, a.ints(1)?, a.str(2)?);
    if mode == "constant" {
        let value = if a.get(3).is_none() {
            Value::from(0i64)
        } else {
            a.get(3).clone()
        };
        return single(Val(call!("constant_pad_nd", x, pad, value)));
    }
    ensure!(
        a.opt_float(3)?.is_none_or(|v| v == 0.0),
        Runtime,
        "Padding mode \"{mode}\" doesn't take in value argument"
    );
    if !["reflect", "replicate", "circular"].contains(&mode) {
        fail!(NotImplemented, "Unrecognised padding mode {mode}");
    }
    ensure!(
        x.dtype() != DType::Bool || mode == "circular",
        Runtime,
        "\"{mode}_pad\" not implemented for 'Bool'"
    );
    single(from_itself(x, pad, mode)?)
}

ops! {
    /// Padding with a value, from the last dimension on; negative amounts cut.
    "constant_pad_nd(Tensor self, int[] pad, Scalar value=0) -> Tensor", F | ANY_DEVICE, kernel(constant_meta, constant),
    grad named("ConstantPadNdBackward0", SHAPES, |c| {
        let back = c.args().ints(1).map(|pad| pad.iter().map(|p| -p).collect::<Vec<i64>>());
        grads![Val(back.and_then(|pad| call!("constant_pad_nd", c.g(), pad)))]
    });
    /// Padding: 'constant', 'reflect', 'replicate' or 'circular'.
    "nn.functional.pad(Tensor input, int[] pad, str mode='constant', float? value=None) -> Tensor", F, Body::Composite(pad);
}
