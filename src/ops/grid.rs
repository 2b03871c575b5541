//! Images at the places of a grid.

use super::matmul::single;
use super::resample::CUBIC;
use super::view::beside;
use super::{Args, Body, F, Outputs, Val, Value};
use crate::tensor::DType;
use crate::{Result, call, ensure, fail, ops};

/// Positions from -1..1 to elements.
fn unnormalised(grid: &Val, size: i64, align: bool) -> Val {
    let n = size as f64;
    if align {
        (grid + 1.0) * ((n - 1.0) / 2.0)
    } else {
        ((grid + 1.0) * n - 1.0) * 0.5
    }
}

/// Reflection at `low / 2` and `high / 2`, as often as needed.
fn reflected(v: &Val, low: i64, high: i64) -> Val {
    if low == high {
        return Val(call!("zeros_like", v));
    }
    let (start, span) = (low as f64 / 2.0, (high - low) as f64 / 2.0);
    let away = (v - start).abs();
    let extra = Val(call!("fmod", &away, span));
    let flips = (away / span).floor();
    let is_even = Val(call!("remainder", flips, 2.0)).eq(0.0);
    let back = -&(&extra - span);
    (extra + start).select_where(&is_even, back + start)
}

const BORDER: i64 = 1;
const REFLECTION: i64 = 2;

/// Positions after padding: clipped or reflected into the image.
fn padded(v: Val, size: i64, padding: i64, align: bool) -> Val {
    let clip = |v: Val| Val(call!("clamp", v, 0.0, (size - 1) as f64));
    match padding {
        BORDER => clip(v),
        REFLECTION if align => clip(reflected(&v, 0, 2 * (size - 1))),
        REFLECTION => clip(reflected(&v, -1, 2 * size - 1)),
        _ => v,
    }
}

/// The image at whole positions (one tensor of places per dimension, innermost first), zero outside.
fn pixels(x: &Val, places: &[Val]) -> Val {
    let shape = x.shape();
    let (batch, channels, sizes) = (shape[0], shape[1], &shape[2..]);
    let n = sizes.len();
    let mut flat: Option<Val> = None;
    let mut inside: Option<Val> = None;
    for d in 0..n {
        let (place, size) = (&places[n - 1 - d], sizes[d]);
        let here = place.ge(0.0).logical_and(place.le((size - 1) as f64));
        let at = Val(call!(
            "clamp",
            place.masked_fill(here.logical_not(), 0.0),
            0.0,
            (size - 1).max(0) as f64
        ))
        .to(DType::I64);
        inside = Some(inside.map_or_else(|| here.clone(), |all| all.logical_and(&here)));
        flat = Some(flat.map_or_else(|| at.clone(), |f| f.mul(Value::from(size)).add(&at)));
    }
    let (Some(flat), Some(inside)) = (flat, inside) else {
        return x.clone();
    };
    let area: i64 = sizes.iter().product();
    let count: i64 = flat.shape()[1..].iter().product();
    let index = flat
        .reshape([batch, 1, count])
        .expand([batch, channels, count]);
    let found = x.reshape([batch, channels, area]).gather(2, index);
    let out = [&[batch, channels], &flat.shape()[1..]].concat();
    let mask = inside.unsqueeze(1).logical_not();
    found.reshape(out).masked_fill(mask, 0.0)
}

/// The weighted sum over the 2^n corners around each place.
fn multilinear(x: &Val, places: &[Val]) -> Val {
    let lows: Vec<Val> = places.iter().map(Val::floor).collect();
    let mut total: Option<Val> = None;
    for corner in 0..1usize << places.len() {
        let mut weight: Option<Val> = None;
        let mut at = Vec::new();
        for (d, (place, low)) in places.iter().zip(&lows).enumerate() {
            let part = place - low;
            let (position, share) = if corner >> d & 1 == 1 {
                (low + &low.ones_like(), part)
            } else {
                (low.clone(), -&(&part - 1.0))
            };
            at.push(position.detach());
            weight = Some(weight.map_or_else(|| share.clone(), |w| w.mul(&share)));
        }
        let Some(weight) = weight else { continue };
        let term = pixels(x, &at).mul(weight.unsqueeze(1));
        total = Some(total.map_or_else(|| term.clone(), |t| t + &term));
    }
    total.unwrap_or_else(|| x.clone())
}

/// Weights of the four taps around a place, for differentiable parts `t`.
fn cubic_weight_vals(t: &Val) -> [Val; 4] {
    let near = |x: Val| ((&x * (CUBIC + 2.0) - (CUBIC + 3.0)).mul(&x)).mul(&x) + 1.0;
    let far = |x: Val| (((&x * CUBIC - 5.0 * CUBIC).mul(&x)) + 8.0 * CUBIC).mul(&x) - 4.0 * CUBIC;
    let rest = -&(t - 1.0);
    [
        far(t + 1.0),
        near(t.clone()),
        near(rest.clone()),
        far(rest + 1.0),
    ]
}

