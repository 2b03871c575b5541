//! `conv1d` .. `conv_transpose3d`: single images, padding by name, and the call of `convolution`.

use super::conv::check;
use super::matmul::single;
use super::{Args, Body, F, M, Outputs, Val};
use crate::tensor::Tensor;
use crate::{Result, call, ensure, fail, ops};

/// `conv1d` and its kin: single images get a batch of one.
fn conv_nd(a: Args, spatial: usize) -> Result<Outputs> {
    let (x, w, bias) = (a.t(0)?, a.t(1)?, a.opt_t(2)?);
    let name = format!("conv{spatial}d");
    let (v, single_image) = batched(x, w, spatial, &name)?;
    let out = Val(call!(
        "convolution",
        v,
        w,
        bias,
        a.get(3),
        a.get(4),
        a.get(5),
        false,
        [0i64],
        a.get(6)
    ));
    single(if single_image { out.select(0, 0) } else { out })
}

fn batched(x: &Tensor, w: &Tensor, spatial: usize, name: &str) -> Result<(Val, bool)> {
    let n = x.ndim();
    if w.ndim() == spatial + 2 {
        ensure!(
            n == spatial + 1 || n == spatial + 2,
            Runtime,
            "Expected {}D (unbatched) or {}D (batched) input to {name}, but got input of size: {:?}",
            spatial + 1,
            spatial + 2,
            x.shape()
        );
    }
    let single_image = n == spatial + 1;
    Ok((
        if single_image {
            Val::from(x).unsqueeze(0)
        } else {
            x.into()
        },
        single_image,
    ))
}

/// Padding by name: 'valid', or 'same', which pads more at the end where it must.
fn conv_nd_named(a: Args, spatial: usize) -> Result<Outputs> {
    let (x, w, bias, padding) = (a.t(0)?, a.t(1)?, a.opt_t(2)?, a.str(4)?);
    let zeros = vec![0i64; spatial];
    let (v, single_image) = batched(x, w, spatial, &format!("conv{spatial}d"))?;
    let call = |v: Val, padding: Vec<i64>| {
        Val(call!(
            "convolution",
            v,
            w,
            bias,
            a.get(3),
            padding,
            a.get(5),
            false,
            [0i64],
            a.get(6)
        ))
    };
    let out = match padding {
        "valid" => call(v, zeros),
        "same" => {
            check(
                v.clone().get().as_ref().map_err(Clone::clone)?,
                w,
                bias,
                a.int(6)?,
                false,
            )?;
            let strides = a.ints(3)?;
            ensure!(
                strides.iter().all(|&s| s == 1),
                Runtime,
                "padding='same' is not supported for strided convolutions"
            );
            let dilation = a.ints(5)?;
            let total: Vec<i64> = (0..spatial)
                .map(|d| {
                    dilation.get(d).or(dilation.first()).copied().unwrap_or(1)
                        * (w.shape()[d + 2] - 1)
                })
                .collect();
            let extra: Vec<i64> = total.iter().rev().flat_map(|t| [0, t % 2]).collect();
            let v = if extra.contains(&1) {
                Val(call!("constant_pad_nd", v, extra, 0i64))
            } else {
                v
            };
            call(v, total.iter().map(|t| t / 2).collect())
        }
        other => fail!(Runtime, "Invalid padding string: '{other}'"),
    };
    single(if single_image { out.select(0, 0) } else { out })
}

fn conv_transpose_nd(a: Args, spatial: usize) -> Result<Outputs> {
    let (x, w, bias) = (a.t(0)?, a.t(1)?, a.opt_t(2)?);
    let (v, single_image) = batched(x, w, spatial, &format!("conv_transpose{spatial}d"))?;
    let (stride, padding, extra, groups, dilation) =
        (a.get(3), a.get(4), a.get(5), a.get(6), a.get(7));
    let out = Val(call!(
        "convolution",
        v,
        w,
        bias,
        stride,
        padding,
        dilation,
        true,
        extra,
        groups
    ));
    single(if single_image { out.select(0, 0) } else { out })
}

fn conv_tbc(a: Args) -> Result<Outputs> {
    let (x, weight) = (Val::from(a.t(0)?), Val::from(a.t(1)?));
    ensure!(
        x.ndim() == 3 && weight.ndim() == 3 && a.t(2)?.ndim() == 1,
        Runtime,
        "conv_tbc: expected 3D input and weight and 1D bias, got {}D, {}D and {}D",
        x.ndim(),
        weight.ndim(),
        a.t(2)?.ndim()
    );
    let (pad, bias) = (a.int(3)?, a.t(2)?);
    let out = call!(
        "conv1d",
        x.permute([1, 2, 0]),
        weight.permute([2, 1, 0]),
        bias,
        [1],
        [pad]
    )?;
    single(Val::from(out).permute([2, 0, 1]))
}

ops! {
    /// Convolution in one dimension.
    "conv1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, int[1] dilation=1, int groups=1) -> Tensor",
    F, Body::Composite(|a| conv_nd(a, 1));
    /// Convolution in one dimension, padded 'same' or 'valid'.
    "conv1d/padding(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, str padding='valid', int[1] dilation=1, int groups=1) -> Tensor",
    F, Body::Composite(|a| conv_nd_named(a, 1));
    /// Convolution in one dimension of time x batch x channels, by a kernel of time x inputs x outputs.
    "conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor", F | M, Body::Composite(conv_tbc);
    /// Convolution in two dimensions.
    "conv2d(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] dilation=1, int groups=1) -> Tensor",
    F, Body::Composite(|a| conv_nd(a, 2));
    /// Convolution in two dimensions, padded 'same' or 'valid'.
    "conv2d/padding(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, str padding='valid', int[2] dilation=1, int groups=1) -> Tensor",
    F, Body::Composite(|a| conv_nd_named(a, 2));
    /// Convolution in three dimensions.
    "conv3d(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] padding=0, int[3] dilation=1, int groups=1) -> Tensor",
    F, Body::Composite(|a| conv_nd(a, 3));
    /// Convolution in three dimensions, padded 'same' or 'valid'.
    "conv3d/padding(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, str padding='valid', int[3] dilation=1, int groups=1) -> Tensor",
    F, Body::Composite(|a| conv_nd_named(a, 3));
    /// Transposed convolution in one dimension.
    "conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, int[1] output_padding=0, int groups=1, int[1] dilation=1) -> Tensor",
    F, Body::Composite(|a| conv_transpose_nd(a, 1));
    /// Transposed convolution in two dimensions.
    "conv_transpose2d(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] output_padding=0, int groups=1, int[2] dilation=1) -> Tensor",
    F, Body::Composite(|a| conv_transpose_nd(a, 2));
    /// Transposed convolution in three dimensions.
    "conv_transpose3d(Tensor input, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] padding=0, int[3] output_padding=0, int groups=1, int[3] dilation=1) -> Tensor",
    F, Body::Composite(|a| conv_transpose_nd(a, 3));
}
