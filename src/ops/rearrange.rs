//! Copies in another arrangement: flips, rolls and repeats.

use super::index::like_self;
use super::view::{beside, int_list, wrap_dims};
use super::{Args, Body, F, Grads, M, Out, Outputs, Outs, Val, Value, kernel, output, rule};
use crate::autograd::Ctx;
use crate::tensor::{DType, Dims, Layout, Tensor, wrap_dim};
use crate::{Result, call, cpu, ensure, grads, ops};

fn flip_meta(a: Args) -> Result<Outs> {
    wrap_dims(&int_list(a, 1)?, a.t(0)?.ndim())?;
    like_self(a)
}

fn flip(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let dims = wrap_dims(&int_list(a, 1)?, x.ndim())?;
    cpu::copy::copy(
        &outs[0],
        &x.alias(x.layout().flipped(|d| dims.contains(&d)))?,
    )
}

fn flip_side(a: Args, name: &str, dim: i64) -> Result<Outputs> {
    let x = a.t(0)?;
    ensure!(
        x.ndim() as i64 > dim,
        Runtime,
        "{name}: Input must be >= {}-d.",
        dim + 1
    );
    output(call!("flip", x, [dim]))
}

fn roll_meta(a: Args) -> Result<Outs> {
    let (x, shifts, dims) = (a.t(0)?, int_list(a, 1)?, int_list(a, 2)?);
    ensure!(!shifts.is_empty(), Runtime, "`shifts` required");
    ensure!(
        shifts.len() == dims.len() || (dims.is_empty() && shifts.len() == 1),
        Runtime,
        "shifts and dimensions must align. shifts: {}, dims:{}",
        shifts.len(),
        dims.len()
    );
    for &dim in &dims {
        ensure!(
            x.ndim() > 0,
            Index,
            "Dimension specified as {dim} but tensor has no dimensions"
        );
        wrap_dim(dim, x.ndim())?;
    }
    like_self(a)
}

/// How far each dimension is rolled; without dimensions, all elements as one.
fn roll(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, dims) = (a.t(0)?, int_list(a, 2)?);
    let shifts = int_list(a, 1)?;
    if dims.is_empty() {
        let flat = [x.numel()];
        let line = |t: &Tensor| {
            t.alias(Layout {
                offset: t.layout().offset,
                ..Layout::contiguous(&flat)
            })
        };
        let x = super::selection::row_major(x)?;
        return roll_dims(&line(&outs[0])?, &line(&x)?, &[shifts[0]], 0);
    }
    let mut by: Dims = smallvec::smallvec![0; x.ndim()];
    for (&shift, &dim) in shifts.iter().zip(&dims) {
        by[wrap_dim(dim, x.ndim())?] += shift;
    }
    roll_dims(&outs[0], x, &by, 0)
}

/// Splits each rolled dimension where it wraps, and copies the pieces to their new places.
fn roll_dims(out: &Tensor, x: &Tensor, by: &[i64], dim: usize) -> Result<()> {
    if x.numel() == 0 {
        return Ok(());
    }
    let Some(d) = (dim..by.len()).find(|&d| by[d].rem_euclid(x.shape()[d]) != 0) else {
        return cpu::copy::copy(out, x);
    };
    let size = x.shape()[d];
    let shift = by[d].rem_euclid(size);
    let part =
        |t: &Tensor, start: i64, length: i64| t.alias(t.layout().narrow(d, start, length, 1));
    let kept = size - shift;
    roll_dims(
        &part(out, shift, kept)?,
        &part(x, 0, kept)?,
        &rolled(by, d),
        d + 1,
    )?;
    roll_dims(
        &part(out, 0, shift)?,
        &part(x, kept, shift)?,
        &rolled(by, d),
        d + 1,
    )
}

fn rolled(by: &[i64], dim: usize) -> Dims {
    let mut rest = Dims::from_slice(by);
    rest[dim] = 0;
    rest
}

fn roll_back(c: &Ctx) -> Grads {
    let back: Result<Vec<i64>> = int_list(c.args(), 1).map(|s| s.iter().map(|s| -s).collect());
    grads![Val(call!("roll", c.g(), back, c.args().get(2)))]
}

