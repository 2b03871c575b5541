"""Specifications of sample inputs, and how they become tensors of a dtype."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import rtensor as torch

#: Where tensors are made; set by the option `--device`.
DEVICE = "cpu"


@dataclass(frozen=True)
class In:
    """A tensor input: its shape, and what its values are like."""

    shape: tuple[int, ...]
    kind: str = "normal"
    low: float = -2.0
    high: float = 2.0

    @property
    def takes_dtype(self) -> bool:
        """Whether the dtype of the test applies; indices and masks have their own."""
        return self.kind not in ("index", "mask")

    def array(self, rng: np.random.Generator) -> np.ndarray:
        """Values in double precision; indices and masks in their own dtypes."""
        if self.kind == "index":
            return rng.integers(int(self.low), int(self.high), self.shape)
        if self.kind == "mask":
            return rng.random(self.shape) < 0.5
        if self.kind == "distinct":
            count = int(np.prod(self.shape))
            return (rng.permutation(count).reshape(self.shape) - count / 2) * 0.37 + 0.1
        values = rng.uniform(self.low, self.high, self.shape)
        if self.kind == "spd":
            return values @ np.swapaxes(values, -1, -2) + 3 * np.eye(self.shape[-1])
        if self.kind == "regular":
            return values + 3 * np.eye(*self.shape[-2:])
        if self.kind == "away":
            return values + np.sign(values) * 0.3
        return values


def F(*shape: int) -> In:
    """Values between -2 and 2."""
    return In(shape)


def POS(*shape: int) -> In:
    """Positive values."""
    return In(shape, low=0.3, high=2.5)


def UNIT(*shape: int) -> In:
    """Values inside (-1, 1)."""
    return In(shape, low=-0.9, high=0.9)


def PROB(*shape: int) -> In:
    """Values inside (0, 1)."""
    return In(shape, low=0.05, high=0.95)


def BIG(*shape: int) -> In:
    """Values above 1."""
    return In(shape, low=1.2, high=3.0)


def AWAY(*shape: int) -> In:
    """Values away from 0."""
    return In(shape, "away")


def DISTINCT(*shape: int) -> In:
    """Values no two of which are close."""
    return In(shape, "distinct")


def SPD(*shape: int) -> In:
    """Symmetric positive definite matrices."""
    return In(shape, "spd")


def REGULAR(*shape: int) -> In:
    """Well-conditioned matrices."""
    return In(shape, "regular")


def INDEX(high: int, *shape: int) -> In:
    """Positions below a bound."""
    return In(shape, "index", 0, high)


def MASK(*shape: int) -> In:
    """Random bools."""
    return In(shape, "mask")


@dataclass
class Sample:
    """Arguments of one call."""

    args: tuple
    kwargs: dict[str, Any] = field(default_factory=dict)

    def make(
        self, dtype, seed: int = 0, *, requires_grad: bool = False, strided: bool = False, device: str | None = None
    ) -> tuple[list, dict]:
        """The arguments with tensors in place of specifications."""
        rng = np.random.default_rng(seed)
        device = device or DEVICE

        def build(value):
            if isinstance(value, In):
                return tensor_of(value, rng, dtype, requires_grad, strided, device)
            if isinstance(value, torch.Tensor):
                return value.to(device)
            if isinstance(value, (list, tuple)) and any(isinstance(v, (In, torch.Tensor)) for v in value):
                return type(value)(build(v) for v in value)
            return value

        return [build(a) for a in self.args], {k: build(v) for k, v in self.kwargs.items()}


def tensor_of(
    spec: In, rng: np.random.Generator, dtype, requires_grad: bool, strided: bool, device: str
) -> torch.Tensor:
    """A tensor of a specification, with gaps between its elements where `strided`."""
    tensor = torch.tensor(spec.array(rng))
    if spec.takes_dtype:
        if dtype.is_complex:
            tensor = torch.complex(tensor, torch.tensor(spec.array(rng)))
        tensor = tensor.to(dtype)
    tensor = tensor.to(device)
    if strided and tensor.dim() > 0:
        wide = torch.zeros((*tensor.shape[:-1], 2 * tensor.shape[-1]), dtype=tensor.dtype, device=device)
        wide[..., ::2] = tensor
        tensor = wide[..., ::2]
    floating = dtype.is_floating_point or dtype.is_complex
    return tensor.requires_grad_() if requires_grad and spec.takes_dtype and floating else tensor


def tensors_in(values) -> list[torch.Tensor]:
    """Every tensor in (nested) results or arguments."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    if isinstance(values, (list, tuple, type({}.values()))):
        return [t for value in values for t in tensors_in(value)]
    return []
