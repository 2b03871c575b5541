"""GPUs: PyTorch's ``torch.cuda``, on CuPy. Without a driver and CuPy every question has the answer of a CPU build.

CuPy is imported when a GPU is first asked for, never by importing this module.
"""

import importlib

from rtensor.cuda._devices import (
    can_device_access_peer,
    current_device,
    device,
    device_count,
    device_of,
    get_device_capability,
    get_device_name,
    get_device_properties,
    init,
    is_available,
    is_bf16_supported,
    is_initialized,
    is_tf32_supported,
    set_device,
    synchronize,
)
from rtensor.cuda._devices import load as _load
from rtensor.cuda._graphs import CUDAGraph, graph, graph_pool_handle
from rtensor.cuda._memory import (
    OutOfMemoryError,
    empty_cache,
    get_per_process_memory_fraction,
    ipc_collect,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from rtensor.cuda._random import (
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)
from rtensor.cuda._streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    get_stream_from_external,
    is_current_stream_capturing,
    set_stream,
    stream,
)

__all__ = [
    "CUDAGraph",
    "Event",
    "ExternalStream",
    "OutOfMemoryError",
    "Stream",
    "StreamContext",
    "can_device_access_peer",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_per_process_memory_fraction",
    "get_rng_state",
    "get_rng_state_all",
    "get_stream_from_external",
    "graph",
    "graph_pool_handle",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "is_tf32_supported",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
]


def __getattr__(name: str):
    if name == "make_graphed_callables":
        from rtensor.cuda._graphed import make_graphed_callables

        return make_graphed_callables
    if name in ("amp", "nvtx"):
        return importlib.import_module(f"rtensor.cuda.{name}")
    if name == "default_generators":
        from rtensor.cuda._random import default_generators

        return default_generators()
    if name.endswith("Tensor"):
        from rtensor import _legacy_types

        kind = _legacy_types.named(f"cuda.{name}")
        if kind is not None:
            return kind
    raise AttributeError(f"module 'rtensor.cuda' has no attribute '{name}'")
