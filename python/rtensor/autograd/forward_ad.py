"""Forward-mode differentiation: not available; ``autograd.functional.jvp`` computes the same products."""

from typing import Any

__all__ = ["dual_level", "make_dual", "unpack_dual"]

_MESSAGE = "forward-mode differentiation is not implemented; use autograd.functional.jvp"


class dual_level:
    """The scope of dual tensors; entering it raises."""

    def __enter__(self) -> None:
        raise NotImplementedError(_MESSAGE)

    def __exit__(self, *exc_info: Any) -> None:
        pass


def make_dual(tensor, tangent, *, level=None):
    """Raise: there are no dual tensors."""
    raise NotImplementedError(_MESSAGE)


def unpack_dual(tensor, *, level=None):
    """Raise: there are no dual tensors."""
    raise NotImplementedError(_MESSAGE)
