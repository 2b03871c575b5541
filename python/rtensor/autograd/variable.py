"""The old name of tensors that gradients flow through."""

from typing import Any

from rtensor._C import Tensor, tensor

__all__ = ["Variable"]


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """Every tensor is a variable; calling this returns a tensor that shares the data's memory.

    Parameters
    ----------
    data : Tensor, optional
        The elements; none by default.
    requires_grad : bool
        Whether operations on the result are recorded.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = False, **_: Any) -> Tensor:
        """Return a leaf."""
        return (tensor([]) if data is None else data.detach()).requires_grad_(requires_grad)
