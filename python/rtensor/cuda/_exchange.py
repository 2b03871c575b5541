"""Memory shared with others: ``__cuda_array_interface__``, the streams of DLPack, and page-locked host memory."""

from collections import deque
from typing import Any

import numpy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda import _devices, _streams

# Streams as both protocols number them; 0 is forbidden, since it could mean either of them.
_LEGACY, _PER_THREAD = 1, 2


def interface(tensor: Tensor) -> dict[str, Any]:
    """A tensor's ``__cuda_array_interface__``, of version 3.

    Raises
    ------
    AttributeError
        For tensors that are not on a GPU, so that ``hasattr`` tells.
    """
    if not tensor.is_cuda:
        raise AttributeError(
            f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {tensor.type()} "
            "If CUDA data is required use tensor.cuda() to copy tensor to device memory."
        )
    if tensor.requires_grad:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on Variable that requires grad. "
            "If gradients aren't required, use var.detach() to get Variable that doesn't require grad."
        )
    if tensor.dtype == _C.bfloat16:
        raise TypeError("__cuda_array_interface__ has no name for torch.bfloat16; DLPack has")
    if tensor.is_conj() or tensor.is_neg():
        raise RuntimeError("Can't get __cuda_array_interface__ on tensors with the conjugate or negative bit set")
    itemsize = tensor.element_size()
    return {
        "shape": tuple(tensor.shape),
        "typestr": numpy.dtype(str(tensor.dtype).removeprefix("torch.")).str,
        "data": (tensor.data_ptr() if tensor.numel() else 0, False),
        "strides": None if tensor.is_contiguous() else tuple(step * itemsize for step in tensor.stride()),
        "stream": current_stream_number(tensor.device),
        "version": 3,
    }


def current_stream_number(device: Any = None) -> int:
    """The current stream as the protocols number it."""
    return _streams.current_stream(device).cuda_stream or _LEGACY


def _numbered(stream: int, device: Any) -> "_streams.Stream":
    return _streams.default_stream(device) if stream == _LEGACY else _streams.ExternalStream(stream, device)


def from_interface(owner: Any) -> Tensor:
    """A tensor on the memory of an object with ``__cuda_array_interface__``.

    Work of the current stream waits for what the object's stream holds.
    """
    described = owner.__cuda_array_interface__
    if described.get("mask") is not None:
        raise ValueError("arrays with a mask are not supported")
    kind = numpy.dtype(described["typestr"])
    shape = list(described["shape"])
    steps = described.get("strides") or _dense_steps(shape, kind.itemsize)
    if any(step < 0 for step in steps):
        raise ValueError("arrays with negative strides are not supported: copy them first")
    if any(step % kind.itemsize for step in steps):
        raise ValueError("given array strides not a multiple of the element byte size. Copy the array to reallocate.")
    address = described["data"][0]
    index = _devices.runtime().pointerGetAttributes(address).device if address else _devices.current_device()
    device = _C.device("cuda", index)
    stream = described.get("stream")
    if stream is not None:
        _streams.current_stream(device).wait_stream(_numbered(stream, device))
    strides = [step // kind.itemsize for step in steps]
    return _C._from_memory(owner, address, shape, strides, getattr(_C, kind.name), device)


def _dense_steps(shape: list[int], itemsize: int) -> list[int]:
    steps = []
    for size in reversed(shape):
        steps.append(itemsize)
        itemsize *= max(size, 1)
    return steps[::-1]


def lend(tensor: Tensor, stream: int | None) -> None:
    """Let a DLPack consumer's stream wait for the work of the current one.

    Parameters
    ----------
    tensor : Tensor
        What is lent.
    stream : int or None
        The stream as DLPack numbers it: None and 1 for the legacy default one, -1 for no waiting.
    """
    if stream == -1:
        return
    if stream == _PER_THREAD:
        raise BufferError("per-thread default stream is not supported.")
    if stream == 0:
        raise AssertionError("unsupported stream on CUDA: 0.")
    consumer = _numbered(stream or _LEGACY, tensor.device)
    current = _streams.current_stream(tensor.device)
    if consumer != current:
        consumer.wait_stream(current)


class _PinnedBytes(numpy.ndarray):
    """Page-locked bytes; a tensor on them keeps this object."""


def pinned(tensor: Tensor) -> Tensor:
    """A copy of a CPU tensor in page-locked memory, or the tensor itself where it is there already."""
    if tensor.device.type != "cpu":
        raise RuntimeError(f"cannot pin '{tensor.type()}' only dense CPU tensors can be pinned")
    nbytes = tensor.numel() * tensor.element_size()
    if nbytes == 0 or is_pinned(tensor):
        return tensor
    _devices.init()
    import cupy

    memory = cupy.cuda.alloc_pinned_memory(nbytes)
    locked = _C.from_numpy(numpy.frombuffer(memory, numpy.uint8, nbytes).view(_PinnedBytes))
    result = locked.view(tensor.dtype).view(tensor.shape)
    return result.copy_(tensor.detach())


def is_pinned(tensor: Tensor) -> bool:
    """Whether a tensor is on memory that `pinned` made."""
    return tensor.device.type == "cpu" and isinstance(_C._memory(tensor), _PinnedBytes)


# Marks behind copies, and the page-locked memory that those read or write.
_in_flight: deque[tuple[Any, Tensor]] = deque()


def keep_until_done(host: Tensor, stream: Any) -> None:
    """Keep page-locked memory until a copy on one of CuPy's streams is done."""
    import cupy

    while _in_flight and _in_flight[0][0].done:
        _in_flight.popleft()
    # What a graph copies from at each replay, its owner keeps.
    if not stream.is_capturing():
        mark = cupy.cuda.Event(disable_timing=True)
        mark.record(stream)
        _in_flight.append((mark, host))
