//! Resampling of images: interpolation at other sizes.
//!
//! Interpolation is separable: each dimension is a sum of looked-up slices with weights.

use super::matmul::single;
use super::{Args, Body, F, Outputs, Val};
use crate::tensor::{DType, Tensor, check_room};
use crate::{Result, call, ensure, fail, ops};

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
    let mut shape = vec![1i64; v.ndim()];
    shape[dim] = -1;
    let length = taps.index[0].len() as i64;
    let look_up =
        |index: &Vec<i64>| v.index_select(dim as i64, Val(Tensor::from_slice(index, &[length])));
    if taps.index.len() == 1 {
        return look_up(&taps.index[0]);
    }
    let parts = taps.index.iter().zip(&taps.weight).map(|(index, weight)| {
        let weight = Val(Tensor::from_slice(weight, &[length]))
            .to(v.dtype())
            .reshape(shape.clone());
        look_up(index).mul(weight)
    });
    parts.reduce(|a, b| a + b).unwrap_or_else(|| v.clone())
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
