"""Random numbers: Philox streams in which every element has a subsequence of its own, one launch per operator."""

import math
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._arrays import dense, unsupported
from rtensor.cuda._random import generator_of
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks

_DRAW, _INTEGERS, _EACH = Source("random.cu"), Source("random_integers.cu"), Source("random_each.cu")
_MULTINOMIAL, _RRELU = Source("multinomial.cu"), Source("rrelu.cu")
_THREADS, _PER_THREAD = 256, 4
#: Numbers that rejection may use for one sample; far more than it ever does.
_PLENTY = 1 << 16
#: From this range on whole numbers take 64 bits, so that none is much likelier than another.
_WIDE_RANGE = 1 << 25
#: How many digits of a whole number a floating-point dtype holds.
_DIGITS = {_C.float16: 11, _C.bfloat16: 8, _C.float32: 24, _C.float64: 53}
#: The largest finite values.
_LARGEST = {
    _C.float16: 65504.0,
    _C.bfloat16: 3.3895313892515355e38,
    _C.float32: 3.4028234663852886e38,
    _C.float64: 1.7976931348623157e308,
}


def _computed(dtype: Any) -> Any:
    """The dtype in which samples are computed: single precision for what is no more precise."""
    return _C.float32 if dtype in (_C.float32, _C.float16, _C.bfloat16) else _C.float64


def _real(out: Tensor) -> Tensor:
    """A tensor's real and imaginary parts as one real tensor; others stay."""
    return _C.view_as_real(out) if out.dtype.is_complex else out


def _launch(source: Source, name: str, settings: dict, out: Tensor, generator: Any, numbers: int, *args: Any) -> None:
    """Fill a tensor of any strides by threads of four elements, each of which uses so many numbers of its stream."""
    target = out if out.is_contiguous() else _C.empty(tuple(out.shape), dtype=out.dtype, device=out.device)
    count = target.numel()
    draws = generator_of(out.device, generator).draw(numbers)
    source.launch(name, settings, blocks(count, _THREADS * _PER_THREAD), _THREADS, target, count, draws, *args)
    if target is not out:
        out.copy_(target)


def _draw(fill: str, out: Tensor, generator: Any, a: float, b: float = 0.0) -> None:
    computed = _computed(out.dtype)
    numbers = _PER_THREAD * computed.itemsize // 4
    _launch(_DRAW, "draw", {"T": out.dtype, "A": computed, "FILL": fill}, out, generator, numbers, float(a), float(b))


def _check_float(out: Tensor, name: str) -> None:
    if not out.dtype.is_floating_point:
        raise unsupported(name, out.dtype)


def _check_real(out: Tensor, name: str) -> None:
    if out.dtype.is_complex:
        raise unsupported(name, out.dtype)


# --- continuous distributions


@kernel("uniform")
def uniform(args: tuple, outs: tuple) -> None:
    low, high, generator = args[1:]
    out = _real(outs[0])
    _check_float(out, "check_uniform_bounds")
    most = _LARGEST[out.dtype]
    for value, name in ((low, "from"), (high, "to")):
        if not -most <= value <= most:
            raise RuntimeError(f"{name} is out of bounds for {out.dtype}")
    if not low <= high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    if not high - low <= most:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{out.dtype}>::max(), but found to={high} and from={low} "
            "which result in to-from to exceed the limit"
        )
    _draw("uniform", out, generator, low, high)


@kernel("normal")
def normal(args: tuple, outs: tuple) -> None:
    _normal(outs[0], args[1], args[2], args[3])


def _normal(out: Tensor, mean: float, std: float, generator: Any) -> None:
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    # Half of the variance of a complex sample is in each of its parts.
    each = std / math.sqrt(2) if out.dtype.is_complex else std
    out = _real(out)
    _check_float(out, "normal_kernel_cuda")
    _draw("normal", out, generator, mean, each)


