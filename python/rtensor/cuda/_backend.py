"""The backend: memory, moves between host and device, formulas and kernels, on CuPy's current device and stream."""

from collections.abc import Callable
from typing import Any

import cupy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.backend import Backend, Formula
from rtensor.cuda import _exchange, _failures, _formula, _memory, _registry

# Names of what every allocation calls.
_alloc, _OutOfMemory = cupy.cuda.alloc, cupy.cuda.memory.OutOfMemoryError
_used_bytes, _peaks = cupy.get_default_memory_pool().used_bytes, _memory.peaks
_HOST_TO_DEVICE, _DEVICE_TO_HOST, _DEVICE_TO_DEVICE = 1, 2, 3


def _readable(nbytes: int) -> str:
    """A size as PyTorch writes it."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if nbytes >= 1 << shift:
            return f"{nbytes / (1 << shift):.2f} {unit}"
    return f"{nbytes} bytes"


def _alloc_again(nbytes: int) -> Any:
    """Memory after what other streams have done with was given back, or PyTorch's error."""
    _memory.release_lent()
    try:
        return _alloc(nbytes)
    except _OutOfMemory as error:
        raise _C.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {_readable(nbytes)}. {error}") from error


class CudaBackend(Backend):
    """Serves ``cuda`` by CuPy."""

    def set_device(self, index: int) -> None:
        cupy.cuda.runtime.setDevice(index)

    def alloc(self, nbytes: int, zeroed: bool) -> tuple[Any, int]:
        try:
            block = _alloc(nbytes)
        except _OutOfMemory:
            block = _alloc_again(nbytes)
        if zeroed and nbytes:
            block.memset_async(0, nbytes)
        if (used := _used_bytes()) > _peaks[block.device_id]:
            _memory.note_peak(block.device_id, used)
        return block, block.ptr

    def transfer(self, target: Tensor, source: Tensor, non_blocking: bool = False) -> None:
        to_device, from_device = target.device.type == "cuda", source.device.type == "cuda"
        kind = _DEVICE_TO_DEVICE if to_device and from_device else _HOST_TO_DEVICE if to_device else _DEVICE_TO_HOST
        stream = cupy.cuda.get_current_stream()
        nbytes = target.numel() * target.itemsize
        if kind == _DEVICE_TO_DEVICE:
            # The copy waits for the other GPU's work, and that GPU's later work for the copy.
            with cupy.cuda.Device(source.device.index):
                other = cupy.cuda.get_current_stream()
                written = cupy.cuda.Event(disable_timing=True)
                written.record(other)
            stream.wait_event(written)
        cupy.cuda.runtime.memcpyAsync(target.data_ptr(), source.data_ptr(), nbytes, kind, stream.ptr)
        host = source if to_device else target
        if kind == _DEVICE_TO_DEVICE:
            copied = cupy.cuda.Event(disable_timing=True)
            copied.record(stream)
            with cupy.cuda.Device(source.device.index):
                other.wait_event(copied)
        elif non_blocking and _exchange.is_pinned(host):
            _exchange.keep_until_done(host, stream)
        else:
            # The host's memory is free to change, and to be read, when this returns.
            stream.synchronize()
            _failures.check()

    def map(self, formula: Formula, signature: str, words: bytes, count: int) -> None:
        launch = formula.kernels.get(signature)
        if launch is None:
            launch = formula.kernels[signature] = _formula.compile_formula(formula, signature)
        launch(words, count)

    def kernel(self, name: str) -> Callable:
        return _registry.find(name)

    def pinned(self, source: Tensor) -> Tensor:
        return _exchange.pinned(source)

    def synchronize(self) -> None:
        cupy.cuda.Device().synchronize()
        _failures.check()
