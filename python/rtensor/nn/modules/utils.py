"""Sizes given as one number or as a tuple."""

from collections.abc import Iterable
from typing import Any


def to_tuple(value: Any, count: int) -> tuple:
    """`value` as a tuple: as it is if it is iterable, else repeated `count` times."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * count
