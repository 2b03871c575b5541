"""Failures that kernels find: they tell the host in memory that both see, and it raises when it next waits for them."""

import functools

import cupy
import numpy

_WORDS = 3
#: By the kinds in ``failures.cuh``; the index and the size are filled in.
_ERRORS = {
    1: (IndexError, "index {} is out of bounds for dimension with size {}"),
    2: (IndexError, "Target {} is out of bounds."),
}


@functools.cache
def _block() -> tuple[object, numpy.ndarray]:
    block = cupy.cuda.alloc_pinned_memory(8 * _WORDS)
    report = numpy.frombuffer(block, numpy.int64, _WORDS)
    report[:] = 0
    return block, report


def address() -> int:
    """Where a kernel reports a failure: its kind, and an index and a size."""
    return _block()[0].ptr


def check() -> None:
    """Raise what a kernel reported; its work must be done.

    Raises
    ------
    IndexError
        If an index was out of range.
    """
    if not _block.cache_info().currsize:
        return
    report = _block()[1]
    if report[0]:
        kind, message = _ERRORS[int(report[0])]
        report[0] = 0
        raise kind(message.format(report[1], report[2]))
