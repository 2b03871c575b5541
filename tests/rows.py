"""How rows of the op table are written: samples of an op, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from samples import F, In, Sample


@dataclass
class Row:
    """Samples of an op, and what is known of it."""

    samples: list[Sample]
    reference: Callable | None = None
    # False: no gradient, or one that finite differences do not give (rounding, sorting, random numbers).
    grad: bool = True
    # False: two calls with equal arguments differ.
    deterministic: bool = True
    # False: the result is unique up to signs only, or its shape follows the dtype.
    unique: bool = True


ROWS: dict[str, Row] = {}


def call(*args, **kwargs) -> Sample:
    """The arguments of one sample."""
    return Sample(args, kwargs)


def row(name: str, *samples: Sample, ref: Callable | None = None, **known: bool) -> None:
    """Add the row of an op; `known` are the flags of `Row`."""
    ROWS[name] = Row(list(samples), ref, **known)


def unary(names: str, domain: Callable[..., In] = F, *, grad: bool = True, **references: Callable) -> None:
    """Rows of functions of one element."""
    for name in names.split():
        reference = references.get(name, getattr(np, name, None))
        row(name, call(domain(3, 4)), call(domain()), call(domain(0, 2)), ref=reference, grad=grad)


def binary(
    names: str, left: Callable[..., In] = F, right: Callable[..., In] = F, *, grad: bool = True, **references: Callable
) -> None:
    """Rows of functions of two elements, which broadcast."""
    for name in names.split():
        samples = call(left(3, 4), right(3, 4)), call(left(3, 1), right(4)), call(left(2, 3), right())
        row(name, *samples, ref=references.get(name, getattr(np, name, None)), grad=grad)


def reductions(names: str, domain: Callable[..., In] = F, *, grad: bool = True, ref: Callable | None = None) -> None:
    """Rows of functions that take the elements of dimensions together."""
    for name in names.split():
        samples = call(domain(3, 4)), call(domain(3, 4), 1), call(domain(2, 3, 4), 0, True), call(domain(4), -1)
        row(name, *samples, ref=ref, grad=grad)


def key(op: dict) -> str:
    """The key of an op of the table."""
    return f"{op['name']}/{op['overload']}" if op["overload"] else op["name"]
