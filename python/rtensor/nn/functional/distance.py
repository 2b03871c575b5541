"""Norms and distances between vectors."""

import rtensor
from rtensor import Tensor

__all__ = [
    "normalize",
]


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """Divide by the `p`-norm along `dim`, or by `eps` where that is smaller."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / norm if out is None else rtensor.div(input, norm, out=out)
