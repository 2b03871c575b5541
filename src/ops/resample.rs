//! Resampling of images: interpolation at other sizes.
//!
//! Interpolation is separable: each dimension is a sum of looked-up slices with weights.

use super::conv::dense;
use super::matmul::single;
use super::{Args, Body, F, Grads, Out, Outputs, Outs, SHAPES, Val, arg, kernel, rule};
use crate::autograd::Ctx;
use crate::cpu::taps;
use crate::tensor::{DType, Dims, Tensor, check_room};
use crate::{Result, call, dispatch, ensure, fail, grads, ops};
use smallvec::smallvec;

/// How values between elements come about.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Nearest,
    NearestExact,
    Linear,
    Cubic,
}

/// The spacing of output positions in the input, as PyTorch computes it.
fn spacing(input: i64, output: i64, scale: Option<f64>, align: bool) -> f64 {
    match scale {
        _ if align => {
            if output > 1 {
                (input - 1) as f64 / (output - 1) as f64
            } else {
                0.0
            }
        }
        Some(scale) if scale > 0.0 => 1.0 / scale,
        _ => input as f64 / output as f64,
    }
}

/// The slices and weights of each output position: one list per tap.
struct Taps {
    index: Vec<Vec<i64>>,
    weight: Vec<Vec<f64>>,
}

pub(super) const CUBIC: f64 = -0.75;

