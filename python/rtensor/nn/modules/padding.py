"""Padding as modules."""

from typing import Any

from rtensor import Tensor
from rtensor.nn import _ops
from rtensor.nn.modules.module import Module
from rtensor.nn.modules.utils import to_tuple

__all__ = [
    f"{kind}Pad{dims}d" for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero") for dims in (1, 2, 3)
]


class _Pad(Module):
    """Adds elements around the last dimensions.

    Parameters
    ----------
    padding
        One width for all sides, or two for each dimension, the last dimension first.
    """

    _dims: int
    _mode: str

    def __init__(self, padding: Any):
        super().__init__()
        self.padding = to_tuple(padding, 2 * self._dims)

    def forward(self, input: Tensor) -> Tensor:
        """Pad."""
        return _ops.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The widths."""
        return f"{self.padding}"


class _Circular(_Pad):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """Pad."""
        allowed = (self._dims + 1, self._dims + 2)
        if input.dim() not in allowed:
            raise ValueError(f"expected {allowed[0]}D or {allowed[1]}D input (got {input.dim()}D input)")
        return super().forward(input)


class CircularPad1d(_Circular):
    """Continues a dimension with its other end."""

    _dims = 1


class CircularPad2d(_Circular):
    """Continues two dimensions with their other ends."""

    _dims = 2


class CircularPad3d(_Circular):
    """Continues three dimensions with their other ends."""

    _dims = 3


class _Constant(_Pad):
    _mode = "constant"

    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Pad."""
        return _ops.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        """The widths and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_Constant):
    """Pads one dimension with a value."""

    _dims = 1


class ConstantPad2d(_Constant):
    """Pads two dimensions with a value."""

    _dims = 2


class ConstantPad3d(_Constant):
    """Pads three dimensions with a value."""

    _dims = 3


class _Zero(_Constant):
    def __init__(self, padding: Any):
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The widths."""
        return f"{self.padding}"


class ZeroPad1d(_Zero):
    """Pads one dimension with zeros."""

    _dims = 1


class ZeroPad2d(_Zero):
    """Pads two dimensions with zeros."""

    _dims = 2


class ZeroPad3d(_Zero):
    """Pads three dimensions with zeros."""

    _dims = 3


class _Reflection(_Pad):
    _mode = "reflect"


class ReflectionPad1d(_Reflection):
    """Mirrors one dimension at its ends, which are not repeated."""

    _dims = 1


class ReflectionPad2d(_Reflection):
    """Mirrors two dimensions at their ends, which are not repeated."""

    _dims = 2


class ReflectionPad3d(_Reflection):
    """Mirrors three dimensions at their ends, which are not repeated."""

    _dims = 3


class _Replication(_Pad):
    _mode = "replicate"


class ReplicationPad1d(_Replication):
    """Repeats the ends of one dimension."""

    _dims = 1


class ReplicationPad2d(_Replication):
    """Repeats the ends of two dimensions."""

    _dims = 2


class ReplicationPad3d(_Replication):
    """Repeats the ends of three dimensions."""

    _dims = 3
