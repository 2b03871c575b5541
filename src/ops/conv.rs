//! Convolutions. Three kernels, `convolution` and its adjoints in the input and in the weight, are closed under
//! differentiation; `conv1d` and its kin in [`super::conv_nd`] are compositions over the first.

use super::{Args, F, Out, Outs, SHAPES, Val, Value, arg, kernel, rule};
use crate::cpu::conv::{Convolve, Geometry, Window};
use crate::tensor::{DType, Tensor};
use crate::{Result, call, ensure, fail, grads, ops};
use smallvec::smallvec;

/// How the window moves, one entry per spatial dimension.
#[derive(Clone)]
pub(super) struct Moves {
    stride: Vec<i64>,
    padding: Vec<i64>,
    dilation: Vec<i64>,
    groups: i64,
}

impl Moves {
    /// The arguments from `position` on, in the order of the internal ops.
    pub(super) fn read(a: Args, position: usize, spatial: usize) -> Result<Moves> {
        let list = |i: usize, name: &str| -> Result<Vec<i64>> {
            let v = a.ints(position + i)?;
            match v.len() {
                1 => Ok(vec![v[0]; spatial]),
                n if n == spatial => Ok(v.to_vec()),
                _ => fail!(
                    Runtime,
                    "expected {name} to be a single integer value or a list of {spatial} values to match the convolution dimensions, but got {name}={v:?}"
                ),
            }
        };
        let moves = Moves {
            stride: list(0, "stride")?,
            padding: list(1, "padding")?,
            dilation: list(2, "dilation")?,
            groups: a.int(position + 3)?,
        };
        ensure!(
            moves.padding.iter().all(|&p| p >= 0),
            Runtime,
            "negative padding is not supported"
        );
        ensure!(
            moves.stride.iter().all(|&s| s > 0),
            Runtime,
            "non-positive stride is not supported"
        );
        ensure!(
            moves.dilation.iter().all(|&d| d > 0),
            Runtime,
            "dilation should be greater than zero"
        );
        ensure!(
            moves.groups > 0,
            Runtime,
            "non-positive groups is not supported"
        );
        Ok(moves)
    }

    /// Sizes of the output of a convolution.
    pub(super) fn forward(&self, input: &[i64], kernel: &[i64]) -> Result<Vec<i64>> {
        let padded: Vec<i64> = input
            .iter()
            .zip(&self.padding)
            .map(|(i, p)| i + 2 * p)
            .collect();
        let span: Vec<i64> = kernel
            .iter()
            .zip(&self.dilation)
            .map(|(k, d)| d * (k - 1) + 1)
            .collect();
        let text = |sizes: &[i64]| {
            sizes
                .iter()
                .map(i64::to_string)
                .collect::<Vec<_>>()
                .join(" x ")
        };
        ensure!(
            padded.iter().zip(&span).all(|(p, s)| p >= s),
            Runtime,
            "Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't be greater than actual input size",
            text(&padded),
            text(&span)
        );
        Ok(padded
            .iter()
            .zip(&span)
            .zip(&self.stride)
            .map(|((p, s), stride)| (p - s) / stride + 1)
            .collect())
    }

    /// Sizes of the output of a transposed convolution.
    fn transposed(&self, input: &[i64], kernel: &[i64], extra: &[i64]) -> Result<Vec<i64>> {
        let size = |d: usize| {
            (input[d] - 1) * self.stride[d] - 2 * self.padding[d]
                + self.dilation[d] * (kernel[d] - 1)
                + extra.get(d).or(extra.first()).copied().unwrap_or(0)
                + 1
        };
        let sizes: Vec<i64> = (0..input.len()).map(size).collect();
        ensure!(
            sizes.iter().all(|&s| s > 0),
            Runtime,
            "Given input size per channel: {input:?}. Calculated output size per channel: {sizes:?}. Output size is too small"
        );
        Ok(sizes)
    }

    /// The geometry of the convolution from images of `input` sizes to images of `output` sizes; both
    /// with batch and channels.
    pub(super) fn geometry(&self, input: &[i64], weight: &[i64], output: &[i64]) -> Geometry {
        Geometry {
            batch: input[0] as usize,
            groups: self.groups as usize,
            channels: weight[1] as usize,
            filters: (weight[0] / self.groups) as usize,
            input: three(&input[2..], 1),
            output: three(&output[2..], 1),
            window: Window {
                kernel: three(&weight[2..], 1),
                stride: three(&self.stride, 1),
                padding: three(&self.padding, 0),
                dilation: three(&self.dilation, 1),
            },
        }
    }
}

