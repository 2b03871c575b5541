"""The memory of GPUs: what CuPy's pools hold, and what tensors occupied at most."""

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda import _devices, _streams

OutOfMemoryError = _C.OutOfMemoryError

#: The most bytes in use, by the index of the GPU.
peaks: defaultdict[int, int] = defaultdict(int)
_peak_held: defaultdict[int, int] = defaultdict(int)
# CuPy's pools of captured graphs, and of those the ones without a graph, on which tensors still are.
_private: list[Any] = []
_retired: list[tuple[int, Any]] = []


class PrivatePool:
    """Memory of the current GPU beside the default pool, for graphs: kept while a graph or a tensor needs it."""

    def __init__(self) -> None:
        import cupy

        release_retired()
        self.index, self.native = _devices.current_device(), cupy.cuda.MemoryPool()
        _private.append(self.native)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():
            _retired.append((self.index, self.native))
            release_retired()


def release_retired() -> None:
    """Give pools back that no tensor is on: CuPy would lose the blocks of a pool that dies before its tensors."""
    for retired in _retired[:]:
        index, pool = retired
        with _devices.device(index):
            if pool.used_bytes() == 0:
                pool.free_all_blocks()
                _retired.remove(retired)
                _private.remove(pool)


def _pools() -> list[Any]:
    import cupy

    return [cupy.get_default_memory_pool(), *_private]


def note_peak(index: int, used: int) -> None:
    """Keep the peaks: the default pool never had so many bytes in use."""
    peaks[index] = used
    _peak_held[index] = max(_peak_held[index], memory_reserved(index))


def _ask(question: str, device: Any) -> int:
    if not _devices.is_initialized():
        return 0
    with _devices.device(device):
        return sum(getattr(pool, question)() for pool in _pools())


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory that tensors occupy."""
    return _ask("used_bytes", device)


def memory_reserved(device: Any = None) -> int:
    """Bytes of GPU memory held by CuPy's pool."""
    return _ask("total_bytes", device)


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes of GPU memory that tensors occupied at once."""
    if not _devices.is_initialized():
        return 0
    return max(peaks[_devices.index_of(device)], memory_allocated(device))


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes of GPU memory that CuPy's pool held at once."""
    if not _devices.is_initialized():
        return 0
    return max(_peak_held[_devices.index_of(device)], memory_reserved(device))


def reset_peak_memory_stats(device: Any = None) -> None:
    """Forget the peaks."""
    index = _devices.index_of(device)
    peaks[index] = _peak_held[index] = 0


def memory_stats(device: Any = None) -> dict[str, int]:
    """Bytes in use and held, now and at most, under PyTorch's names."""
    if not _devices.is_initialized():
        return {}
    used, held = memory_allocated(device), memory_reserved(device)
    most_used, most_held = max_memory_allocated(device), max_memory_reserved(device)
    return {
        "allocated_bytes.all.current": used,
        "allocated_bytes.all.peak": most_used,
        "reserved_bytes.all.current": held,
        "reserved_bytes.all.peak": most_held,
        "inactive_split_bytes.all.current": held - used,
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Bytes in use and held, as a table."""
    rows = [f"{name:<36} {value:>20,}" for name, value in memory_stats(device).items()]
    return "\n".join([f"CUDA memory of {_C.device('cuda', _devices.index_of(device))}", *rows])


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and all bytes of a GPU's memory, as the driver counts them."""
    runtime = _devices.runtime()
    with _devices.device(device):
        return runtime.memGetInfo()


def empty_cache() -> None:
    """Give unused memory of the pools back to the driver."""
    if _devices.is_initialized():
        release_lent()
        release_retired()
        for pool in _pools():
            pool.free_all_blocks()


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Bound the part of a GPU's memory that the pool may hold.

    Parameters
    ----------
    fraction : float
        From 0 to 1.
    device : device, str or int, optional
        The GPU; by default the current one.
    """
    if not isinstance(fraction, float):
        raise TypeError("Invalid type for fraction argument, must be `float`")
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
    _devices.init()
    import cupy

    with _devices.device(device):
        cupy.get_default_memory_pool().set_limit(fraction=fraction)


def get_per_process_memory_fraction(device: Any = None) -> float:
    """The part of a GPU's memory that the pool may hold."""
    _devices.init()
    import cupy

    with _devices.device(device):
        limit = cupy.get_default_memory_pool().get_limit()
    return limit / _devices.get_device_properties(device).total_memory if limit else 1.0


def ipc_collect() -> None:
    """Release memory shared with processes that are gone; none is shared here."""
    _devices.init()


class _Lent:
    """A block that another stream than its own reads or writes, kept until that stream is done with it."""

    def __init__(self, block: Any, stream: Any):
        self.block, self.stream = block, stream
        self.event: Any = None

    @property
    def holders(self) -> int:
        return sys.getrefcount(self.block)

    def is_free(self) -> bool:
        """Whether no tensor is on the block, and the stream has passed that moment."""
        if self.event is None and self.holders <= _ALONE:
            self.event = self.stream.record_event()
        return self.event is not None and self.event.query()


_lent: list[_Lent] = []
_ALONE = _Lent(object(), None).holders


def release_lent() -> None:
    """Give blocks back that `record_stream` kept."""
    _lent[:] = [lent for lent in _lent if not lent.is_free()]


def record_stream(tensor: Tensor, stream: "_streams.Stream") -> None:
    """Keep a tensor's memory from reuse until the work that a stream holds when the tensor dies is done.

    Parameters
    ----------
    tensor : Tensor
        A tensor on a GPU.
    stream : Stream
        A stream that uses the tensor and is not the one that it was made on.
    """
    if not tensor.is_cuda:
        raise NotImplementedError("Could not run 'aten::record_stream' with arguments from the 'CPU' backend.")
    import cupy

    release_lent()
    block = _C._memory(tensor)
    # Memory of other libraries is theirs to guard.
    if isinstance(block, cupy.cuda.MemoryPointer):
        _lent.append(_Lent(block, stream))
