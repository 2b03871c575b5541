"""Functions mapped over a dimension of their arguments."""

import functools
from collections.abc import Callable
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.func._tree import leaves, rebuild


def _dims_of(dims: Any, tree: Any) -> list:
    """Return a batch dimension, or None, for each leaf of a tree; a dimension stands for all below it."""
    if dims is None or isinstance(dims, int):
        return [dims] * len(leaves(tree))
    if isinstance(tree, dict):
        return [dim for key in tree for dim in _dims_of(dims[key], tree[key])]
    if not isinstance(tree, (list, tuple)) or len(dims) != len(tree):
        raise ValueError(f"vmap: in_dims is not compatible with the structure of inputs: got {dims}")
    return [dim for one, value in zip(dims, tree, strict=True) for dim in _dims_of(one, value)]


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """Return a function that maps another over a dimension of its arguments.

    Parameters
    ----------
    func : callable
        Takes and returns tensors without that dimension.
    in_dims : int, None, or nested
        The mapped dimension of each argument; None for arguments that are given whole to every call.
    out_dims : int or tuple of int
        Where the dimension appears in the results.
    randomness, chunk_size : str, int
        Accepted for programs that give them: the function is called once for each element of the batch.

    Returns
    -------
    callable
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        values, dims = leaves(args), _dims_of(in_dims, args)
        size = _batch_size(values, dims)
        results = []
        for i in range(size):
            slices = [x if dim is None else x.select(dim, i) for x, dim in zip(values, dims, strict=True)]
            results.append(func(*rebuild(args, slices), **kwargs))
        if not results:
            raise RuntimeError("vmap: the mapped dimension has size 0, so the shape of the results is not known")
        columns = zip(*(leaves(result) for result in results), strict=True)
        places = _dims_of(out_dims, results[0])
        stacked = [_stacked(column, place) for column, place in zip(columns, places, strict=True)]
        return rebuild(results[0], stacked)

    return wrapper


def _stacked(column: tuple, place: int | None) -> Any:
    if place is None:
        return column[0]
    for item in column:
        if not isinstance(item, Tensor):
            raise ValueError(f"vmap: the mapped function must only return Tensors, got type {type(item)}")
    return _C.stack(column, place)


def _batch_size(values: list, dims: list) -> int:
    sizes = {x.shape[dim] for x, dim in zip(values, dims, strict=True) if dim is not None}
    if not sizes:
        raise ValueError("vmap: at least one argument must have a dimension to map over; in_dims is None for all")
    if len(sizes) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sorted(sizes)} for the mapped dimension"
        )
    return sizes.pop()