fn rot90(a: Args) -> Result<Outputs> {
    let (x, dims) = (a.t(0)?, a.ints(2)?);
    ensure!(
        dims.len() == 2,
        Runtime,
        "expected total rotation dims == 2, but got dims = {}",
        dims.len()
    );
    ensure!(
        x.ndim() >= 2,
        Runtime,
        "expected total dims >= 2, but got total dims = {}",
        x.ndim()
    );
    let wrapped = [wrap_dim(dims[0], x.ndim())?, wrap_dim(dims[1], x.ndim())?];
    ensure!(
        wrapped[0] != wrapped[1],
        Runtime,
        "expected rotation dims to be different, but got dim0 = {} and dim1 = {}",
        dims[0],
        dims[1]
    );
    let x = Val::from(x);
    output(
        match a.int(1)?.rem_euclid(4) {
            1 => x.flip([dims[1]]).transpose(dims[0], dims[1]),
            2 => x.flip(dims),
            3 => x.flip([dims[0]]).transpose(dims[0], dims[1]),
            _ => Val(call!("clone", x)),
        }
        .get(),
    )
}

/// How often each dimension is repeated; there may be more than the tensor has.
fn repeats(a: Args, x: &Tensor) -> Result<Dims> {
    let repeats = int_list(a, 1)?;
    ensure!(
        repeats.len() >= x.ndim(),
        Runtime,
        "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
    );
    Ok(repeats)
}

fn repeat_meta(a: Args) -> Result<Outs> {
    let x = a.t(0)?;
    let mut shape = repeats(a, x)?;
    let lead = shape.len() - x.ndim();
    for (d, &size) in x.shape().iter().enumerate() {
        shape[lead + d] *= size;
    }
    crate::tensor::checked_numel(&shape)?;
    Ok(smallvec::smallvec![Out::new(&shape, x.dtype())])
}

/// Each dimension becomes two: how often, and what.
fn interleaved(x: &[i64], repeats: &[i64]) -> Dims {
    let lead = repeats.len() - x.len();
    let mut shape = Dims::new();
    for (d, &times) in repeats.iter().enumerate() {
        shape.push(times);
        if d >= lead {
            shape.push(x[d - lead]);
        }
    }
    shape
}

fn repeat(a: Args, outs: &[Tensor]) -> Result<()> {
    let x = a.t(0)?;
    let repeats = repeats(a, x)?;
    let shape = interleaved(x.shape(), &repeats);
    let lead = repeats.len() - x.ndim();
    let mut layout = x.layout().clone();
    for d in 0..repeats.len() {
        let at = if d < lead { d } else { lead + 2 * (d - lead) };
        layout.shape.insert(at, repeats[d]);
        layout.strides.insert(at, 0);
    }
    let out = outs[0].alias(Layout {
        offset: outs[0].layout().offset,
        ..Layout::contiguous(&shape)
    })?;
    cpu::copy::copy(&out, &x.alias(layout)?)
}

fn repeat_back(c: &Ctx) -> Grads {
    let sum = || {
        let (shape, repeats) = (c.shape(0), int_list(c.args(), 1)?);
        if repeats.is_empty() {
            return c.g().get();
        }
        let lead = repeats.len() - shape.len();
        let dims: Vec<i64> = (0..repeats.len())
            .map(|d| if d < lead { d } else { lead + 2 * (d - lead) } as i64)
            .collect();
        let split = c.g().reshape(interleaved(&shape, &repeats));
        call!("sum", split, dims)
    };
    grads![Val(sum())]
}

fn tile(a: Args) -> Result<Outputs> {
    let (x, dims) = (a.t(0)?, int_list(a, 1)?);
    let mut repeats: Dims = smallvec::smallvec![1; x.ndim().saturating_sub(dims.len())];
    repeats.extend_from_slice(&dims);
    output(call!("repeat", x, repeats))
}

