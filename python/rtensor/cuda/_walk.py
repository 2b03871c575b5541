"""Walks over several strided operands at once, as `walk.cuh` reads them."""

import functools
import struct
from collections.abc import Sequence
from typing import NamedTuple

from rtensor import _C

THREADS = 256
_PER_BLOCK = 4 * THREADS
_WORDS = 128

#: Dtypes that move elements of so many bytes.
BYTES = {1: _C.uint8, 2: _C.int16, 4: _C.int32, 8: _C.int64, 16: _C.complex128}

Strides = tuple[int, ...]
Dims = list[list[int]]


class Walk(NamedTuple):
    """A walk, written down.

    Attributes
    ----------
    data : bytes
        What `walk.cuh` reads, with room behind it.
    words : int
        How many words of 64 bits it takes.
    blocks : int
        Blocks of `THREADS` that make it.
    together : int
        How many elements are taken as one.
    """

    data: bytes
    words: int
    blocks: int
    together: int


#: For kernels that take words of their own alone.
NONE = Walk(bytes(8 * _WORDS), 0, 0, 1)


def _merged(shape: Sequence[int], strides: Sequence[Strides]) -> Dims:
    """Sizes, each with the operands' strides, innermost first; dimensions that are one for all operands are merged."""
    dims: Dims = []
    for size, *steps in zip(reversed(shape), *map(reversed, strides), strict=True):
        if size == 1:
            continue
        if dims:
            inner = dims[-1]
            if all(step == inner[0] * own for step, own in zip(steps, inner[1:], strict=True)):
                inner[0] *= size
                continue
        dims.append([size, *steps])
    return dims or [[1, *(0 for _ in strides)]]


def _together(dims: Dims, moving: int, most: int, distances: Sequence[int]) -> int:
    """How many elements of the first ``moving`` operands go as one: those of rows in which the others stand still."""
    inner = dims[0]
    if any(step != 1 for step in inner[1 : 1 + moving]) or any(inner[1 + moving :]):
        return 1
    apart = [inner[0], *distances, *(step for dim in dims[1:] for step in dim[1 : 1 + moving])]
    while any(n % most for n in apart):
        most //= 2
    return most


@functools.lru_cache(maxsize=4096)
def walk(
    shape: Strides, moving: tuple[Strides, ...], standing: tuple[Strides, ...] = (), most: int = 1,
    distances: Strides = (),
) -> Walk:  # fmt: skip
    """Write down a walk.

    Parameters
    ----------
    shape : tuple of int
        Its sizes.
    moving, standing : tuple of tuple of int
        The strides of the operands; those of the first kind may go several elements at a time.
    most : int, default 1
        How many elements may be taken as one.
    distances : tuple of int
        Further distances between elements, which so many must divide.
    """
    dims = _merged(shape, (*moving, *standing))
    together = _together(dims, len(moving), most, distances) if most > 1 else 1
    for at, dim in enumerate(dims):
        if at == 0:
            dim[0] //= together
        else:
            dim[1 : 1 + len(moving)] = [step // together for step in dim[1 : 1 + len(moving)]]
    count = 1
    for dim in dims:
        count *= dim[0]
    words = [count, len(dims), *(word for dim in dims for word in dim)]
    data = struct.pack(f"{len(words)}q", *words).ljust(8 * _WORDS, b"\0")
    return Walk(data, len(words), -(-count // _PER_BLOCK), together)


def widest(itemsize: int, *addresses: int) -> int:
    """How many elements the alignment of addresses allows to be taken as one."""
    bits = 16
    for address in addresses:
        bits |= address
    return max((bits & -bits) // itemsize, 1)


def argument(head: Sequence[int], walk: Walk) -> bytes:
    """The struct that a kernel takes: words of its own, then the walk."""
    if len(head) + walk.words > _WORDS:
        raise RuntimeError("tensors of so many dimensions are not supported on device 'cuda'")
    return struct.pack(f"{len(head)}q", *head) + walk.data


def row_major(shape: Sequence[int]) -> Strides:
    """The strides of a row-major tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(strides[::-1])
