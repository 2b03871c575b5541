"""Joining tensors along a dimension, old or new."""

import math
import struct
from collections.abc import Sequence

from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks
from rtensor.cuda._walk import BYTES, THREADS, widest

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
    size = out.itemsize
    distances = (size * n for _, start, width in rows for n in (start, width))
    together = widest(size, out.data_ptr(), size * total, *(address for address, *_ in rows), *distances)
    words = [n for address, start, width in rows for n in (address, start // together, width // together)]
    table = struct.pack(f"{len(words)}q", *words).ljust(3 * 8 * _PARTS, b"\0")
    longest = outer * max(width for *_, width in rows) // together
    grid = min(blocks(longest, 4 * THREADS), _MOST_BLOCKS), len(rows)
    settings = {"T": BYTES[size * together], "PARTS": _PARTS}
    _JOIN.launch("join", settings, grid, THREADS, table, out, outer, total // together)


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
