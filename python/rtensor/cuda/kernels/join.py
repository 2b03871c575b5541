"""Joining tensors along a dimension, old or new."""

import math
from collections.abc import Sequence

import numpy

from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source
from rtensor.cuda._walk import BYTES, THREADS

_JOIN = Source("join.cu")
_PARTS = 64
_MOST_BLOCKS = 2048


def _join(out: Tensor, parts: Sequence[Tensor], dim: int) -> None:
    """Copy tensors side by side into a row-major one; those that lie in rows go together."""
    inner, start, rows = math.prod(out.shape[dim + 1 :]), 0, []
    for part in parts:
        width = part.shape[dim] * inner
        if part.dtype is out.dtype and part.is_contiguous() and part.device == out.device:
            rows.append((part.data_ptr(), start, width))
        else:
            out.narrow(dim, start // max(inner, 1), part.shape[dim]).copy_(part)
        start += width
    rows = [row for row in rows if row[2]]
    outer = math.prod(out.shape[:dim])
    for first in range(0, len(rows) if outer else 0, _PARTS):
        _launch(out, rows[first : first + _PARTS], outer, start)


def _launch(out: Tensor, rows: list[tuple[int, int, int]], outer: int, total: int) -> None:
    size = together = out.itemsize
    bits = out.data_ptr() | (total * size) | 16
    for address, start, width in rows:
        bits |= address | (start * size) | (width * size)
    together = max(bits & -bits, size) // size
    table = numpy.zeros((3, _PARTS), numpy.int64)
    table[:, : len(rows)] = numpy.array(rows, numpy.int64).T
    table[1:] //= together
    blocks = min(-(-outer * int(table[2].max()) // (4 * THREADS)), _MOST_BLOCKS)
    settings = {"T": BYTES[size * together], "PARTS": _PARTS}
    argument = table.tobytes()
    _JOIN.launch("join", settings, (blocks, len(rows)), THREADS, argument, out, outer, total // together)


@kernel("cat", "concat", "concatenate")
def cat(name, args, outs):
    tensors, dim = args
    parts = [t for t in tensors if tuple(t.shape) != (0,)]
    _join(outs[0], parts, dim % outs[0].dim())


@kernel("stack")
def stack(args, outs):
    tensors, dim = args
    dim %= outs[0].dim()
    _join(outs[0], [t.unsqueeze(dim) for t in tensors], dim)
