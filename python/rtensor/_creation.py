"""Tensors from foreign objects, where Python decides what is shared."""

import numpy as np

from rtensor import _C
from rtensor._C import Tensor

_DLPACK_CUDA = 2


def to_dlpack(tensor: Tensor):
    """A DLPack capsule that lends the tensor's memory."""
    return tensor._to_dlpack()


def from_dlpack(ext_tensor, *, device=None, copy=None) -> Tensor:
    """A tensor on the memory of an object with ``__dlpack__``, or of a DLPack capsule.

    Parameters
    ----------
    ext_tensor : object
        What lends its memory.
    device : device or str, optional
        Where the tensor is to be; another device than the object's means a copy.
    copy : bool, optional
        True copies always, False raises where a copy is needed.
    """
    result = _borrowed(ext_tensor)
    if device is not None and result.device.type != _C.device(device).type:
        if copy is False:
            raise ValueError(f"cannot move DLPack tensor from device {result.device} to {device} without copying.")
        return result.to(device)
    return result.clone() if copy else result


def _borrowed(lender) -> Tensor:
    """A tensor on what an object lends, whose work the current stream waits for."""
    ask = getattr(lender, "__dlpack_device__", None)
    if ask is None or ask()[0] != _DLPACK_CUDA:
        return _C._from_dlpack(lender)
    from rtensor.cuda import device
    from rtensor.cuda._exchange import current_stream_number

    index = ask()[1]
    with device(index):
        return _C._from_dlpack(lender.__dlpack__(stream=current_stream_number(index)))


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """The object as a tensor, sharing its memory where possible.

    Parameters
    ----------
    obj : object
        A tensor, an array, an object with DLPack or the buffer protocol, a number or nested sequences.
    dtype : dtype, optional
        The dtype; otherwise the object's.
    device : device or str, optional
        Where the tensor is to be.
    copy : bool, optional
        True copies always, False raises where memory cannot be shared.
    requires_grad : bool, default False
        Whether to record what is done with a result that had to be made.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.asarray([1, 2], dtype=torch.float32)
    tensor([1., 2.])
    """
    shared = _shared(obj, dtype)
    if shared is None:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return _C.tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    result = _converted(shared, dtype, device, copy)
    if isinstance(obj, Tensor):
        return (
            result.detach().requires_grad_()
            if requires_grad and not result.requires_grad
            else _leaf(result, requires_grad)
        )
    return result.requires_grad_() if requires_grad else result


def _leaf(result: Tensor, requires_grad: bool) -> Tensor:
    return result if requires_grad or not result.requires_grad else result.detach()


def _shared(obj, dtype) -> Tensor | None:
    """A tensor on the object's memory, or None where it has none to share."""
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, (np.ndarray, np.generic)):
        return _C.from_numpy(np.asarray(obj))
    if hasattr(obj, "__cuda_array_interface__"):
        from rtensor.cuda._exchange import from_interface

        return from_interface(obj)
    if hasattr(obj, "__dlpack__"):
        return _borrowed(obj)
    try:
        memoryview(obj).release()
    except TypeError:
        return None
    return _C.frombuffer(obj, dtype=dtype or _C.uint8)


def _converted(shared: Tensor, dtype, device, copy) -> Tensor:
    dtype = dtype or shared.dtype
    device = shared.device if device is None else _C.device(device)
    if copy is False:
        if dtype != shared.dtype:
            names = [d.__repr__().removeprefix("torch.") for d in (shared.dtype, dtype)]
            raise ValueError(f"can't alias tensor with dtype '{names[0]}' into dtype '{names[1]}'.")
        if device.type != shared.device.type:
            raise ValueError(f"can't alias tensor from device '{shared.device}' to '{device}'.")
    return shared.to(device=device, dtype=dtype, copy=bool(copy))


def set_default_tensor_type(t) -> None:
    """Set the default dtype and device through an old-style tensor type, or its name."""
    from rtensor import _legacy_types

    kind = _legacy_types.named(t) if isinstance(t, str) else t
    if kind is None or not isinstance(getattr(kind, "dtype", None), _C.dtype):
        raise TypeError(f"invalid type object: {t!r}")
    _C.set_default_dtype(kind.dtype)
    _C._set_default_device(kind.place)
