"""Pointwise functions and copies over every kind of layout: permuted, strided, broadcast, mixed dtypes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rtensor as torch

SIZES = st.sampled_from([1, 2, 3, 7, 17, 70, 130, 300])
DTYPES = ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool", "float16"]


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return rng.integers(0 if dtype in ("uint8", "bool") else -9, 10, shape).astype(dtype)


@st.composite
def layouts(draw, shape: tuple[int, ...], dtype: str, whole: bool = False):
    """A tensor of a shape, or one that broadcasts to it, and the array it shows."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    order = draw(st.permutations(range(len(shape))))
    steps = draw(st.tuples(*[st.sampled_from([1, 1, 1, 2, 3])] * len(shape)))
    sizes = [1 if not whole and draw(st.booleans()) and draw(st.booleans()) else size for size in shape]
    base = numbers(rng, tuple(sizes[d] * steps[d] for d in order), dtype)
    back = tuple(np.argsort(order))
    cut = tuple(slice(None, None, step) for step in steps)
    return torch.from_numpy(base.copy()).permute(back)[cut], base.transpose(back)[cut]


@st.composite
def shapes(draw) -> tuple[int, ...]:
    shape = draw(st.lists(SIZES, min_size=1, max_size=4))
    while np.prod(shape) > 60_000:
        shape[shape.index(max(shape))] = 3
    return tuple(shape)


def same(tensor: torch.Tensor, array: np.ndarray) -> None:
    np.testing.assert_array_equal(tensor.contiguous().numpy(), array)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_sums_of_any_layouts(data):
    shape, dtype = data.draw(shapes()), data.draw(st.sampled_from(DTYPES))
    a, x = data.draw(layouts(shape, dtype))
    b, y = data.draw(layouts(shape, dtype))
    same(a + b, x + y)
    same(a == b, x == y)
    target, _ = data.draw(layouts(np.broadcast_shapes(x.shape, y.shape), dtype, whole=True))
    torch.add(a, b, out=target)
    same(target, x + y)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_written_operands_of_any_layout(data):
    shape, dtype = data.draw(shapes()), data.draw(st.sampled_from(["float32", "int16", "float16"]))
    a, x = data.draw(layouts(shape, dtype, whole=True))
    b, y = data.draw(layouts(shape, dtype))
    x = x * y
    a *= b
    same(a, x)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_copies_between_any_layouts(data):
    shape = data.draw(shapes())
    source, x = data.draw(layouts(shape, data.draw(st.sampled_from(DTYPES))))
    dtype = data.draw(st.sampled_from(DTYPES))
    target, _ = data.draw(layouts(shape, dtype, whole=True))
    target.copy_(source)
    same(target, np.broadcast_to(x, shape).astype(dtype))
    same(source.clone(), x)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8"])
def test_whole_quotients(dtype):
    info = np.iinfo(dtype)
    edges = np.array([info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7, 100], dtype)
    edges = np.concatenate([edges, (-edges[4:]).astype(dtype)])
    x, y = np.meshgrid(edges, edges[edges != 0])
    overflow = (x == info.min) & (y == np.array(-1).astype(dtype)) & (info.min < 0)
    a, b = torch.from_numpy(x[~overflow]), torch.from_numpy(y[~overflow])
    same(a // b, x[~overflow] // y[~overflow])
    same(a % b, x[~overflow] % y[~overflow])
    same(torch.fmod(a, b), np.fmod(x[~overflow], y[~overflow]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_remainders_of_floats(dtype):
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    values = [0.0, -0.0, 1.0, -1.0, 0.1, 0.3, 2.5, -7.25, 1e5, 3e30, tiny, huge, np.inf, -np.inf, np.nan]
    rng = np.random.default_rng(0)
    values = np.concatenate([np.array(values, dtype), rng.standard_normal(40).astype(dtype) * 50])
    x, y = (part.ravel() for part in np.meshgrid(values, values))
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    with np.errstate(all="ignore"):
        same(torch.fmod(a, b), np.fmod(x, y))
        whole = y != 0
        same(torch.remainder(a, b)[torch.from_numpy(whole)], python_remainder(x, y)[whole])


def python_remainder(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    rest = np.fmod(x, y)
    return np.where((rest != 0) & ((y < 0) != (rest < 0)), rest + y, rest)


def test_booleans_of_other_bytes_are_true():
    flags = torch.from_numpy(np.array([0, 1, 2, 255] * 100, np.uint8).view(np.bool_))
    same(flags & flags, flags.numpy() != 0)
    same(~flags, flags.numpy() == 0)
    same(flags ^ True, flags.numpy() == 0)


def test_streams_of_results_are_complete():
    n = 20_000_003
    x = torch.arange(n, dtype=torch.float32)
    y = x[1:] + x[:-1]
    assert y[0] == 1 and y[-1] == x[-1] + x[-2]
    assert bool((y[1:] >= y[:-1]).all())
