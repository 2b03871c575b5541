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


def run_backwards() -> None:
    """Run blocks, and threads between barriers, from the last to the first: where that changes a result, they race."""
    native.device().emu_run_backwards()


def install() -> None:
    """Make `import cupy` find the emulation."""
    if installed():
        return
    if native.compiler() is None:
        raise RuntimeError("the emulation of CuPy needs a C++ compiler (g++)")
    import numpy as np

    from . import arrays, blas, devices, kernels, memory, pools, runtime, streams

    cupy = _module("cupy", emulated=True, __version__="14.2.0", __path__=[])
    arrays.fill_module(cupy)
    cupy.RawModule, cupy.RawKernel = kernels.RawModule, kernels.RawKernel
    cupy.get_default_memory_pool = pools.get_default_memory_pool
    _module("cupy.linalg", **arrays.functions_of(np.linalg, arrays.LINALG))
    _module("cupy.fft", **arrays.functions_of(np.fft, arrays.FFT))
    _module("cupy.cuda", __path__=[], is_available=lambda: True)
    _module("cupy.cuda.memory", **_public(memory), **_names(pools, "PooledMemory MemoryPool Memory alloc"))
    _module("cupy.cuda.stream", **_public(streams))
    _module("cupy.cuda.graph", Graph=streams.Graph)
    _module("cupy.cuda.function", CPointer=kernels.CPointer)
    _module("cupy.cuda.device", **_public(devices))
    _module("cupy.cuda.compiler", CompileException=native.CompileException)
    _module("cupy.cuda.pinned_memory", alloc_pinned_memory=pools.alloc_pinned_memory)
    vars(cupy.cuda).update(_names(memory, "MemoryPointer BaseMemory UnownedMemory"))
    vars(cupy.cuda).update(_names(pools, "alloc MemoryPool Memory alloc_pinned_memory"))
    vars(cupy.cuda).update(_names(pools, "set_allocator get_allocator using_allocator"))
    vars(cupy.cuda).update(_names(streams, "Stream ExternalStream Event Graph get_current_stream get_elapsed_time"))
    vars(cupy.cuda).update(_names(devices, "Device get_device_id get_cublas_handle"))
    for name in ("cupy_backends", "cupy_backends.cuda", "cupy_backends.cuda.libs", "cupy_backends.cuda.api"):
        _module(name, __path__=[])
    _module("cupy_backends.cuda.libs.cublas", **_public(blas))
    cupy.cuda.runtime = _module("cupy_backends.cuda.api.runtime", **_public(runtime))
    blas.load()


def _names(module, names: str) -> dict:
    return {name: getattr(module, name) for name in names.split()}


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
