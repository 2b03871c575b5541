"""GPUs: PyTorch's ``torch.cuda``. Without an NVIDIA driver and CuPy every question has the answer of a CPU build."""

import contextlib

from rtensor import _C

_NO_DRIVER = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
    "http://www.nvidia.com/Download/index.aspx"
)


_NO_CUPY = "rtensor uses GPUs through CuPy, which cannot be imported here: install cupy-cuda12x or cupy-cuda13x"


def _load() -> None:
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


def is_available() -> bool:
    """Whether tensors can be on a GPU."""
    return device_count() > 0


def device_count() -> int:
    """The number of GPUs."""
    return 0


def is_initialized() -> bool:
    """Whether the GPU was used in this process."""
    return False


def init() -> None:
    """Make the GPU ready; otherwise its first use does."""
    if not is_available():
        raise RuntimeError(_NO_DRIVER)


def current_device() -> int:
    """The index of the current GPU."""
    init()
    return 0


def set_device(device) -> None:
    """Make a GPU the current one."""
    if _index(device) >= 0:
        init()


def get_device_name(device=None) -> str:
    """The name of a GPU."""
    return get_device_properties(device).name


def get_device_properties(device=None):
    """What the driver says of a GPU."""
    init()


def get_device_capability(device=None) -> tuple[int, int]:
    """The compute capability of a GPU."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


def synchronize(device=None) -> None:
    """Wait until the GPU has done all work given to it."""
    init()


def empty_cache() -> None:
    """Give unused cached memory back to the driver."""


def memory_allocated(device=None) -> int:
    """Bytes of GPU memory that tensors occupy."""
    return 0


def max_memory_allocated(device=None) -> int:
    """The most bytes of GPU memory that tensors occupied."""
    return 0


def memory_reserved(device=None) -> int:
    """Bytes of GPU memory held by the allocator."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed the generator of the current GPU; nothing without one."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs; nothing without one."""


def _index(device) -> int:
    if device is None:
        return -1
    if isinstance(device, int):
        return device
    index = _C.device(device).index
    return -1 if index is None else index


class device:
    """The current GPU within a ``with`` block.

    Parameters
    ----------
    device : device, str or int
        The GPU; None and negative indices change nothing.
    """

    def __init__(self, device):
        self.idx = _index(device)

    def __enter__(self):
        if self.idx >= 0:
            set_device(self.idx)

    def __exit__(self, *exc):
        return False


class Stream:
    """A queue of work on a GPU."""

    def __init__(self, device=None, priority=0):
        init()


class Event:
    """A mark in a queue of work, for timing and for waiting.

    Parameters
    ----------
    enable_timing : bool, default False
        Whether ``elapsed_time`` is wanted.
    """

    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        self.enable_timing = enable_timing

    def record(self, stream=None) -> None:
        """Mark the end of what a queue holds now."""
        init()

    def synchronize(self) -> None:
        """Wait for the mark."""
        init()

    def query(self) -> bool:
        """Whether the mark has been passed."""
        return True

    def elapsed_time(self, end_event) -> float:
        """Milliseconds from this mark to another one."""
        raise RuntimeError(_NO_DRIVER)


def current_stream(device=None) -> Stream:
    """The queue that work goes to."""
    return Stream(device)


@contextlib.contextmanager
def stream(stream):
    """Send the work of a ``with`` block to another queue."""
    yield


class CUDAGraph:
    """A recorded sequence of GPU work that can be run again."""

    def __init__(self, keep_graph=False):
        init()


@contextlib.contextmanager
def graph(cuda_graph, pool=None, stream=None):
    """Record the work of a ``with`` block into a graph."""
    init()
    yield


def __getattr__(name: str):
    if name == "amp":
        import importlib

        return importlib.import_module("rtensor.cuda.amp")
    raise AttributeError(f"module 'rtensor.cuda' has no attribute '{name}'")
