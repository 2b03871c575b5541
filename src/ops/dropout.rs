//! Dropout in its forms, and the randomised leaky ReLU.

use smallvec::smallvec;

use super::options::one;
use super::random::with_generator;
use super::random_real::bernoulli_into;
use super::{Args, Body, F, I, Out, Outputs, Outs, Val, kernel, named, out};
use crate::cpu::copy;
use crate::tensor::{DType, Dims, Tensor};
use crate::{Result, backend, call, call_all, ensure, grads, ops};

/// Where an argument list has no generator: the default one draws.
const NO_GENERATOR: usize = usize::MAX;

/// What is zeroed, and how the rest makes up for it.
#[derive(Clone, Copy)]
struct Kind {
    /// Whole channels instead of elements.
    feature: bool,
    /// Keeps mean and variance, as SELU networks need.
    alpha: bool,
}

/// Ones with the probability of being kept, for every element or every channel.
fn mask(x: &Tensor, kind: Kind, keep: f64) -> Result<Tensor> {
    let noise = if kind.feature {
        ensure!(
            x.ndim() >= 2,
            Runtime,
            "Feature dropout requires at least 2 dimensions in the input"
        );
        let shape: Dims = x
            .shape()
            .iter()
            .enumerate()
            .map(|(d, &n)| if d < 2 { n } else { 1 })
            .collect();
        backend::empty(x.device(), &shape, x.dtype())?
    } else {
        call!("empty_like", x)?
    };
    bernoulli_into(&noise, keep, Args(&[]), NO_GENERATOR)?;
    Ok(noise)
}

fn dropout(args: Args, kind: Kind) -> Result<Outputs> {
    let (x, p, train) = (args.t(0)?, args.float(1)?, args.bool(2)?);
    ensure!(
        (0.0..=1.0).contains(&p),
        Runtime,
        "dropout probability has to be between 0 and 1, but got {p}"
    );
    if p == 0.0 || !train || x.numel() == 0 {
        return one(x.clone());
    }
    let input = Val::from(x);
    if p == 1.0 {
        return one((&input * &Val(Tensor::zeros(&[], x.dtype()))).get()?);
    }
    let noise = Val::from(mask(x, kind, 1.0 - p)?);
    if !kind.alpha {
        return one((&input * &(&noise / (1.0 - p))).get()?);
    }
    // The negative saturation value of SELU.
    const ALPHA: f64 = 1.758_099_340_847_376_6;
    let a = 1.0 / ((ALPHA * ALPHA * p + 1.0) * (1.0 - p)).sqrt();
    let shift = (&noise + -1.0) * (ALPHA * a) + ALPHA * a * p;
    one((&input * &(&noise * a) + shift).get()?)
}

fn meta_rrelu(args: Args) -> Result<Outs> {
    let x = args.t(0)?;
    Ok(smallvec![
        Out::new(x.shape(), x.dtype()),
        Out::new(x.shape(), x.dtype())
    ])
}

fn run_rrelu(args: Args, outs: &[Tensor]) -> Result<()> {
    let (x, lower, upper) = (args.t(0)?, args.float(1)?, args.float(2)?);
    ensure!(
        x.dtype().is_float(),
        NotImplemented,
        "\"rrelu_with_noise_out_cpu\" not implemented for '{}'",
        x.dtype().scalar_name()
    );
    // Bounds and slopes are rounded to the type in which the op computes.
    let rounded = |v: f64| {
        if x.dtype() == DType::F64 {
            v
        } else {
            f64::from(v as f32)
        }
    };
    let (lower, upper) = (rounded(lower), rounded(upper));
    let mut result = x.to_vec::<f64>()?;
    let mut noise = vec![1.0; result.len()];
    with_generator(args, 3, |generator| {
        for (value, slope) in result.iter_mut().zip(&mut noise) {
            if *value <= 0.0 {
                *slope = rounded(generator.uniform_f64() * (upper - lower) + lower);
                *value *= *slope;
            }
        }
    })?;
    for (out, values) in outs.iter().zip([result, noise]) {
        copy::copy(out, &Tensor::from_slice(&values, x.shape())?)?;
    }
    Ok(())
}

fn rrelu(args: Args) -> Result<Outputs> {
    let (x, lower, upper) = (args.t(0)?, args.float(1)?, args.float(2)?);
    ensure!(
        lower <= upper,
        Runtime,
        "Lower bound should be less than or equal to the upper bound"
    );
    if !args.bool(3)? {
        return one(call!(
            "nn.functional.leaky_relu",
            x,
            f64::midpoint(lower, upper)
        )?);
    }
    let mut outs = call_all!("_rrelu_with_noise", x, lower, upper, args.get(4))?;
    outs.truncate(1);
    Ok(outs)
}

const PLAIN: Kind = Kind {
    feature: false,
    alpha: false,
};

ops! {
    /// Zeroes elements with probability `p` and scales the rest by 1 / (1 - p), while training.
    "dropout(Tensor input, float p, bool train) -> Tensor", F | I, Body::Composite(|a| dropout(a, PLAIN));

    /// Zeroes whole channels with probability `p` and scales the rest by 1 / (1 - p), while training.
    "feature_dropout(Tensor input, float p, bool train) -> Tensor", F | I,
    Body::Composite(|a| dropout(a, Kind { feature: true, ..PLAIN }));

    /// Dropout that keeps mean and variance of its input, for networks of SELUs.
    "alpha_dropout(Tensor input, float p, bool train) -> Tensor", F | I,
    Body::Composite(|a| dropout(a, Kind { alpha: true, ..PLAIN }));

    /// Alpha dropout of whole channels.
    "feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor", F | I,
    Body::Composite(|a| dropout(a, Kind { feature: true, alpha: true }));

    /// The leaky ReLU with a slope drawn for each element while training, and the mean slope otherwise.
    "rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False, Generator? generator=None) -> Tensor",
    F | I, Body::Composite(rrelu);

    /// The leaky ReLU with drawn slopes, and the slopes.
    "_rrelu_with_noise(Tensor self, Scalar lower, Scalar upper, Generator? generator=None) -> (Tensor, Tensor)", F,
    kernel(meta_rrelu, run_rrelu),
    grad named("RreluWithNoiseBackward0", out(1), |c| grads![c.g() * c.y(1)]);
}
