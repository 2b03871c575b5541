"""The base class of all neural network modules."""

import inspect
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self

import rtensor
from rtensor import Tensor
from rtensor.nn.modules import _hooks
from rtensor.nn.modules._hooks import (
    GLOBAL_HOOKS,
    HookRegistration,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from rtensor.nn.modules._state import StateMixin
from rtensor.nn.modules._tree import TreeMixin
from rtensor.nn.parameter import Buffer, Parameter

__all__ = [
    "Module",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
]

_HOOK_TABLES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def typename(value: object) -> str:
    """The dotted name of the type of `value`, as error messages show it."""
    if isinstance(value, Tensor):
        return value.type()
    kind = value if isinstance(value, type) else type(value)
    module = "" if kind.__module__ in ("builtins", "__builtin__") else kind.__module__ + "."
    return module + kind.__qualname__


class Module(HookRegistration, StateMixin, TreeMixin):
    """Base class of neural network modules: a callable that owns parameters and other modules.

    Assigning a `Parameter`, a `Buffer` or a `Module` to an attribute registers it. A subclass
    calls ``super().__init__()`` first and defines ``forward``.
    """

    training: bool
    call_super_init: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            name = f"{type(self).__name__}.__init__()"
            if kwargs:
                raise TypeError(f"{name} got an unexpected keyword argument '{next(iter(kwargs))}'")
            if args:
                raise TypeError(f"{name} takes 1 positional argument but {len(args) + 1} were given")
        # Straight into __dict__: __setattr__ below looks for the tables made here.
        state = self.__dict__
        state["training"] = True
        state["_parameters"] = {}
        state["_buffers"] = {}
        state["_non_persistent_buffers_set"] = set()
        for table in _HOOK_TABLES:
            state[table] = OrderedDict()
        state["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass overrides it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` between the hooks."""
        if (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or GLOBAL_HOOKS
        ):
            return _hooks.call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # --- attributes

    def __getattr__(self, name: str) -> Any:
        # Reached only by names that are no ordinary attribute; unrolled, as every layer comes here.
        state = self.__dict__
        parameters = state.get("_parameters")
        if parameters is not None:
            if name in parameters:
                return parameters[name]
            if name in state["_modules"]:
                return state["_modules"][name]
            if name in state["_buffers"]:
                return state["_buffers"][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        parameters = state.get("_parameters")
        if isinstance(value, Parameter):
            self._forget(name, "parameters", "_buffers", "_modules")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name, "module", "_parameters", "_buffers")
            state["_modules"][name] = value
        elif isinstance(value, Buffer):
            self._set_buffer(name, value)
        elif parameters is None:
            object.__setattr__(self, name, value)
        elif name in parameters:
            _check_none(value, "parameter", name, "torch.nn.Parameter or None expected")
            self.register_parameter(name, None)
        elif name in state["_modules"]:
            _check_none(value, "child module", name, "torch.nn.Module or None expected")
            state["_modules"][name] = None
        elif name in state["_buffers"]:
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, kind: str, *tables: str) -> None:
        """Drop what `name` meant before it becomes a registered parameter or module."""
        state = self.__dict__
        if "_parameters" not in state:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        state.pop(name, None)
        state["_non_persistent_buffers_set"].discard(name)
        for table in tables:
            state[table].pop(name, None)

    def _set_buffer(self, name: str, value: Any) -> None:
        if not isinstance(value, (Tensor, type(None))):
            expected = "torch.nn.Buffer, torch.Tensor or None expected"
            raise TypeError(f"cannot assign '{typename(value)}' as buffer '{name}' ({expected})")
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        if persistent or "persistent" in inspect.signature(self.register_buffer).parameters:
            self.register_buffer(name, value, *(() if persistent else (False,)))
            return
        raise RuntimeError(
            "Registering a non-persistent buffer on a Module subclass that implements register_buffer() without "
            "the persistent argument is not allowed."
        )

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    # --- registration

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module's state but no parameter.

        Parameters
        ----------
        name
            The attribute under which it is found.
        tensor
            The tensor; with None the buffer takes part in nothing.
        persistent
            Whether `state_dict` holds it.
        """
        self._check_name("buffer", name, "_buffers")
        if not isinstance(tensor, (Tensor, type(None))):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under the attribute `name`."""
        self._check_name("parameter", name, "_parameters")
        if not isinstance(param, (Parameter, type(None))):
            raise TypeError(
                f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. "
                f"To express '{name}' as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = param

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a child under the attribute `name`."""
        if not isinstance(module, (Module, type(None))):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, kind: str, name: Any, table: str) -> None:
        if table not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{got}')
        if not name:
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in self.__dict__[table] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    # --- training

    def train(self, mode: bool = True) -> Self:
        """Switch the module and its children to training mode, or to evaluation."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Switch the module and its children to evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say for all parameters whether they want gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters, to None or to zeros."""
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
                continue
            if gradient.grad_fn is not None:
                gradient.detach_()
            else:
                gradient.requires_grad_(False)
            gradient.zero_()

    # --- conversion

    def apply(self, fn: Callable[["Module"], None]) -> Self:
        """Call `fn` on every child, then on the module itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the data of every parameter, gradient and buffer by `fn` of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            gradient = parameter.grad
            with rtensor.no_grad():
                converted = fn(parameter)
                converted_gradient = None if gradient is None else fn(gradient)
            # The gradient goes first: it must match its tensor in dtype and device at every moment.
            parameter.grad = None
            parameter.data = converted
            if converted_gradient is not None:
                parameter.grad = converted_gradient.requires_grad_(gradient.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move and cast parameters and buffers: ``to(device)``, ``to(dtype)``, ``to(tensor)``, or by keyword."""
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        if dtype is not None and dtype.is_complex:
            warnings.warn("Complex modules are a new feature and some modules may not work with them.", stacklevel=2)

        def convert(tensor: Tensor) -> Tensor:
            to_dtype = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            if memory_format is not None and tensor.dim() in (4, 5):
                return tensor.to(device, to_dtype, non_blocking, memory_format=memory_format)
            return tensor.to(device, to_dtype, non_blocking)

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without copying: the values are uninitialised."""
        return self._apply(lambda t: rtensor.empty_like(t, device=device), recurse)

    def cuda(self, device: Any = None) -> Self:
        """Move parameters and buffers to a GPU."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self._cast(rtensor.float32)

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self._cast(rtensor.float64)

    def half(self) -> Self:
        """Cast floating-point parameters and buffers to float16."""
        return self._cast(rtensor.float16)

    def bfloat16(self) -> Self:
        """Cast floating-point parameters and buffers to bfloat16."""
        return self._cast(rtensor.bfloat16)

    def _cast(self, dtype: Any) -> Self:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def share_memory(self) -> Self:
        """Move parameters and buffers into memory that child processes share."""
        return self._apply(lambda t: t.share_memory_())

    def __setstate__(self, state: dict[str, Any]) -> None:
        for table in _HOOK_TABLES:
            self.__dict__[table] = OrderedDict()
        self.__dict__.update(state)


def _check_none(value: object, kind: str, name: str, expected: str) -> None:
    if value is not None:
        raise TypeError(f"cannot assign '{typename(value)}' as {kind} '{name}' ({expected})")


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """Device, dtype, non_blocking and memory format of a call of `Module.to`."""
    allowed = {"device", "dtype", "tensor", "other", "non_blocking", "copy", "memory_format"}
    for name in kwargs:
        if name not in allowed:
            raise TypeError(f"to() got an unexpected keyword argument '{name}'")
    found = dict(kwargs)
    for arg in args:
        if isinstance(arg, Tensor):
            found["tensor"] = arg
        elif isinstance(arg, rtensor.dtype):
            found["dtype"] = arg
        elif isinstance(arg, bool):
            found["non_blocking"] = arg
        elif isinstance(arg, (str, int, rtensor.device)):
            found["device"] = arg
        elif arg is not None:
            raise TypeError(
                "to() received an invalid combination of arguments: expected a device, a dtype or a tensor, "
                f"got {typename(arg)}"
            )
    device, dtype = found.get("device"), found.get("dtype")
    tensor = found.get("tensor", found.get("other"))
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    if device is not None:
        device = rtensor.device(device)
    return device, dtype, found.get("non_blocking", False), found.get("memory_format")
