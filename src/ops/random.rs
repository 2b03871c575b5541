//! Random tensors. Every op draws from a generator as PyTorch's CPU kernels do, so equal seeds give equal numbers.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use smallvec::smallvec;

use super::options::{Options, empty_as};
use super::random_choice::{meta_multinomial, run_multinomial};
use super::random_int::{digits, integers_into, limits};
use super::random_real::{
    bernoulli_each, draw_as, each, normal_into, run_bernoulli_p, run_cauchy, run_exponential,
    run_gamma, run_geometric, run_log_normal, run_normal, run_poisson, run_uniform, uniform_into,
};
use super::{Args, Body, EXACT, F, I, M, O, Out, Outputs, Outs, STRIDED, Val, Value, kernel, rule};
use crate::cpu::random::Generator;
use crate::cpu::{copy, random_choice, random_fill as fills, random_reject};
use crate::tensor::{DType, Dims, Tensor, broadcast_shapes, default_dtype};
use crate::{Result, autograd, call, ensure, grads, inplace, ops};

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

/// The generator at a position, or the default one.
fn generator_at(args: Args<'_>, at: usize) -> Result<&Mutex<Generator>> {
    let given = args.object::<Mutex<Generator>>(at);
    // Generators of other devices belong to their backends.
    ensure!(
        given.is_some() || !matches!(args.get(at), Value::Object(_)),
        Runtime,
        "Expected a 'cpu' device type for generator but found 'cuda'"
    );
    Ok(given.unwrap_or_else(|| default_generator()))
}

/// Runs `draw` on the generator at a position, or on the default one.
pub(super) fn with_generator<R>(
    args: Args,
    at: usize,
    draw: impl FnOnce(&mut Generator) -> R,
) -> Result<R> {
    Ok(draw(&mut generator_at(args, at)?.lock()))
}

fn meta_like_self(args: Args) -> Result<Outs> {
    let x = args.t(0)?;
    Ok(smallvec![Out::new(x.shape(), x.dtype())])
}

fn run_random(args: Args, outs: &[Tensor]) -> Result<()> {
    let target = &outs[0];
    ensure!(
        !matches!(target.dtype(), DType::U16 | DType::U32 | DType::U64),
        NotImplemented,
        "\"random_kernel_cpu\" not implemented for '{}'",
        target.dtype().scalar_name()
    );
    let dtype = target.dtype();
    draw_as(target, args, 1, &mut |g, out| {
        fills::integers_of(g, out, dtype);
    })
}

/// A fresh tensor of the sizes at a position, filled by `draw`.
fn made(
    args: Args,
    size: usize,
    options: &Options,
    draw: impl FnOnce(&Tensor) -> Result<()>,
) -> Result<Outputs> {
    let out = options.empty(args.ints(size)?)?;
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
    let out = options.empty(&[n])?;
    permute(&out, args)?;
    options.finish(out)
}

fn permute(out: &Tensor, args: Args) -> Result<()> {
    if !out.device().is_cpu() {
        return inplace!("_randperm", out, args.get(1));
    }
    draw_as(out, args, 1, &mut |g, out| {
        random_choice::permutation(g, out);
    })
}

/// Normal samples have the common shape of `mean` and `std`, and the dtype of the first tensor of them.
fn meta_normal(args: Args) -> Result<Outs> {
    let (mean, std) = (args.get(0), args.get(1));
    let negative = match std {
        Value::Tensor(std) => {
            ensure!(
                !std.dtype().is_complex(),
                Runtime,
                "normal expects standard deviation to be non-complex"
            );
            std.device().is_cpu() && !std.to_vec::<f64>()?.iter().all(|&s| s >= 0.0)
        }
        _ => !(args.float(1)? >= 0.0),
    };
    ensure!(
        !negative,
        Runtime,
        "normal expects all elements of std >= 0.0"
    );
    let shape = |v: &Value| {
        v.tensor()
            .map_or_else(Dims::new, |t| t.layout().shape.clone())
    };
    let dtype = mean
        .tensor()
        .or(std.tensor())
        .map_or_else(default_dtype, Tensor::dtype);
    Ok(smallvec![Out::new(
        &broadcast_shapes(&shape(mean), &shape(std))?,
        dtype
    )])
}

/// Standard normal samples, scaled by `std` and moved by `mean`.
fn run_normal_of(args: Args, outs: &[Tensor]) -> Result<()> {
    let _guard = autograd::NoGrad::enter();
    let (mean, std) = (args.get(0), args.get(1));
    let drawn = Tensor::empty(outs[0].shape(), outs[0].dtype())?;
    let number = if std.tensor().is_some() {
        1.0
    } else {
        args.float(1)?
    };
    normal_into(&drawn, 0.0, number, args, 2)?;
    let scaled = if std.tensor().is_some() {
        Val(call!("mul", drawn, std))
    } else {
        drawn.into()
    };
    copy::copy(&outs[0], &call!("add", scaled, mean)?)
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

    /// Fills a vector with the whole numbers below its length in random order.
    "_randperm(Tensor self, Generator? generator=None) -> Tensor", 0,
    kernel(meta_like_self, |a, outs| permute(&outs[0], a));

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
    "normal/Tensor_float(Tensor mean, float std=1, *, Generator? generator=None) -> Tensor", F | O | EXACT, kernel(meta_normal, run_normal_of),
    grad rule(0, zeros_grad);

    /// Numbers drawn from normal distributions with the given means and standard deviations.
    "normal/float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor", F | O | EXACT, kernel(meta_normal, run_normal_of),
    grad rule(0, zeros_grad);

    /// Numbers drawn from normal distributions with the given means and standard deviations.
    "normal/Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor", F | O | EXACT, kernel(meta_normal, run_normal_of),
    grad rule(0, |c| grads![c.when(0, || c.g().zeros_like()), c.when(1, || c.g().zeros_like())]);

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
    "multinomial(Tensor self, int num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor", F | M | O | EXACT,
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
