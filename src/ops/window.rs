//! Window functions of spectral analysis.

use std::f64::consts::TAU;

use super::options::Options;
use super::{Args, Body, F, Outputs};
use crate::tensor::{DType, Tensor, check_room};
use crate::{Result, call, ensure, ops};

/// A window whose value at position `x` of its period, from 0 to 1, is `shape(x)`. The options start at `at`.
fn window(name: &str, args: Args, at: usize, shape: impl Fn(f64) -> f64) -> Result<Outputs> {
    let (length, periodic, options) = (args.int(0)?, args.bool(1)?, Options::read(args, at)?);
    ensure!(
        length >= 0,
        Runtime,
        "{name} requires non-negative window_length, got window_length={length}"
    );
    let dtype = options.dtype();
    ensure!(
        dtype.is_differentiable(),
        Runtime,
        "{name} expects floating point dtypes, got: {}",
        dtype.scalar_name()
    );
    check_room(length, DType::F64)?;
    let period = if periodic { length } else { length - 1 };
    let values: Vec<f64> = match length {
        1 => vec![1.0],
        _ => (0..length)
            .map(|i| shape(i as f64 / period as f64))
            .collect(),
    };
    options.finish(call!(
        "_to_copy",
        Tensor::from_slice(&values, &[length])?,
        dtype
    )?)
}

fn hamming(args: Args) -> Result<Outputs> {
    let (alpha, beta) = (args.float(2)?, args.float(3)?);
    window("hamming_window", args, 4, |x| {
        alpha - beta * (TAU * x).cos()
    })
}

fn kaiser(args: Args) -> Result<Outputs> {
    let beta = args.float(2)?;
    let peak = bessel_i0(beta);
    window("kaiser_window", args, 3, |x| {
        let offset = 2.0 * x - 1.0;
        bessel_i0(beta * (1.0 - offset * offset).max(0.0).sqrt()) / peak
    })
}

/// The modified Bessel function of order 0 by its power series, whose terms are all positive.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * f64::EPSILON {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

ops! {
    /// The Hann window.
    "hann_window(int window_length, bool periodic=True, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(|a| window("hann_window", a, 2, |x| 0.5 - 0.5 * (TAU * x).cos()));

    /// The Hamming window.
    "hamming_window(int window_length, bool periodic=True, float alpha=0.54, float beta=0.46, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(hamming);

    /// The Blackman window.
    "blackman_window(int window_length, bool periodic=True, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(|a| window("blackman_window", a, 2, |x| 0.42 - 0.5 * (TAU * x).cos() + 0.08 * (2.0 * TAU * x).cos()));

    /// The Bartlett window: a triangle.
    "bartlett_window(int window_length, bool periodic=True, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(|a| window("bartlett_window", a, 2, |x| 1.0 - (2.0 * x - 1.0).abs()));

    /// The Kaiser window.
    "kaiser_window(int window_length, bool periodic=True, float beta=12.0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F, Body::Composite(kaiser);
}