@kernel("normal/Tensor_float", "normal/float_Tensor", "normal/Tensor_Tensor")
def normal_of(_: str, args: tuple, outs: tuple) -> None:
    (mean, std, generator), out = args, outs[0]
    _normal(out, 0.0, 1.0 if isinstance(std, Tensor) else std, generator)
    if isinstance(std, Tensor):
        out.mul_(std)
    out.add_(mean)


@kernel("log_normal")
def log_normal(args: tuple, outs: tuple) -> None:
    mean, std, generator = args[1:]
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    _check_float(outs[0], "log_normal_cuda")
    _draw("log_normal", outs[0], generator, mean, std)


def _check_continuous(out: Tensor, name: str) -> None:
    if not out.dtype.is_floating_point:
        raise RuntimeError(
            f"{name} distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {out.dtype}"
        )


@kernel("cauchy")
def cauchy(args: tuple, outs: tuple) -> None:
    median, sigma, generator = args[1:]
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    _check_continuous(outs[0], "Cauchy")
    _draw("cauchy", outs[0], generator, median, sigma)


@kernel("exponential")
def exponential(args: tuple, outs: tuple) -> None:
    rate, generator = args[1:]
    if not rate > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
    _check_continuous(outs[0], "Exponential")
    _draw("exponential", outs[0], generator, rate)


@kernel("geometric")
def geometric(args: tuple, outs: tuple) -> None:
    p, generator = args[1:]
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    if outs[0].numel() > 0 and (outs[0].dtype == _C.bool or outs[0].dtype.is_complex):
        raise unsupported("geometric_cuda", outs[0].dtype)
    _draw("geometric", outs[0], generator, math.log1p(-p))


# --- whole numbers


@kernel("bernoulli/p", "bernoulli/float")
def bernoulli(_: str, args: tuple, outs: tuple) -> None:
    p, generator = args[1:]
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    _check_real(outs[0], "bernoulli_scalar_cuda_")
    _draw("bernoulli", outs[0], generator, p * 2.0**32)


def _limits(dtype: Any) -> tuple[int, int]:
    """The whole numbers of a dtype, as far as int64 reaches: floating-point ones to where all are exact."""
    if dtype.is_floating_point:
        return -(1 << _DIGITS[dtype]), 1 << _DIGITS[dtype]
    bits = 1 if dtype == _C.bool else 8 * dtype.itemsize
    if dtype.is_signed:
        return -(1 << bits - 1), (1 << bits - 1) - 1
    return 0, min(1 << bits, 1 << 63) - 1


def _integers(out: Tensor, first: int, last: int, generator: Any) -> None:
    count = last - first + 1
    wide = count >= _WIDE_RANGE
    first, last = (value - (1 << 64) if value >= 1 << 63 else value for value in (first, count % (1 << 64)))
    name = "wide_integers" if wide else "integers"
    _launch(_INTEGERS, name, {"T": out.dtype}, out, generator, _PER_THREAD << wide, first, last)


@kernel("random")
def random(args: tuple, outs: tuple) -> None:
    _check_real(outs[0], "random_kernel_cuda")
    _integers(outs[0], 0, _limits(outs[0].dtype)[1], args[1])


@kernel("random/to")
def random_to(args: tuple, outs: tuple) -> None:
    random_from((args[0], 0, *args[1:]), outs)


@kernel("random/from")
def random_from(args: tuple, outs: tuple) -> None:
    first, end, generator = args[1:]
    out, dtype = outs[0], outs[0].dtype
    _check_real(out, "random_from_to_kernel_cuda")
    low, high = _limits(dtype)
    if end is None and first == -(1 << 63):
        if dtype not in (_C.int64, _C.float64, _C.float32, _C.bfloat16):
            raise RuntimeError("random_full_64_bits_range_kernel_cuda handles only int64, double, float and bfloat16")
        return _integers(out, first, (1 << 63) - 1, generator)
    if end is not None and first >= end:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={first} >= to={end}")
    last = high if end is None else end - 1
    for value, name in ((first, "from"), (last, "to - 1")):
        outside = abs(value) > _LARGEST[dtype] if dtype.is_floating_point else not low <= value <= high
        if outside:
            raise RuntimeError(f"{name} is out of bounds for {dtype}")
    return _integers(out, first, last, generator)


