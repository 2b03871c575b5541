//! Pooling to a given size: adaptive averages and maxima, and fractional maxima at pseudo-random places.

use super::avg_pool::{run_average, sizes_meta};
use super::conv::three;
use super::pooling::{check_input, list, picked_grad, planes, pooling, run_max};
use super::{Args, F, Out, Outs, SHAPES, Val, kernel, named, out, rule};
use crate::cpu::frame::Axis;
use crate::cpu::pooling::{Pooling, Span};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, ensure, grads, ops};
use smallvec::smallvec;

/// Elements of a window up to which vectors are made of outputs.
const SMALL: usize = 16;

/// Equal shares of the input for each output.
fn adaptive_spans(input: i64, output: i64) -> Vec<Span> {
    (0..output)
        .map(|o| {
            let (start, end) = (o * input / output, ((o + 1) * input + output - 1) / output);
            Span {
                start: start as usize,
                end: end as usize,
                step: 1,
                count: (end - start) as usize,
            }
        })
        .collect()
}

fn adaptive(input: &[i64], outputs: &[i64], planes: usize) -> Pooling {
    let sizes = &input[input.len() - outputs.len()..];
    let spans = sizes
        .iter()
        .zip(outputs)
        .map(|(&i, &o)| adaptive_spans(i, o))
        .collect();
    let mut p = pooling(input, spans, planes);
    p.axes = even(sizes, outputs);
    p
}

/// Windows that move evenly, where the shares are equal and small.
fn even(input: &[i64], output: &[i64]) -> Option<[Axis; 3]> {
    let mut axes = [Axis::NONE; 3];
    let missing = 3 - input.len();
    for (axis, (&i, &o)) in axes[missing..].iter_mut().zip(input.iter().zip(output)) {
        if o == 0 || i % o != 0 {
            return None;
        }
        *axis = Axis {
            input: i as usize,
            output: o as usize,
            kernel: (i / o) as usize,
            stride: (i / o) as usize,
            ..Axis::NONE
        };
    }
    let area: usize = axes.iter().map(|a| a.kernel).product();
    (area <= SMALL).then_some(axes)
}

fn adaptive_meta(a: Args, spatial: usize, with_positions: bool) -> Result<Outs> {
    let (x, size) = (a.t(0)?, a.ints(1)?);
    ensure!(
        size.len() == spatial,
        Runtime,
        "adaptive_pool{spatial}d: internal error: output_size must be {spatial}"
    );
    ensure!(
        size.iter().all(|&s| s >= 0),
        Runtime,
        "elements of output_size must be greater than or equal to 0"
    );
    let n = x.ndim();
    ensure!(
        n == spatial + 1 || n == spatial + 2,
        Runtime,
        "adaptive_pool{spatial}d(): Expected {}D or {}D tensor, but got {:?}",
        spatial + 1,
        spatial + 2,
        x.shape()
    );
    let first = usize::from(n == spatial + 2);
    ensure!(
        x.shape()[first..].iter().all(|&s| s > 0),
        Runtime,
        "adaptive_pool{spatial}d(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {:?}",
        x.shape()
    );
    let shape = [&x.shape()[..n - spatial], size].concat();
    let mut outs: Outs = smallvec![Out::new(&shape, x.dtype())];
    if with_positions {
        outs.push(Out::new(&shape, DType::I64));
    }
    Ok(outs)
}

fn adaptive_average(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, size) = (a.t(0)?, a.ints(1)?);
    run_average(
        &adaptive(x.shape(), size, planes(x, size.len())),
        None,
        x,
        &outs[0],
        false,
    )
}

/// `_adaptive_avg_pool_grad(g, output_size, sizes)`.
fn adaptive_adjoint(a: Args, outs: &[Tensor]) -> Result<()> {
    let (g, size, sizes) = (a.t(0)?, a.ints(1)?, a.ints(2)?);
    run_average(
        &adaptive(sizes, size, planes(g, size.len())),
        None,
        g,
        &outs[0],
        true,
    )
}

fn adaptive_grad(c: &crate::autograd::Ctx) -> super::Grads {
    let (shape, size) = (c.shape(0), c.args().get(1).clone());
    let spatial = c.args().ints(1).map_or(0, <[i64]>::len);
    grads![Val(call!(
        "_adaptive_avg_pool_grad",
        c.g(),
        size,
        &shape[shape.len() - spatial..]
    ))]
}

fn adaptive_max(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, size) = (a.t(0)?, a.ints(1)?);
    run_max(x, adaptive(x.shape(), size, planes(x, size.len())), outs)
}

/// Windows that start where the random samples say, as PyTorch's `fractional_max_pool` has them.
fn fractional_spans(samples: &[f64], input: i64, output: i64, kernel: i64) -> Vec<Span> {
    let alpha = if output > 1 {
        (input - kernel) as f64 / (output - 1) as f64
    } else {
        0.0
    };
    let span = |start: i64| Span {
        start: start as usize,
        end: (start + kernel) as usize,
        step: 1,
        count: 1,
    };
    let one_plane = |&u: &f64| {
        (0..output).map(move |o| {
            let start = if o == output - 1 {
                input - kernel
            } else {
                ((o as f64 + u) * alpha) as i64 - (u * alpha) as i64
            };
            span(start.clamp(0, input - kernel))
        })
    };
    samples.iter().flat_map(one_plane).collect()
}

