//! Pooling: maxima (with positions), averages, plain, adaptive and fractional; and unpooling.
//!
//! Maxima are differentiated through their positions: picking values from planes and putting them back.

use super::conv::{dense, three};
use super::matmul::single;
use super::{Args, Body, F, Out, Outputs, Outs, SHAPES, Val, arg, kernel, named, out, rule};
use crate::cpu::frame::Axis;
use crate::cpu::pool_frames;
use crate::cpu::pooling::{self, Pooling, Span};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, dispatch, ensure, fail, grads, ops};
use smallvec::smallvec;

/// A list argument with one entry per spatial dimension.
pub(super) fn list(a: Args, i: usize, spatial: usize, name: &str) -> Result<Vec<i64>> {
    let v = a.ints(i)?;
    match v.len() {
        1 => Ok(vec![v[0]; spatial]),
        n if n == spatial => Ok(v.to_vec()),
        _ => fail!(
            Runtime,
            "{name} must either be a single int, or a tuple of {spatial} ints, got {v:?}"
        ),
    }
}

/// Moves of a plain pooling window.
pub(super) struct Moves {
    pub kernel: Vec<i64>,
    pub stride: Vec<i64>,
    pub padding: Vec<i64>,
    pub dilation: Vec<i64>,
    pub ceil: bool,
}

impl Moves {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.kernel.iter().all(|&k| k > 0),
            Runtime,
            "kernel size should be greater than zero, but got {:?}",
            self.kernel
        );
        ensure!(
            self.stride.iter().all(|&s| s > 0),
            Runtime,
            "stride should be greater than zero, but got {:?}",
            self.stride
        );
        ensure!(
            self.dilation.iter().all(|&d| d > 0),
            Runtime,
            "dilation should be greater than zero, but got {:?}",
            self.dilation
        );
        for ((&k, &p), &d) in self.kernel.iter().zip(&self.padding).zip(&self.dilation) {
            ensure!(
                p >= 0,
                Runtime,
                "pad must be non-negative, but got pad: {p}"
            );
            ensure!(
                p <= ((k - 1) * d + 1) / 2,
                Runtime,
                "pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and dilation={d}"
            );
        }
        Ok(())
    }

    /// The windows along the axes, of which the last are spatial.
    pub(super) fn axes(&self, input: &[i64], output: &[i64]) -> [Axis; 3] {
        let missing = 3 - self.kernel.len();
        std::array::from_fn(|i| {
            let Some(axis) = i.checked_sub(missing) else {
                return Axis::NONE;
            };
            Axis {
                input: input[axis] as usize,
                output: output[axis] as usize,
                kernel: self.kernel[axis] as usize,
                stride: self.stride[axis] as usize,
                dilation: self.dilation[axis] as usize,
                padding: self.padding[axis] as isize,
            }
        })
    }

    /// PyTorch's `pooling_output_shape`.
    fn output(&self, axis: usize, input: i64) -> i64 {
        let (k, s, p, d) = (
            self.kernel[axis],
            self.stride[axis],
            self.padding[axis],
            self.dilation[axis],
        );
        let room = input + 2 * p - d * (k - 1) - 1 + if self.ceil { s - 1 } else { 0 };
        let size = room.div_euclid(s) + 1;
        // The last window starts inside the input or its left padding.
        if self.ceil && (size - 1) * s >= input + p {
            size - 1
        } else {
            size
        }
    }

    pub(super) fn outputs(&self, input: &[i64]) -> Result<Vec<i64>> {
        let sizes: Vec<i64> = input
            .iter()
            .enumerate()
            .map(|(axis, &i)| self.output(axis, i))
            .collect();
        ensure!(
            sizes.iter().all(|&s| s > 0),
            Runtime,
            "Given input size: {input:?}. Calculated output size: {sizes:?}. Output size is too small"
        );
        Ok(sizes)
    }

    pub(super) fn spans(
        &self,
        axis: usize,
        input: i64,
        output: i64,
        count_padding: bool,
    ) -> Vec<Span> {
        let (k, p, d) = (self.kernel[axis], self.padding[axis], self.dilation[axis]);
        (0..output)
            .map(|o| {
                let first = o * self.stride[axis] - p;
                let padded = (first + k).min(input + p) - first;
                let end = (first + (k - 1) * d + 1).min(input);
                let start = if first < 0 {
                    first + (-first + d - 1) / d * d
                } else {
                    first
                };
                let count = if count_padding { padded } else { end - start };
                Span {
                    start: start as usize,
                    end: end.max(start) as usize,
                    step: d as usize,
                    count: count.max(1) as usize,
                }
            })
            .collect()
    }
}