/// Up to three dimensions as depth, height, width.
pub(super) fn three(sizes: &[i64], fill: usize) -> [usize; 3] {
    let missing = 3 - sizes.len();
    std::array::from_fn(|i| {
        if i < missing {
            fill
        } else {
            sizes[i - missing] as usize
        }
    })
}

/// The dtype in which a convolution is computed.
pub(super) fn compute_dtype(dtype: DType) -> Result<DType> {
    Ok(match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::Bool => fail!(Runtime, "\"slow_conv_cpu\" not implemented for 'Bool'"),
        other if other.is_integral(false) => DType::I64,
        other => other,
    })
}

/// A row-major tensor of a dtype with the same elements.
pub(super) fn dense(t: &Tensor, dtype: DType) -> Result<Tensor> {
    if t.dtype() == dtype && t.is_contiguous() && !t.lazy().any() {
        return Ok(t.clone());
    }
    let copy = Tensor::empty(t.shape(), dtype)?;
    crate::cpu::copy::copy(&copy, t)?;
    Ok(copy)
}

/// Runs `compute` on a row-major output of the compute dtype: `out` itself, or one copied to it.
pub(super) fn into(
    out: &Tensor,
    dtype: DType,
    compute: impl FnOnce(&Tensor) -> Result<bool>,
) -> Result<()> {
    let direct = out.dtype() == dtype && out.is_contiguous();
    let target = if direct {
        out.clone()
    } else {
        Tensor::empty(out.shape(), dtype)?
    };
    ensure!(
        compute(&target)?,
        OutOfMemory,
        "not enough memory for the columns of a convolution"
    );
    if direct {
        Ok(())
    } else {
        crate::cpu::copy::copy(out, &target)
    }
}

/// Binds `$T` for the dtypes that `compute_dtype` gives.
macro_rules! computed {
    ($dtype:expr, $T:ident => $body:expr) => {
        crate::dispatch!(@arms $dtype, $T, $body, fail!(Runtime, "convolution of {}", $dtype),
            I64 i64, F32 f32, F64 f64, C64 crate::tensor::c64, C128 crate::tensor::c128)
    };
}
pub(super) use computed;

fn run_forward(
    moves: &Moves,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    out: &Tensor,
) -> Result<()> {
    let dtype = compute_dtype(x.dtype())?;
    let g = moves.geometry(x.shape(), w.shape(), out.shape());
    let (x, w) = (dense(x, dtype)?, dense(w, dtype)?);
    let bias = bias.map(|b| dense(b, dtype)).transpose()?;
    into(out, dtype, |out| {
        computed!(dtype, T => {
            let bias = bias.as_ref().map(|b| b.ptr::<T>().cast_const());
            // SAFETY: all are row-major with the sizes of the geometry.
            Ok(unsafe { T::forward(&g, x.ptr(), w.ptr(), bias, out.ptr()) })
        })
    })
}

fn run_input(
    moves: &Moves,
    y: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    out: &Tensor,
) -> Result<()> {
    let dtype = compute_dtype(y.dtype())?;
    let g = moves.geometry(out.shape(), w.shape(), y.shape());
    let (y, w) = (dense(y, dtype)?, dense(w, dtype)?);
    let bias = bias.map(|b| dense(b, dtype)).transpose()?;
    into(out, dtype, |out| {
        computed!(dtype, T => {
            let bias = bias.as_ref().map(|b| b.ptr::<T>().cast_const());
            // SAFETY: all are row-major with the sizes of the geometry.
            Ok(unsafe { T::grad_input(&g, y.ptr(), w.ptr(), bias, out.ptr()) })
        })
    })
}

fn run_weight(moves: &Moves, x: &Tensor, y: &Tensor, out: &Tensor) -> Result<()> {
    let dtype = compute_dtype(x.dtype())?;
    let g = moves.geometry(x.shape(), out.shape(), y.shape());
    let (x, y) = (dense(x, dtype)?, dense(y, dtype)?);
    into(out, dtype, |out| {
        // SAFETY: all are row-major with the sizes of the geometry.
        computed!(dtype, T => Ok(unsafe { T::grad_weight(&g, x.ptr(), y.ptr(), out.ptr()) }))
    })
}

