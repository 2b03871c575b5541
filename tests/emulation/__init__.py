"""CuPy as far as rtensor uses it, made of NumPy and a C++ compiler: the CUDA texts run on the CPU.

`install()` puts a module named `cupy` in place. Its device has memory that the host cannot touch but through calls,
its kernels are the backend's own texts, compiled by the host's compiler behind `shim.hpp`, and the threads of a block
are fibers that meet at barriers and exchange values within warps. What is undefined on a GPU is an error here as far as
it can be seen: wrong kinds of arguments, pointers of the host, writes behind a block, divergent barriers.
"""

from __future__ import annotations

import sys
import types

from . import native

NAMES = ("cupy", "cupy_backends")


def installed() -> bool:
    """Whether `cupy` is the emulation."""
    return getattr(sys.modules.get("cupy"), "emulated", False)


def violations() -> list[str]:
    """What kernels did wrong since the last question, as far as it can only be seen afterwards."""
    if not installed():
        return []
    from . import memory

    found, memory.violations = memory.violations, []
    return found


def install() -> None:
    """Make `import cupy` find the emulation."""
    if installed():
        return
    if native.compiler() is None:
        raise RuntimeError("the emulation of CuPy needs a C++ compiler (g++)")
    import numpy as np

    from . import arrays, blas, devices, kernels, memory, runtime, streams

    cupy = _module("cupy", emulated=True, __version__="14.2.0", __path__=[])
    arrays.fill_module(cupy)
    cupy.RawModule, cupy.RawKernel = kernels.RawModule, kernels.RawKernel
    cupy.get_default_memory_pool = lambda: _POOL
    _module("cupy.linalg", **arrays.functions_of(np.linalg, arrays.LINALG))
    _module("cupy.fft", **arrays.functions_of(np.fft, arrays.FFT))
    _module("cupy.cuda", __path__=[], is_available=lambda: True)
    _module("cupy.cuda.runtime", **_public(runtime))
    _module("cupy.cuda.memory", **_public(memory))
    _module("cupy.cuda.stream", **_public(streams))
    _module("cupy.cuda.graph", Graph=streams.Graph)
    _module("cupy.cuda.device", **_public(devices))
    _module("cupy.cuda.compiler", CompileException=native.CompileException)
    _module("cupy.cuda.cublas", **_public(blas))
    _module("cupy.cuda.pinned_memory", alloc_pinned_memory=memory.alloc_pinned_memory)
    names = "alloc MemoryPointer MemoryPool Memory BaseMemory UnownedMemory alloc_pinned_memory"
    vars(cupy.cuda).update({name: getattr(memory, name) for name in names.split()})
    names = "Stream ExternalStream Event Graph get_current_stream get_elapsed_time"
    vars(cupy.cuda).update({name: getattr(streams, name) for name in names.split()})
    names = "Device get_device_id get_cublas_handle"
    vars(cupy.cuda).update({name: getattr(devices, name) for name in names.split()})
    for name in ("cupy_backends", "cupy_backends.cuda", "cupy_backends.cuda.libs", "cupy_backends.cuda.api"):
        _module(name, __path__=[])
    _module("cupy_backends.cuda.libs.cublas", **_public(blas))
    _module("cupy_backends.cuda.api.runtime", **_public(runtime))
    blas.load()
    global _POOL
    _POOL = memory.MemoryPool()


_POOL = None


def _public(module) -> dict:
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}


def _module(name: str, **names) -> types.ModuleType:
    module = types.ModuleType(name, f"Emulated {name}.")
    vars(module).update(names)
    sys.modules[name] = module
    outer, _, inner = name.rpartition(".")
    if outer:
        setattr(sys.modules[outer], inner, module)
    return module
