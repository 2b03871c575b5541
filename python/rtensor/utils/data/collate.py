"""From samples to batches."""

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import rtensor
from rtensor import Tensor

__all__ = ["default_collate", "default_convert"]


def _like(original: Any, items: Any) -> Any:
    """A container of the type of `original` with other items; a plain one where that cannot be made."""
    try:
        if isinstance(original, MutableMapping):
            made = copy.copy(original)
            made.update(items)
            return made
        if isinstance(original, MutableSequence):
            copied = copy.copy(original)
            for i, item in enumerate(items):
                copied[i] = item
            return copied
        return type(original)(items)
    except TypeError:
        return items


def _is_opaque(array: np.ndarray) -> bool:
    """Whether an array holds text or objects."""
    return array.dtype.kind in "SaUO"


def default_convert(data: Any) -> Any:
    """Convert NumPy arrays and numbers inside a structure to tensors."""
    if isinstance(data, (Tensor, str, bytes)):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if isinstance(data, np.ndarray) and _is_opaque(data) else rtensor.as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        items = [default_convert(item) for item in data]
        return type(data)(*items) if hasattr(data, "_fields") else items
    if isinstance(data, Sequence):
        return _like(data, [default_convert(item) for item in data])
    return data


def _collate_array(batch: list[Any]) -> Any:
    if _is_opaque(batch[0]):
        raise TypeError(_message(batch[0].dtype))
    return default_collate([rtensor.as_tensor(item) for item in batch])


# How to join leaves of each type; the first that fits the first sample is taken.
_LEAVES: dict[Any, Callable[[list[Any]], Any]] = {
    Tensor: lambda batch: rtensor.stack(batch, 0),
    np.ndarray: _collate_array,
    (np.bool_, np.number, np.object_): lambda batch: rtensor.as_tensor(np.asarray(batch)),
    float: lambda batch: rtensor.tensor(batch, dtype=rtensor.float64),
    int: lambda batch: rtensor.tensor(batch),
    (str, bytes): lambda batch: batch,
}


def default_collate(batch: Any) -> Any:
    """Join samples of the same structure: tensors are stacked, numbers become a tensor.

    Parameters
    ----------
    batch
        A list of samples: tensors, arrays, numbers, texts, or mappings and sequences of these.
    """
    first = batch[0]
    for kinds, join in _LEAVES.items():
        if isinstance(first, kinds):
            return join(batch)
    if isinstance(first, Mapping):
        return _like(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(items) for items in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        items = [default_collate(column) for column in zip(*batch, strict=True)]
        return items if isinstance(first, tuple) else _like(first, items)
    raise TypeError(_message(type(first)))


def _message(found: Any) -> str:
    return f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {found}"
