//! Channels to pixels and back.

use super::{Args, Body, F, Outputs, Val, output};
use crate::tensor::Dims;
use crate::{Result, ensure, ops};

/// Leading sizes, channels, height and width.
fn image(a: Args, name: &str) -> Result<(Dims, [i64; 3])> {
    let shape = a.t(0)?.shape();
    ensure!(
        shape.len() >= 3,
        Runtime,
        "{name} expects input to have at least 3 dimensions, but got input with {} dimension(s)",
        shape.len()
    );
    let lead = shape.len() - 3;
    Ok((
        Dims::from_slice(&shape[..lead]),
        [shape[lead], shape[lead + 1], shape[lead + 2]],
    ))
}

/// Splits the last dimensions, reorders the parts, and joins them.
fn rearranged(
    x: Val,
    lead: &[i64],
    parts: &[i64],
    order: &[i64],
    joined: &[i64],
) -> Result<Outputs> {
    let n = lead.len() as i64;
    let with_lead = |rest: &[i64]| lead.iter().chain(rest).copied().collect::<Dims>();
    let dims: Dims = (0..n).chain(order.iter().map(|d| n + d)).collect();
    output(
        x.reshape(with_lead(parts))
            .permute(dims)
            .reshape(with_lead(joined))
            .get(),
    )
}

fn pixel_shuffle(a: Args) -> Result<Outputs> {
    let (lead, [channels, height, width]) = image(a, "pixel_shuffle")?;
    let r = a.int(1)?;
    ensure!(
        r > 0,
        Runtime,
        "pixel_shuffle expects a positive upscale_factor, but got {r}"
    );
    let square = r.checked_mul(r).unwrap_or(i64::MAX);
    ensure!(
        channels % square == 0,
        Runtime,
        "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={channels} is not divisible by {square}"
    );
    let out = channels / square;
    let parts = [out, r, r, height, width];
    rearranged(
        a.t(0)?.into(),
        &lead,
        &parts,
        &[0, 3, 1, 4, 2],
        &[out, height * r, width * r],
    )
}

fn pixel_unshuffle(a: Args) -> Result<Outputs> {
    let (lead, [channels, height, width]) = image(a, "pixel_unshuffle")?;
    let r = a.int(1)?;
    ensure!(
        r > 0,
        Runtime,
        "pixel_unshuffle expects a positive downscale_factor, but got {r}"
    );
    for (name, dim, size) in [("height", -2, height), ("width", -1, width)] {
        ensure!(
            size % r == 0,
            Runtime,
            "pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({dim})={size} is not divisible by {r}"
        );
    }
    let (rows, cols) = (height / r, width / r);
    rearranged(
        a.t(0)?.into(),
        &lead,
        &[channels, rows, r, cols, r],
        &[0, 2, 4, 1, 3],
        &[channels.saturating_mul(r).saturating_mul(r), rows, cols],
    )
}

fn channel_shuffle(a: Args) -> Result<Outputs> {
    let (x, groups) = (a.t(0)?, a.int(1)?);
    let shape = x.shape();
    ensure!(
        shape.len() > 2,
        Runtime,
        "channel_shuffle expects input with > 2 dims, but got input with sizes {shape:?}"
    );
    ensure!(
        groups > 0,
        Runtime,
        "Number of groups to divide channels in must be positive. Value of groups:{groups}"
    );
    let channels = shape[1];
    ensure!(
        channels % groups == 0,
        Runtime,
        "Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
    );
    let pixels: i64 = shape[2..].iter().product();
    rearranged(
        x.into(),
        &shape[..1],
        &[groups, channels / groups, pixels],
        &[1, 0, 2],
        &shape[1..],
    )
}

ops! {
    /// Turns channels into a grid of pixels `upscale_factor` times as fine.
    "pixel_shuffle(Tensor self, int upscale_factor) -> Tensor", F, Body::Composite(pixel_shuffle);
    /// Turns pixels into channels: the inverse of `pixel_shuffle`.
    "pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor", F, Body::Composite(pixel_unshuffle);
    /// Interleaves groups of channels.
    "channel_shuffle(Tensor self, int groups) -> Tensor", F, Body::Composite(channel_shuffle);
    /// Interleaves groups of channels, as `channel_shuffle`.
    "native_channel_shuffle(Tensor self, int groups) -> Tensor", F, Body::Composite(channel_shuffle);
}
