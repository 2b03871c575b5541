"""``cupy.cuda.memory``: the memory of the emulated devices, which the host must not touch by itself."""

from __future__ import annotations

import bisect
import threading

from . import native

DEVICES = 2
SPACE = 4 << 30
# Writes behind the end of a block, found when it was freed; the tests' fixture looks here.
violations: list[str] = []


class OutOfMemoryError(MemoryError):
    """The device has no memory left."""

    def __init__(self, size, total, limit=0):
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited}).")


class Arena:
    """The memory of one device, cut into blocks of a few classes of sizes."""

    def __init__(self, index: int):
        self.index = index
        self.base = native.device().emu_arena(SPACE)
        self.top = self.base
        self.free: dict[int, list[int]] = {}
        self.starts: list[int] = []
        self.sizes: dict[int, int] = {}  # start -> bytes in use; -1: none

    def take(self, reserved: int) -> int | None:
        """Space for a block."""
        if self.free.get(reserved):
            return self.free[reserved].pop()
        if self.top + reserved > self.base + SPACE:
            return None
        start = self.top
        self.top += reserved
        self.starts.append(start)
        self.sizes[start] = -1
        return start

    def give_back(self, start: int, reserved: int) -> None:
        """Space for other blocks."""
        self.free.setdefault(reserved, []).append(start)

    def begin(self, start: int, size: int) -> None:
        """Use a block; it is filled with what looks wrong."""
        self.sizes[start] = size
        native.device().emu_poison(start, size)

    def end(self, start: int) -> None:
        """Use a block no more."""
        size, self.sizes[start] = self.sizes[start], -1
        if not native.device().emu_intact(start, size):
            violations.append(f"a kernel wrote behind the end of a block of {size} bytes")

    def room_at(self, address: int) -> int:
        """Bytes from an address to the end of its block; -1 where none is in use."""
        position = bisect.bisect_right(self.starts, address) - 1
        if position < 0:
            return -1
        start = self.starts[position]
        size = self.sizes[start]
        return start + size - address if size >= 0 and address <= start + size else -1


_arenas: dict[int, Arena] = {}
_current = threading.local()


def arena(index: int) -> Arena:
    """The memory of a device."""
    if index not in _arenas:
        _arenas[index] = Arena(index)
    return _arenas[index]


def current_device() -> int:
    """The device of this thread."""
    return getattr(_current, "device", 0)


def set_current_device(index: int) -> None:
    """Make a device this thread's."""
    _current.device = index


def device_of(address: int) -> int:
    """The device that an address belongs to; -1: the host."""
    for index, space in _arenas.items():
        if space.base <= address < space.base + SPACE:
            return index
    return -1


class BaseMemory:
    """Memory on a device."""

    ptr = size = 0
    device_id = 0

    def __int__(self):
        return self.ptr

    @property
    def device(self):
        from .devices import Device

        return Device(self.device_id)


class UnownedMemory(BaseMemory):
    """Memory that another object owns."""

    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = device_id if device_id >= 0 else max(device_of(ptr), 0)


class MemoryPointer:
    """A place within memory."""

    def __init__(self, mem, offset):
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id

    def __int__(self):
        return self.ptr

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    __radd__ = __add__

    def __sub__(self, offset):
        return self + -offset

    @property
    def device(self):
        """The memory's device."""
        return self.mem.device

    def memset_async(self, value, size, stream=None):
        """Fill bytes."""
        from .runtime import memsetAsync

        memsetAsync(self.ptr, value, size, _pointer(stream))

    def memset(self, value, size):
        """Fill bytes."""
        self.memset_async(value, size)

    def copy_from_device_async(self, src, size, stream=None):
        """Copy from a device."""
        from .runtime import memcpyAsync, memcpyDefault

        memcpyAsync(self.ptr, src.ptr, size, memcpyDefault, _pointer(stream))

    def copy_from_host_async(self, mem, size, stream=None):
        """Copy from the host."""
        from .runtime import memcpyAsync, memcpyHostToDevice

        memcpyAsync(self.ptr, _address(mem), size, memcpyHostToDevice, _pointer(stream))

    def copy_to_host_async(self, mem, size, stream=None):
        """Copy to the host."""
        from .runtime import memcpyAsync, memcpyDeviceToHost

        memcpyAsync(_address(mem), self.ptr, size, memcpyDeviceToHost, _pointer(stream))

    def copy_from_device(self, src, size):
        """Copy from a device and wait."""
        from .runtime import memcpy, memcpyDefault

        memcpy(self.ptr, src.ptr, size, memcpyDefault)

    def copy_from_host(self, mem, size):
        """Copy from the host and wait."""
        from .runtime import memcpy, memcpyHostToDevice

        memcpy(self.ptr, _address(mem), size, memcpyHostToDevice)

    def copy_to_host(self, mem, size):
        """Copy to the host and wait."""
        from .runtime import memcpy, memcpyDeviceToHost

        memcpy(_address(mem), self.ptr, size, memcpyDeviceToHost)


def _address(mem) -> int:
    return mem if isinstance(mem, int) else mem.value


def _pointer(stream) -> int:
    from .streams import get_current_stream

    return (get_current_stream() if stream is None else stream).ptr
