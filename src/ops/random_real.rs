//! Samples of continuous and Bernoulli distributions, written into tensors.

use super::Args;
use super::memory_format::{empty_laid_out, format_strides};
use super::norm::wide;
use super::options::largest;
use super::random::with_generator;
use crate::cpu::fill::in_memory_order;
use crate::cpu::random::Generator;
use crate::cpu::random_fill::Probability;
use crate::cpu::{copy, random_fill as fills, random_reject};
use crate::tensor::{DType, Device, Element, Layout, Lazy, Tensor, bf16, f16};
use crate::{Result, ensure, fail, inplace};

/// Draws samples of type `T` in the order of the target's memory, and stores them in the target's dtype.
pub(super) fn draw_as<T: Element>(
    target: &Tensor,
    args: Args,
    at: usize,
    draw: &mut dyn FnMut(&mut Generator, &mut [T]),
) -> Result<()> {
    let mut run = |wide: &Tensor| {
        with_generator(args, at, |g| {
            in_memory_order::<T>(wide, &mut |out| draw(g, out));
        })
    };
    if target.dtype() == T::DTYPE {
        return run(target);
    }
    let strides = format_strides(target.layout(), None)?;
    let wide = empty_laid_out(Device::CPU, target.shape(), strides, T::DTYPE)?;
    run(&wide)?;
    copy::copy(target, &wide)
}

