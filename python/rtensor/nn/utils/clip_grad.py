"""Limits on the gradients of parameters."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import rtensor
from rtensor import Tensor

Tensors: TypeAlias = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensors) -> list[Tensor]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


@rtensor.no_grad()
def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """Return the norm of all tensors as if they were one vector.

    Parameters
    ----------
    norm_type
        The power of the norm; infinity takes the largest element.
    error_if_nonfinite
        Raise if the norm is NaN or infinite.
    foreach
        Accepted for compatibility.
    """
    norm_type = float(norm_type)
    listed = _listed(tensors)
    if not listed:
        return rtensor.tensor(0.0)
    device = listed[0].device
    norms = [rtensor.linalg.vector_norm(t, norm_type).to(device) for t in listed]
    total = rtensor.linalg.vector_norm(rtensor.stack(norms), norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


@rtensor.no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale gradients whose joint norm is `total_norm` down to `max_norm`."""
    factor = rtensor.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    for gradient in _gradients(parameters):
        gradient.mul_(factor.to(gradient.device))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of all parameters such that their joint norm is at most `max_norm`.

    Returns
    -------
    Tensor
        The norm before.
    """
    parameters = _listed(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


@rtensor.no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: Any = None) -> None:
    """Limit every element of the gradients to ``[-clip_value, clip_value]``."""
    limit = float(clip_value)
    for gradient in _gradients(parameters):
        gradient.clamp_(min=-limit, max=limit)
