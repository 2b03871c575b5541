"""Reductions on the GPU: which kernel of ``reduce.cu`` walks an input, over which grid, and its launch."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._source import Source, struct

_REDUCE = Source("reduce.cu")
#: Bytes that the widest value of a reduction takes (moments of complex128).
_VALUE = 32
#: Blocks that keep a large GPU busy, and elements that a thread should find before a result is split among blocks.
_BLOCKS, _ELEMENTS = 528, 16
_THREADS = 256
_KEPT = 4

Dim = tuple[int, int, int]
"""Size, the input's stride, and the output's (0 where reduced)."""


class Plan(NamedTuple):
    """A launch: the kernel, its grid and its layout; with several parts a second launch combines them."""

    kernel: str
    blocks: tuple[int, int]
    threads: int
    layout: bytes
    outputs: int
    parts: int


def reduced_dims(ndim: int, dim: int | Sequence[int] | None) -> tuple[int, ...]:
    """The dimensions that a ``dim`` argument names; None and an empty list mean all."""
    if isinstance(dim, int):
        return (dim % ndim,) if ndim else ()
    return tuple([d % ndim for d in dim]) if dim and ndim else tuple(range(ndim))


def _merged(dims: list[Dim]) -> list[Dim]:
    """The dimensions by falling strides, neighbours merged."""
    merged: list[Dim] = []
    for size, step, out in sorted((d for d in dims if d[0] != 1), key=lambda d: -abs(d[1])):
        if merged and merged[-1][1:] == (step * size, out * size):
            merged[-1] = (merged[-1][0] * size, step, out)
        else:
            merged.append((size, step, out))
    return merged


def _split(shape: tuple[int, ...], strides: tuple[int, ...], reduced: tuple[int, ...]) -> tuple[list[Dim], list[Dim]]:
    """Kept and reduced dimensions, merged; the output is row-major."""
    kept: list[Dim] = []
    out = 1
    for d in reversed(range(len(shape))):
        if d not in reduced:
            kept.append((shape[d], strides[d], out))
            out *= shape[d]
    return _merged(kept[::-1]), _merged([(shape[d], strides[d], 0) for d in reduced])


def _up_to(limit: int, count: int) -> int:
    """The power of two that covers a count, or the limit."""
    return min(limit, 1 << max(count - 1, 0).bit_length())


def _parts(blocks: int, work: int) -> int:
    """Into how many pieces results are split that so many blocks compute with so many elements per thread."""
    return max(1, min(-(-_BLOCKS // blocks), work // _ELEMENTS, 1024)) if blocks < _BLOCKS // 2 else 1


class Walk(NamedTuple):
    """A kernel, its grid, its groups of threads, elements that are read at once, and reads of each thread."""

    kernel: str
    blocks: int
    threads: int
    group: int
    unit: int
    work: int


def _columns(kept: list[Dim], gone: list[Dim], width: int) -> Walk:
    """Neighbouring threads on neighbouring results."""
    side, step, _ = kept[-1]
    apart = [side, *(d[1] for d in (*kept[:-1], *gone))]
    unit = width if step == 1 and all(n % width == 0 for n in apart) else 1
    group = _up_to(32, -(-side // unit))
    blocks = -(-side // (group * unit)) * math.prod(d[0] for d in kept[:-1])
    return Walk("columns", blocks, _THREADS, group, unit, math.prod(d[0] for d in gone) * group // _THREADS)


def _rows(kept: list[Dim], gone: list[Dim], width: int) -> Walk:
    """Neighbouring threads on neighbouring elements of one result."""
    outputs, count = math.prod(d[0] for d in kept), math.prod(d[0] for d in gone)
    apart = [d[1] for d in (*kept, *gone[:-1])] + [d[0] for d in gone[-1:] if len(gone) == 2]
    unit = width if gone and gone[-1][1] == 1 and all(n % width == 0 for n in apart) else 1
    units = count // unit
    if units <= 256:
        group = _up_to(32, units // 2)
        return Walk("rows", -(-outputs * group // _THREADS), _THREADS, group, unit, 0)
    group = max(64, _up_to(512, units // 4))
    return Walk("rows", outputs, group, group, unit, units // group)


@functools.lru_cache(maxsize=4096)
def plan(
    shape: tuple[int, ...], strides: tuple[int, ...], reduced: tuple[int, ...], itemsize: int, aligned: bool
) -> Plan | None:
    """How to reduce dimensions of a layout, unless it has too many that cannot be merged.

    Parameters
    ----------
    shape, strides : tuple of int
        The input's layout, in elements.
    reduced : tuple of int
        The dimensions that go, none of them negative.
    itemsize : int
        Bytes of an element.
    aligned : bool
        Whether the first element lies on a multiple of 16 bytes.
    """
    kept, gone = _split(shape, strides, reduced)
    if len(kept) > _KEPT or len(gone) > 2:
        return None
    outputs, count = math.prod(d[0] for d in kept), math.prod(d[0] for d in gone)
    inner, inner_step = gone[-1][:2] if gone else (1, 0)
    outer_step = gone[0][1] if len(gone) == 2 else 0
    is_vertical = kept and gone and abs(kept[-1][1]) < abs(inner_step)
    walk = (_columns if is_vertical else _rows)(kept, gone, 16 // itemsize if aligned else 1)
    kernel, blocks, threads, group, unit, work = walk
    parts = _parts(max(blocks, 1), work)
    piece = unit if kernel == "rows" else 1
    chunk = -(-count // (parts * piece)) * piece
    parts = -(-count // chunk) if chunk else 1
    sizes, from_steps, onto = ([d[k] for d in reversed(kept)] + [0] * (_KEPT - len(kept)) for k in range(3))
    words = [outputs, count, parts, chunk, group, unit > 1, inner, inner_step, outer_step, len(kept)]
    layout = struct(*words, *sizes, *from_steps, *onto)
    return Plan(kernel, (min(blocks, 2**31 - 1), parts), threads, layout, outputs, parts)


def reduce(
    kind: str, x: Tensor, dims: tuple[int, ...], out: Tensor, second: Tensor | None = None, parameter: float = 0.0
) -> None:
    """Reduce dimensions of a tensor.

    Parameters
    ----------
    kind : str
        A reduction of ``reduce_kinds.cuh``.
    x : Tensor
        What is reduced; lazy conjugates have been carried out.
    dims : tuple of int
        The dimensions that go, none of them negative.
    out, second : Tensor
        The results; ``second`` is that of reductions with two.
    parameter : float
        The kind's parameter.
    """
    if not (out.is_contiguous() and (second is None or second.is_contiguous())):
        outs = [t for t in (out, second) if t is not None]
        made = [_C.empty(t.shape, dtype=t.dtype, device=t.device) for t in outs]
        reduce(kind, x, dims, made[0], made[1] if second is not None else None, parameter)
        for target, result in zip(outs, made, strict=True):
            target.copy_(result)
        return
    found = plan(x.shape, x.stride(), dims, x.itemsize, x.data_ptr() % 16 == 0)
    if found is None:
        kept = [d for d in range(x.ndim) if d not in dims]
        rows = x.permute([*kept, *dims]).contiguous()
        return reduce(kind, rows, tuple(range(len(kept), x.ndim)), out, second, parameter)
    if found.outputs == 0:
        return
    partial = None
    if found.parts > 1:
        partial = _C.empty([found.parts * found.outputs * _VALUE], dtype=_C.uint8, device=x.device)
    settings = {"KIND": kind, "T": x.dtype, "O": out.dtype}
    _REDUCE.launch(
        found.kernel, settings, found.blocks, found.threads, x, out, second, partial, found.layout, parameter
    )
    if found.parts > 1:
        group = 32 if found.outputs < 4096 else 1
        blocks = -(-found.outputs * group // _THREADS)
        _REDUCE.launch("finish", settings, blocks, _THREADS, out, second, partial, found.layout, group, parameter)
