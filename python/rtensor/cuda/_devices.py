"""Which GPUs there are, and which one is current. CuPy is imported at the first question."""

import functools
from types import SimpleNamespace
from typing import Any

from rtensor import _C

_NO_DRIVER = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
    "http://www.nvidia.com/Download/index.aspx"
)
_NO_CUPY = "rtensor uses GPUs through CuPy, which cannot be imported here: install cupy-cuda12x or cupy-cuda13x"
_state: dict[str, Any] = {"initialized": False, "count": 0}


def load() -> None:
    """Register the backend; the core asks for it at the first use of a GPU.

    Raises
    ------
    RuntimeError
        Without a GPU, its driver or CuPy.
    """
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(f"{_NO_DRIVER}. {_NO_CUPY}") from error
    try:
        found = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise RuntimeError(f"{_NO_DRIVER}. CuPy says: {error}") from error
    if found == 0:
        raise RuntimeError("No CUDA GPUs are available")
    from rtensor.backend import register
    from rtensor.cuda._backend import CudaBackend

    register("cuda", CudaBackend())
    _state["initialized"] = True


def init() -> None:
    """Make the GPU ready; otherwise its first use does."""
    if not _state["initialized"]:
        load()


def runtime() -> Any:
    """CuPy's runtime functions, once the GPU is ready."""
    init()
    import cupy

    return cupy.cuda.runtime


def is_initialized() -> bool:
    """Whether the GPU was used in this process."""
    return _state["initialized"]


def device_count() -> int:
    """The number of GPUs."""
    if _state["count"] == 0:
        try:
            import cupy

            _state["count"] = cupy.cuda.runtime.getDeviceCount()
        except Exception:
            # Neither CuPy nor a driver need be there.
            return 0
    return _state["count"]


def is_available() -> bool:
    """Whether tensors can be on a GPU."""
    return device_count() > 0


def current_device() -> int:
    """The index of the current GPU."""
    init()
    return _C._current_index("cuda")


def index_of(device: Any) -> int:
    """The index of a GPU given as an index, a device or its name; None is the current one.

    Raises
    ------
    ValueError
        For a device that is no GPU.
    """
    if isinstance(device, int) and not isinstance(device, bool):
        return device
    if device is not None:
        device = _C.device(device)
        if device.type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {device}")
        if device.index is not None:
            return device.index
    return current_device()


def set_device(device: Any) -> None:
    """Make a GPU the current one of this thread.

    Parameters
    ----------
    device : device, str or int
        The GPU; negative indices change nothing.
    """
    index = index_of(device)
    if index >= 0:
        runtime().setDevice(index)
        _C._set_current_index("cuda", index)


class device:
    """The current GPU within a ``with`` block.

    Parameters
    ----------
    device : device, str or int
        The GPU; None and negative indices change nothing.
    """

    def __init__(self, device: Any):
        self.idx = -1 if device is None else index_of(device)
        self.prev_idx = -1

    def __enter__(self) -> None:
        if self.idx >= 0:
            self.prev_idx = current_device()
            set_device(self.idx)

    def __exit__(self, *exc: object) -> None:
        set_device(self.prev_idx)


class device_of(device):
    """The GPU of a tensor as the current one within a ``with`` block; nothing for tensors elsewhere."""

    def __init__(self, obj: Any):
        super().__init__(obj.get_device() if obj.is_cuda else -1)


def get_device_name(device: Any = None) -> str:
    """The name of a GPU."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


class _Properties(SimpleNamespace):
    """What the driver says of a GPU."""

    def __repr__(self) -> str:
        return (
            f"_CudaDeviceProperties(name='{self.name}', major={self.major}, minor={self.minor}, "
            f"total_memory={self.total_memory >> 20}MB, multi_processor_count={self.multi_processor_count}, "
            f"L2_cache_size={self.L2_cache_size >> 20}MB)"
        )


# PyTorch's names of what CuPy gives under the driver's names.
_PROPERTIES = {
    "major": "major",
    "minor": "minor",
    "total_memory": "totalGlobalMem",
    "multi_processor_count": "multiProcessorCount",
    "max_threads_per_multi_processor": "maxThreadsPerMultiProcessor",
    "max_threads_per_block": "maxThreadsPerBlock",
    "warp_size": "warpSize",
    "regs_per_multiprocessor": "regsPerMultiprocessor",
    "shared_memory_per_block": "sharedMemPerBlock",
    "shared_memory_per_block_optin": "sharedMemPerBlockOptin",
    "shared_memory_per_multiprocessor": "sharedMemPerMultiprocessor",
    "L2_cache_size": "l2CacheSize",
    "clock_rate": "clockRate",
    "memory_clock_rate": "memoryClockRate",
    "memory_bus_width": "memoryBusWidth",
    "is_integrated": "integrated",
    "is_multi_gpu_board": "isMultiGpuBoard",
    "pci_bus_id": "pciBusID",
    "pci_device_id": "pciDeviceID",
    "pci_domain_id": "pciDomainID",
}


@functools.cache
def _properties(index: int) -> _Properties:
    if not 0 <= index < device_count():
        raise AssertionError("Invalid device id")
    found = runtime().getDeviceProperties(index)
    values = {name: found.get(key) for name, key in _PROPERTIES.items()}
    return _Properties(name=found["name"].decode(), gcnArchName=found["name"].decode(), **values)


def get_device_properties(device: Any = None) -> _Properties:
    """What the driver says of a GPU.

    Parameters
    ----------
    device : device, str or int, optional
        The GPU; by default the current one.
    """
    init()
    return _properties(index_of(device))


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether a GPU can read another one's memory."""
    device, peer_device = index_of(device), index_of(peer_device)
    for index in (device, peer_device):
        if not 0 <= index < device_count():
            raise AssertionError("Invalid peer device id" if index == peer_device else "Invalid device id")
    return bool(runtime().deviceCanAccessPeer(device, peer_device))


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current GPU computes with bfloat16."""
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


def is_tf32_supported() -> bool:
    """Whether products of float32 can go through TF32."""
    return is_available() and get_device_capability()[0] >= 8


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done all work given to it.

    Parameters
    ----------
    device : device, str or int, optional
        The GPU; by default the current one.
    """
    init()
    _C._synchronize(_C.device("cuda", index_of(device)))