/// Input of [planes.., spatial..]: batch and channels are planes.
pub(super) fn pooling(x: &[i64], spans: Vec<Vec<Span>>, planes: usize) -> Pooling {
    let spatial = spans.len();
    let output: Vec<i64> = spans.iter().map(|s| s.len() as i64).collect();
    let whole = Span {
        start: 0,
        end: 1,
        step: 1,
        count: 1,
    };
    let mut all: Vec<Vec<Span>> = (spatial..3).map(|_| vec![whole]).collect();
    all.extend(spans);
    let mut all = all.into_iter();
    Pooling {
        planes,
        input: three(&x[x.len() - spatial..], 1),
        spans: std::array::from_fn(|_| all.next().unwrap_or_default()),
        axes: None,
        output: three(&output, 1),
    }
}

pub(super) fn planes(x: &Tensor, spatial: usize) -> usize {
    x.shape()[..x.ndim() - spatial].iter().product::<i64>() as usize
}

pub(super) fn check_input(x: &Tensor, spatial: usize, name: &str) -> Result<()> {
    let n = x.ndim();
    let positive = n > spatial && x.shape()[n - spatial - 1..].iter().all(|&s| s > 0);
    ensure!(
        (n == spatial + 1 || n == spatial + 2) && positive,
        Runtime,
        "{name}: Expected input's non-batch dimensions to have positive length, and Expected {}D or {}D (batch mode) tensor with optional 0 dim batch size for input, but got: {:?}",
        spatial + 1,
        spatial + 2,
        x.shape()
    );
    Ok(())
}

/// Arguments of `max_pool`: (self, kernel_size, stride, padding, dilation, ceil_mode).
fn max_moves(a: Args, spatial: usize) -> Result<Moves> {
    let kernel = list(a, 1, spatial, "kernel_size")?;
    let stride = if a.ints(2)?.is_empty() {
        kernel.clone()
    } else {
        list(a, 2, spatial, "stride")?
    };
    let (padding, dilation) = (
        list(a, 3, spatial, "padding")?,
        list(a, 4, spatial, "dilation")?,
    );
    let moves = Moves {
        kernel,
        stride,
        padding,
        dilation,
        ceil: a.bool(5)?,
    };
    moves.check()?;
    Ok(moves)
}

fn max_meta(a: Args, spatial: usize) -> Result<Outs> {
    let x = a.t(0)?;
    let moves = max_moves(a, spatial)?;
    check_input(x, spatial, "max_pool")?;
    let lead = x.ndim() - spatial;
    let shape = [&x.shape()[..lead], &moves.outputs(&x.shape()[lead..])?].concat();
    Ok(smallvec![
        Out::new(&shape, x.dtype()),
        Out::new(&shape, DType::I64)
    ])
}

fn max_pool(a: Args, outs: &[Tensor], spatial: usize) -> Result<()> {
    let (x, moves) = (a.t(0)?, max_moves(a, spatial)?);
    let (lead, sizes) = (x.ndim() - spatial, outs[0].shape());
    let spans = (0..spatial)
        .map(|d| moves.spans(d, x.shape()[lead + d], sizes[lead + d], false))
        .collect();
    let mut p = pooling(x.shape(), spans, planes(x, spatial));
    p.axes = Some(moves.axes(&x.shape()[lead..], &sizes[lead..]));
    run_max(x, p, outs)
}

/// Arguments of `_max_pool`: those of `max_pool`, with one entry per spatial dimension.
fn values_meta(a: Args) -> Result<Outs> {
    let mut outs = max_meta(a, a.ints(1)?.len())?;
    outs.truncate(1);
    Ok(outs)
}

fn max_values(a: Args, outs: &[Tensor]) -> Result<()> {
    max_pool(a, outs, a.ints(1)?.len())
}

/// Maxima of floats by vectors; `None` where the windows do not allow it.
fn fast_max(x: &Tensor, p: &Pooling, outs: &[Tensor]) -> Result<Option<()>> {
    let (Some(axes), true) = (p.axes, x.dtype().is_float()) else {
        return Ok(None);
    };
    let dtype = x.dtype().compute();
    let x = dense(x, dtype)?;
    let values = if outs[0].dtype() == dtype {
        outs[0].clone()
    } else {
        Tensor::empty(outs[0].shape(), dtype)?
    };
    let positions = outs.get(1).map_or(std::ptr::null_mut(), Tensor::ptr);
    let done = dispatch!(@arms dtype, T, {
        // SAFETY: row-major, with the sizes of `p`.
        unsafe { pool_frames::max::<T>(p.planes, &axes, x.ptr(), values.ptr(), positions) }
    }, None, F32 f32, F64 f64);
    ensure!(
        done != Some(false),
        OutOfMemory,
        "not enough memory for pooling"
    );
    if done.is_some() && !values.same(&outs[0]) {
        crate::cpu::copy::copy(&outs[0], &values)?;
    }
    Ok(done.map(|_| ()))
}

