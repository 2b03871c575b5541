"""Kernels that look at blocks first: results on both sides of every block's end."""

import numpy as np
import pytest

import rtensor as torch
import rtensor.nn.functional as F

rng = np.random.default_rng(0)


def same(tensor, array):
    np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 100, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_running_extremes_name_the_latest(n, dtype):
    x = rng.integers(0, 50, n).astype(dtype)
    for name, reaches, running in (
        ("cummax", np.greater_equal, np.maximum.accumulate),
        ("cummin", np.less_equal, np.minimum.accumulate),
    ):
        values, indices = getattr(torch, name)(torch.from_numpy(x), 0)
        want = running(x)
        same(values, want)
        taken = reaches(x, want)
        same(indices, np.maximum.accumulate(np.where(taken, np.arange(n), 0)))


def test_running_extremes_keep_nan():
    x = rng.standard_normal(100).astype(np.float32)
    x[[40, 70]] = np.nan
    values, indices = torch.cummax(torch.from_numpy(x), 0)
    assert np.isnan(values.numpy()[40:]).all()
    assert indices[69] == 40
    assert indices[99] == 70


@pytest.mark.parametrize("shape", [(1, 5), (16, 7), (17, 1030), (40, 3), (300, 4), (18, 2)])
def test_extremes_of_columns_name_the_first(shape):
    x = rng.integers(0, 9, shape)
    for dtype in (np.float32, np.int64, np.uint8):
        t = torch.from_numpy(x.astype(dtype))
        for view, array in ((t, x), (t.flip(0), x[::-1]), (t[:, ::2], x[:, ::2])):
            values, indices = view.max(0)
            same(values, array.max(0).astype(dtype))
            same(indices, array.argmax(0))
            values, indices = view.min(0)
            same(values, array.min(0).astype(dtype))
            same(indices, array.argmin(0))


def test_extremes_of_columns_find_nan_and_keep_signs_of_zero():
    x = rng.standard_normal((50, 6)).astype(np.float32)
    x[33, 2] = x[20, 2] = np.nan
    values, indices = torch.from_numpy(x).max(0)
    assert np.isnan(values.numpy()[2])
    assert indices[2] == 20
    zeros = np.zeros((20, 2), np.float32)
    zeros[:10] = -0.0
    values, indices = torch.from_numpy(zeros).max(0)
    assert np.signbit(values.numpy()).all()
    assert indices.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(70,), (9, 65), (3, 5, 7), (2, 1, 4, 3)])
def test_positions_of_what_is_not_zero(shape):
    for share in (0.0, 0.1, 1.0):
        x = (rng.random(shape) < share).astype(np.float32)
        same(torch.from_numpy(x).nonzero(), np.argwhere(x))


@pytest.mark.parametrize("n", [511, 512, 1000, 2047, 2048])
def test_sorts_of_few_and_many_keys_are_stable(n):
    for x in (rng.integers(0, 100, n), rng.integers(-(2**62), 2**62, n), rng.integers(0, 200, n).astype(np.uint8)):
        values, indices = torch.sort(torch.from_numpy(x), stable=True)
        same(indices, np.argsort(x, kind="stable"))
        same(values, np.sort(x))
        values, _ = torch.sort(torch.from_numpy(x), descending=True)
        same(values, np.sort(x)[::-1])


MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_padding_with_itself(mode, dtype):
    for shape, pad in (((2, 9), (2, 3)), ((2, 3, 5, 20), (1, 2, 3, 0)), ((1, 4, 3, 300), (2, 2, 1, 1, 2, 0))):
        x = (rng.standard_normal(shape) * 100).astype(dtype)
        pairs = [(0, 0)] * (len(shape) - len(pad) // 2) + [tuple(p) for p in np.reshape(pad, (-1, 2))[::-1]]
        want = np.pad(x, pairs, MODES[mode])
        same(F.pad(torch.from_numpy(x), pad, mode), want)
        turned = torch.from_numpy(np.ascontiguousarray(np.swapaxes(x, -1, 0))).transpose(-1, 0)
        same(F.pad(turned, pad, mode), want)


def test_padding_with_itself_cuts_and_adds_up_gradients():
    x = torch.arange(6.0).reshape(1, 6).requires_grad_()
    same(F.pad(x.detach(), (-2, 1), "reflect"), [[2, 3, 4, 5, 4]])
    same(F.pad(x.detach(), (2, -3), "replicate"), [[0, 0, 0, 1, 2]])
    same(F.pad(x.detach(), (-1, 2), "circular"), [[1, 2, 3, 4, 5, 1, 2]])
    (F.pad(x, (2, 1), "reflect") * torch.arange(9.0)).sum().backward()
    same(x.grad, [[2, 4, 4, 5, 14, 7]])


def test_samples_of_probabilities_follow_the_stream():
    p = torch.linspace(0, 1, 1301)
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(5)
        drawn = torch.bernoulli(p.to(dtype))
        torch.manual_seed(5)
        same(drawn, (torch.rand(1301, dtype=dtype) < p.to(dtype)).numpy())
    torch.manual_seed(5)
    whole = torch.bernoulli(p.expand(2, -1).t())
    torch.manual_seed(5)
    same(whole, torch.bernoulli(p.expand(2, -1).t().contiguous()).numpy())
    with pytest.raises(RuntimeError, match="p_in"):
        torch.bernoulli(torch.tensor([0.5, float("nan")]))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "float32", "float64"])
def test_sequences(dtype):
    same(torch.arange(3, 90, 4, dtype=getattr(torch, dtype)), np.arange(3, 90, 4, dtype=dtype))
    same(torch.arange(90, -1, -7, dtype=getattr(torch, dtype)), np.arange(90, -1, -7).astype(dtype))


def test_logarithms_of_gamma_at_poles_and_zeros():
    x = torch.tensor([0.0, -0.0, -1.0, -3.0, 1.0, 2.0, float("inf"), -float("inf"), 0.5, -0.5, float("nan")])
    y = torch.lgamma(x).numpy()
    assert np.isposinf(y[[0, 1, 2, 3, 6, 7]]).all()
    assert y[4] == y[5] == 0
    np.testing.assert_allclose(y[8:10], [0.5723649, 1.2655121], rtol=1e-7)
    assert np.isnan(y[10])
