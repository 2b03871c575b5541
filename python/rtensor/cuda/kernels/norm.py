"""Normalisation of trailing dimensions: layer norm and RMS norm, and their gradients."""

import math

import numpy

from rtensor import _C
from rtensor.cuda._arrays import dense, numpy_dtype
from rtensor.cuda._registry import kernel
from rtensor.cuda._rows import rows_of
from rtensor.cuda._source import Source
from rtensor.cuda.kernels.reduce import total

_NORM, _WEIGHTS = Source("norm.cu"), Source("norm_weights.cu")
_BLOCKS, _ROWS_PER_PART = 528, 64


def plain(t, like):
    """A row-major tensor in another's dtype; None stays."""
    return None if t is None else dense(t.to(like.dtype))


def _extents(x, normalized):
    """The number of rows, and their size."""
    size = math.prod(normalized)
    return math.prod(x.shape[: x.ndim - len(normalized)]), size


def _settings(x, statistics, centered):
    return {"T": x.dtype, "S": statistics.dtype, "CENTERED": int(centered)}


def row_statistics(x, mean, rstd, rows, eps):
    """Mean and inverse deviation of each of so many rows."""
    size = x.numel() // max(rows, 1)
    plan = rows_of(rows, size, x)
    settings = _settings(x, rstd, True) | plan.settings
    _NORM.launch("statistics", settings, plan.blocks, plan.threads, x, mean, rstd, rows, size, eps)


def _normalise(x, normalized, weight, bias, eps, out, mean, rstd):
    x = dense(x)
    weight, bias = plain(weight, x), plain(bias, x)
    rows, size = _extents(x, normalized)
    plan = rows_of(rows, size, x, beside=(weight, bias))
    settings = _settings(x, rstd, mean is not None) | plan.settings
    tensors = (x, weight, bias, out, mean, rstd)
    _NORM.launch("normalise", settings, plan.blocks, plan.threads, *tensors, rows, size, eps)


@kernel("native_layer_norm")
def layer_norm(args, outs):
    _normalise(*args, *outs)


@kernel("_fused_rms_norm")
def rms_norm(args, outs):
    x, normalized, weight, eps = args
    if eps is None:
        eps = float(numpy.finfo(numpy_dtype(total(x.dtype))).eps)
    _normalise(x, normalized, weight, None, eps, outs[0], None, outs[1])


@kernel("_row_norm_backward")
def row_norm_backward(args, outs):
    grad, x, normalized, mean, rstd, weight = args
    x, rstd = dense(x), dense(rstd)
    grad, weight = plain(grad, x), plain(weight, x)
    mean = plain(mean, rstd)
    rows, size = _extents(x, normalized)
    plan = rows_of(rows, size, grad, x, beside=(weight,))
    settings = _settings(x, rstd, mean is not None)
    tensors = (grad, x, weight, mean, rstd, outs[0])
    _NORM.launch("gradient", settings | plan.settings, plan.blocks, plan.threads, *tensors, rows, size)
    tiles = -(-size // 32)
    parts = max(1, min(-(-rows // _ROWS_PER_PART), -(-_BLOCKS // max(tiles, 1))))
    partial = _C.empty([parts, 2, size], dtype=total(x.dtype), device=x.device)
    types = {"T": x.dtype, "S": rstd.dtype}
    chunk = -(-rows // parts)
    _WEIGHTS.launch("column_sums", types, (tiles, parts), 256, grad, x, mean, rstd, partial, rows, size, chunk)
    _WEIGHTS.launch("finish", types, -(-size // 256), 256, partial, outs[1], outs[2], parts, size)
