"""Gradient clipping and conversion of parameters to one vector and back."""

from rtensor.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from rtensor.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "skip_init",
    "vector_to_parameters",
]


def skip_init(module_cls, *args, **kwargs):
    """Make a module without setting its parameters to initial values.

    Parameters
    ----------
    module_cls
        A subclass of `rtensor.nn.Module`.
    *args, **kwargs
        Its arguments; ``device`` must be among them if it is not the CPU.
    """
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device=device, **kwargs).to_empty(device=device)