/// Row indices, each as often as the repeats say.
fn repeated_index(repeats: &Tensor) -> Result<Tensor> {
    ensure!(
        matches!(repeats.dtype(), DType::I64 | DType::I32),
        NotImplemented,
        "\"repeat_interleave_cpu\" not implemented for '{}'",
        repeats.dtype().scalar_name()
    );
    ensure!(
        repeats.ndim() == 1,
        Runtime,
        "repeat_interleave only accept 1D vector as repeat"
    );
    let counts: Vec<i64> = repeats.to_vec()?;
    ensure!(
        counts.iter().all(|&n| n >= 0),
        Runtime,
        "repeats can not be negative"
    );
    let index: Vec<i64> = counts
        .iter()
        .enumerate()
        .flat_map(|(i, &n)| std::iter::repeat_n(i as i64, n as usize))
        .collect();
    beside(&index, &[index.len() as i64], repeats)
}

fn repeat_interleave(a: Args) -> Result<Outputs> {
    let (x, dim) = match a.opt_int(2)? {
        Some(dim) => (a.t(0)?.clone(), dim),
        None => (call!("flatten", a.t(0)?)?, 0),
    };
    let at = wrap_dim(dim, x.ndim())?;
    let extent = x.shape().get(at).copied().unwrap_or(1);
    let repeats = match a.get(1) {
        Value::Tensor(t) if t.ndim() == 0 || (t.ndim() == 1 && t.numel() == 1) => {
            call!("expand", call!("reshape", t, [1i64])?, [extent])?
        }
        Value::Tensor(t) => t.clone(),
        _ => return repeat_each(&x, at, a.int(1)?),
    };
    ensure!(
        repeats.ndim() != 1 || repeats.numel() == extent,
        Runtime,
        "repeats must have the same size as input along dim, but got repeats.size(0) = {} and input.size({at}) = {extent}",
        repeats.numel()
    );
    let index = repeated_index(&repeats)?;
    output(call!("index_select", x, dim, index))
}

fn repeat_each(x: &Tensor, dim: usize, times: i64) -> Result<Outputs> {
    ensure!(times >= 0, Runtime, "Repeats must be non-negative");
    let mut shape = Dims::from_slice(x.shape());
    if shape.is_empty() {
        shape.push(1);
    }
    let mut wide = shape.clone();
    wide.insert(dim + 1, times);
    shape[dim] *= times;
    let x = if x.ndim() == 0 {
        call!("reshape", x, [1i64])?
    } else {
        x.clone()
    };
    let spread = Val::from(x).unsqueeze(dim as i64 + 1).expand(wide);
    output(
        Val(call!("clone", spread, super::MemoryFormat::Contiguous))
            .reshape(shape)
            .get(),
    )
}

ops! {
    /// Reverses the order along dimensions.
    "flip(Tensor self, int[] dims) -> Tensor", F | M, kernel(flip_meta, flip),
    grad rule(0, |c| grads![c.g().flip(c.args().get(1))]);
    /// Reverses the columns.
    "fliplr(Tensor self) -> Tensor", F | M, Body::Composite(|a| flip_side(a, "fliplr", 1));
    /// Reverses the rows.
    "flipud(Tensor self) -> Tensor", F | M, Body::Composite(|a| flip_side(a, "flipud", 0));
    /// Shifts elements along dimensions; what leaves at one end comes in at the other.
    "roll(Tensor self, int[1] shifts, int[1] dims=[]) -> Tensor", F | M, kernel(roll_meta, roll), grad rule(0, roll_back);
    /// Rotates by quarter turns in the plane of two dimensions.
    "rot90(Tensor self, int k=1, int[] dims=[0,1]) -> Tensor", F | M, Body::Composite(rot90);
    /// The tensor several times along each dimension.
    "repeat(Tensor self, int[] repeats) -> Tensor", M, kernel(repeat_meta, repeat), grad rule(0, repeat_back);
    /// The tensor several times along its last dimensions.
    "tile(Tensor self, int[] dims) -> Tensor", F | M, Body::Composite(tile);
    /// Each element of a dimension as often as a tensor says.
    "repeat_interleave/self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, int? output_size=None) -> Tensor", F | M,
    Body::Composite(repeat_interleave);
    /// Each element of a dimension the same number of times.
    "repeat_interleave/self_int(Tensor self, int repeats, int? dim=None, *, int? output_size=None) -> Tensor", F | M,
    Body::Composite(repeat_interleave);
    /// The numbers 0, 1, ..., each as often as the repeats say.
    "repeat_interleave(Tensor repeats, *, int? output_size=None) -> Tensor", F,
    Body::Composite(|a| output(repeated_index(a.t(0)?)));
}