pub(super) fn run_max(x: &Tensor, p: Pooling, outs: &[Tensor]) -> Result<()> {
    if fast_max(x, &p, outs)?.is_some() {
        return Ok(());
    }
    let x = dense(x, x.dtype())?;
    let positions = match outs.get(1) {
        Some(positions) => positions.clone(),
        None => Tensor::empty(outs[0].shape(), DType::I64)?,
    };
    dispatch!(real x.dtype(), T => {
        // SAFETY: row-major, with the sizes of `p`.
        unsafe { pooling::max::<T>(&p, x.ptr(), outs[0].ptr(), positions.ptr()) }
    }, else fail!(Runtime, "\"max_pool\" not implemented for '{}'", x.dtype().scalar_name()));
    Ok(())
}

/// The gradient of values picked from planes by position.
pub(super) fn picked_grad(c: &crate::autograd::Ctx, spatial: usize) -> super::Grads {
    let shape = c.shape(0);
    let sizes = &shape[shape.len() - spatial..];
    let g = c
        .grad(0)
        .unwrap_or_else(|| c.y(1).zeros_like().to(c.dtype(0)));
    grads![Val(call!("_pool_put", g, c.y(1), sizes))]
}

/// Planes, their length, and the output's, from the last dimensions.
fn plane_sizes(lead_of: &[i64], sizes: &[i64], outs: &[i64]) -> (usize, usize, usize) {
    let product = |s: &[i64]| s.iter().product::<i64>() as usize;
    (product(lead_of), product(sizes), product(outs))
}

/// `_pool_put(values, positions, sizes)`: values added to planes of zeros at their positions.
fn put_meta(a: Args) -> Result<Outs> {
    let (x, sizes) = (a.t(0)?, a.ints(2)?);
    let lead = x.ndim() - sizes.len();
    Ok(smallvec![Out::new(
        &[&x.shape()[..lead], sizes].concat(),
        x.dtype()
    )])
}

fn put(a: Args, outs: &[Tensor], adding: bool) -> Result<()> {
    let (x, sizes) = (a.t(0)?, a.ints(2)?);
    let (lead, last) = x.shape().split_at(x.ndim() - sizes.len());
    let (x, at) = (dense(x, x.dtype())?, dense(a.t(1)?, DType::I64)?);
    let size = plane_sizes(lead, sizes, last);
    dispatch!(num x.dtype(), T => {
        // SAFETY: row-major with these sizes; positions come from pooling or were checked.
        unsafe { pooling::put_back::<T>(size, (T::default(), adding), x.ptr(), at.ptr(), outs[0].ptr()) }
    }, else fail!(Runtime, "\"max_pool_backward\" not implemented for 'Bool'"));
    Ok(())
}

/// `_pool_pick(planes, positions, spatial)`: the elements of planes at positions.
fn pick_meta(a: Args) -> Result<Outs> {
    Ok(smallvec![Out::new(a.t(1)?.shape(), a.t(0)?.dtype())])
}

fn pick(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, spatial) = (a.t(0)?, a.int(2)? as usize);
    let (lead, sizes) = x.shape().split_at(x.ndim() - spatial);
    let (x, at) = (dense(x, x.dtype())?, dense(a.t(1)?, DType::I64)?);
    let size = plane_sizes(lead, sizes, &at.shape()[at.ndim() - spatial..]);
    dispatch!(num x.dtype(), T => {
        // SAFETY: row-major with these sizes; positions come from pooling or were checked.
        unsafe { pooling::pick::<T>(size, x.ptr(), at.ptr(), outs[0].ptr()) }
    }, else fail!(Runtime, "\"max_pool\" not implemented for 'Bool'"));
    Ok(())
}

/// Values alone.
fn values_of(a: Args, spatial: usize) -> Result<Outputs> {
    let [x, size, stride, padding, dilation, ceil] = [0, 1, 2, 3, 4, 5].map(|i| a.get(i));
    let recorded = crate::autograd::grad_enabled() && a.t(0)?.requires_grad();
    if !recorded && a.t(0)?.device().is_cpu() {
        let m = max_moves(a, spatial)?;
        return single(Val(call!(
            "_max_pool",
            x,
            m.kernel,
            m.stride,
            m.padding,
            m.dilation,
            ceil
        )));
    }
    single(Val(match spatial {
        1 => call!(
            "max_pool1d_with_indices",
            x,
            size,
            stride,
            padding,
            dilation,
            ceil
        ),
        2 => call!(
            "nn.functional.max_pool2d_with_indices",
            x,
            size,
            stride,
            padding,
            dilation,
            ceil
        ),
        _ => call!(
            "nn.functional.max_pool3d_with_indices",
            x,
            size,
            stride,
            padding,
            dilation,
            ceil
        ),
    }))
}

