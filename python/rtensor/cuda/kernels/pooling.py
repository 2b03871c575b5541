"""Pooling: maxima and averages of windows that move evenly, share the input or lie at random, and the ways back."""

import functools
import math

import rtensor as torch
from rtensor.cuda._arrays import dense, unsupported
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks
from rtensor.cuda._windows import THREADS, Windows, index_type, three

POOLING = Source("pooling.cu")
#: Where windows lie.
EVENLY, SHARES, SAMPLED = range(3)
_MEANS = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64}


@functools.lru_cache(maxsize=1024)
def _windows(input_, output, kernel_size=(1,), stride=(), padding=(0,), dilation=(1,)) -> Windows:
    n = len(input_)
    moves = three(kernel_size, n), three(stride or kernel_size, n), three(padding, n, 0), three(dilation, n)
    return Windows(three(input_, n), three(output, n), *moves)


def _planes(t, spatial):
    return math.prod(t.shape[: t.ndim - spatial])


def _last(t, spatial):
    return tuple(t.shape[t.ndim - spatial :])


def _settings(mode, *tensors):
    return {"T": tensors[0].dtype, "INDEX": index_type(max(t.numel() for t in tensors)), "MODE": mode}


def _maxima(mode, x, windows, outs, spatial, samples=0):
    if x.dtype == torch.bool or x.is_complex():
        raise unsupported("max_pool2d_with_indices_out_cuda_frame", x.dtype)
    values, positions = outs[0], outs[1] if len(outs) > 1 else 0
    grid = blocks(values.numel(), THREADS)
    where = windows.argument, _planes(x, spatial), spatial
    POOLING.launch("max_pool", _settings(mode, x, values), grid, THREADS, dense(x), samples, values, positions, *where)


@kernel(
    "max_pool1d_with_indices",
    "nn.functional.max_pool2d_with_indices",
    "nn.functional.max_pool3d_with_indices",
    "_max_pool",
)
def max_pool(name, args, outs):
    x, *moves, _ = args
    spatial = len(moves[0]) if name == "_max_pool" else int(name.removesuffix("d_with_indices")[-1])
    windows = _windows(_last(x, spatial), _last(outs[0], spatial), *map(tuple, moves))
    _maxima(EVENLY, x, windows, outs, spatial)


@kernel("adaptive_max_pool1d", "nn.functional.adaptive_max_pool2d", "nn.functional.adaptive_max_pool3d")
def adaptive_max_pool(_, args, outs):
    x, size = args
    _maxima(SHARES, x, _windows(_last(x, len(size)), tuple(size)), outs, len(size))


@kernel("nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d")
def fractional_max_pool(name, args, outs):
    x, kernel_size, _, samples = args
    spatial = int(name[-2])
    if samples.numel() != _planes(x, spatial) * spatial:
        raise RuntimeError(
            f"Expect _random_samples to have {_planes(x, spatial)} planes of {spatial} samples, "
            f"got {tuple(samples.shape)}"
        )
    windows = _windows(_last(x, spatial), _last(outs[0], spatial), tuple(kernel_size))
    _maxima(SAMPLED, x, windows, outs, spatial, dense(samples.to(torch.float64)))


def _averages(name, mode, from_, to, windows, planes, count_padding=True, divisor=None):
    if from_.dtype not in _MEANS:
        raise unsupported("avg_pool2d_out_cuda_frame", from_.dtype)
    settings, grid = _settings(mode, from_, to), blocks(to.numel(), THREADS)
    how = planes, int(count_padding), divisor or 0
    POOLING.launch(name, settings, grid, THREADS, dense(from_), to, windows.argument, *how)


@kernel("avg_pool1d", "nn.functional.avg_pool2d", "nn.functional.avg_pool3d")
def average_pool(name, args, outs):
    x, kernel_size, stride, padding, _, *how = args
    spatial = int(name[-2])
    moves = tuple(kernel_size), tuple(stride), tuple(padding)
    windows = _windows(_last(x, spatial), _last(outs[0], spatial), *moves)
    _averages("average_pool", EVENLY, x, outs[0], windows, _planes(x, spatial), *how)


@kernel("_avg_pool_grad")
def average_pool_gradient(args, outs):
    g, kernel_size, stride, padding, _, *how, size = args
    moves = tuple(kernel_size), tuple(stride), tuple(padding)
    windows = _windows(tuple(size), _last(g, len(size)), *moves)
    _averages("average_pool_adjoint", EVENLY, g, outs[0], windows, _planes(g, len(size)), *how)


@kernel("adaptive_avg_pool1d", "nn.functional.adaptive_avg_pool2d", "nn.functional.adaptive_avg_pool3d")
def adaptive_average_pool(_, args, outs):
    x, size = args
    spatial = len(size)
    if x.is_floating_point() and set(size) == {1}:
        torch.mean(x, list(range(-spatial, 0)), keepdim=True, out=outs[0])
        return
    windows = _windows(_last(x, spatial), tuple(size))
    _averages("average_pool", SHARES, x, outs[0], windows, _planes(x, spatial))


@kernel("_adaptive_avg_pool_grad")
def adaptive_average_pool_gradient(args, outs):
    g, outputs, size = args
    windows = _windows(tuple(size), tuple(outputs))
    _averages("average_pool_adjoint", SHARES, g, outs[0], windows, _planes(g, len(size)))


def _flat(t, spatial):
    """Planes as rows."""
    return dense(t).view(_planes(t, spatial), -1)


@kernel("_pool_put", "_unpool")
def put_back(name, args, outs):
    x, positions, size = args
    spatial = len(size)
    if x.dtype == torch.bool:
        raise unsupported("max_pool_backward", x.dtype)
    planes = _flat(outs[0].zero_(), spatial)
    values, at = _flat(x, spatial), _flat(positions, spatial)
    planes.scatter_add_(1, at, values) if name == "_pool_put" else planes.scatter_(1, at, values)


@kernel("_pool_pick")
def pick(args, outs):
    x, positions, spatial = args
    outs[0].copy_(_flat(x, spatial).gather(1, _flat(positions, spatial)).view(outs[0].shape))
