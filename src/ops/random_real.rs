//! Samples of continuous and Bernoulli distributions, written into tensors.

use super::Args;
use super::options::largest;
use super::random::with_generator;
use crate::cpu::fill::in_memory_order;
use crate::cpu::random::Generator;
use crate::cpu::random_fill::{self as fills, Real, Sample};
use crate::cpu::random_reject;
use crate::tensor::{DType, Layout, Lazy, Tensor};
use crate::{Result, dispatch, ensure, err};

/// A kernel that has no version for a dtype.
pub(super) fn unsupported(op: &str, dtype: DType) -> crate::Error {
    err!(
        NotImplemented,
        "\"{op}\" not implemented for '{}'",
        dtype.scalar_name()
    )
}

/// The real parts and imaginary parts of a complex tensor as one real tensor; others stay.
fn as_real(t: &Tensor) -> Result<Tensor> {
    if !t.dtype().is_complex() {
        return Ok(t.clone());
    }
    let layout = t.layout();
    let mut wide = Layout {
        shape: layout.shape.clone(),
        strides: layout.strides.clone(),
        offset: layout.offset * 2,
    };
    wide.strides.iter_mut().for_each(|s| *s *= 2);
    wide.shape.push(2);
    wide.strides.push(1);
    t.alias_as(wide, t.dtype().to_real(), Lazy::default())
}

/// Draws real samples into a tensor, element by element in the order of memory.
macro_rules! draw_float {
    ($op:literal, $target:expr, $args:expr, $at:expr, |$generator:ident, $slice:ident| $body:expr) => {{
        let target: &Tensor = $target;
        dispatch!(float target.dtype(), T => in_memory_order::<T>(target, |$slice| {
            with_generator($args, $at, |$generator| $body);
            Ok(())
        }), else Err($crate::ops::random_real::unsupported($op, target.dtype())))
    }};
}

/// As above for any real dtype or bool.
macro_rules! draw_any {
    ($op:literal, $target:expr, $args:expr, $at:expr, |$generator:ident, $slice:ident| $body:expr) => {{
        let target: &Tensor = $target;
        match target.dtype() {
            DType::Bool => in_memory_order::<crate::tensor::Bool>(target, |$slice| {
                with_generator($args, $at, |$generator| $body);
                Ok(())
            }),
            dtype => dispatch!(real dtype, T => in_memory_order::<T>(target, |$slice| {
                with_generator($args, $at, |$generator| $body);
                Ok(())
            }), else Err($crate::ops::random_real::unsupported($op, dtype))),
        }
    }};
}

pub(super) use {draw_any, draw_float};

pub(super) fn run_uniform(args: Args, outs: &[Tensor]) -> Result<()> {
    uniform_into(&outs[0], args.float(1)?, args.float(2)?, args, 3)
}

pub(super) fn uniform_into(
    target: &Tensor,
    from: f64,
    to: f64,
    args: Args,
    at: usize,
) -> Result<()> {
    let target = as_real(target)?;
    let max = largest(target.dtype());
    for (value, name) in [(from, "from"), (to, "to")] {
        ensure!(
            (-max..=max).contains(&value),
            Runtime,
            "{name} is out of bounds for {}",
            target.dtype()
        );
    }
    ensure!(
        from <= to,
        Runtime,
        "uniform_ expects to return a [from, to) range, but found from={from} > to={to}"
    );
    ensure!(
        to - from <= max,
        Runtime,
        "uniform_ expects to-from <= std::numeric_limits<{}>::max(), but found to={to} and from={from} which result in to-from to exceed the limit",
        target.dtype().scalar_name()
    );
    draw_float!("check_uniform_bounds", &target, args, at, |g, out| {
        Real::uniform(g, out, from, to)
    })
}

pub(super) fn run_normal(args: Args, outs: &[Tensor]) -> Result<()> {
    normal_into(&outs[0], args.float(1)?, args.float(2)?, args, 3)
}

pub(super) fn normal_into(
    target: &Tensor,
    mean: f64,
    std: f64,
    args: Args,
    at: usize,
) -> Result<()> {
    ensure!(
        std >= 0.0,
        Runtime,
        "normal expects std >= 0.0, but found std {std}"
    );
    // Half of the variance of a complex sample is in each of its parts.
    let std = if target.dtype().is_complex() {
        std / std::f64::consts::SQRT_2
    } else {
        std
    };
    let target = as_real(target)?;
    let blocks = target.is_contiguous();
    draw_float!("normal_kernel_cpu", &target, args, at, |g, out| {
        fills::normal(g, out, mean, std, blocks)
    })
}

pub(super) fn run_log_normal(args: Args, outs: &[Tensor]) -> Result<()> {
    let (mean, std) = (args.float(1)?, args.float(2)?);
    ensure!(
        std > 0.0,
        Runtime,
        "log_normal_ expects std > 0.0, but found std={std}"
    );
    draw_float!("log_normal_cpu", &outs[0], args, 3, |g, out| {
        fills::log_normal(g, out, mean, std)
    })
}