fn bicubic(x: &Val, places: &[Val], padding: i64, align: bool) -> Val {
    let sizes = [x.shape()[3], x.shape()[2]];
    let lows = [places[0].floor(), places[1].floor()];
    let weights = [
        cubic_weight_vals(&(&places[0] - &lows[0])),
        cubic_weight_vals(&(&places[1] - &lows[1])),
    ];
    let mut total: Option<Val> = None;
    for j in 0..4 {
        for i in 0..4 {
            let tap = |d: usize, k: usize| {
                padded(&lows[d] + (k as f64 - 1.0), sizes[d], padding, align).detach()
            };
            let term = pixels(x, &[tap(0, i), tap(1, j)])
                .mul(weights[0][i].mul(&weights[1][j]).unsqueeze(1));
            total = Some(total.map_or_else(|| term.clone(), |t| t + &term));
        }
    }
    total.unwrap_or_else(|| x.clone())
}

fn grid_sampler(a: Args) -> Result<Outputs> {
    let (x, grid, mode, padding, align) = (a.t(0)?, a.t(1)?, a.int(2)?, a.int(3)?, a.bool(4)?);
    let n = x.ndim();
    ensure!(
        (n == 4 || n == 5) && grid.ndim() == n,
        Runtime,
        "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes {:?} and grid with sizes {:?}",
        x.shape(),
        grid.shape()
    );
    ensure!(
        x.shape()[0] == grid.shape()[0],
        Runtime,
        "grid_sampler(): expected grid and input to have same batch size, but got input with sizes {:?} and grid with sizes {:?}",
        x.shape(),
        grid.shape()
    );
    ensure!(
        grid.shape()[n - 1] == n as i64 - 2,
        Runtime,
        "grid_sampler(): expected grid to have size {} in last dimension, but got grid with sizes {:?}",
        n - 2,
        grid.shape()
    );
    ensure!(
        x.shape()[2..].iter().all(|&s| s > 0),
        Runtime,
        "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes {:?}",
        x.shape()
    );
    let (v, g) = (Val::from(x), Val::from(grid));
    let size = |d: usize| x.shape()[n - 1 - d];
    let raw: Vec<Val> = (0..n - 2)
        .map(|d| unnormalised(&g.select(-1, d as i64), size(d), align))
        .collect();
    if mode == 2 {
        ensure!(
            n == 4,
            Runtime,
            "grid_sampler(): bicubic interpolation only supports 4D input"
        );
        return single(bicubic(&v, &raw, padding, align));
    }
    let places: Vec<Val> = raw
        .into_iter()
        .enumerate()
        .map(|(d, p)| padded(p, size(d), padding, align))
        .collect();
    single(match mode {
        0 => multilinear(&v, &places),
        1 => {
            let whole: Vec<Val> = places
                .iter()
                .map(|p| Val(call!("round", p)).detach())
                .collect();
            let found = pixels(&v, &whole);
            if !grid.requires_grad() {
                return single(found);
            }
            // The places count only in steps: the gradient of the grid is zero, not missing.
            let nothing = g
                .masked_fill(g.eq(&g).logical_or(g.ne(&g)), 0.0)
                .reshape([-1i64])
                .sum([0i64], false);
            found + &nothing
        }
        _ => fail!(Runtime, "grid_sampler(): unknown interpolation mode {mode}"),
    })
}

/// Grids for `grid_sampler` from affine maps.
fn affine_grid(a: Args) -> Result<Outputs> {
    let (theta, size, align) = (a.t(0)?, a.ints(1)?, a.bool(2)?);
    let spatial = size.len().saturating_sub(2);
    ensure!(
        (2..=3).contains(&spatial),
        Runtime,
        "AffineGridGenerator needs 4d (spatial) or 5d (volumetric) inputs."
    );
    let axis = |n: i64| -> Val {
        let steps: Vec<f64> = (0..n)
            .map(|i| match (n, align) {
                (1, _) => 0.0,
                (_, true) => -1.0 + 2.0 * i as f64 / (n - 1) as f64,
                _ => (2.0 * i as f64 + 1.0) / n as f64 - 1.0,
            })
            .collect();
        Val(beside(&steps, &[n], theta)).to(theta.dtype())
    };
    let sizes = &size[2..];
    let mut columns = Vec::new();
    for d in (0..spatial).rev() {
        let mut shape = vec![1i64; spatial];
        shape[d] = -1;
        columns.push(
            axis(sizes[d])
                .reshape(shape)
                .expand(sizes.to_vec())
                .unsqueeze(-1)
                .get()?,
        );
    }
    columns.push(Val::from(&columns[0]).ones_like().get()?);
    let points: i64 = sizes.iter().product();
    let base = Val(call!("cat", columns, -1)).reshape([1, points, spatial as i64 + 1]);
    let grid = base
        .expand([size[0], points, spatial as i64 + 1])
        .bmm(Val::from(theta).transpose(1, 2));
    single(grid.reshape([&size[..1], sizes, &[spatial as i64]].concat()))
}

ops! {
    /// The image at the places of a grid: interpolation 0 bilinear, 1 nearest, 2 bicubic; padding 0 zeros, 1 border, 2 reflection.
    "grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor", F, Body::Composite(grid_sampler);
    /// As grid_sampler, for images.
    "grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor", F, Body::Composite(grid_sampler);
    /// As grid_sampler, for volumes.
    "grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor", F, Body::Composite(grid_sampler);
    /// Grids for grid_sampler from affine maps.
    "affine_grid_generator(Tensor theta, int[] size, bool align_corners) -> Tensor", F, Body::Composite(affine_grid);
}
