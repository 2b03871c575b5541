"""Convolutions, pooling and interpolation in the sizes that take each of their kernels, against sums over windows."""

import itertools

import numpy as np
import pytest

import rtensor as torch
import rtensor.nn.functional as F

RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers():
    """Every test draws the same numbers, whichever ran before."""
    RNG.bit_generator.state = START


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
    (2, 9, (7, 7), 9, 3, 1, 1, 1, 9),
    (2, 8, (9, 6), 8, 5, 1, 2, 1, 8),
    (2, 8, (29, 31), 8, 3, 2, 1, 1, 8),
    (1, 8, (22, 75), 8, 5, 2, 2, 1, 8),
    (2, 8, (24, 41), 8, 7, 2, 3, 1, 8),
    (2, 8, (13, 38), 8, 4, 2, 1, 1, 8),
    (2, 8, (19, 40), 8, 3, 1, 2, 2, 8),
    (1, 8, (20, 23), 8, 3, 2, 2, 3, 8),
    (2, 8, (17, 20), 8, 3, 3, 1, 1, 8),
    (2, 8, (11, 34), 8, 1, 2, 0, 1, 8),
    (2, 32, (12, 18), 24, 3, 1, 1, 1, 8),
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


@pytest.mark.parametrize("groups", [1, 32])
def test_what_is_not_finite_stays_where_it_is(groups):
    x, w = normal(2, 32, 16, 16), normal(32, 32 // groups, 3, 3)
    x[0, 3, 5, 5], x[1, 2, 0, 0] = np.inf, np.nan
    x, w = (torch.tensor(a, dtype=torch.float32) for a in (x, w))
    y = F.conv2d(x, w, padding=1, groups=groups).numpy()
    seen = np.zeros((2, 32, 16, 16), bool)
    seen[0, 3 if groups > 1 else slice(None), 4:7, 4:7] = True
    seen[1, 2 if groups > 1 else slice(None), :2, :2] = True
    assert np.array_equal(~np.isfinite(y), seen)


@pytest.mark.parametrize("size", [(6, 7), (6, 40)])
def test_what_is_not_finite_reaches_the_elements_of_a_kernel_that_see_it(size):
    x = torch.tensor(normal(1, 16, *size), dtype=torch.float32)
    x[:, 3, -1, -1] = torch.inf
    w = torch.tensor(normal(16, 1, 3, 3), dtype=torch.float32, requires_grad=True)
    F.conv2d(x, w, padding=1, groups=16).sum().backward()
    seen = np.zeros((16, 1, 3, 3), bool)
    seen[3, :, 1:, 1:] = True
    assert np.array_equal(~np.isfinite(w.grad.numpy()), seen)


# channels, length, kernel, stride, padding, dilation
ROWS = [(8, 400, 31, 1, 15, 1), (9, 150, 3, 1, 2, 2), (8, 90, 5, 2, 2, 1), (8, 5, 3, 1, 1, 1), (10, 65, 4, 2, 1, 1)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", ROWS)
def test_convolutions_of_single_rows(shape, dtype):
    c, size, k, stride, padding, dilation = shape
    x, w = normal(2, c, size), normal(c, 1, k)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    out = (padded.shape[-1] - dilation * (k - 1) - 1) // stride + 1
    at = stride * np.arange(out)[:, None] + dilation * np.arange(k)
    tx, tw = (torch.tensor(a, dtype=dtype, requires_grad=True) for a in (x, w))
    y = F.conv1d(tx, tw, None, stride, padding, dilation, c)
    g = normal(*y.shape)
    y.backward(torch.tensor(g, dtype=dtype))
    dx = np.zeros_like(padded)
    np.add.at(dx, (slice(None), slice(None), at), g[..., None] * w)
    wants = (
        np.einsum("ncok,ck->nco", padded[:, :, at], w[:, 0]),
        dx[..., padding : padding + size],
        np.einsum("ncok,nco->ck", padded[:, :, at], g)[:, None],
    )
    for mine, want in zip((y.detach(), tx.grad, tw.grad), wants, strict=True):
        bound = 1e-5 if dtype == torch.float32 else 1e-12
        assert np.abs(mine.numpy() - want).max() <= bound * np.abs(want).max()


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


@pytest.mark.parametrize("dims", [2, 3])
def test_one_window_takes_the_mean(dims):
    pool = getattr(torch.nn.functional, f"adaptive_avg_pool{dims}d")
    x = torch.randn(2, 3, *range(4, 4 + dims), requires_grad=True)
    for batch in (x, x[0]):
        mean = pool(batch, 1)
        assert mean.grad_fn.name().startswith("MeanBackward")
        np.testing.assert_allclose(mean.detach(), batch.detach().mean(tuple(range(-dims, 0)), keepdim=True))
    assert pool(x, (1,) * (dims - 1) + (2,)).grad_fn.name() == f"AdaptiveAvgPool{dims}DBackward0"
    with pytest.raises((ValueError, RuntimeError)):
        pool(x[0, 0], 1)
