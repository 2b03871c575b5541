"""The sizes of a tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable


class Size(tuple):
    """A tuple of ints that prints as ``torch.Size([2, 3])``; slices and sums stay sizes.

    Examples
    --------
    >>> import rtensor
    >>> rtensor.Size((2, 3)) + (4,)
    torch.Size([2, 3, 4])
    >>> rtensor.Size((2, 3)).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The product of the sizes."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(repr, self))}])"

    def __getitem__(self, index):
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other: Iterable[int]) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Iterable[int]) -> Size:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, count: int) -> Size:
        return Size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)
