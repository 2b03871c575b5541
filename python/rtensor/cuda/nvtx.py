"""Marks for NVIDIA's profilers: PyTorch's ``torch.cuda.nvtx``, on CuPy's."""

import contextlib
from typing import Any

from rtensor.cuda import _devices


def _nvtx() -> Any:
    _devices.init()
    from cupy.cuda import nvtx

    return nvtx


def mark(msg: str) -> None:
    """Mark a moment."""
    _nvtx().Mark(msg)


def range_push(msg: str) -> None:
    """Begin a range, within those that are open."""
    _nvtx().RangePush(msg)


def range_pop() -> None:
    """End the innermost range."""
    _nvtx().RangePop()


@contextlib.contextmanager
def range(msg: str, *args: Any, **kwargs: Any):
    """A ``with`` block as a range; the arguments are formatted into the message."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
