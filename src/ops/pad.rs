//! Padding: with a constant, or with elements of the input itself.

use super::matmul::single;
use super::options::fill_tensor;
use super::view::{beside, zeros};
use super::{
    ANY_DEVICE, Args, Body, F, Grads, Out, Outputs, Outs, SHAPES, Val, Value, kernel, named,
};
use crate::autograd::Ctx;
use crate::cpu::pad::{Columns, Sources};
use crate::tensor::{DType, Dims, Tensor, check_room};
use crate::{Result, backend, call, cpu, dispatch, ensure, fail, grads, ops};
use std::ops::Range;

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

/// Where the elements of a padded dimension come from: what is kept lies between two ends that are looked up.
struct Places {
    head: Vec<i64>,
    kept: Range<i64>,
    tail: Vec<i64>,
}

impl Places {
    fn all(self) -> Vec<i64> {
        self.head
            .into_iter()
            .chain(self.kept)
            .chain(self.tail)
            .collect()
    }

    fn len(&self) -> i64 {
        (self.head.len() + self.tail.len()) as i64 + self.kept.end - self.kept.start
    }
}

fn places_of(mode: &str, size: i64, before: i64, after: i64, d: usize) -> Result<Places> {
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
    let (start, end) = (-before, size + after);
    // What is left of the input, or nothing at the end of the head.
    let kept = start.max(0).min(end)..size.min(end);
    let kept = kept.start..kept.end.max(kept.start);
    Ok(Places {
        head: (start..kept.start).map(place).collect(),
        tail: (kept.end..end).map(place).collect(),
        kept,
    })
}

/// For each padded dimension, the last one first: which it is, and where its elements come from.
fn all_places(shape: &[i64], pad: &[i64], mode: &str) -> Result<Vec<(usize, Places)>> {
    let (n, amounts) = (shape.len(), pairs(pad, shape.len())?);
    let spatial = amounts.len();
    ensure!(
        (1..=3).contains(&spatial) && (n == spatial + 1 || n == spatial + 2),
        NotImplemented,
        "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
    );
    let mut all = Vec::new();
    for (i, (before, after)) in amounts.into_iter().enumerate() {
        let d = n - 1 - i;
        let size = shape[d];
        ensure!(
            size + before + after > 0 && (size > 0 || mode == "circular"),
            Runtime,
            "input (size {size}) is too small for padding ({before}, {after}) at dimension {d}"
        );
        let places = places_of(mode, size, before, after, d)?;
        if before != 0 || after != 0 {
            all.push((d, places));
        }
    }
    Ok(all)
}

/// On the CPU in one go, elsewhere one dimension after the other by look-up.
fn from_itself(x: &Tensor, pad: &[i64], mode: &str) -> Result<Val> {
    if x.device().is_cpu() {
        return Ok(Val(call!("_pad_with_itself", x, pad, mode)));
    }
    let mut v = Val::from(x);
    for (d, places) in all_places(x.shape(), pad, mode)? {
        let places = places.all();
        let index = beside(&places, &[places.len() as i64], x)?;
        v = v.index_select(d as i64, index);
    }
    Ok(v)
}

fn itself_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    let mut shape = Dims::from_slice(x.shape());
    for (d, places) in all_places(x.shape(), a.ints(1)?, a.str(2)?)? {
        shape[d] = places.len();
    }
    Ok(smallvec::smallvec![Out::new(&shape, x.dtype())])
}

fn itself_cpu(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, out) = (Val::from(a.t(0)?.detached()).contiguous().get()?, &outs[0]);
    if out.numel() == 0 {
        return Ok(());
    }
    let whole = |&size: &i64| Places {
        head: Vec::new(),
        kept: 0..size,
        tail: Vec::new(),
    };
    let mut places: Vec<Places> = x.shape().iter().map(whole).collect();
    for (d, padded) in all_places(x.shape(), a.ints(1)?, a.str(2)?)? {
        places[d] = padded;
    }
    let offsets = |places: Vec<i64>, stride: i64| -> Vec<isize> {
        places.into_iter().map(|i| (i * stride) as isize).collect()
    };
    let Some(last) = places.pop() else {
        return Ok(());
    };
    let outer = places.into_iter().zip(x.strides());
    let sources = Sources {
        outer: outer
            .map(|(places, &stride)| offsets(places.all(), stride))
            .collect(),
        columns: Columns {
            head: offsets(last.head, 1),
            run: last.kept.start as isize..last.kept.end as isize,
            tail: offsets(last.tail, 1),
        },
    };
    // SAFETY: places lie in the dimensions of the input, which is row-major, and the output has their number.
    dispatch!(bytes x.dtype(), T => unsafe {
        cpu::pad::pad(x.data_ptr().cast::<T>(), &sources, out.data_ptr().cast::<T>());
    });
    Ok(())
}

/// Elements are added up where they came from.
fn itself_rule(c: &Ctx) -> Grads {
    let (args, shape) = (c.args(), c.shape(0));
    let back = || -> Result<Val> {
        let mut g = c.g();
        for (d, places) in all_places(&shape, args.ints(1)?, args.str(2)?)?
            .into_iter()
            .rev()
        {
            let mut sizes = Dims::from_slice(g.shape());
            sizes[d] = shape[d];
            let places = places.all();
            let index = g.beside(&places, &[places.len() as i64]);
            let whole = zeros(&sizes, &g.clone().get()?)?;
            g = Val(call!("index_add", whole, d as i64, index, g));
        }
        Ok(g)
    };
    grads![back().unwrap_or_else(|e| Val(Err(e)))]
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
    /// Padding with elements of the tensor itself: 'reflect', 'replicate' or 'circular'.
    "_pad_with_itself(Tensor self, int[] pad, str mode) -> Tensor", 0, kernel(itself_meta, itself_cpu),
    grad named("PadBackward0", SHAPES, itself_rule);
    /// Padding: 'constant', 'reflect', 'replicate' or 'circular'.
    "nn.functional.pad(Tensor input, int[] pad, str mode='constant', float? value=None) -> Tensor", F, Body::Composite(pad);
}
