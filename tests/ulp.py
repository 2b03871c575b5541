"""Errors of the math functions in units in the last place, and how large they may be.

The test asserts the bounds on a part of all floats, `benches/ulp.py` reports the errors of every one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import rtensor as torch

F = torch.nn.functional
# Arguments taken at a time: they and what is computed from them stay in the caches.
BLOCK = 1 << 16


@dataclass(frozen=True)
class Function:
    """A function, its exact twin on arrays of doubles, and the largest errors on a range of arguments."""

    call: Callable
    float32: float
    float64: float
    low: float = -np.inf
    high: float = np.inf
    twin: Callable | None = None

    def exact(self, x: np.ndarray) -> np.ndarray:
        """To a unit of doubles, which is next to nothing beside one of floats."""
        if self.twin is not None:
            return self.twin(x)
        return self.call(torch.from_numpy(x)).numpy()


def sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1.0) / (1.0 + small)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20))))


# Where NumPy lacks a function, the doubles are the package's own; against mpmath the bounds of float64 hold.
FUNCTIONS = {
    "exp": Function(torch.exp, 1.2, 1.1, twin=np.exp),
    "exp2": Function(torch.exp2, 1.1, 1.1, twin=np.exp2),
    "expm1": Function(torch.expm1, 1.8, 1.7, twin=np.expm1),
    "log": Function(torch.log, 1.0, 0.6, twin=np.log),
    "log2": Function(torch.log2, 1.5, 0.6, twin=np.log2),
    "log10": Function(torch.log10, 1.0, 0.6, twin=np.log10),
    "log1p": Function(torch.log1p, 1.0, 0.6, twin=np.log1p),
    "sin": Function(torch.sin, 1.7, 0.8, twin=np.sin),
    "cos": Function(torch.cos, 1.7, 0.8, twin=np.cos),
    "tan": Function(torch.tan, 0.6, 1.6, twin=np.tan),
    "asin": Function(torch.asin, 0.6, 2.0, twin=np.arcsin),
    "acos": Function(torch.acos, 0.6, 1.2, twin=np.arccos),
    "atan": Function(torch.atan, 2.0, 0.8, twin=np.arctan),
    "sinh": Function(torch.sinh, 0.6, 1.6, twin=np.sinh),
    "cosh": Function(torch.cosh, 0.6, 1.2, twin=np.cosh),
    "tanh": Function(torch.tanh, 1.9, 1.9, twin=np.tanh),
    "asinh": Function(torch.asinh, 0.6, 1.0, twin=np.arcsinh),
    "acosh": Function(torch.acosh, 0.6, 1.2, twin=np.arccosh),
    "atanh": Function(torch.atanh, 2.0, 1.5, twin=np.arctanh),
    "erf": Function(torch.erf, 1.3, 1.2),
    "erfc": Function(torch.erfc, 1.8, 1.9),
    "erfinv": Function(torch.erfinv, 1.9, 1.9),
    "sigmoid": Function(torch.sigmoid, 1.8, 2.0, twin=sigmoid),
    "silu": Function(F.silu, 1.8, 2.0, low=-1e38, twin=lambda x: x * sigmoid(x)),
    "softplus": Function(F.softplus, 1.7, 1.2, twin=softplus),
    # Below zero the error is absolute, as PyTorch's.
    "gelu": Function(F.gelu, 2.6, 2.0, low=0.0, high=1e30),
    "ndtr": Function(torch.special.ndtr, 1.8, 2.0),
    "lgamma": Function(torch.lgamma, 0.6, 1.6, low=3.0),
    "digamma": Function(torch.digamma, 0.6, 20.0, low=2.0),
    "i0": Function(torch.special.i0, 0.6, 2.6),
}


def floats(low: float, high: float, stride: int) -> Iterator[np.ndarray]:
    """All floats of a range, block by block, or every so many."""
    for start in range(0, 1 << 32, BLOCK * stride):
        bits = np.arange(start, min(start + BLOCK * stride, 1 << 32), stride, dtype=np.uint64)
        values = bits.astype(np.uint32).view(np.float32)
        values = values[(values >= np.float64(low)) & (values <= np.float64(high))]
        if values.size:
            yield values


def ulps(results: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Errors of floats; those of subnormal numbers in units of the smallest normal number's."""
    limits = np.finfo(np.float32)
    top = float(limits.max)
    # The number after the largest float rounds to infinity.
    results = np.clip(results.astype(np.float64), -top, top)
    exact = np.clip(exact, -top, top)
    unit = np.spacing(np.maximum(np.abs(exact), limits.tiny).astype(np.float32)).astype(np.float64)
    same = np.isnan(results) & np.isnan(exact)
    return np.where(same, 0.0, np.abs(results - exact) / unit)


def worst_of_floats(function: Function, stride: int) -> tuple[float, float]:
    """The largest error over every so many floats, and the argument."""
    worst, at = 0.0, 0.0
    with np.errstate(all="ignore"):
        for values in floats(function.low, function.high, stride):
            errors = ulps(function.call(torch.from_numpy(values)).numpy(), function.exact(values.astype(np.float64)))
            errors[np.isnan(errors)] = np.inf
            place = int(errors.argmax())
            if errors[place] > worst:
                worst, at = float(errors[place]), float(values[place])
    return worst, at
