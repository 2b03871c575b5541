"""Tensors that a module owns: trainable parameters and saved buffers."""

from collections import OrderedDict
from typing import Any

import rtensor
from rtensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: object = None) -> "Parameter":
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(
    data: Tensor, requires_grad: bool, backward_hooks: object, state: dict[str, Any]
) -> "Parameter":
    parameter = Parameter(data, requires_grad)
    parameter.__dict__.update(state)
    return parameter


class Parameter(Tensor):
    """A tensor that a `Module` lists among its parameters when assigned as an attribute.

    Parameters
    ----------
    data
        The values; the parameter shares their memory. Empty by default.
    requires_grad
        Whether gradients are wanted.
    """

    _is_param = True

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> "Parameter":
        """Make an alias of the data with this type."""
        if data is None:
            data = rtensor.empty(0)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict) -> "Parameter":
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.data.clone(memory_format=rtensor.preserve_format), self.requires_grad)
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, protocol: object) -> tuple:
        arguments: tuple = (self.data, self.requires_grad, OrderedDict())
        state = self.__dict__
        if state:
            return _rebuild_parameter_with_state, (*arguments, state)
        return _rebuild_parameter, arguments


class Buffer(Tensor):
    """A tensor that a `Module` lists among its buffers when assigned as an attribute.

    Parameters
    ----------
    data
        The values; the buffer shares their memory. Empty by default.
    persistent
        Whether the buffer is part of the module's `state_dict`.
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> "Buffer":
        """Make an alias of the data with this type."""
        if data is None:
            data = rtensor.empty(0)
        buffer = Tensor._make_subclass(cls, data, data.requires_grad)
        buffer.persistent = persistent
        return buffer


_UNINITIALIZED = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
    "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call "
    "`forward` to initialize the parameters before accessing their attributes."
)


class _Uninitialized:
    """A tensor whose shape is not known yet; `materialize` gives it one."""

    cls_to_become: type
    data: Tensor
    requires_grad: bool

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Allocate the tensor in place and become an ordinary parameter or buffer."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = rtensor.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        """Unknown: raises."""
        raise RuntimeError(_UNINITIALIZED)

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: object) -> tuple:
        return type(self), (self.requires_grad,)

    def __deepcopy__(self, memo: dict) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)  # type: ignore[call-arg]
        return memo[id(self)]


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape a lazy module infers at its first call."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> "UninitializedParameter":
        """Make a tensor without elements."""
        return Tensor._make_subclass(cls, rtensor.empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer whose shape a lazy module infers at its first call."""

    cls_to_become = Buffer

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> "UninitializedBuffer":
        """Make a tensor without elements."""
        buffer = Tensor._make_subclass(cls, rtensor.empty(0, device=device, dtype=dtype), requires_grad)
        buffer.persistent = persistent
        return buffer


def is_lazy(param: object) -> bool:
    """Whether `param` still waits for its shape."""
    return isinstance(param, _Uninitialized)
