"""DLPack capsules of arrays on the emulated device."""

from __future__ import annotations

import ctypes

import numpy as np

from . import native
from .memory import MemoryPointer, UnownedMemory

CUDA = 2
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_KINDS = {code: kind for kind, code in _CODES.items()}


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    pass


_DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]

_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]
_NEW, _USED = b"dltensor", b"used_dltensor"
# What capsules point at, until their consumers are done.
_exported: dict[int, tuple] = {}


def _forget_released():
    while address := native.device().emu_next_released():
        del _exported[address]


def capsule(array):
    """The capsule of an array."""
    _forget_released()
    count = max(array.ndim, 1)
    shape = (ctypes.c_int64 * count)(*array.shape)
    strides = (ctypes.c_int64 * count)(*[step // array.itemsize for step in array.strides])
    code = 4 if array.dtype.name == "bfloat16" else _CODES[array.dtype.kind]
    bits = array.itemsize * 8
    place = array.data.ptr, CUDA, array.data.device_id, array.ndim, code, bits, 1
    deleter = ctypes.cast(native.device().emu_release, _DELETER)
    managed = _Managed(_Tensor(*place, shape, strides, 0), None, deleter)
    _exported[ctypes.addressof(managed)] = (managed, shape, strides, array)
    return _new(ctypes.addressof(managed), _NEW, None)


class _Owner:
    """Calls a capsule's deleter when it dies."""

    def __init__(self, managed):
        self.managed = managed

    def __del__(self):
        if self.managed.deleter:
            self.managed.deleter(ctypes.byref(self.managed))


def imported(source):
    """An array on what `source.__dlpack__` exports."""
    from .arrays import ndarray
    from .streams import get_current_stream

    kind, device_id = source.__dlpack_device__()
    if kind != CUDA:
        raise ValueError("only arrays on a CUDA device can be taken over")
    packed = source.__dlpack__(stream=get_current_stream().ptr or 1)
    managed = _Managed.from_address(_pointer(packed, _NEW))
    _rename(packed, _USED)
    tensor = managed.tensor
    if tensor.code == 4:
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(f"{_KINDS[tensor.code]}{tensor.bits // 8}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(n * dtype.itemsize for n in tensor.strides[: tensor.ndim]) if tensor.strides else None
    memory = UnownedMemory((tensor.data or 0) + tensor.byte_offset, 0, _Owner(managed), device_id)
    return ndarray(shape, dtype, MemoryPointer(memory, 0), strides)