/// Ranks, channels, groups and dtypes that fit together.
pub(super) fn check(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    groups: i64,
    transposed: bool,
) -> Result<()> {
    let (xs, ws) = (x.shape(), w.shape());
    ensure!(groups > 0, Runtime, "non-positive groups is not supported");
    ensure!(
        ws.len() >= 3,
        Runtime,
        "weight should have at least three dimensions"
    );
    ensure!(
        xs.len() == ws.len() && xs.len() <= 5,
        Runtime,
        "Expected {}-dimensional input for {}-dimensional weight {ws:?}, but got {}-dimensional input of size {xs:?} instead",
        ws.len(),
        ws.len(),
        xs.len()
    );
    ensure!(
        ws[0] >= groups,
        Runtime,
        "Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size {ws:?} instead"
    );
    ensure!(
        ws[0] % groups == 0,
        Runtime,
        "Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size {ws:?} instead"
    );
    let channels = if transposed { ws[0] } else { ws[1] * groups };
    ensure!(
        xs[1] == channels,
        Runtime,
        "Given groups={groups}, weight of size {ws:?}, expected input{xs:?} to have {channels} channels, but got {} channels instead",
        xs[1]
    );
    let outputs = if transposed { ws[1] * groups } else { ws[0] };
    if let Some(bias) = bias {
        ensure!(
            bias.shape() == [outputs],
            Runtime,
            "Given weight of size {ws:?}, expected bias to be 1-dimensional with {outputs} elements, but got bias of size {:?} instead",
            bias.shape()
        );
    }
    for (t, name) in [(Some(w), "weight"), (bias, "bias")] {
        let Some(t) = t else { continue };
        ensure!(
            t.dtype() == x.dtype(),
            Runtime,
            "Input type ({}) and {name} type ({}) should be the same",
            x.dtype().name(),
            t.dtype().name()
        );
    }
    ensure!(
        ws[2..].iter().all(|&k| k > 0),
        Runtime,
        "kernel size should be greater than zero, but got {ws:?}"
    );
    Ok(())
}

fn convolution_meta(a: Args) -> Result<Outs> {
    let (x, w, transposed) = (a.t(0)?, a.t(1)?, a.bool(6)?);
    check(x, w, a.opt_t(2)?, a.int(8)?, transposed)?;
    let spatial = x.ndim() - 2;
    let moves = convolution_moves(a, spatial)?;
    let (input, kernel) = (&x.shape()[2..], &w.shape()[2..]);
    let (channels, sizes) = if transposed {
        (
            w.shape()[1] * moves.groups,
            moves.transposed(input, kernel, a.ints(7)?)?,
        )
    } else {
        (w.shape()[0], moves.forward(input, kernel)?)
    };
    let shape = [&[x.shape()[0], channels], &sizes[..]].concat();
    Ok(smallvec![Out::new(&shape, x.dtype())])
}

/// The arguments of `convolution`, where `transposed` and `output_padding` stand before `groups`.
fn convolution_moves(a: Args, spatial: usize) -> Result<Moves> {
    let args = [
        a.get(3).clone(),
        a.get(4).clone(),
        a.get(5).clone(),
        a.get(8).clone(),
    ];
    Moves::read(Args(&args), 0, spatial)
}

fn convolution(a: Args, outs: &[Tensor]) -> Result<()> {
    let (x, w, bias) = (a.t(0)?, a.t(1)?, a.opt_t(2)?);
    let moves = convolution_moves(a, x.ndim() - 2)?;
    if !a.bool(6)? {
        return run_forward(&moves, x, w, bias, &outs[0]);
    }
    run_input(&moves, x, w, bias, &outs[0])
}

/// Arguments of an internal op: sizes of its result, then the moves.
fn sized(a: Args, spatial_of: usize) -> Result<Moves> {
    Moves::read(a, 3, a.t(spatial_of)?.ndim() - 2)
}

fn size_meta(a: Args) -> Result<Outs> {
    Ok(smallvec![Out::new(a.ints(2)?, a.t(0)?.dtype())])
}

/// Calls an internal op with the moves of another's arguments.
fn input_of(g: Val, w: Val, size: &[i64], m: &Moves) -> Val {
    let (stride, padding, dilation) = (m.stride.clone(), m.padding.clone(), m.dilation.clone());
    Val(call!(
        "_convolution_input",
        g,
        w,
        size,
        stride,
        padding,
        dilation,
        m.groups
    ))
}

