"""``cupy.cuda.runtime``: the part of CUDA's runtime that needs no array."""

from __future__ import annotations

import ctypes

from . import native
from .memory import DEVICES, SPACE, arena, current_device, device_of, set_current_device
from .streams import forbid_capture, get_current_stream, submit

is_hip = False
memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice, memcpyDefault = range(5)
streamDefault, streamNonBlocking = 0, 1
streamLegacy, streamPerThread = 1, 2
eventDefault, eventBlockingSync, eventDisableTiming, eventInterprocess = 0, 1, 2, 4
streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = range(3)
memoryTypeHost, memoryTypeDevice, memoryTypeManaged = 1, 2, 3
cudaDevAttrMaxThreadsPerBlock, cudaDevAttrMultiProcessorCount = 1, 16
cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
_ERRORS = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    9: ("cudaErrorInvalidConfiguration", "invalid configuration argument"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    400: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    900: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
    907: ("cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"),
}
_ATTRIBUTES = {
    cudaDevAttrMaxThreadsPerBlock: 1024,
    cudaDevAttrMultiProcessorCount: 4,
    cudaDevAttrMaxSharedMemoryPerBlockOptin: 227 << 10,
}


class CUDARuntimeError(RuntimeError):
    """An error of the runtime."""

    def __init__(self, status):
        self.status = status
        super().__init__("{}: {}".format(*_ERRORS.get(status, (f"cudaError{status}", "emulated error"))))


def _checked(index: int) -> int:
    if not 0 <= index < DEVICES:
        raise CUDARuntimeError(101)
    return index


def getDeviceCount():
    return DEVICES


def getDevice():
    return current_device()


def setDevice(device):
    set_current_device(_checked(device))


def deviceSynchronize():
    forbid_capture()


def streamSynchronize(stream):
    forbid_capture(stream)


def streamIsCapturing(stream):
    from .streams import capturing

    return capturing(stream)


def driverGetVersion():
    return 13000


def runtimeGetVersion():
    return 12090


def deviceGetAttribute(attrib, device):
    _checked(device)
    if attrib not in _ATTRIBUTES:
        raise CUDARuntimeError(1)
    return _ATTRIBUTES[attrib]


def getDeviceProperties(device):
    _checked(device)
    return {
        "name": b"Emulated GPU",
        "totalGlobalMem": SPACE,
        "sharedMemPerBlock": 48 << 10,
        "sharedMemPerBlockOptin": 227 << 10,
        "sharedMemPerMultiprocessor": 228 << 10,
        "regsPerBlock": 65536,
        "regsPerMultiprocessor": 65536,
        "warpSize": 32,
        "maxThreadsPerBlock": 1024,
        "maxThreadsDim": (1024, 1024, 64),
        "maxGridSize": (2147483647, 65535, 65535),
        "maxThreadsPerMultiProcessor": 2048,
        "clockRate": 1980000,
        "memoryClockRate": 2619000,
        "memoryBusWidth": 5120,
        "totalConstMem": 65536,
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 4,
        "l2CacheSize": 50 << 20,
        "integrated": 0,
        "isMultiGpuBoard": 0,
        "pciBusID": device,
        "pciDeviceID": 0,
        "pciDomainID": 0,
        "uuid": bytes(16),
    }


def memGetInfo():
    space = arena(current_device())
    return space.base + SPACE - space.top + sum(size * len(starts) for size, starts in space.free.items()), SPACE


def _check_range(address: int, size: int, on_device: bool | None) -> None:
    index = device_of(address)
    if on_device is not None and (index >= 0) != on_device:
        raise CUDARuntimeError(1)
    if index >= 0 and arena(index).room_at(address) < size:
        raise CUDARuntimeError(1)


_SIDES = {0: (False, False), 1: (True, False), 2: (False, True), 3: (True, True), 4: (None, None)}


def memcpyAsync(dst, src, size, kind, stream):
    target, source = _SIDES[kind]
    _check_range(dst, size, target)
    _check_range(src, size, source)
    submit(lambda: native.device().emu_copy(dst, src, size), stream)


def memcpy(dst, src, size, kind):
    forbid_capture(get_current_stream().ptr)
    memcpyAsync(dst, src, size, kind, 0)


def memcpyPeerAsync(dst, dstDevice, src, srcDevice, size, stream):
    memcpyAsync(dst, src, size, memcpyDeviceToDevice, stream)


def memcpy2DAsync(dst, dpitch, src, spitch, width, height, kind, stream):
    for row in range(height):
        memcpyAsync(dst + row * dpitch, src + row * spitch, width, kind, stream)


def memsetAsync(ptr, value, size, stream):
    _check_range(ptr, size, True)
    submit(lambda: native.device().emu_set(ptr, value, size), stream)


def memset(ptr, value, size):
    memsetAsync(ptr, value, size, 0)


class PointerAttributes:
    """What is known of an address."""

    def __init__(self, device, devicePointer, hostPointer, type):
        self.device, self.devicePointer, self.hostPointer, self.type = device, devicePointer, hostPointer, type


def pointerGetAttributes(ptr):
    index = device_of(ptr)
    return PointerAttributes(index, ptr if index >= 0 else 0, 0 if index >= 0 else ptr, 2 if index >= 0 else 0)


def deviceCanAccessPeer(device, peerDevice):
    return 1


def eventElapsedTime(start, end):
    raise NotImplementedError("use cupy.cuda.get_elapsed_time")


_host_blocks: dict[int, ctypes.Array] = {}


def hostAlloc(size, flags):
    block = (ctypes.c_ubyte * max(size, 1))()
    _host_blocks[ctypes.addressof(block)] = block
    return ctypes.addressof(block)


def freeHost(ptr):
    del _host_blocks[ptr]
