"""CuPy's pools of memory, of devices and of the host."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections import defaultdict

from .memory import SPACE, BaseMemory, MemoryPointer, OutOfMemoryError, arena, current_device
from .streams import capturing

UNIT = 512
GUARD = 64
_local = threading.local()


def _rounded(size: int) -> int:
    return -(-size // UNIT) * UNIT


def _reserved(size: int) -> int:
    """The class of sizes that a block belongs to, with room to be watched behind it."""
    reserved = _rounded(size + GUARD)
    step = max(UNIT, 1 << max(reserved.bit_length() - 3, 0))
    return -(-reserved // step) * step


class _DevicePool:
    """A pool's blocks on one device."""

    def __init__(self):
        self.free: dict[int, list[int]] = {}
        self.used = self.cached = self.limit = 0


class MemoryPool:
    """Blocks that are kept when they are freed; questions are about the current device."""

    def __init__(self, allocator=None):
        self._pools = defaultdict(_DevicePool)

    def _current(self):
        return self._pools[current_device()]

    def malloc(self, size):
        """Memory on the current device."""
        return MemoryPointer(PooledMemory(self, size), 0)

    def used_bytes(self):
        """Bytes in use."""
        return self._current().used

    def free_bytes(self):
        """Bytes kept for later."""
        return self._current().cached

    def total_bytes(self):
        """Bytes held."""
        return self.used_bytes() + self.free_bytes()

    def n_free_blocks(self):
        """How many blocks are kept for later."""
        return sum(map(len, self._current().free.values()))

    def free_all_blocks(self, stream=None):
        """Give what is not in use back to the device."""
        pool = self._current()
        for reserved, starts in pool.free.items():
            for start in starts:
                arena(current_device()).give_back(start, reserved)
        pool.free, pool.cached = {}, 0

    def set_limit(self, size=None, fraction=None):
        """Bound what the pool may hold."""
        self._current().limit = size if size is not None else int((fraction or 0) * SPACE)

    def get_limit(self):
        """The bound on what the pool may hold."""
        return self._current().limit


class PooledMemory(BaseMemory):
    """A block of a pool, given back when the object dies."""

    def __init__(self, pool: MemoryPool, size: int):
        self.size, self.device_id = size, current_device()
        self._space, self._pool = arena(self.device_id), pool._current()
        self.ptr = self._take() if size else 0

    def _take(self) -> int:
        pool, reserved = self._pool, _reserved(self.size)
        if pool.free.get(reserved):
            start = pool.free[reserved].pop()
            pool.cached -= _rounded(reserved - GUARD)
        else:
            total = pool.used + pool.cached
            start = None if pool.limit and total + self.size > pool.limit else self._space.take(reserved)
            if start is None:
                raise OutOfMemoryError(self.size, total, pool.limit)
        pool.used += _rounded(self.size)
        # A graph uses the same memory for blocks of several sizes at each replay: such are watched behind the largest.
        self._space.begin(start, reserved - GUARD if capturing() else self.size)
        return start

    def free(self):
        """Give the block back to the pool."""
        if self.ptr:
            reserved = _reserved(self.size)
            self._space.end(self.ptr)
            self._pool.free.setdefault(reserved, []).append(self.ptr)
            self._pool.used -= _rounded(self.size)
            self._pool.cached += _rounded(reserved - GUARD)
            self.ptr = 0

    def __del__(self, is_finalizing=sys.is_finalizing):
        if hasattr(self, "ptr") and not is_finalizing():
            self.free()


_default = MemoryPool()


def get_default_memory_pool() -> MemoryPool:
    """The pool that `alloc` takes from unless told otherwise."""
    return _default


def get_allocator():
    """What `alloc` calls."""
    return getattr(_local, "allocator", None) or getattr(_default, "allocator", None) or _default.malloc


def set_allocator(allocator=None):
    """Let `alloc` call something else."""
    _default.allocator = allocator


@contextlib.contextmanager
def using_allocator(allocator=None):
    """Let `alloc` call something else inside of a `with` block of this thread."""
    before = getattr(_local, "allocator", None)
    _local.allocator = allocator or MemoryPool().malloc
    try:
        yield
    finally:
        _local.allocator = before


def alloc(size) -> MemoryPointer:
    """Memory on the current device."""
    return get_allocator()(size)


def Memory(size):
    """Memory of no pool."""
    return PooledMemory(MemoryPool(), size)


def alloc_pinned_memory(size):
    """Memory of the host that a device can copy from by itself."""
    kind = type("PinnedMemoryPointer", (ctypes.c_ubyte * size,), {"ptr": property(ctypes.addressof)})
    memory = kind()
    memory.mem = memory
    return memory
