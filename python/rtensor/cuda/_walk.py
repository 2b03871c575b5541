"""Walks over several strided operands at once, as `walk.cuh` reads them."""

import struct
from collections.abc import Sequence

from rtensor import _C
from rtensor._C import Tensor

THREADS = 256
_PER_BLOCK = 4 * THREADS
_WORDS = 128

#: Dtypes that move elements of so many bytes.
BYTES = {1: _C.uint8, 2: _C.int16, 4: _C.int32, 8: _C.int64, 16: _C.complex128}

Dims = list[list[int]]


def merged(shape: Sequence[int], *strides: Sequence[int]) -> Dims:
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


def widest(dims: Dims, itemsize: int, addresses: Sequence[int], dense: int) -> int:
    """How many elements of the first ``dense`` operands can move as one; the others stand still in their rows."""
    inner = dims[0]
    if any(step != 1 for step in inner[1 : 1 + dense]) or any(inner[1 + dense :]):
        return 1
    together = 16 // itemsize
    while together > 1:
        strides = [step for dim in dims[1:] for step in dim[1 : 1 + dense]]
        aligned = all(address % (together * itemsize) == 0 for address in addresses)
        if aligned and all(n % together == 0 for n in [inner[0], *strides]):
            return together
        together //= 2
    return 1


def widened(dims: Dims, together: int, dense: int) -> Dims:
    """The walk with so many elements taken as one."""
    if together == 1:
        return dims
    first = [dims[0][0] // together, *dims[0][1:]]
    rest = [[d[0], *(s // together for s in d[1 : 1 + dense]), *d[1 + dense :]] for d in dims[1:]]
    return [first, *rest]


def words(head: Sequence[int], dims: Dims) -> tuple[bytes, int]:
    """The argument of a kernel, the head and then the walk, and how many blocks of `THREADS` it takes."""
    count = 1
    for dim in dims:
        count *= dim[0]
    every = [*head, count, len(dims), *(word for dim in dims for word in dim)]
    if len(every) > _WORDS:
        raise RuntimeError("tensors of so many dimensions are not supported on device 'cuda'")
    packed = struct.pack(f"{len(every)}q", *every).ljust(8 * _WORDS, b"\0")
    return packed, -(-count // _PER_BLOCK)


def strides_along(shape: Sequence[int], tensor: Tensor) -> list[int]:
    """The tensor's strides when it is broadcast to a shape."""
    strides = [0] * (len(shape) - tensor.dim())
    return strides + [0 if size == 1 else step for size, step in zip(tensor.shape, tensor.stride(), strict=True)]


def row_major(shape: Sequence[int]) -> list[int]:
    """The strides of a row-major tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return strides[::-1]
