"""Parameters as one vector, and back."""

from collections.abc import Iterable

import rtensor
from rtensor import Tensor


def _common_device(tensor: Tensor, device: object) -> object:
    """The device of all tensors so far; an error if this one is elsewhere."""
    if device is not None and tensor.device != device:
        raise TypeError("Found two parameters on different devices, this is currently not supported.")
    return tensor.device


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all elements of the parameters in one vector."""
    device = None
    parts = []
    for parameter in parameters:
        device = _common_device(parameter, device)
        parts.append(parameter.reshape(-1))
    return rtensor.cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters views of consecutive parts of a vector."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    device = None
    start = 0
    for parameter in parameters:
        device = _common_device(parameter, device)
        stop = start + parameter.numel()
        parameter.data = vec[start:stop].view_as(parameter).data
        start = stop