/// The error of a distribution whose kernel has no version for a dtype.
fn check_float(target: &Tensor, kernel: &str) -> Result<()> {
    let dtype = target.dtype();
    ensure!(
        dtype.is_float(),
        NotImplemented,
        "\"{kernel}\" not implemented for '{}'",
        dtype.scalar_name()
    );
    Ok(())
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
    let target = &as_real(target)?;
    if !target.device().is_cpu() {
        return inplace!("uniform", target, from, to, args.get(at));
    }
    check_float(target, "check_uniform_bounds")?;
    let max = largest(target.dtype());
    for (value, name) in [(from, "from"), (to, "to")] {
        ensure!(
            (-max..=max).contains(&value),
            Runtime,
            "{name} is out of bounds for {}",
            target.dtype().scalar_name()
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
    let (low, high) = (from as f32, to as f32);
    let round: fn(f32) -> f32 = match target.dtype() {
        DType::F64 => {
            return draw_as(target, args, at, &mut |g, out| {
                fills::uniform_f64(g, out, from, to);
            });
        }
        DType::F16 => |v| f16::from_f32(v).to_f32(),
        DType::BF16 => |v| bf16::from_f32(v).to_f32(),
        _ => {
            return draw_as(target, args, at, &mut |g, out| {
                fills::uniform_f32(g, out, low, high);
            });
        }
    };
    draw_as(target, args, at, &mut |g, out| {
        fills::uniform_f32(g, out, low, high);
        fills::round_below(out, low, high, round);
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
    let target = &as_real(target)?;
    if !target.device().is_cpu() {
        return inplace!("normal/", target, mean, std, args.get(at));
    }
    check_float(target, "normal_kernel_cpu")?;
    if target.numel() < 16 || !target.is_contiguous() {
        return draw_as(target, args, at, &mut |g, out| {
            fills::normal_each(g, out, mean, std);
        });
    }
    let (mean_f32, std_f32) = (mean as f32, std as f32);
    match target.dtype() {
        DType::F64 => draw_as(target, args, at, &mut |g, out| {
            fills::normal_blocks(g, out, mean, std);
        }),
        DType::F32 => draw_as(target, args, at, &mut |g, out| {
            fills::normal_blocks(g, out, mean_f32, std_f32);
        }),
        _ => draw_as(target, args, at, &mut |g, out| {
            fills::normal_blocks_apart(g, out, mean_f32, std_f32);
        }),
    }
}

pub(super) fn run_log_normal(args: Args, outs: &[Tensor]) -> Result<()> {
    let (mean, std) = (args.float(1)?, args.float(2)?);
    ensure!(
        std > 0.0,
        Runtime,
        "log_normal_ expects std > 0.0, but found std={std}"
    );
    check_float(&outs[0], "log_normal_cpu")?;
    draw_as(&outs[0], args, 3, &mut |g, out| {
        fills::log_normal(g, out, mean, std);
    })
}

/// The error of a continuous distribution asked for in an integer dtype.
fn check_continuous(name: &str, dtype: DType) -> Result<()> {
    ensure!(
        dtype.is_float(),
        Runtime,
        "{name} distribution is a continuous probability distribution. dtype must be a floating point but you specified {}",
        dtype.scalar_name()
    );
    Ok(())
}

pub(super) fn run_cauchy(args: Args, outs: &[Tensor]) -> Result<()> {
    let (median, sigma) = (args.float(1)?, args.float(2)?);
    ensure!(
        sigma > 0.0,
        Runtime,
        "cauchy_ expects sigma > 0.0, but found sigma={sigma}"
    );
    check_continuous("Cauchy", outs[0].dtype())?;
    let exact = outs[0].dtype() == DType::F64;
    draw_as(&outs[0], args, 3, &mut |g, out| {
        fills::cauchy(g, out, median, sigma, exact);
    })
}

pub(super) fn run_exponential(args: Args, outs: &[Tensor]) -> Result<()> {
    let lambda = args.float(1)?;
    ensure!(
        lambda > 0.0,
        Runtime,
        "exponential_ expects lambda > 0.0, but found lambda={lambda}"
    );
    check_continuous("Exponential", outs[0].dtype())?;
    let exact = outs[0].dtype() == DType::F64;
    draw_as(&outs[0], args, 2, &mut |g, out| {
        fills::exponential(g, out, lambda, exact);
    })
}

pub(super) fn run_geometric(args: Args, outs: &[Tensor]) -> Result<()> {
    let (p, dtype) = (args.float(1)?, outs[0].dtype());
    ensure!(
        0.0 < p && p < 1.0,
        Runtime,
        "geometric_ expects p to be in (0, 1), but got p={p}"
    );
    if (dtype == DType::Bool || dtype.is_complex()) && outs[0].numel() > 0 {
        fail!(
            NotImplemented,
            "\"geometric_cpu\" not implemented for '{}'",
            dtype.scalar_name()
        );
    }
    draw_as(&outs[0], args, 2, &mut |g, out| fills::geometric(g, out, p))
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
    if !target.device().is_cpu() {
        return inplace!("bernoulli/float", target, p, args.get(at));
    }
    check_real(target, "bernoulli_scalar_cpu_")?;
    match target.dtype() {
        DType::F32 => draw_as::<f32>(target, args, at, &mut |g, out| fills::bernoulli(g, out, p)),
        DType::F64 => draw_as::<f64>(target, args, at, &mut |g, out| fills::bernoulli(g, out, p)),
        _ => draw_as::<u8>(target, args, at, &mut |g, out| fills::bernoulli(g, out, p)),
    }
}

fn check_real(target: &Tensor, kernel: &str) -> Result<()> {
    let dtype = target.dtype();
    ensure!(
        !dtype.is_complex(),
        NotImplemented,
        "\"{kernel}\" not implemented for '{}'",
        dtype.scalar_name()
    );
    Ok(())
}

/// Ones with the probabilities that a tensor holds, broadcast to the target.
pub(super) fn bernoulli_each(target: &Tensor, p: &Tensor, args: Args, at: usize) -> Result<()> {
    check_float(p, "bernoulli_tensor_cpu_p_")?;
    check_real(target, "bernoulli_tensor_cpu_self_")?;
    match p.dtype() {
        DType::F64 => bernoulli_in::<f64>(target, p, args, at),
        _ => bernoulli_in::<f32>(target, p, args, at),
    }
}

/// The same in row-major order, whatever the layouts, with samples of type `P`.
fn bernoulli_in<P: Probability>(target: &Tensor, p: &Tensor, args: Args, at: usize) -> Result<()> {
    let row_major = wide::<P>(&p.alias(p.layout().expand(target.shape())?)?)?;
    let p = row_major.as_slice::<P>()?;
    ensure!(
        fills::are_probabilities(p),
        Runtime,
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false."
    );
    let apart = !row_major.shares_storage(target);
    if apart && target.dtype() == DType::F32 && target.is_contiguous() {
        return draw_as::<f32>(target, args, at, &mut |g, out| {
            fills::bernoulli_each(g, out, p);
        });
    }
    let drawn = Tensor::empty(target.shape(), DType::U8)?;
    draw_as::<u8>(&drawn, args, at, &mut |g, out| {
        fills::bernoulli_each(g, out, p);
    })?;
    copy::copy(target, &drawn)
}

/// Samples of a distribution whose parameters differ from element to element, in row-major order.
pub(super) fn each(
    args: Args,
    outs: &[Tensor],
    at: usize,
    parameters: &[&Tensor],
    draw: fn(&mut Generator, &[f64]) -> f64,
) -> Result<()> {
    let target = &outs[0];
    check_float(target, "random_each_cpu")?;
    let columns = parameters
        .iter()
        .map(|t| wide::<f64>(&t.alias(t.layout().expand(target.shape())?)?))
        .collect::<Result<Vec<_>>>()?;
    let columns = columns
        .iter()
        .map(Tensor::as_slice::<f64>)
        .collect::<Result<Vec<_>>>()?;
    let mut values = vec![0.0; columns.len()];
    let drawn = Tensor::empty(target.shape(), DType::F64)?;
    draw_as::<f64>(&drawn, args, at, &mut |g, out| {
        for (i, sample) in out.iter_mut().enumerate() {
            let parameters = values.iter_mut().zip(&columns);
            parameters.for_each(|(value, column)| *value = column[i]);
            *sample = draw(g, &values);
        }
    })?;
    copy::copy(target, &drawn)
}

pub(super) fn run_poisson(args: Args, outs: &[Tensor]) -> Result<()> {
    let rate = args.t(0)?;
    ensure!(
        !wide::<f64>(rate)?
            .as_slice::<f64>()?
            .iter()
            .any(|&r| r < 0.0),
        Runtime,
        "invalid Poisson rate, expected rate to be non-negative"
    );
    each(args, outs, 1, &[rate], |g, v| {
        random_reject::poisson(g, v[0])
    })
}

pub(super) fn run_gamma(args: Args, outs: &[Tensor]) -> Result<()> {
    let draw: fn(&mut Generator, &[f64]) -> f64 = match outs[0].dtype() {
        DType::F64 => |g, v| random_reject::gamma(g, v[0]).max(f64::MIN_POSITIVE),
        _ => |g, v| random_reject::gamma(g, v[0]).max(f64::from(f32::MIN_POSITIVE)),
    };
    each(args, outs, 1, &[args.t(0)?], draw)
}