pub(super) fn run_cauchy(args: Args, outs: &[Tensor]) -> Result<()> {
    let (median, sigma, dtype) = (args.float(1)?, args.float(2)?, outs[0].dtype());
    ensure!(
        sigma > 0.0,
        Runtime,
        "cauchy_ expects sigma > 0.0, but found sigma={sigma}"
    );
    ensure!(
        dtype.is_float(),
        Runtime,
        "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you specified {}",
        dtype.scalar_name()
    );
    draw_float!("cauchy_cpu", &outs[0], args, 3, |g, out| fills::cauchy(
        g, out, median, sigma
    ))
}

pub(super) fn run_exponential(args: Args, outs: &[Tensor]) -> Result<()> {
    let (lambda, dtype) = (args.float(1)?, outs[0].dtype());
    ensure!(
        lambda > 0.0,
        Runtime,
        "exponential_ expects lambda > 0.0, but found lambda={lambda}"
    );
    ensure!(
        dtype.is_float(),
        Runtime,
        "Exponential distribution is a continuous probability distribution. dtype must be a floating point but you specified {}",
        dtype.scalar_name()
    );
    draw_float!("exponential_cpu", &outs[0], args, 2, |g, out| {
        fills::exponential(g, out, lambda)
    })
}

pub(super) fn run_geometric(args: Args, outs: &[Tensor]) -> Result<()> {
    let (p, target) = (args.float(1)?, &outs[0]);
    ensure!(
        0.0 < p && p < 1.0,
        Runtime,
        "geometric_ expects p to be in (0, 1), but got p={p}"
    );
    ensure!(
        target.dtype() != DType::Bool,
        NotImplemented,
        "\"geometric_cpu\" not implemented for 'Bool'"
    );
    draw_any!("geometric_cpu", target, args, 2, |g, out| fills::geometric(
        g, out, p
    ))
}

pub(super) fn run_bernoulli_p(args: Args, outs: &[Tensor]) -> Result<()> {
    bernoulli_into(&outs[0], args.float(1)?, args, 2)
}

/// Ones with probability `p`, else zeros.
pub(super) fn bernoulli_into(target: &Tensor, p: f64, args: Args, at: usize) -> Result<()> {
    ensure!(
        (0.0..=1.0).contains(&p),
        Runtime,
        "bernoulli_ expects p to be in [0, 1], but got p={p}"
    );
    draw_any!("bernoulli_scalar_cpu_", target, args, at, |g, out| {
        fills::bernoulli(g, out, p)
    })
}

/// Ones with the probabilities that a tensor holds, broadcast to the target.
pub(super) fn bernoulli_each(target: &Tensor, p: &Tensor, args: Args, at: usize) -> Result<()> {
    ensure!(
        p.dtype().is_float(),
        NotImplemented,
        "\"bernoulli_tensor_cpu_p_\" not implemented for '{}'",
        p.dtype().scalar_name()
    );
    let p = p.alias(p.layout().expand(target.shape())?)?.resolved()?;
    let wide = p.to_vec::<f64>()?;
    ensure!(
        wide.iter().all(|p| (0.0..=1.0).contains(p)),
        Runtime,
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false."
    );
    let result = Tensor::empty(target.shape(), target.dtype())?;
    let double = p.dtype() == DType::F64;
    draw_any!(
        "bernoulli_tensor_cpu_self_",
        &result,
        args,
        at,
        |g, out| if double {
            fills::bernoulli_each_f64(g, out, &wide);
        } else {
            let narrow: Vec<f32> = wide.iter().map(|&p| p as f32).collect();
            fills::bernoulli_each_f32(g, out, &narrow);
        }
    )?;
    crate::cpu::copy::copy(target, &result)
}

/// Samples of a distribution whose parameters differ from element to element, in row-major order.
pub(super) fn each(
    args: Args,
    outs: &[Tensor],
    at: usize,
    parameters: &[&Tensor],
    draw: impl Fn(&mut Generator, &[f64]) -> f64,
) -> Result<()> {
    let target = &outs[0];
    let columns = parameters
        .iter()
        .map(|t| t.alias(t.layout().expand(target.shape())?)?.to_vec::<f64>())
        .collect::<Result<Vec<_>>>()?;
    draw_float!("random_each_cpu", target, args, at, |g, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let values: smallvec::SmallVec<[f64; 2]> = columns.iter().map(|c| c[i]).collect();
            *o = Sample::from_f64(draw(g, &values));
        }
    })
}

pub(super) fn run_poisson(args: Args, outs: &[Tensor]) -> Result<()> {
    let rate = args.t(0)?;
    ensure!(
        !rate.to_vec::<f64>()?.iter().any(|&r| r < 0.0),
        Runtime,
        "invalid Poisson rate, expected rate to be non-negative"
    );
    each(args, outs, 1, &[rate], |g, v| {
        random_reject::poisson(g, v[0])
    })
}

pub(super) fn run_gamma(args: Args, outs: &[Tensor]) -> Result<()> {
    let tiny = if outs[0].dtype() == DType::F64 {
        f64::MIN_POSITIVE
    } else {
        f64::from(f32::MIN_POSITIVE)
    };
    each(args, outs, 1, &[args.t(0)?], |g, v| {
        random_reject::gamma(g, v[0]).max(tiny)
    })
}
