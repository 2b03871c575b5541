"""Sorting and selection along a dimension."""

import math

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._sort import as_rows, first_of_rows, sort_rows, sorted_rows
from rtensor.cuda._source import Source

_PICK = Source("pick.cu")
_THREADS = 128


def _is_last(x: Tensor, dim: int) -> bool:
    return x.dim() < 2 or dim % x.dim() == x.dim() - 1


def _put_back(rows: tuple[Tensor, Tensor], outs: tuple, dim: int) -> None:
    """Write rows as the lines along a dimension of the outputs."""
    for result, out in zip(rows, outs, strict=True):
        place = out.movedim(dim, -1) if out.dim() else out
        place.copy_(result.reshape(place.shape))


@kernel("sort", "sort/stable")
def sort(name, args, outs):
    x, (dim, descending) = args[0], args[-2:]
    if x.numel() == 0:
        return
    rows = as_rows(x, dim)
    if _is_last(x, dim):
        sort_rows(rows, descending, *(out.view(rows.shape) for out in outs))
    else:
        _put_back(sorted_rows(rows, descending), outs, dim)


@kernel("topk")
def topk(args, outs):
    x, k, dim, largest, _ = args
    if outs[0].numel() == 0:
        return
    _put_back(first_of_rows(as_rows(x, dim), largest, k), outs, dim)


def _pick(how: str, x: Tensor, dim: int, setting: int, outs: tuple) -> None:
    """One element of each line, when they are sorted."""
    if outs[0].numel() == 0:
        return
    values, indices = sorted_rows(as_rows(x, dim))
    rows, size = values.shape
    threads = _THREADS if how == "mode" else 1
    _PICK.launch(how, {"T": x.dtype}, rows, threads, values, indices, size, setting, *outs)


@kernel("kthvalue")
def kthvalue(args, outs):
    x, k, dim, _ = args
    _pick("kth", x, dim, k - 1, outs)


@kernel("mode")
def mode(args, outs):
    x, dim, _ = args
    _pick("mode", x, dim, 0, outs)


@kernel("median/dim", "nanmedian/dim")
def median_along(name, args, outs):
    x, dim, _ = args
    _pick("median", x, dim, int(name == "nanmedian/dim"), outs)


@kernel("median", "nanmedian")
def median(name, args, outs):
    (x,), out = args, outs[0]
    if x.numel() == 0:
        out.fill_(math.nan if x.dtype.is_floating_point else 0)
        return
    index = _C.empty((), dtype=_C.int64, device=x.device)
    _pick("median", x.reshape(-1), 0, int(name == "nanmedian"), (out, index))
