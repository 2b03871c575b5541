"""Reductions, scans, softmax and normalisation on a GPU, for sizes that the generic tests do not reach."""

import numpy as np
import pytest
import samples

import rtensor as torch
from rtensor.nn import functional as F

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")
TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def agree(function, *inputs):
    """The same results on both devices."""
    want = function(*inputs)
    got = function(*[t.cuda() if isinstance(t, torch.Tensor) else t for t in inputs])
    for mine, cpus in zip(*[r if isinstance(r, tuple) else (r,) for r in (got, want)], strict=True):
        assert mine.is_cuda and mine.shape == cpus.shape and mine.dtype is cpus.dtype
        tolerance = TOLERANCES.get(cpus.dtype, 1e-9)
        arrays = [
            (t.cpu().float() if t.dtype.itemsize == 2 and t.is_floating_point() else t.cpu()) for t in (mine, cpus)
        ]
        np.testing.assert_allclose(*[a.numpy() for a in arrays], rtol=tolerance, atol=tolerance)


def values(*shape, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(0).uniform(-2, 2, shape)).to(dtype)


def differentiated(function, count):
    """The function with gradients of its first inputs."""

    def run(*inputs):
        leaves = [x.detach().clone().requires_grad_() for x in inputs[:count]]
        y = function(*leaves, *inputs[count:])
        y.cos().sum().backward()
        return (y.detach(), *[x.grad for x in leaves])

    return run


# Shape and reduced dimensions: parts of few rows and of few columns, blocks and warps per row, packed or not, two
# reduced dimensions that do not merge, too many dimensions for the kernels.
REDUCTIONS = [
    ((50000,), 0),
    ((2, 30001), 1),
    ((9000, 6), 0),
    ((9000, 64), 0),
    ((3, 1200), 1),
    ((700, 8), 1),
    ((16, 3, 128), (0, 2)),
    ((16, 3, 33), (0, 2)),
    ((40, 5, 36), (0, 2)),
    ((3, 70, 20), 1),
    ((2, 3, 2, 3, 2, 3), (0, 2, 4)),
    ((2, 3, 2, 3, 2, 3, 2, 2, 2), (1, 3, 5, 7)),
]


@pytest.mark.parametrize(("shape", "dims"), REDUCTIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32])
def test_sums(shape, dims, dtype):
    agree(lambda x: x.sum(dims), values(*shape, dtype=dtype))


@pytest.mark.parametrize(("shape", "dims"), REDUCTIONS)
def test_moments(shape, dims):
    agree(lambda x: torch.var_mean(x, dims), values(*shape))


@pytest.mark.parametrize("shape", [(50000,), (9000, 3), (3, 9000)])
@pytest.mark.parametrize("name", ["max", "argmin"])
def test_positions_are_the_first_of_equal_extremes(shape, name):
    for x in (values(*shape).round(), values(*shape).round().masked_fill(values(*shape) > 1.9, float("nan"))):
        for dim in range(x.ndim):
            agree(lambda x, dim=dim: tuple(torch.max(x, dim)) if name == "max" else torch.argmin(x, dim), x)
        agree(torch.argmax, x)


def test_flipped_expanded_and_permuted_inputs():
    x = values(12, 30, 20)
    for view in (lambda x: x.flip(0), lambda x: x[:, :1].expand(12, 30, 20), lambda x: x.permute(2, 0, 1)[::2]):
        for dims in (0, 1, 2, (0, 2), (0, 1, 2)):
            agree(lambda x, view=view, dims=dims: view(x).amax(dims), x)


def test_results_of_other_strides():
    x = values(6, 7, 8).cuda()
    out = torch.zeros(8, 7, dtype=torch.float64, device="cuda").T
    torch.sum(x, 0, out=out)
    agree(lambda x: x.sum(0), x.cpu())
    assert out.stride() == (1, 7) and torch.equal(out, x.sum(0))


@pytest.mark.parametrize("shape", [(3, 1024), (3, 1025), (2, 6000), (2, 6001), (2, 20000), (2, 20001)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_softmax_of_long_rows(shape, dtype):
    agree(differentiated(lambda x: torch.softmax(x, -1), 1), values(*shape, dtype=dtype))
    agree(differentiated(lambda x: torch.log_softmax(x, -1), 1), values(*shape, dtype=dtype))


@pytest.mark.parametrize("shape", [(3, 700, 5), (2, 300, 70), (1, 2, 131072), (600, 3)])
def test_softmax_along_columns(shape):
    agree(differentiated(lambda x: torch.softmax(x, 1), 1), values(*shape))
    agree(differentiated(lambda x: torch.log_softmax(x, 1), 1), values(*shape))


def test_infinities_in_softmax():
    inf = float("inf")
    rows = torch.tensor([[1, -inf, 2, 3], [inf, 1, 2, 3], [-inf] * 4, [float("nan"), 1, 2, 3]], dtype=torch.float64)
    for function in (torch.softmax, torch.log_softmax, torch.logsumexp):
        agree(lambda x, f=function: f(x, 1), rows)
        agree(lambda x, f=function: f(x.T, 0), rows)


@pytest.mark.parametrize("shape", [(3, 1200), (700, 9), (2, 17000), (2, 17001)])
def test_norms_of_rows(shape):
    x, weight, bias = values(*shape), values(shape[1]), values(shape[1])
    agree(differentiated(lambda x, w, b: F.layer_norm(x, shape[1:], w, b), 3), x, weight, bias)
    agree(differentiated(lambda x, w: F.rms_norm(x, shape[1:], w), 2), x, weight)


@pytest.mark.parametrize("shape", [(700, 40), (2, 4, 5000), (3, 6, 12, 12), (2, 4, 15, 15)])
def test_norms_of_channels(shape):
    x, weight, bias = values(*shape), values(shape[1]), values(shape[1])
    agree(differentiated(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), 3), x, weight, bias)
    agree(differentiated(lambda x, w, b: F.batch_norm(x, w.detach(), b.abs().detach(), w, b), 3), x, weight, bias)
    agree(differentiated(lambda x, w, b: F.group_norm(x, 2, w, b), 3), x, weight, bias)


@pytest.mark.parametrize("shape", [(40000,), (2, 20001), (3, 2048), (40, 300), (400, 3), (17000, 2, 2)])
@pytest.mark.parametrize("name", ["cumsum", "cummax", "logcumsumexp"])
def test_scans(shape, name):
    x = values(*shape)
    for dim in range(x.ndim):
        agree(lambda x, dim=dim: tuple(torch.cummax(x, dim)) if name == "cummax" else getattr(torch, name)(x, dim), x)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_of_many_rows(reduction):
    x, target = values(9000, 5), torch.tensor(np.random.default_rng(1).integers(0, 5, 9000))
    target[::7] = -100
    agree(differentiated(lambda x, w, t: F.cross_entropy(x, t, w, reduction=reduction), 1), x, values(5).abs(), target)


def test_targets_out_of_range():
    with pytest.raises(IndexError, match="Target 5 is out of bounds"):
        F.cross_entropy(values(3, 4).cuda(), torch.tensor([0, 5, 1], device="cuda")).item()
