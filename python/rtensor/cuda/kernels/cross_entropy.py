"""Negative log-likelihood of target classes, and its gradient."""

import math

from rtensor import _C
from rtensor.cuda import _failures
from rtensor.cuda._arrays import dense
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, struct

_NLL = Source("nll.cu")
_NONE, _MEAN = 0, 1
_THREADS, _SUMS, _BLOCKS = 256, 512, 528
#: Losses that a thread sums up before more blocks are worth a second launch.
_EACH = 16


def _sum_blocks(count):
    """How many blocks sum up so many losses."""
    return max(1, min(-(-count // (_SUMS * 4)), _BLOCKS)) if count > _SUMS * _EACH else 1


def _rows(shape, count, ignore):
    """The struct `Rows` of the text for scores of a shape."""
    classes = shape[min(len(shape) - 1, 1)]
    return struct(count, classes, max(math.prod(shape[2:]), 1), ignore)


def _operands(y, weight, dtype):
    return dense(y.to(_C.int64)), None if weight is None else dense(weight.to(dtype))


@kernel("_nll_loss")
def nll_loss(args, outs):
    x, y, weight, reduction, ignore = args
    out, total = outs
    scores, (targets, weights) = dense(x), _operands(y, weight, x.dtype)
    each, loss = (out, None) if reduction == _NONE else (None, out)
    blocks = _sum_blocks(targets.numel())
    partial = _C.empty([blocks * 2], dtype=_C.float64, device=x.device) if blocks > 1 else None
    settings, mean = {"T": x.dtype}, int(reduction == _MEAN)
    rows = _rows(x.shape, targets.numel(), ignore)
    tensors = (scores, targets, weights, each, partial, loss, total)
    _NLL.launch("losses", settings, blocks, _SUMS, *tensors, rows, mean, _failures.address())
    if blocks > 1:
        _NLL.launch("finish", settings, 1, _SUMS, partial, loss, total, blocks, mean)


@kernel("_nll_loss_grad")
def nll_loss_grad(args, outs):
    slopes, y, weight, total, reduction, ignore, size = args
    targets, weights = _operands(y, weight, slopes.dtype)
    grad = outs[0].zero_()
    total = total.to(slopes.dtype) if reduction == _MEAN else None
    tensors = (targets, weights, dense(slopes), total, grad, _rows(size, targets.numel(), ignore))
    blocks, single = -(-targets.numel() // _THREADS), int(slopes.numel() == 1)
    _NLL.launch("gradient", {"T": slopes.dtype}, blocks, _THREADS, *tensors, single, _failures.address())
