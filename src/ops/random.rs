//! Random tensors. Every op draws from a generator as PyTorch's CPU kernels do, so equal seeds give equal numbers.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use smallvec::smallvec;

use super::create::{Options, empty_as, largest, one};
use super::{Args, Body, F, I, M, O, Out, Outputs, Outs, STRIDED, Val, Value, kernel, rule};
use crate::cpu::fill::in_memory_order;
use crate::cpu::random::Generator;
use crate::cpu::random_fill::{self as fills, Real, Sample};
use crate::cpu::{random_choice, random_reject};
use crate::tensor::{DType, Element, Layout, Lazy, Tensor, default_dtype};
use crate::{Result, autograd, call, dispatch, ensure, err, error, fail, grads, ops};

/// A generator as ops take it (`Value::Object` holds the inside of the `Arc`).
pub type SharedGenerator = Arc<Mutex<Generator>>;

/// The generator that draws where none is given; its first seed comes from the operating system.
pub fn default_generator() -> &'static SharedGenerator {
    static DEFAULT: OnceLock<SharedGenerator> = OnceLock::new();
    DEFAULT.get_or_init(|| Arc::new(Mutex::new(Generator::new(fresh_seed()))))
}

/// A seed that nobody can foresee.
#[must_use]
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hashers from the operating system's entropy.
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

/// Runs `draw` on the generator at a position, or on the default one.
fn with_generator<R>(args: Args, at: usize, draw: impl FnOnce(&mut Generator) -> R) -> R {
    let generator = args
        .object::<Mutex<Generator>>(at)
        .unwrap_or_else(|| default_generator());
    draw(&mut generator.lock())
}

fn meta_like_self(args: Args) -> Result<Outs> {
    let x = args.t(0)?;
    Ok(smallvec![Out::new(x.shape(), x.dtype())])
}

fn unsupported(op: &str, dtype: DType) -> crate::Error {
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
        }), else Err(unsupported($op, target.dtype())))
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
            }), else Err(unsupported($op, dtype))),
        }
    }};
}

fn run_uniform(args: Args, outs: &[Tensor]) -> Result<()> {
    uniform_into(&outs[0], args.float(1)?, args.float(2)?, args, 3)
}

