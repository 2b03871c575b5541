"""Handles that take a registered hook out again."""

import weakref
from collections import OrderedDict
from itertools import count
from typing import Any

__all__ = ["RemovableHandle"]

_ids = count()


class RemovableHandle:
    """What every ``register_*hook`` returns: ``remove()`` undoes the registration.

    Parameters
    ----------
    hooks
        The dictionary that holds the hook under ``id``.
    extra
        Further dictionaries that may hold an entry under the same ``id``.
    """

    def __init__(self, hooks: Any, *, extra: Any = ()):
        self.id = next(_ids)
        self._holders = tuple(weakref.ref(holder) for holder in (hooks, *extra))

    def remove(self) -> None:
        """Take the hook out; a second call does nothing."""
        for reference in self._holders:
            holder = reference()
            if holder is not None:
                holder.pop(self.id, None)

    def __getstate__(self) -> tuple:
        return self.id, tuple(reference() for reference in self._holders)

    def __setstate__(self, state: tuple) -> None:
        self.id, holders = state
        self._holders = tuple(weakref.ref(OrderedDict() if h is None else h) for h in holders)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