/// `max_unpool` over the last dimensions: values at positions of a larger plane, zeros elsewhere.
fn unpool(a: Args, spatial: usize) -> Result<Outputs> {
    let (x, at, size) = (a.t(0)?, a.t(1)?, a.ints(2)?);
    ensure!(
        at.dtype() == DType::I64,
        Runtime,
        "elements in indices should be type int64 but got: {}",
        at.dtype()
    );
    ensure!(
        x.shape() == at.shape(),
        Runtime,
        "Expected shape of indices to be same as that of the input tensor ({:?}) but got indices tensor with shape: {:?}",
        x.shape(),
        at.shape()
    );
    check_input(x, spatial, "max_unpool")?;
    ensure!(
        size.len() == spatial,
        Runtime,
        "There should be exactly {spatial} elements in output_size, but got {}",
        size.len()
    );
    let room: i64 = size.iter().product();
    if let Some(bad) = at
        .to_vec::<i64>()?
        .into_iter()
        .find(|&i| i < 0 || i >= room)
    {
        fail!(
            Runtime,
            "Found an invalid max index: {bad} (output volumes are of size {size:?})"
        );
    }
    single(Val(call!("_unpool", x, at, size)))
}

ops! {
    /// Maxima of windows along one dimension, and their positions.
    "max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
    F, kernel(|a| max_meta(a, 1), |a, o| max_pool(a, o, 1)),
    grad named("MaxPool1DWithIndicesBackward0", out(1) | SHAPES, |c| picked_grad(c, 1));
    /// Maxima of windows over two dimensions, and their positions.
    "nn.functional.max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
    F, kernel(|a| max_meta(a, 2), |a, o| max_pool(a, o, 2)),
    grad named("MaxPool2DWithIndicesBackward0", out(1) | SHAPES, |c| picked_grad(c, 2));
    /// Maxima of windows over three dimensions, and their positions.
    "nn.functional.max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
    F, kernel(|a| max_meta(a, 3), |a, o| max_pool(a, o, 3)),
    grad named("MaxPool3DWithIndicesBackward0", out(1) | SHAPES, |c| picked_grad(c, 3));
    /// Maxima of windows without their positions; not differentiable.
    "_max_pool(Tensor self, int[] kernel_size, int[] stride, int[] padding, int[] dilation, bool ceil_mode) -> Tensor",
    0, kernel(values_meta, max_values);
    /// Values added to planes of zeros at given positions.
    "_pool_put(Tensor self, Tensor positions, int[] size) -> Tensor", 0, kernel(put_meta, |a, o| put(a, o, true)),
    grad rule(arg(1) | SHAPES, |c| grads![
        Val(call!("_pool_pick", c.g(), c.x(1), c.args().ints(2).map_or(0, |s| s.len() as i64))), None
    ]);
    /// As `_pool_put`, where the positions are distinct.
    "_unpool(Tensor self, Tensor positions, int[] size) -> Tensor", 0, kernel(put_meta, |a, o| put(a, o, false)),
    grad named("MaxUnpool2DBackward0", arg(1) | SHAPES, |c| grads![
        Val(call!("_pool_pick", c.g(), c.x(1), c.args().ints(2).map_or(0, |s| s.len() as i64))), None
    ]);
    /// Elements of planes at given positions.
    "_pool_pick(Tensor self, Tensor positions, int spatial) -> Tensor", 0, kernel(pick_meta, pick),
    grad rule(arg(1) | SHAPES, |c| {
        let shape = c.shape(0);
        let spatial = c.args().int(2).unwrap_or(0) as usize;
        grads![Val(call!("_pool_put", c.g(), c.x(1), &shape[shape.len() - spatial..])), None]
    });
    /// Maxima of windows along one dimension.
    "max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool ceil_mode=False) -> Tensor",
    F, Body::Composite(|a| values_of(a, 1));
    /// Maxima of windows over two dimensions.
    "max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor",
    F, Body::Composite(|a| values_of(a, 2));
    /// Maxima of windows over three dimensions.
    "max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> Tensor",
    F, Body::Composite(|a| values_of(a, 3));
    /// Maxima back at their positions in two dimensions.
    "nn.functional.max_unpool2d(Tensor self, Tensor indices, int[2] output_size) -> Tensor", F, Body::Composite(|a| unpool(a, 2));
    /// Maxima back at their positions in three dimensions.
    "nn.functional.max_unpool3d(Tensor self, Tensor indices, int[3] output_size, int[3] stride, int[3] padding) -> Tensor", F,
    Body::Composite(|a| unpool(a, 3));
}
