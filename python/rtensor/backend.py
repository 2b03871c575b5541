"""Backends: what serves a kind of device, registered from Python.

The core sizes and allocates the results of an op, and hands the backend the arguments and the results;
the backend fills them. `strided_array` shows a tensor's memory to an array library.
"""

import math
from typing import Any

from rtensor import _C
from rtensor._C import Tensor


class Backend:
    """What a backend must do; missing parts raise ``NotImplementedError``."""

    def alloc(self, nbytes: int, index: int, zeroed: bool) -> Any:
        """Memory on the device: an object that keeps it alive."""
        raise NotImplementedError(f"{type(self).__name__} does not allocate")

    def address(self, block: Any) -> int:
        """The address of what ``alloc`` returned."""
        raise NotImplementedError(f"{type(self).__name__} gives no addresses")

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Copy elements between tensors of equal sizes; at least one is on the device, dtypes may differ."""
        raise NotImplementedError(f"{type(self).__name__} does not copy")

    def run(self, name: str, args: tuple, outs: tuple[Tensor, ...]) -> None:
        """Run an op into its results."""
        raise NotImplementedError(f"Could not run '{name}': {type(self).__name__} has no kernel for it")

    def run_dynamic(self, name: str, args: tuple) -> list[Tensor]:
        """Run an op whose results' sizes depend on data."""
        raise NotImplementedError(f"Could not run '{name}': {type(self).__name__} has no kernel for it")

    def synchronize(self, index: int) -> None:
        """Wait until all work given to the device is done."""


def register(device_type: str, backend: Backend) -> None:
    """Make a backend serve a kind of device: "cuda" or "privateuseone".

    Parameters
    ----------
    device_type : str
        The kind of device.
    backend : Backend
        The backend; an earlier one of the kind is replaced.
    """
    _C._register_backend(device_type, backend)


def strided_array(tensor: Tensor, xp: Any) -> Any:
    """The tensor's elements as an array of the library ``xp`` (NumPy, CuPy) on the same memory.

    The block that the backend's ``alloc`` returned must be an array of bytes of that library.
    """
    block = _C._memory(tensor)
    dtype = xp.dtype(repr(tensor.dtype).removeprefix("torch."))
    elements = block[: block.size - block.size % dtype.itemsize].view(dtype)[tensor.storage_offset() :]
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    if math.prod(tensor.shape) == 0:
        return xp.empty(tuple(tensor.shape), dtype=dtype)
    return xp.lib.stride_tricks.as_strided(elements, tuple(tensor.shape), strides)
