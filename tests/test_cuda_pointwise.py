"""Formulas on a GPU, or on the emulated one: layouts larger than a tile, special values, mixed dtypes."""

import itertools
import math

import numpy as np
import pytest
import samples

import rtensor as torch

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-30, -1e30, 88.0, -104.0, math.inf, -math.inf, math.nan]
BINARY = ["add", "mul", "div", "fmod", "remainder", "floor_divide", "pow", "atan2"]
BINARY += ["hypot", "maximum", "minimum", "fmax", "fmin", "logaddexp", "copysign", "nextafter"]
COMPLEX = ["exp", "log", "sqrt", "sin", "tanh"]
COMPLEX += ["asin", "acosh", "atanh", "sigmoid", "reciprocal", "sgn"]


def arrays(*tensors):
    wide = [t.cpu().to(torch.complex128 if t.dtype.is_complex else torch.float64) for t in tensors]
    return [t.numpy() for t in wide]


def agree(f, *inputs, tolerance=1e-6):
    """A function has the same result on both devices."""
    want = f(*inputs)
    got = f(*[t.cuda() for t in inputs])
    assert got.is_cuda and got.dtype is want.dtype and got.stride() == want.stride()
    np.testing.assert_allclose(*arrays(got, want), rtol=tolerance, atol=0)


def normal(*shape):
    return torch.tensor(np.random.default_rng(0).normal(size=shape), dtype=torch.float32)


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: a + b[0],
        lambda a, b: a * b[:, :1],
        lambda a, b: b[0] * a[:, :1],
        lambda a, b: a[1:, 2:] * 2,
        lambda a, b: a[:, ::2] + b[:, 1::2],
        lambda a, b: a.t().contiguous(),
        lambda a, b: a.t() + b[:, :1].t(),
        lambda a, b: a.half().t() + b.double().t(),
        lambda a, b: (a > b).t().contiguous(),
        lambda a, b: a.flip(0).t() - b.t(),
        lambda a, b: a.expand(3, 130, 70).contiguous() + b,
        lambda a, b: torch.complex(a, b).t().contiguous(),
        lambda a, b: a[0, 0] + b[1, 1],
        lambda a, b: a[:0] + b[:0],
    ],
)
def test_layouts(f):
    agree(f, normal(130, 70), normal(130, 70).flip(1))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_permutations(order):
    agree(lambda x: x.permute(order).contiguous(), normal(3, 40, 64, 5))


def test_writes_through_views():
    x, y = torch.zeros(6, 7, device="cuda"), torch.zeros(6, 7)
    for t in (x, y):
        t[1:4, ::3] = 5
        t.t()[2] += 1
        t[:, 1:].mul_(t[:, :1] + 2)
    assert torch.equal(x.cpu(), y)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.float16, torch.bfloat16), ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_special_values(name, dtype):
    x = torch.tensor(SPECIAL, dtype=torch.float64).to(dtype)
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 1e-2}.get(dtype, 2e-6)
    agree(getattr(torch, name), x[:, None], x[None], tolerance=tolerance)


@pytest.mark.parametrize("name", COMPLEX)
def test_special_values_of_complex_numbers(name):
    x = torch.tensor([complex(a, b) for a in SPECIAL for b in SPECIAL])
    agree(getattr(torch, name), x, tolerance=1e-5)


@pytest.mark.parametrize("dtype", (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8), ids=str)
def test_integers(dtype):
    x = torch.tensor([0, 1, -1, 2, -2, 3, -7, 100, 127, -128]).to(dtype)
    a, b = x[:, None], x[None]
    for name in ("add", "mul", "bitwise_left_shift", "bitwise_right_shift", "bitwise_xor", "gcd", "lcm"):
        agree(getattr(torch, name), a, b)
    divisors = b[b != 0][None]
    for name in ("floor_divide", "remainder", "fmod"):
        agree(getattr(torch, name), a, divisors)
    agree(lambda t: t**3, x)


def test_mixed_dtypes():
    values = torch.tensor([0, 1, 2, -3, 5.5, 7, -1, 100])
    kinds = (torch.float32, torch.bfloat16, torch.complex64, torch.int64, torch.int8, torch.bool)
    for one, other in itertools.product(kinds, kinds):
        x, y = values.to(one), values.flip(0).to(other)
        agree(torch.mul, x, y, tolerance=1e-2)
        agree(lambda x, y: torch.where(x != 0, x, y), x, y, tolerance=1e-2)
        assert torch.equal((x.cuda() * y[2]).cpu(), x * y[2])


def test_integer_parameters_beyond_the_dtype():
    agree(lambda x: torch.nn.functional.threshold(x, -1, 7), torch.tensor([1, 2, 3], dtype=torch.uint8))