fn cubic_weights(t: f64) -> [f64; 4] {
    let near = |x: f64| ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((CUBIC * x - 5.0 * CUBIC) * x + 8.0 * CUBIC) * x - 4.0 * CUBIC;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

fn taps(
    kind: Kind,
    input: i64,
    output: i64,
    scale: Option<f64>,
    align: bool,
    single: bool,
) -> Taps {
    let ratio = spacing(input, output, scale, align);
    // Positions are computed in the precision of the elements.
    let round = |x: f64| if single { f64::from(x as f32) } else { x };
    let ratio = round(ratio);
    let last = (input - 1).max(0);
    let count = match kind {
        Kind::Nearest | Kind::NearestExact => 1,
        Kind::Linear => 2,
        Kind::Cubic => 4,
    };
    let mut taps = Taps {
        index: vec![Vec::new(); count],
        weight: vec![Vec::new(); count],
    };
    for o in 0..output {
        let middle = if align {
            round(ratio * o as f64)
        } else {
            round(ratio * (o as f64 + 0.5) - 0.5)
        };
        let found: Vec<(i64, f64)> = match kind {
            Kind::Nearest => vec![((round(o as f64 * ratio).floor() as i64).min(last), 1.0)],
            Kind::NearestExact => vec![(
                (round((o as f64 + 0.5) * ratio).floor() as i64).min(last),
                1.0,
            )],
            Kind::Linear => {
                let place = middle.max(0.0);
                let low = (place as i64).min(last);
                let part = (place - low as f64).clamp(0.0, 1.0);
                vec![(low, 1.0 - part), ((low + 1).min(last), part)]
            }
            Kind::Cubic => {
                let low = middle.floor();
                let weights = cubic_weights(middle - low);
                (0..4)
                    .map(|k| ((low as i64 - 1 + k).clamp(0, last), weights[k as usize]))
                    .collect()
            }
        };
        for (k, (index, weight)) in found.into_iter().enumerate() {
            taps.index[k].push(index);
            taps.weight[k].push(weight);
        }
    }
    taps
}

fn resample_dim(v: &Val, dim: usize, taps: &Taps) -> Val {
    if v.0.is_err() {
        return v.clone();
    }
    let mut shape = vec![1i64; v.ndim()];
    shape[dim] = -1;
    let length = taps.index[0].len() as i64;
    let look_up = |index: &Vec<i64>| v.index_select(dim as i64, v.beside(index, &[length]));
    if matches!(v.dtype(), DType::F32 | DType::F64) {
        return by_taps(v, dim, taps, length);
    }
    if taps.index.len() == 1 {
        return look_up(&taps.index[0]);
    }
    let parts = taps.index.iter().zip(&taps.weight).map(|(index, weight)| {
        let weight = v
            .beside(weight, &[length])
            .to(v.dtype())
            .reshape(shape.clone());
        look_up(index).mul(weight)
    });
    parts.reduce(|a, b| a + b).unwrap_or_else(|| v.clone())
}

/// Floats: all taps in one pass.
fn by_taps(v: &Val, dim: usize, taps: &Taps, length: i64) -> Val {
    let shape = [taps.index.len() as i64, length];
    let index = v.beside(&taps.index.concat(), &shape);
    let weight = v.beside(&taps.weight.concat(), &shape).to(v.dtype());
    Val(call!("_taps", v, index, weight, dim as i64, length))
}

/// Arguments of `_taps` and its adjoint: (self, index, weight, dim, size), where the result has `size` along `dim`.
fn taps_meta(a: Args) -> Result<Outs> {
    let (x, dim) = (a.t(0)?, a.int(3)? as usize);
    let mut shape = Dims::from_slice(x.shape());
    ensure!(
        dim < shape.len() && a.t(1)?.shape() == a.t(2)?.shape() && a.t(1)?.ndim() == 2,
        Runtime,
        "_taps: expected taps along a dimension, got {:?} for {shape:?}",
        a.t(1)?.shape()
    );
    shape[dim] = a.int(4)?;
    Ok(smallvec![Out::new(&shape, x.dtype())])
}

fn run_taps(a: Args, outs: &[Tensor], back: bool) -> Result<()> {
    let (x, dim) = (a.t(0)?, a.int(3)? as usize);
    let dtype = x.dtype();
    let (x, index, weight) = (
        dense(x, dtype)?,
        dense(a.t(1)?, DType::I64)?,
        dense(a.t(2)?, dtype)?,
    );
    let product = |sizes: &[i64]| sizes.iter().product::<i64>() as usize;
    let (from, to) = (x.shape()[dim], outs[0].shape()[dim]);
    let (inputs, outputs) = if back { (to, from) } else { (from, to) };
    let index = index.as_slice::<i64>()?;
    ensure!(
        weight.shape()[1] == outputs
            && matches!(weight.shape()[0], 1 | 2 | 4)
            && index.iter().all(|i| (0..inputs).contains(i)),
        Index,
        "_taps: index out of range"
    );
    let (outer, inner) = (product(&x.shape()[..dim]), product(&x.shape()[dim + 1..]));
    dispatch!(@arms dtype, T, {
        let taps = taps::Taps {
            index,
            weight: weight.as_slice::<T>()?,
            outputs: outputs as usize,
            inputs: inputs as usize,
            inner,
        };
        let run = if back { taps::put_back::<T> } else { taps::look_up::<T> };
        // SAFETY: both are row-major with these sizes.
        unsafe { run(&taps, outer, x.ptr(), outs[0].ptr()) };
        Ok(())
    }, fail!(Runtime, "_taps of {dtype}"), F32 f32, F64 f64)
}

/// The gradient of taps, by their adjoint, and the other way round.
fn taps_rule(c: &Ctx, adjoint: bool) -> Grads {
    let dim = c.args().int(3).unwrap_or(0);
    let size = c.shape(0)[dim as usize];
    let (g, index, weight) = (c.g(), c.x(1), c.x(2));
    let back = if adjoint {
        call!("_taps_adjoint", g, index, weight, dim, size)
    } else {
        call!("_taps", g, index, weight, dim, size)
    };
    grads![Val(back), None, None]
}

/// Arguments (self, output_size, [align_corners,] scale_factors).
fn upsample(a: Args, kind: Kind, spatial: usize) -> Result<Outputs> {
    let with_corners = matches!(kind, Kind::Linear | Kind::Cubic);
    let (x, size, align) = (a.t(0)?, a.opt_ints(1)?, with_corners && a.bool(2)?);
    let scales = a.opt_floats(2 + usize::from(with_corners))?;
    ensure!(
        x.ndim() == spatial + 2,
        Runtime,
        "It is expected input_size equals to {}, but got size {}",
        spatial + 2,
        x.ndim()
    );
    let inputs = &x.shape()[2..];
    let sizes: Vec<i64> = match (size, scales) {
        (Some(size), None) => size.to_vec(),
        (None, Some(scales)) => inputs
            .iter()
            .zip(scales)
            .map(|(&n, s)| (n as f64 * s) as i64)
            .collect(),
        _ => fail!(
            Runtime,
            "Must specify exactly one of output_size and scale_factors"
        ),
    };
    ensure!(
        sizes.len() == spatial,
        Runtime,
        "It is expected output_size equals to {spatial}, but got size {}",
        sizes.len()
    );
    ensure!(
        inputs.iter().chain(&sizes).all(|&n| n > 0),
        Runtime,
        "Input and output sizes should be greater than 0, but got input (H: {inputs:?}) output (H: {sizes:?})"
    );
    for &size in &sizes {
        check_room(size.saturating_mul(4), DType::I64)?;
    }
    let wide = if x.dtype() == DType::U8 && with_corners {
        DType::F32
    } else {
        x.dtype().compute()
    };
    let mut v = Val::from(x).to(wide);
    for d in 0..spatial {
        if sizes[d] == inputs[d] && scales.is_none() {
            continue;
        }
        let scale = scales.map(|s| s[d]);
        v = resample_dim(
            &v,
            d + 2,
            &taps(kind, inputs[d], sizes[d], scale, align, wide != DType::F64),
        );
    }
    if wide != x.dtype() && x.dtype() == DType::U8 {
        v = Val(call!("clamp", Val(call!("round", v)), 0i64, 255i64));
    }
    let v = v.to(x.dtype());
    single(if v.clone().get()?.same(x) {
        Val(call!("clone", x))
    } else {
        v
    })
}

ops! {
    /// Weighted look-ups along a dimension.
    "_taps(Tensor self, Tensor index, Tensor weight, int dim, int size) -> Tensor", 0,
    kernel(taps_meta, |a, outs| run_taps(a, outs, false)),
    grad rule(arg(1) | arg(2) | SHAPES, |c| taps_rule(c, true));
    /// The adjoint of the look-ups.
    "_taps_adjoint(Tensor self, Tensor index, Tensor weight, int dim, int size) -> Tensor", 0,
    kernel(taps_meta, |a, outs| run_taps(a, outs, true)),
    grad rule(arg(1) | arg(2) | SHAPES, |c| taps_rule(c, false));
    /// Nearest elements at another size, in one dimension.
    "nn.functional.upsample_nearest1d(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::Nearest, 1));
    /// Nearest elements at another size, in two dimensions.
    "nn.functional.upsample_nearest2d(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::Nearest, 2));
    /// Nearest elements at another size, in three dimensions.
    "nn.functional.upsample_nearest3d(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::Nearest, 3));
    /// Nearest elements by their centres, in one dimension.
    "nn.functional._upsample_nearest_exact1d(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::NearestExact, 1));
    /// Nearest elements by their centres, in two dimensions.
    "nn.functional._upsample_nearest_exact2d(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::NearestExact, 2));
    /// Nearest elements by their centres, in three dimensions.
    "nn.functional._upsample_nearest_exact3d(Tensor input, int[]? output_size, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::NearestExact, 3));
    /// Linear interpolation in one dimension.
    "nn.functional.upsample_linear1d(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::Linear, 1));
    /// Bilinear interpolation.
    "nn.functional.upsample_bilinear2d(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::Linear, 2));
    /// Trilinear interpolation.
    "nn.functional.upsample_trilinear3d(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::Linear, 3));
    /// Bicubic interpolation.
    "nn.functional.upsample_bicubic2d(Tensor input, int[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor", F, Body::Composite(|a| upsample(a, Kind::Cubic, 2));
}