fn uniform_into(target: &Tensor, from: f64, to: f64, args: Args, at: usize) -> Result<()> {
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

fn run_normal(args: Args, outs: &[Tensor]) -> Result<()> {
    normal_into(&outs[0], args.float(1)?, args.float(2)?, args, 3)
}

fn normal_into(target: &Tensor, mean: f64, std: f64, args: Args, at: usize) -> Result<()> {
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

fn run_log_normal(args: Args, outs: &[Tensor]) -> Result<()> {
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

fn run_cauchy(args: Args, outs: &[Tensor]) -> Result<()> {
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

fn run_exponential(args: Args, outs: &[Tensor]) -> Result<()> {
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

fn run_geometric(args: Args, outs: &[Tensor]) -> Result<()> {
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

fn run_bernoulli_p(args: Args, outs: &[Tensor]) -> Result<()> {
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
fn bernoulli_each(target: &Tensor, p: &Tensor, args: Args, at: usize) -> Result<()> {
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

/// The whole numbers that a floating-point dtype holds exactly are below 2 to this power.
fn digits(dtype: DType) -> u32 {
    match dtype {
        DType::F16 => 11,
        DType::BF16 => 8,
        DType::F32 => 24,
        _ => 53,
    }
}

/// A whole number after a round trip through a floating-point dtype.
fn through(dtype: DType, value: i64) -> i64 {
    dispatch!(float dtype, T => {
        let stored = <T as Sample>::from_i64(value);
        crate::tensor::FromScalar::to_scalar(stored).to_i64()
    }, else value)
}

/// The smallest bound from `from` on that the dtype's rounding does not carry below it.
fn representable_from(dtype: DType, from: i64) -> i64 {
    let next = through(dtype, from.saturating_add(1));
    if next >= from {
        return from;
    }
    let magnitude = from.saturating_add(1).unsigned_abs().max(1).ilog2() as i32;
    next + (1_i64 << (magnitude - digits(dtype) as i32 + 1).max(0))
}

/// The largest bound up to `to` that the dtype's rounding does not carry to it.
fn representable_to(dtype: DType, to: i64) -> i64 {
    let previous = through(dtype, to.saturating_sub(1));
    if previous < to {
        return to;
    }
    let magnitude = to.saturating_sub(1).unsigned_abs().max(1).ilog2() as i32;
    previous - (1_i64 << (magnitude - digits(dtype) as i32 + 1).max(0))
}

/// The range of an integer dtype, as far as i64 reaches.
fn limits(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::Bool => (0, 1),
        DType::U64 => (0, i64::MAX),
        _ => dispatch!(int dtype, T => (T::MIN as i64, T::MAX as i64), else (i64::MIN, i64::MAX)),
    }
}

fn check_bounds(from: i64, last: i64, dtype: DType) -> Result<()> {
    for (value, name) in [(from, "from"), (last, "to - 1")] {
        let inside = if dtype.is_float() {
            (value as f64).abs() <= largest(dtype)
        } else {
            let (low, high) = limits(dtype);
            (low..=high).contains(&value)
        };
        ensure!(
            inside,
            Runtime,
            "{name} is out of bounds for {}",
            dtype.scalar_name()
        );
        if dtype.is_float() && value.unsigned_abs() > 1 << digits(dtype) {
            let n = digits(dtype);
            error::warn(&format!(
                "{name} is out of bounds [-(2^{n}), 2^{n}]. Due to precision limitations {} can support discrete uniform distribution only within this range. This warning will become an error in version 1.7 release, please fix the code in advance",
                dtype.scalar_name()
            ))?;
        }
    }
    Ok(())
}

/// `random_(from, to)`: whole numbers from `from` up to, but not including, `to`.
fn integers_into(target: &Tensor, from: i64, to: Option<i64>, args: Args, at: usize) -> Result<()> {
    let dtype = target.dtype();
    ensure!(
        !dtype.is_complex(),
        NotImplemented,
        "\"random_from_to_kernel_cpu\" not implemented for '{}'",
        dtype.scalar_name()
    );
    if to.is_none() && from == i64::MIN {
        ensure!(
            matches!(dtype, DType::I64 | DType::F64 | DType::F32 | DType::BF16),
            Runtime,
            "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16"
        );
        return draw_any!(
            "random_full_64_bits_range_kernel_cpu",
            target,
            args,
            at,
            |g, out| fills::integers_64(g, out)
        );
    }
    if let Some(to) = to {
        ensure!(
            from < to,
            Runtime,
            "random_ expects 'from' to be less than 'to', but got from={from} >= to={to}"
        );
    }
    let (mut first, mut last) = (from, to.map_or_else(|| limits(dtype).1, |to| to - 1));
    if dtype.is_float() {
        first = representable_from(dtype, from);
        last = to.map_or(1 << digits(dtype), |to| representable_to(dtype, to) - 1);
        ensure!(
            first <= last,
            Runtime,
            "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from={first} >= to={}",
            last.saturating_add(1)
        );
    }
    check_bounds(first, last, dtype)?;
    let range = (last as u64).wrapping_sub(first as u64).wrapping_add(1);
    draw_any!("random_from_to_kernel_cpu", target, args, at, |g, out| {
        fills::integers(g, out, range, first)
    })
}

fn run_random(args: Args, outs: &[Tensor]) -> Result<()> {
    let target = &outs[0];
    ensure!(
        !matches!(target.dtype(), DType::U16 | DType::U32 | DType::U64),
        NotImplemented,
        "\"random_kernel_cpu\" not implemented for '{}'",
        target.dtype().scalar_name()
    );
    draw_any!(
        "random_kernel_cpu",
        target,
        args,
        1,
        |g, out| Sample::whole(g, out)
    )
}

/// A fresh tensor of the sizes at a position, filled by `draw`.
fn made(
    args: Args,
    size: usize,
    options: &Options,
    draw: impl FnOnce(&Tensor) -> Result<()>,
) -> Result<Outputs> {
    let out = Tensor::empty(args.ints(size)?, options.dtype())?;
    draw(&out)?;
    options.finish(out)
}

/// A fresh tensor like the first argument, options at a position, filled by `draw`.
fn made_like(args: Args, at: usize, draw: impl FnOnce(&Tensor) -> Result<()>) -> Result<Outputs> {
    let (out, options) = empty_as(args, at)?;
    draw(&out)?;
    options.finish(out)
}

fn integer_options(args: Args, at: usize) -> Result<Options> {
    let mut options = Options::read(args, at)?;
    options.dtype.get_or_insert(DType::I64);
    Ok(options)
}

fn randperm(args: Args) -> Result<Outputs> {
    let (n, options) = (args.int(0)?, integer_options(args, 2)?);
    ensure!(n >= 0, Runtime, "n must be non-negative, got{n}");
    let dtype = options.dtype();
    let top = if dtype.is_float() {
        1 << digits(dtype)
    } else {
        limits(dtype).1
    };
    ensure!(
        n <= top,
        Runtime,
        "n cannot be greater than {top} for {} type.",
        dtype.scalar_name()
    );
    let out = Tensor::empty(&[n], dtype)?;
    dispatch!(real dtype, T => in_memory_order::<T>(&out, |out| {
        with_generator(args, 1, |g| random_choice::permutation(g, out));
        Ok(())
    }), else Err(unsupported("randperm", dtype)))?;
    options.finish(out)
}

/// Normal samples of the common shape of `mean` and `std`, scaled and moved by them.
fn normal_of(mean: &Value, std: &Value, args: Args, at: usize) -> Result<Outputs> {
    let _guard = autograd::NoGrad::enter();
    let number = |v: &Value| match v {
        Value::Num(s) => Some(s.to_f64()),
        _ => None,
    };
    let std_number = number(std);
    if let Some(std) = std_number {
        ensure!(
            std >= 0.0,
            Runtime,
            "normal expects std >= 0.0, but found std {std}"
        );
    }
    if let Value::Tensor(std) = std {
        ensure!(
            !std.dtype().is_complex(),
            Runtime,
            "normal expects standard deviation to be non-complex"
        );
        ensure!(
            std.to_vec::<f64>()?.iter().all(|&s| s >= 0.0),
            Runtime,
            "normal expects all elements of std >= 0.0"
        );
    }
    let shape = match (mean.tensor(), std.tensor()) {
        (Some(m), Some(s)) => crate::tensor::broadcast_shapes(m.shape(), s.shape())?,
        (Some(one), None) | (None, Some(one)) => one.layout().shape.clone(),
        (None, None) => fail!(Type, "normal() expects a tensor for mean or std"),
    };
    let dtype = mean
        .tensor()
        .or(std.tensor())
        .map_or_else(default_dtype, Tensor::dtype);
    let out = Tensor::empty(&shape, dtype)?;
    normal_into(&out, 0.0, std_number.unwrap_or(1.0), args, at)?;
    let mut result = Val::from(out);
    if let Value::Tensor(std) = std {
        result = &result * &Val::from(std);
    }
    let result = match mean {
        Value::Tensor(mean) => (&result + &Val::from(mean)).get()?,
        _ => (&result + number(mean).unwrap_or(0.0)).get()?,
    };
    one(if result.dtype() == dtype {
        result
    } else {
        call!("_to_copy", result, dtype)?
    })
}

fn meta_multinomial(args: Args) -> Result<Outs> {
    let (p, count, replacement) = (args.t(0)?, args.int(1)?, args.bool(2)?);
    ensure!(
        (1..=2).contains(&p.ndim()),
        Runtime,
        "prob_dist must be 1 or 2 dim"
    );
    ensure!(
        p.dtype().is_float(),
        Runtime,
        "multinomial only supports floating-point dtypes for input, got: {}",
        p.dtype().scalar_name()
    );
    ensure!(count > 0, Runtime, "cannot sample n_sample <= 0 samples");
    let categories = p.shape()[p.ndim() - 1];
    ensure!(
        replacement || count <= categories,
        Runtime,
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
    );
    ensure!(
        categories <= 1 << 24,
        Runtime,
        "number of categories cannot exceed 2^24"
    );
    let mut shape = p.layout().shape.clone();
    shape[p.ndim() - 1] = count;
    Ok(smallvec![Out::new(&shape, DType::I64)])
}

fn run_multinomial(args: Args, outs: &[Tensor]) -> Result<()> {
    // SAFETY: the output is fresh or checked not to overlap the input.
    let out = unsafe { outs[0].as_mut_slice::<i64>()? };
    if out.is_empty() {
        return Ok(());
    }
    let (p, count) = (args.t(0)?, args.int(1)? as usize);
    if args.bool(2)? {
        with_replacement(args, p, out, count)
    } else {
        without_replacement(args, p, out, count)
    }
}

fn with_replacement(args: Args, p: &Tensor, out: &mut [i64], count: usize) -> Result<()> {
    let categories = p.shape()[p.ndim() - 1] as usize;
    macro_rules! rows {
        ($T:ty, $draw:path) => {{
            let weights = p.to_vec::<$T>()?;
            let mut sums = vec![0.0; categories];
            with_generator(args, 3, |g| {
                let mut rows = out.chunks_mut(count).zip(weights.chunks(categories));
                rows.try_for_each(|(out, weights)| $draw(g, out, weights, &mut sums))
            })
        }};
    }
    let drawn = if p.dtype() == DType::F64 {
        rows!(f64, random_choice::multinomial_f64)
    } else {
        rows!(f32, random_choice::multinomial_f32)
    };
    drawn.map_err(|why| {
        let why = match why {
            random_choice::BadWeights::Negative => "encountering probability entry < 0",
            random_choice::BadWeights::NotFinite => {
                "encountering probability entry = infinity or NaN"
            }
            random_choice::BadWeights::ZeroSum => "sum of probabilities <= 0",
        };
        err!(Runtime, "invalid multinomial distribution ({why})")
    })
}

/// Divides the weights by exponential samples: the largest quotients are the sample.
fn without_replacement(args: Args, p: &Tensor, out: &mut [i64], count: usize) -> Result<()> {
    let categories = p.shape()[p.ndim() - 1] as usize;
    let weights = p.to_vec::<f64>()?;
    ensure!(
        weights.iter().all(|&w| w >= 0.0 && w.is_finite()),
        Runtime,
        "probability tensor contains either `inf`, `nan` or element < 0"
    );
    ensure!(
        weights
            .chunks(categories)
            .all(|row| row.iter().any(|&w| w > 0.0)),
        Runtime,
        "invalid multinomial distribution (sum of probabilities <= 0)"
    );
    let noise: Tensor = call!("empty_like", p)?;
    draw_float!("exponential_cpu", &noise, args, 3, |g, out| {
        fills::exponential(g, out, 1.0)
    })?;
    let narrow = |v: f64| dispatch!(float p.dtype(), T => rounded::<T>(v), else v);
    let scores: Vec<f64> = weights
        .iter()
        .zip(noise.to_vec::<f64>()?)
        .map(|(w, q)| narrow(w / q))
        .collect();
    for (out, row) in out.chunks_mut(count).zip(scores.chunks(categories)) {
        let mut order: Vec<usize> = (0..categories).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        out.iter_mut().zip(order).for_each(|(o, i)| *o = i as i64);
    }
    Ok(())
}

fn rounded<T: Sample + Element + crate::tensor::FromScalar>(value: f64) -> f64 {
    <T as Sample>::from_f64(value).to_scalar().to_f64()
}

/// Samples of a distribution whose parameters differ from element to element, in row-major order.
fn each(
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

fn run_poisson(args: Args, outs: &[Tensor]) -> Result<()> {
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

fn run_gamma(args: Args, outs: &[Tensor]) -> Result<()> {
    let tiny = if outs[0].dtype() == DType::F64 {
        f64::MIN_POSITIVE
    } else {
        f64::from(f32::MIN_POSITIVE)
    };
    each(args, outs, 1, &[args.t(0)?], |g, v| {
        random_reject::gamma(g, v[0]).max(tiny)
    })
}

fn zeros_grad(c: &autograd::Ctx) -> super::Grads {
    grads![c.g().zeros_like()]
}

ops! {
    /// Numbers drawn uniformly from [0, 1).
    "rand(int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| made(a, 0, &Options::read(a, 2)?, |t| uniform_into(t, 0.0, 1.0, a, 1)));

    /// Numbers drawn from the standard normal distribution.
    "randn(int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| made(a, 0, &Options::read(a, 2)?, |t| normal_into(t, 0.0, 1.0, a, 1)));

    /// Whole numbers drawn uniformly from 0 up to, but not including, `high`.
    "randint(int high, int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| made(a, 1, &integer_options(a, 3)?, |t| integers_into(t, 0, Some(a.int(0)?), a, 2)));

    /// Whole numbers drawn uniformly from `low` up to, but not including, `high`.
    "randint/low(int low, int high, int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| made(a, 2, &integer_options(a, 4)?, |t| integers_into(t, a.int(0)?, Some(a.int(1)?), a, 3)));

    /// The whole numbers below `n` in random order.
    "randperm(int n, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(randperm);

    /// As `rand`, with the sizes, dtype and device of another tensor.
    "rand_like(Tensor self, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, Body::Composite(|a| made_like(a, 2, |t| uniform_into(t, 0.0, 1.0, a, 1)));

    /// As `randn`, with the sizes, dtype and device of another tensor.
    "randn_like(Tensor self, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, Body::Composite(|a| made_like(a, 2, |t| normal_into(t, 0.0, 1.0, a, 1)));

    /// As `randint`, with the sizes, dtype and device of another tensor.
    "randint_like(Tensor self, int high, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, Body::Composite(|a| made_like(a, 3, |t| integers_into(t, 0, Some(a.int(1)?), a, 2)));

    /// As `randint`, with the sizes, dtype and device of another tensor.
    "randint_like/low(Tensor self, int low, int high, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
    F, Body::Composite(|a| made_like(a, 4, |t| integers_into(t, a.int(1)?, Some(a.int(2)?), a, 3)));

    /// Numbers drawn from normal distributions with the given means and standard deviations.
    "normal/Tensor_float(Tensor mean, float std=1, *, Generator? generator=None) -> Tensor", F | O,
    Body::Composite(|a| normal_of(a.get(0), a.get(1), a, 2));

    /// Numbers drawn from normal distributions with the given means and standard deviations.
    "normal/float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor", F | O,
    Body::Composite(|a| normal_of(a.get(0), a.get(1), a, 2));

    /// Numbers drawn from normal distributions with the given means and standard deviations.
    "normal/Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor", F | O,
    Body::Composite(|a| normal_of(a.get(0), a.get(1), a, 2));

    /// Numbers drawn from one normal distribution.
    "normal/float_float(float mean, float std, int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor",
    F | O, Body::Composite(|a| made(a, 2, &Options::read(a, 4)?, |t| normal_into(t, a.float(0)?, a.float(1)?, a, 3)));

    /// Ones with the probabilities that the elements give, else zeros.
    "bernoulli(Tensor self, *, Generator? generator=None) -> Tensor", F | M | O | STRIDED,
    kernel(meta_like_self, |a, outs| bernoulli_each(&outs[0], a.t(0)?, a, 1)), grad rule(0, zeros_grad);

    /// Ones with probability `p`, else zeros.
    "bernoulli/p(Tensor self, float p, *, Generator? generator=None) -> Tensor", F | M | STRIDED,
    kernel(meta_like_self, run_bernoulli_p), grad rule(0, zeros_grad);

    /// Fills the tensor with ones with the probabilities that another gives, else zeros.
    "bernoulli/Tensor(Tensor self, Tensor p, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, |a, outs| bernoulli_each(&outs[0], a.t(1)?, a, 2)),
    grad rule(0, |c| grads![c.g().zeros_like(), c.when(1, || c.g().zeros_like())]);

    /// Fills the tensor with ones with probability `p`, else zeros.
    "bernoulli/float(Tensor self, float p=0.5, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_bernoulli_p), grad rule(0, zeros_grad);

    /// Fills the tensor with numbers drawn uniformly from [from, to).
    "uniform(Tensor self, float from=0, float to=1, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_uniform), grad rule(0, zeros_grad);

    /// Fills the tensor with numbers drawn from a normal distribution.
    "normal/(Tensor self, float mean=0, float std=1, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_normal), grad rule(0, zeros_grad);

    /// Fills the tensor with numbers whose logarithms are normally distributed.
    "log_normal(Tensor self, float mean=1, float std=2, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_log_normal), grad rule(0, zeros_grad);

    /// Fills the tensor with numbers drawn from a Cauchy distribution.
    "cauchy(Tensor self, float median=0, float sigma=1, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_cauchy), grad rule(0, zeros_grad);

    /// Fills the tensor with numbers drawn from an exponential distribution.
    "exponential(Tensor self, float lambd=1, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_exponential), grad rule(0, zeros_grad);

    /// Fills the tensor with the numbers of trials up to the first success.
    "geometric(Tensor self, float p, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_geometric), grad rule(0, zeros_grad);

    /// Fills the tensor with whole numbers from `from` up to, but not including, `to`.
    "random/from(Tensor self, int from, int? to, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, |a, outs| integers_into(&outs[0], a.int(1)?, a.opt_int(2)?, a, 3)), grad rule(0, zeros_grad);

    /// Fills the tensor with whole numbers from 0 up to, but not including, `to`.
    "random/to(Tensor self, int to, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, |a, outs| integers_into(&outs[0], 0, Some(a.int(1)?), a, 2)), grad rule(0, zeros_grad);

    /// Fills the tensor with whole numbers of the range that its dtype holds exactly.
    "random(Tensor self, *, Generator? generator=None) -> Tensor", I | STRIDED,
    kernel(meta_like_self, run_random), grad rule(0, zeros_grad);

    /// Indices drawn with probabilities proportional to the weights in each row.
    "multinomial(Tensor self, int num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor", F | M | O,
    kernel(meta_multinomial, run_multinomial);

    /// Numbers drawn from Poisson distributions with the given rates.
    "poisson(Tensor self, Generator? generator=None) -> Tensor", F, kernel(meta_like_self, run_poisson),
    grad rule(0, zeros_grad);

    /// Numbers of successes in `count` trials of probability `prob`.
    "binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor", F,
    kernel(meta_like_self, |a, outs| each(a, outs, 2, &[a.t(0)?, a.t(1)?], |g, v| random_reject::binomial(g, v[0], v[1]))),
    grad rule(0, |c| grads![c.when(0, || c.g().zeros_like()), c.when(1, || c.g().zeros_like())]);

    /// Numbers drawn from gamma distributions with the given shapes and unit rate.
    "_standard_gamma(Tensor self, Generator? generator=None) -> Tensor", F, kernel(meta_like_self, run_gamma);
}