@kernel("_randperm")
def randperm(args: tuple, outs: tuple) -> None:
    # Keys of 64 bits: two of them are equal too rarely to matter.
    keys = _C.empty(outs[0].numel(), dtype=_C.int64, device=outs[0].device)
    _integers(keys, -(1 << 63), (1 << 63) - 1, args[1])
    outs[0].copy_(keys.argsort())


# --- parameters that differ from element to element


def _sample(name: str, out: Tensor, generator: Any, first: Tensor, second: Tensor | None = None) -> None:
    target = dense(out)
    p = dense(first.expand(out.shape))
    q = p if second is None else dense(second.to(p.dtype).expand(out.shape))
    count = target.numel()
    draws = generator_of(out.device, generator).draw(_PLENTY)
    settings = {"T": target.dtype, "P": p.dtype, "SAMPLE": name}
    _EACH.launch("sample", settings, blocks(count, _THREADS), _THREADS, target, p, q, count, draws)
    if target is not out:
        out.copy_(target)


@kernel("bernoulli", "bernoulli/Tensor")
def bernoulli_each(name: str, args: tuple, outs: tuple) -> None:
    p = args[0] if name == "bernoulli" else args[1]
    _check_float(p, "bernoulli_tensor_cuda_p_")
    _check_real(outs[0], "bernoulli_tensor_cuda_self_")
    _sample("bernoulli", outs[0], args[-1], p)


@kernel("poisson", "_standard_gamma")
def of_one(name: str, args: tuple, outs: tuple) -> None:
    _check_float(outs[0], f"{name}_cuda")
    _sample(name.lstrip("_"), outs[0], args[1], args[0])


@kernel("binomial")
def binomial(args: tuple, outs: tuple) -> None:
    _check_float(outs[0], "binomial_cuda")
    _sample("binomial", outs[0], args[2], args[0], args[1])


@kernel("_rrelu_with_noise")
def rrelu(args: tuple, outs: tuple) -> None:
    x, lower, upper, generator = args
    _check_float(x, "rrelu_with_noise_out_cuda")
    draws = generator_of(x.device, generator).draw(2)
    settings = {"T": x.dtype, "A": _computed(x.dtype)}
    count = x.numel()
    bounds = float(lower), float(upper)
    _RRELU.launch("rrelu", settings, blocks(count, _THREADS), _THREADS, dense(x), *outs, count, draws, *bounds)


# --- categories


def _check_weights(weights: Tensor) -> None:
    """One look at all weights; PyTorch looks, too."""
    low, high, least = _C.stack([weights.min(), weights.max(), weights.sum(-1).min()]).tolist()
    if not (low >= 0 and high < math.inf):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not least > 0:
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


@kernel("multinomial")
def multinomial(args: tuple, outs: tuple) -> None:
    (weights, samples, replacement, generator), out = args, outs[0]
    if out.numel() == 0:
        return
    _check_weights(weights)
    if not replacement or samples == 1:
        # The weights divided by exponential samples: the largest quotients are the sample.
        noise = _C.empty(tuple(weights.shape), dtype=_C.float32, device=weights.device)
        _draw("exponential", noise, generator, 1.0)
        scores = weights / noise
        out.copy_(scores.argmax(-1, True) if samples == 1 else scores.topk(samples, -1)[1])
        return
    sums = weights.to(_C.float64).cumsum(-1)
    target = dense(out)
    count = target.numel()
    draws = generator_of(out.device, generator).draw(2)
    categories = weights.shape[-1]
    _MULTINOMIAL.launch("pick", {}, blocks(count, _THREADS), _THREADS, target, sums, categories, samples, count, draws)
    if target is not out:
        out.copy_(target)
