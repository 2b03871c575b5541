"""Kernels over rows (``rows.cuh``): a warp computes a short row, a block a long one, in registers where it fits."""

import functools
from typing import Any, NamedTuple

from rtensor._C import Tensor

#: Elements that a thread keeps in registers, threads of a block of warps, and of one that reads its row again.
_HELD, _WARPS, _STREAM = 32, 128, 1024
MAX_BLOCKS = 2**31 - 1


class Rows(NamedTuple):
    """What a text is compiled with, and how it is launched."""

    settings: dict[str, Any]
    blocks: int
    threads: int


def power_of_two(count: int) -> int:
    """The least power of two that is not below a count."""
    return 1 << max(count - 1, 0).bit_length()


@functools.lru_cache(maxsize=4096)
def _plan(rows: int, size: int, width: int, arrays: int) -> Rows:
    unit = width if size % width == 0 else 1
    limit = _HELD // arrays
    if size <= 32 * limit:
        group, threads, lanes, blocks = "Warp", _WARPS, 32, -(-rows * 32 // _WARPS)
    else:
        group, blocks = "Block", rows
        threads = next((n for n in (128, 256, 512) if size <= n * limit), _STREAM)
        lanes = threads
    held = power_of_two(-(-size // (lanes * unit))) if threads < _STREAM else 0
    settings = {"GROUP": group, "THREADS": threads, "UNIT": unit, "HELD": held}
    return Rows(settings, min(blocks, MAX_BLOCKS), threads)


def rows_of(rows: int, size: int, *held: Tensor, beside: tuple[Tensor | None, ...] = ()) -> Rows:
    """How rows of a size are computed.

    Parameters
    ----------
    rows, size : int
        How many rows there are, and their length.
    *held : Tensor
        The contiguous tensors of which a thread keeps elements in registers.
    beside : tuple of Tensor or None
        Rows that are read by the same units.
    """
    aligned = all(t is None or t.data_ptr() % 16 == 0 for t in (*held, *beside))
    return _plan(rows, size, 16 // held[0].itemsize if aligned else 1, len(held))
