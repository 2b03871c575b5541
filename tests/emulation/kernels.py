"""``cupy.RawModule``: CUDA texts, and their kernels with CuPy's conversion of arguments."""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from . import native, nvrtc
from .memory import MemoryPointer, arena, current_device, device_of
from .runtime import CUDARuntimeError
from .streams import submit

STATIC_SHARED = 48 << 10


class RawModule:
    """The kernels of a text.

    Parameters
    ----------
    code : str
        CUDA C++.
    options : tuple of str
        Options of the compiler; definitions are taken.
    """

    def __init__(
        self, *, code=None, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
        enable_cooperative_groups=False, name_expressions=None, jitify=None,
    ):  # fmt: skip
        if not isinstance(code, str) or not isinstance(options, tuple):
            raise TypeError("RawModule takes code as str and options as tuple")
        self.code, self.options = code, options
        self._kernels = native.kernel_names(code)

    def get_function(self, name):
        """A kernel; compiles the text."""
        if name not in self._kernels:
            raise AttributeError(f"the text defines no kernel {name}, only {', '.join(self._kernels)}")
        for architecture in nvrtc.architectures:
            nvrtc.check(self.code, self.options, architecture)
        defines = tuple(option for option in self.options if option.startswith(("-D", "-U", "--define-macro")))
        return RawKernel(native.loaded(self.code, defines, self._kernels), name)

    def compile(self, log_stream=None):
        """Compile the text."""
        self.get_function(self._kernels[0])


class RawKernel:
    """A kernel, called with sizes of grid and block and its arguments."""

    def __init__(self, library, name):
        self.name = name
        self.max_dynamic_shared_size_bytes = STATIC_SHARED
        self._library = library
        self._entry = ctypes.cast(getattr(library, f"emu_launch_{name}"), ctypes.c_void_p)
        kinds, sizes = ctypes.create_string_buffer(256), (ctypes.c_int * 256)()
        count = getattr(library, f"emu_parameters_{name}")(kinds, sizes)
        self._kinds, self._sizes = kinds.value.decode(), list(sizes[:count])

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        grid, block = (tuple(max(1, n) for n in (*sizes, 1, 1)[:3]) for sizes in (grid, block))
        threads = block[0] * block[1] * block[2]
        if threads > 1024 or block[2] > 64 or grid[0] > 2**31 - 1 or max(grid[1:]) > 65535:
            raise CUDARuntimeError(9)
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise CUDARuntimeError(1)
        values = self._values(args)
        pointers = (ctypes.c_void_p * max(len(values), 1))(*[value.ctypes.data for value in values])
        sizes = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)

        submit(functools.partial(self._run, values, pointers, sizes, shared_mem), stream)

    def _run(self, values, pointers, sizes, shared_mem):
        """Run all blocks; `values` are what `pointers` point at."""
        error = native.device().emu_launch(self._entry, pointers, *sizes, shared_mem)
        if error:
            raise RuntimeError(f"kernel {self.name}: {error.decode()}")

    def _values(self, args) -> list[np.ndarray]:
        if len(args) != len(self._kinds):
            raise TypeError(f"kernel {self.name} takes {len(self._kinds)} arguments, not {len(args)}")
        values = []
        for position, (arg, kind, size) in enumerate(zip(args, self._kinds, self._sizes, strict=True)):
            value, kinds = _value(arg, size)
            if kind not in kinds or value.nbytes != size:
                raise TypeError(
                    f"kernel {self.name}: argument {position} is {arg!r} ({value.nbytes} bytes), the parameter is of "
                    f"kind '{kind}' ({size} bytes)"
                )
            if kind == "p":
                self._check_pointer(position, int(value[()]))
            values.append(value)
        return values

    def _check_pointer(self, position: int, address: int) -> None:
        index = device_of(address)
        if address == 0 or (index == current_device() and arena(index).room_at(address) >= 0):
            return
        place = "the host" if index < 0 else f"device {index}" if index != current_device() else "freed memory"
        raise RuntimeError(
            f"kernel {self.name}: argument {position} points to {place}; the current device is {current_device()}"
        )


class CPointer:
    """Where the bytes of an argument lie, as `cupy.cuda.function` has it."""

    def __init__(self, ptr=0):
        self.ptr = ptr


def _value(arg, size: int) -> tuple[np.ndarray, str]:
    """The bytes that CuPy hands over for an argument, and the kinds of parameters that they fit."""
    if isinstance(arg, CPointer):
        return np.frombuffer(ctypes.string_at(arg.ptr, size), f"V{size}").reshape(()), "s"
    if arg is None:
        return np.array(0, np.int64), "p"
    if isinstance(arg, MemoryPointer):
        return np.array(arg.ptr, np.int64), "p"
    if hasattr(arg, "__cuda_array_interface__"):
        return np.array(arg.data.ptr, np.int64), "p"
    if isinstance(arg, np.ndarray):
        if arg.size != 1:
            raise TypeError(f"a numpy.ndarray of shape {arg.shape} as a kernel parameter")
        return np.array(arg, copy=True).reshape(()), "sifp"
    if isinstance(arg, np.generic):
        return np.array(arg), {"f": "f", "c": "s", "V": "s"}.get(arg.dtype.kind, "ip")
    if type(arg) is bool:
        return np.array(arg), "i"
    if type(arg) is int:
        return np.array(arg, np.uint64 if arg >= 1 << 63 else np.int64), "ip"
    if type(arg) is float:
        return np.array(arg), "f"
    if type(arg) is complex:
        return np.array(arg), "s"
    raise TypeError(f"Unsupported type {type(arg)}")
