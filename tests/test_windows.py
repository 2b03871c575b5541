"""Convolutions, pooling and interpolation in the sizes that take each of their kernels, against sums over windows."""

import itertools

import numpy as np
import pytest

import rtensor as torch
import rtensor.nn.functional as F

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def columns(x, kernel, stride, padding, dilation, fill=0.0):
    """Every window of [batch, channels, height, width], as [batch, channels, kernel.., output..]."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    span = dilation * (kernel - 1) + 1
    out = [(n - span) // stride + 1 for n in x.shape[2:]]
    windows = np.empty((*x.shape[:2], kernel, kernel, *out))
    for i, j in itertools.product(range(kernel), repeat=2):
        rows, cols = i * dilation, j * dilation
        windows[:, :, i, j] = x[:, :, rows : rows + out[0] * stride : stride, cols : cols + out[1] * stride : stride][
            :, :, : out[0], : out[1]
        ]
    return windows


def convolve(x, w, groups, **moves):
    windows = columns(x, w.shape[-1], **moves)
    n, f = x.shape[0], w.shape[0] // groups
    windows = windows.reshape(n, groups, -1, *windows.shape[4:])
    return np.einsum("ngkhw,gfk->ngfhw", windows, w.reshape(groups, f, -1)).reshape(n, w.shape[0], *windows.shape[3:])


# batch, channels, size, filters, kernel, stride, padding, dilation, groups
SHAPES = [
    (3, 40, (28, 28), 37, 3, 1, 1, 1, 1),
    (5, 24, (7, 7), 64, 3, 1, 1, 1, 1),
    (2, 48, (13, 15), 24, 3, 1, 2, 1, 2),
    (1, 72, (60, 61), 20, 3, 1, 0, 1, 1),
    (4, 20, (14, 14), 33, 5, 1, 2, 1, 1),
    (2, 16, (31, 20), 32, 3, 2, 1, 1, 1),
    (2, 6, (33, 40), 8, 5, 2, 3, 2, 2),
    (2, 30, (14, 14), 33, 1, 1, 0, 1, 1),
    (2, 30, (15, 14), 33, 1, 2, 0, 1, 1),
    (1, 3, (90, 91), 16, 7, 2, 3, 1, 1),
    (2, 16, (28, 28), 16, 3, 1, 1, 1, 16),
    (2, 6, (14, 14), 12, 5, 1, 2, 1, 6),
    (2, 6, (17, 30), 6, 7, 1, 3, 1, 6),
    (3, 1, (28, 28), 6, 5, 1, 2, 1, 1),
    (1, 40, (80, 90), 9, 3, 1, 1, 1, 1),
    (2, 3, (3, 3), 5, 3, 1, 0, 1, 1),
    (2, 4, (9, 8), 3, 2, 3, 1, 1, 1),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_and_its_adjoints(shape, dtype):
    n, c, size, f, k, stride, padding, dilation, groups = shape
    x, w, b = normal(n, c, *size), normal(f, c // groups, k, k), normal(f)
    want = convolve(x, w, groups, stride=stride, padding=padding, dilation=dilation) + b[:, None, None]
    tx, tw, tb = (torch.tensor(a, dtype=dtype, requires_grad=True) for a in (x, w, b))
    y = F.conv2d(tx, tw, tb, stride, padding, dilation, groups)
    bound = 1e-5 if dtype == torch.float32 else 1e-12

    def close(mine, want):
        assert np.abs(mine.detach().numpy() - want).max() <= bound * np.abs(want).max()

    close(y, want)
    g = normal(*want.shape)
    y.backward(torch.tensor(g, dtype=dtype))
    # The map is linear in each operand: its gradients are what makes both sides of <g, Ax> = <A'g, x> agree.
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    for mine, at, forward in (
        (tx.grad, normal(*x.shape), lambda v: convolve(v, w, groups, **how)),
        (tw.grad, normal(*w.shape), lambda v: convolve(x, v, groups, **how)),
    ):
        want = (g * forward(at)).sum()
        scale = np.sqrt((g**2).sum() * (forward(at) ** 2).sum())
        assert abs((mine.double().numpy() * at).sum() - want) <= 10 * bound * scale
    close(tb.grad, g.sum((0, 2, 3)))


def test_what_is_not_finite_stays_where_it_is():
    x, w = normal(2, 32, 16, 16), normal(32, 32, 3, 3)
    x[0, 3, 5, 5], x[1, 2, 0, 0] = np.inf, np.nan
    y = F.conv2d(torch.tensor(x, dtype=torch.float32), torch.tensor(w, dtype=torch.float32), padding=1).numpy()
    seen = np.zeros((2, 16, 16), bool)
    seen[0, 4:7, 4:7] = seen[1, :2, :2] = True
    assert np.array_equal(~np.isfinite(y), np.broadcast_to(seen[:, None], y.shape))


POOLS = [((28, 28), 2, 2, 0), ((29, 17), 3, 2, 1), ((14, 14), 3, 1, 1), ((70, 300), 2, 2, 1), ((9, 9), 5, 4, 2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int32])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), POOLS)
def test_maxima_and_their_positions(size, kernel, stride, padding, dtype):
    x = torch.tensor(np.round(normal(2, 3, *size) * 4), dtype=dtype)
    windows = columns(x.double().numpy(), kernel, stride, padding, 1, fill=-np.inf)
    want = windows.max((2, 3))
    assert np.array_equal(F.max_pool2d(x, kernel, stride, padding).double().numpy(), want)
    y, at = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
    assert np.array_equal(y.double().numpy(), want)
    places = columns(np.broadcast_to(np.arange(size[0] * size[1]).reshape(size), x.shape), kernel, stride, padding, 1)
    first = windows.reshape(2, 3, kernel * kernel, *want.shape[2:]).argmax(2)
    places = places.reshape(2, 3, kernel * kernel, *want.shape[2:])
    assert np.array_equal(at.numpy(), np.take_along_axis(places, first[:, :, None], 2)[:, :, 0])


def test_maxima_of_nothing_but_the_lowest_and_of_nan():
    x = torch.full((1, 2, 9, 9), -np.inf)
    y, at = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert (y == -np.inf).all()
    assert at[0, 0].tolist() == [[max(i, 0) * 9 + max(j, 0) for j in range(-1, 9, 2)] for i in range(-1, 9, 2)]
    x = torch.zeros(1, 1, 8, 40)
    x[0, 0, 3, 7] = np.nan
    y, at = F.max_pool2d(x, 2, return_indices=True)
    assert torch.isnan(y).nonzero().tolist() == [[0, 0, 1, 3]]
    assert at[0, 0, 1, 3] == 3 * 40 + 7
    assert torch.isnan(F.max_pool2d(x, 2)).sum() == 1


@pytest.mark.parametrize("count_padding", [True, False])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), POOLS)
def test_averages_and_their_adjoint(size, kernel, stride, padding, count_padding):
    x = torch.tensor(normal(2, 3, *size), dtype=torch.float32, requires_grad=True)
    y = F.avg_pool2d(x, kernel, stride, padding, count_include_pad=count_padding)
    windows = columns(x.detach().double().numpy(), kernel, stride, padding, 1)
    count = kernel * kernel
    if not count_padding:
        count = columns(np.ones(x.shape), kernel, stride, padding, 1).sum((2, 3))
    want = windows.sum((2, 3)) / count
    assert np.abs(y.detach().numpy() - want).max() < 1e-6
    g = normal(*want.shape)
    y.backward(torch.tensor(g, dtype=torch.float32))
    at = normal(*x.shape)
    want = (g / count * columns(at, kernel, stride, padding, 1).sum((2, 3))).sum()
    assert abs((x.grad.double().numpy() * at).sum() - want) < 1e-4 * np.abs(g).sum() ** 0.5


@pytest.mark.parametrize("out", [1, (1, 3), 7, (4, 28)])
def test_adaptive_averages(out):
    x = torch.tensor(normal(2, 3, 28, 30), dtype=torch.float32)
    y = F.adaptive_avg_pool2d(x, out)
    high, wide = y.shape[2:]
    for i, j in itertools.product(range(high), range(wide)):
        rows = slice(i * 28 // high, -(-(i + 1) * 28 // high))
        cols = slice(j * 30 // wide, -(-(j + 1) * 30 // wide))
        want = x[:, :, rows, cols].double().mean((2, 3))
        assert torch.allclose(y[:, :, i, j].double(), want, atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(9, 50), (40, 17)])
def test_interpolation_is_linear_and_has_its_adjoint(mode, size):
    x = torch.tensor(normal(2, 3, 20, 33), requires_grad=True)
    y = F.interpolate(x, size=size, mode=mode)
    g = torch.tensor(normal(*y.shape), requires_grad=True)
    (back,) = torch.autograd.grad(y, x, g, create_graph=True)
    assert torch.allclose((y * g).sum(), (x * back).sum())
    (again,) = torch.autograd.grad((back * x.detach()).sum(), g)
    assert torch.allclose(again, y)
    single = F.interpolate(x.detach().float(), size=size, mode=mode)
    assert (single.double() - y.detach()).abs().max() < 1e-5