fn weight_of(x: Val, g: Val, size: &[i64], m: &Moves) -> Val {
    let (stride, padding, dilation) = (m.stride.clone(), m.padding.clone(), m.dilation.clone());
    Val(call!(
        "_convolution_weight",
        x,
        g,
        size,
        stride,
        padding,
        dilation,
        m.groups
    ))
}

fn output_of(x: Val, w: Val, m: &Moves) -> Val {
    let (stride, padding, dilation) = (m.stride.clone(), m.padding.clone(), m.dilation.clone());
    let none = Value::None;
    Val(call!(
        "convolution",
        x,
        w,
        none,
        stride,
        padding,
        dilation,
        false,
        [0i64],
        m.groups
    ))
}

/// The rule of each of the three kernels, given the moves.
fn with_moves(
    c: &crate::autograd::Ctx,
    moves: Result<Moves>,
    rule: impl FnOnce(&Moves) -> super::Grads,
) -> super::Grads {
    match moves {
        Ok(moves) => rule(&moves),
        Err(e) => (0..c.slots()).map(|_| Some(Val(Err(e.clone())))).collect(),
    }
}

fn convolution_grad(c: &crate::autograd::Ctx) -> super::Grads {
    let (x_size, w_size) = (c.shape(0), c.shape(1));
    with_moves(c, convolution_moves(c.args(), x_size.len() - 2), |m| {
        let transposed = c.args().bool(6).unwrap_or(false);
        let g = c.g();
        let dims: Vec<i64> = (0..x_size.len() as i64).filter(|&d| d != 1).collect();
        let x = c.when(0, || {
            if transposed {
                cropped(output_of(g.clone(), conj(c, 1), m), &x_size)
            } else {
                input_of(g.clone(), conj(c, 1), &x_size, m)
            }
        });
        let w = c.when(1, || {
            let (image, positions) = if transposed {
                (g.clone(), conj(c, 0))
            } else {
                (conj(c, 0), g.clone())
            };
            weight_of(image, positions, &w_size, m)
        });
        grads![x, w, c.when(2, || g.sum(dims, false))]
    })
}

/// A convolution may see more windows than there were: `output_padding` can make room for another.
fn cropped(v: Val, size: &[i64]) -> Val {
    (2..size.len()).fold(v, |v, d| {
        if v.shape().get(d) == size.get(d) {
            v
        } else {
            v.narrow(d as i64, 0, size[d])
        }
    })
}

/// The other factor of a bilinear map, as gradients see it.
fn conj(c: &crate::autograd::Ctx, position: usize) -> Val {
    c.x(position).conj_if_complex()
}

ops! {
    /// Convolution of a batch of images, or its transpose.
    "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups) -> Tensor",
    F, kernel(convolution_meta, convolution), grad rule(arg(0) | arg(1) | SHAPES, convolution_grad)
        .each(|| smallvec![arg(1) | SHAPES, arg(0) | SHAPES, SHAPES]);
    /// The adjoint of a convolution in its input.
    "_convolution_input(Tensor output, Tensor weight, int[] size, int[] stride, int[] padding, int[] dilation, int groups) -> Tensor",
    0, kernel(size_meta, |a, outs| run_input(&sized(a, 0)?, a.t(0)?, a.t(1)?, None, &outs[0])),
    grad rule(arg(0) | arg(1) | SHAPES, |c| with_moves(c, Moves::read(c.args(), 3, c.shape(0).len() - 2), |m| grads![
        c.when(0, || cropped(output_of(c.g(), conj(c, 1), m), &c.shape(0))),
        c.when(1, || weight_of(c.g(), conj(c, 0), &c.shape(1), m)),
    ]));
    /// The adjoint of a convolution in its weight.
    "_convolution_weight(Tensor input, Tensor output, int[] size, int[] stride, int[] padding, int[] dilation, int groups) -> Tensor",
    0, kernel(size_meta, |a, outs| run_weight(&sized(a, 0)?, a.t(0)?, a.t(1)?, &outs[0])),
    grad rule(arg(0) | arg(1) | SHAPES, |c| with_moves(c, Moves::read(c.args(), 3, c.shape(0).len() - 2), |m| grads![
        c.when(0, || input_of(conj(c, 1), c.g(), &c.shape(0), m)),
        c.when(1, || cropped(output_of(conj(c, 0), c.g(), m), &c.shape(1))),
    ]));
}