fn fractional_meta(a: Args, spatial: usize) -> Result<Outs> {
    let (x, kernel, size) = (
        a.t(0)?,
        list(a, 1, spatial, "kernel_size")?,
        list(a, 2, spatial, "output_size")?,
    );
    check_input(x, spatial, "fractional_max_pool")?;
    let lead = x.ndim() - spatial;
    for d in 0..spatial {
        ensure!(
            size[d] + kernel[d] - 1 <= x.shape()[lead + d],
            Runtime,
            "fractional_max_pool: pool size ({}) too large relative to input size ({})",
            kernel[d],
            x.shape()[lead + d]
        );
    }
    let shape = [&x.shape()[..lead], &size].concat();
    Ok(smallvec![
        Out::new(&shape, x.dtype()),
        Out::new(&shape, DType::I64)
    ])
}

fn fractional_max(a: Args, outs: &[Tensor], spatial: usize) -> Result<()> {
    let (x, kernel, size) = (
        a.t(0)?,
        list(a, 1, spatial, "kernel_size")?,
        list(a, 2, spatial, "output_size")?,
    );
    let samples = a.t(3)?.to_vec::<f64>()?;
    let (lead, count) = (x.ndim() - spatial, planes(x, spatial));
    ensure!(
        samples.len() == count * spatial,
        Runtime,
        "Expect _random_samples to have {count} planes of {spatial} samples, got {:?}",
        a.t(3)?.shape()
    );
    // Samples are (width, height[, depth]) for two dimensions and (depth, height, width) for three.
    let column = |d: usize| if spatial == 2 { 1 - d } else { d };
    let spans = |d: usize| {
        let own: Vec<f64> = (0..count)
            .map(|plane| samples[plane * spatial + column(d)])
            .collect();
        fractional_spans(&own, x.shape()[lead + d], size[d], kernel[d])
    };
    let mut p = pooling(x.shape(), (0..spatial).map(spans).collect(), count);
    p.output = three(&size, 1);
    run_max(x, p, outs)
}

/// The random samples get no gradient.
fn with_samples(mut grads: super::Grads) -> super::Grads {
    grads.push(None);
    grads
}

ops! {
    /// Averages of equal shares of one dimension.
    "adaptive_avg_pool1d(Tensor input, int[1] output_size) -> Tensor",
    F, kernel(|a| adaptive_meta(a, 1, false), adaptive_average), grad named("AdaptiveAvgPool1DBackward0", SHAPES, adaptive_grad);
    /// Averages of equal shares of two dimensions.
    "nn.functional.adaptive_avg_pool2d(Tensor input, int[2] output_size) -> Tensor",
    F, kernel(|a| adaptive_meta(a, 2, false), adaptive_average), grad named("AdaptiveAvgPool2DBackward0", SHAPES, adaptive_grad);
    /// Averages of equal shares of three dimensions.
    "nn.functional.adaptive_avg_pool3d(Tensor input, int[3] output_size) -> Tensor",
    F, kernel(|a| adaptive_meta(a, 3, false), adaptive_average), grad named("AdaptiveAvgPool3DBackward0", SHAPES, adaptive_grad);
    /// The adjoint of the adaptive averages.
    "_adaptive_avg_pool_grad(Tensor self, int[] output_size, int[] size) -> Tensor",
    0, kernel(|a| sizes_meta(a, 2), adaptive_adjoint),
    grad rule(0, |c| {
        let (x, size) = (c.g(), c.args().get(1).clone());
        grads![Val(match c.args().ints(1).map_or(0, <[i64]>::len) {
            1 => call!("adaptive_avg_pool1d", x, size),
            2 => call!("nn.functional.adaptive_avg_pool2d", x, size),
            _ => call!("nn.functional.adaptive_avg_pool3d", x, size),
        })]
    });
    /// Maxima of equal shares of one dimension, and their positions.
    "adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)",
    F, kernel(|a| adaptive_meta(a, 1, true), adaptive_max),
    grad named("AdaptiveMaxPool1DBackward0", out(1) | SHAPES, |c| picked_grad(c, 1));
    /// Maxima of equal shares of two dimensions, and their positions.
    "nn.functional.adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)",
    F, kernel(|a| adaptive_meta(a, 2, true), adaptive_max),
    grad named("AdaptiveMaxPool2DBackward0", out(1) | SHAPES, |c| picked_grad(c, 2));
    /// Maxima of equal shares of three dimensions, and their positions.
    "nn.functional.adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)",
    F, kernel(|a| adaptive_meta(a, 3, true), adaptive_max),
    grad named("AdaptiveMaxPool3DBackward0", out(1) | SHAPES, |c| picked_grad(c, 3));
    /// Maxima of windows over two dimensions at pseudo-random places.
    "nn.functional.fractional_max_pool2d(Tensor self, int[2] kernel_size, int[2] output_size, Tensor random_samples) -> (Tensor, Tensor)",
    F, kernel(|a| fractional_meta(a, 2), |a, o| fractional_max(a, o, 2)),
    grad named("FractionalMaxPool2DBackward0", out(1) | SHAPES, |c| with_samples(picked_grad(c, 2)));
    /// Maxima of windows over three dimensions at pseudo-random places.
    "nn.functional.fractional_max_pool3d(Tensor self, int[3] kernel_size, int[3] output_size, Tensor random_samples) -> (Tensor, Tensor)",
    F, kernel(|a| fractional_meta(a, 3), |a, o| fractional_max(a, o, 3)),
    grad named("FractionalMaxPool3DBackward0", out(1) | SHAPES, |c| with_samples(picked_grad(c, 3)));
}
