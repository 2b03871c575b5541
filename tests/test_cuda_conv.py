"""Convolutions and pooling on a GPU, where the generic tests do not go."""

import numpy as np
import pytest
import samples

import rtensor as torch
from rtensor.nn import functional as F

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")

CASES = [
    (F.conv1d, (2, 4, 9), (6, 2, 2), {"stride": 2, "groups": 2}),
    (F.conv2d, (3, 3, 6, 5), (4, 3, 3, 2), {"padding": (1, 0), "stride": (2, 1)}),
    (F.conv2d, (3, 4, 6, 6), (8, 4, 1, 1), {}),
    (F.conv2d, (3, 4, 6, 6), (8, 2, 1, 1), {"groups": 2}),
    (F.conv2d, (1, 4, 6, 6), (8, 2, 3, 3), {"groups": 2, "padding": 1}),
    (F.conv2d, (3, 4, 6, 6), (8, 1, 3, 3), {"groups": 4, "padding": 1, "dilation": (2, 1)}),
    (F.conv3d, (2, 2, 4, 5, 4), (3, 2, 2, 3, 2), {"padding": 1}),
    (F.conv_transpose2d, (2, 4, 4, 3), (4, 2, 3, 3), {"padding": 1, "groups": 2}),
    (F.conv_transpose2d, (2, 4, 4, 3), (4, 3, 1, 1), {}),
    (F.conv_transpose2d, (2, 4, 4, 3), (4, 1, 3, 3), {"groups": 4, "stride": 2, "output_padding": 1}),
]


def agree(mine, cpus, tolerance):
    assert mine.is_cuda and mine.shape == cpus.shape and mine.dtype is cpus.dtype
    arrays = [t.detach().cpu() for t in (mine, cpus)]
    arrays = [t.float() if t.dtype in (torch.bfloat16, torch.float16) else t for t in arrays]
    np.testing.assert_allclose(*[a.numpy() for a in arrays], rtol=tolerance, atol=tolerance)


def convolved(device, call, x, weight, bias, how):
    """A convolution and its gradients."""
    inputs = [t.to(device).requires_grad_() for t in (x, weight, bias)]
    out = call(*inputs, **how)
    slope = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).to(out.dtype).reshape(out.shape)
    return [out, *torch.autograd.grad(out, inputs, slope.to(device))]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.complex128], ids=str)
@pytest.mark.parametrize(("workspace", "wide"), [(32 << 20, 256), (32 << 20, 0), (1000, 0)])
def test_convolutions(dtype, workspace, wide, monkeypatch):
    from rtensor.cuda.kernels import conv

    monkeypatch.setattr(conv, "WORKSPACE", workspace)
    monkeypatch.setattr(conv, "WIDE", wide)
    for call, image, kernel, how in CASES:
        transposed = call is F.conv_transpose2d
        filters = kernel[1] * how.get("groups", 1) if transposed else kernel[0]
        operands = [torch.randn(*sizes).to(dtype) for sizes in (image, kernel, (filters,))]
        results = (convolved(device, call, *operands, how) for device in ("cuda", "cpu"))
        for mine, cpus in zip(*results, strict=True):
            agree(mine, cpus, 5e-2 if dtype is torch.float16 else 1e-10)


def test_convolutions_without_images():
    x = torch.zeros(0, 3, 6, 5, device="cuda", requires_grad=True)
    weight = torch.ones(4, 3, 3, 3, device="cuda", requires_grad=True)
    out = F.conv2d(x, weight)
    assert out.shape == (0, 4, 4, 3)
    out.sum().backward()
    assert weight.grad.abs().sum().item() == 0
    with pytest.raises(RuntimeError, match="not implemented for 'Long'"):
        F.conv2d(torch.ones(1, 1, 3, 3, device="cuda").long(), torch.ones(1, 1, 2, 2, device="cuda").long())


def pooled(device, call, x):
    x = x.to(device).requires_grad_()
    outs = call(x)
    out = outs if isinstance(outs, torch.Tensor) else outs[0]
    (grad,) = torch.autograd.grad(out, x, torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view(out.shape).to(device))
    return [*([outs] if outs is out else outs), grad]


SAMPLES = torch.rand(2, 3, 2, dtype=torch.float64)
POOLS = [
    lambda x: F.max_pool2d(x, (3, 2), 2, 1, dilation=(1, 2), ceil_mode=True, return_indices=True),
    lambda x: F.max_pool2d(x.transpose(2, 3), 2, return_indices=True),
    lambda x: F.avg_pool2d(x, (3, 2), (2, 3), (1, 1), True, False),
    lambda x: F.avg_pool2d(x, 3, 1, 1, divisor_override=5),
    lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    lambda x: F.adaptive_avg_pool2d(x, (9, 11)),
    lambda x: F.adaptive_avg_pool2d(x, 1),
    lambda x: F.adaptive_max_pool2d(x, (3, 5), return_indices=True),
    lambda x: F.fractional_max_pool2d(x, 2, (4, 5), _random_samples=SAMPLES.to(x.device), return_indices=True),
    lambda x: F.unfold(x, 3, 2, 1, 2),
    lambda x: F.fold(F.unfold(x, 3, 1, 1, 2), (7, 9), 3, 1, 1, 2),
]


@pytest.mark.parametrize("call", POOLS)
def test_pooling(call):
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    for mine, cpus in zip(*(pooled(device, call, x) for device in ("cuda", "cpu")), strict=True):
        agree(mine, cpus, 1e-10)


def test_nan_is_the_largest():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 2] = x[0, 0, 1, 3] = float("nan")
    values, at = F.max_pool2d(x.cuda(), 2, return_indices=True)
    wanted, wanted_at = F.max_pool2d(x, 2, return_indices=True)
    agree(values, wanted, 0)
    assert at.tolist() == wanted_at.tolist()
