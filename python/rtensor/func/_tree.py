"""Nested lists, tuples and dicts of tensors."""

from collections.abc import Callable, Sequence
from typing import Any


def leaves(tree: Any) -> list:
    """Return what nested lists, tuples and dicts hold, in order."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, (list, tuple)):
        return [leaf for value in tree for leaf in leaves(value)]
    return [tree]


def tree_map(function: Callable, tree: Any, *others: Any) -> Any:
    """Apply a function to the leaves of trees of one structure."""
    if isinstance(tree, dict):
        return type(tree)((key, tree_map(function, tree[key], *(o[key] for o in others))) for key in tree)
    if isinstance(tree, (list, tuple)):
        items = [tree_map(function, *column) for column in zip(tree, *others, strict=True)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return function(tree, *others)


def rebuild(tree: Any, values: Sequence) -> Any:
    """Return a tree of the same structure with other leaves."""
    rest = iter(values)
    return tree_map(lambda _: next(rest), tree)
