"""Hooks of modules: before and after the forward call, and around its backward pass."""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import rtensor
from rtensor import Tensor
from rtensor.utils.hooks import RemovableHandle

Hook = Callable[..., Any]


class _GlobalHook(NamedTuple):
    """A hook that runs for every module."""

    kind: str
    call: Hook
    with_kwargs: bool = False
    always_call: bool = False


GLOBAL_HOOKS: OrderedDict[int, _GlobalHook] = OrderedDict()


def _register_global(hook: _GlobalHook) -> RemovableHandle:
    handle = RemovableHandle(GLOBAL_HOOKS)
    GLOBAL_HOOKS[handle.id] = hook
    return handle


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, args)`` before the forward of every module."""
    return _register_global(_GlobalHook("forward_pre", hook))


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the forward of every module."""
    return _register_global(_GlobalHook("forward", hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before the backward of every module."""
    return _register_global(_GlobalHook("backward_pre", hook))


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after the backward of every module."""
    return _register_global(_GlobalHook("backward", hook))


def _global(kind: str) -> list[tuple[int, _GlobalHook]]:
    return [(key, hook) for key, hook in GLOBAL_HOOKS.items() if hook.kind == kind]


class HookRegistration:
    """The ``register_*hook`` methods of a module."""

    _forward_pre_hooks: OrderedDict[int, Hook]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks: OrderedDict[int, Hook]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _backward_pre_hooks: OrderedDict[int, Hook]
    _backward_hooks: OrderedDict[int, Hook]

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before every forward; what it returns replaces the arguments.

        Parameters
        ----------
        prepend
            Run before the hooks registered so far.
        with_kwargs
            Call ``hook(module, args, kwargs)``, which may return a new pair.
        """
        marks = {"_forward_pre_hooks_with_kwargs": with_kwargs}
        return self._register_hook("_forward_pre_hooks", hook, prepend, marks)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after every forward; what it returns replaces the output.

        Parameters
        ----------
        prepend
            Run before the hooks registered so far.
        with_kwargs
            Call ``hook(module, args, kwargs, output)``.
        always_call
            Run even if the forward raised.
        """
        marks = {"_forward_hooks_with_kwargs": with_kwargs, "_forward_hooks_always_called": always_call}
        return self._register_hook("_forward_hooks", hook, prepend, marks)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the outputs' gradients are known."""
        return self._register_hook("_backward_pre_hooks", hook, prepend, {})

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the inputs' gradients are known."""
        return self._register_hook("_backward_hooks", hook, prepend, {})

    # PyTorch keeps the old name for a variant that sees only the last node; the full hook is what it should do.
    register_backward_hook = register_full_backward_hook

    def _register_hook(self, kind: str, hook: Hook, prepend: bool, marks: dict[str, bool]) -> RemovableHandle:
        hooks = getattr(self, kind)
        handle = RemovableHandle(hooks, extra=[getattr(self, mark) for mark in marks])
        hooks[handle.id] = hook
        for mark, wanted in marks.items():
            if wanted:
                getattr(self, mark)[handle.id] = True
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle


def call_with_hooks(module: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Run the forward of `module` between its hooks and those of all modules."""
    called: set[int] = set()
    result = None
    try:
        args, kwargs = _run_forward_pre_hooks(module, args, kwargs)
        tap = _BackwardTap.for_module(module)
        if tap is not None:
            args = tap.tap_inputs(args)
        result = module.forward(*args, **kwargs)
        for key, hook, with_kwargs, _ in _forward_hooks(module):
            called.add(key)
            replaced = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            result = result if replaced is None else replaced
        return result if tap is None else tap.tap_outputs(result)
    except Exception:
        _run_skipped_hooks(module, args, kwargs, result, called)
        raise


def _run_forward_pre_hooks(module: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    hooks = [(hook.call, False) for _, hook in _global("forward_pre")]
    hooks += [(hook, key in module._forward_pre_hooks_with_kwargs) for key, hook in module._forward_pre_hooks.items()]
    for hook, with_kwargs in hooks:
        if with_kwargs:
            replaced = hook(module, args, kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {replaced}."
                )
            args, kwargs = replaced
        else:
            replaced = hook(module, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
    return args, kwargs


def _forward_hooks(module: Any) -> list[tuple[int, Hook, bool, bool]]:
    """Key, hook, whether it takes keyword arguments, whether it runs after an error."""
    hooks = [(key, hook.call, hook.with_kwargs, hook.always_call) for key, hook in _global("forward")]
    for key, hook in module._forward_hooks.items():
        always = key in module._forward_hooks_always_called
        hooks.append((key, hook, key in module._forward_hooks_with_kwargs, always))
    return hooks


def _run_skipped_hooks(module: Any, args: tuple, kwargs: dict[str, Any], result: Any, called: set[int]) -> None:
    for key, hook, with_kwargs, always_call in _forward_hooks(module):
        if not always_call or key in called:
            continue
        try:
            replaced = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
        except Exception as error:
            warnings.warn(
                "module forward hook with ``always_call=True`` raised an exception that was silenced as "
                f"another error was raised in forward: {error}",
                stacklevel=2,
            )
        else:
            result = result if replaced is None else replaced


class _BackwardTap:
    """Catches the gradients that pass a module, by identity functions around its forward."""

    def __init__(self, module: Any, pre_hooks: list[Hook], hooks: list[Hook]):
        self.module, self.pre_hooks, self.hooks = module, pre_hooks, hooks
        self.grad_outputs: tuple | None = None
        self.input_count = self.output_count = 0
        self.input_index: list[int] | None = None
        self.output_index: list[int] | None = None

    @classmethod
    def for_module(cls, module: Any) -> "_BackwardTap | None":
        pre_hooks = [hook.call for _, hook in _global("backward_pre")] + list(module._backward_pre_hooks.values())
        hooks = [hook.call for _, hook in _global("backward")] + list(module._backward_hooks.values())
        return cls(module, pre_hooks, hooks) if pre_hooks or hooks else None

    def tap_inputs(self, args: tuple) -> tuple:
        self.input_count = len(args)
        args, self.input_index = _through_identity(args, self._on_grad_input)
        return args

    def tap_outputs(self, result: Any) -> Any:
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                f"but received {type(result)}",
                stacklevel=3,
            )
        results = result if isinstance(result, tuple) else (result,)
        self.output_count = len(results)
        results, self.output_index = _through_identity(results, self._on_grad_output)
        return results if isinstance(result, tuple) else results[0]

    def _on_grad_output(self, _: tuple, grads: tuple) -> tuple:
        assert self.output_index is not None
        outputs = _spread(grads, self.output_index, self.output_count)
        for hook in self.pre_hooks:
            replaced = hook(self.module, outputs)
            if replaced is None:
                continue
            if not isinstance(replaced, tuple):
                replaced = (replaced,)
            if len(replaced) != len(outputs):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(replaced)}, but expected {len(outputs)}"
                )
            outputs = replaced
        self.grad_outputs = outputs
        if self.input_index is None:
            self._call_without_inputs()
        return tuple(outputs[i] for i in self.output_index)

    def _call_without_inputs(self) -> None:
        """No input requires a gradient: the hooks see None for each."""
        for hook in self.hooks:
            replaced = hook(self.module, (None,) * self.input_count, self.grad_outputs)
            if replaced is not None and not (isinstance(replaced, tuple) and all(g is None for g in replaced)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None "
                    "or None for all gradients."
                )
        self.grad_outputs = None

    def _on_grad_input(self, grads: tuple, _: tuple) -> tuple | None:
        if self.grad_outputs is None:
            return None
        assert self.input_index is not None
        inputs = _spread(grads, self.input_index, self.input_count)
        for hook in self.hooks:
            replaced = hook(self.module, inputs, self.grad_outputs)
            if replaced is None:
                continue
            if not isinstance(replaced, tuple):
                replaced = (replaced,)
            if len(replaced) != len(inputs):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(replaced)}, but expected {len(inputs)}"
                )
            inputs = replaced
        self.grad_outputs = None
        return tuple(inputs[i] for i in self.input_index)


def _spread(values: tuple, index: list[int], size: int) -> tuple:
    """`values` at the places `index` of a tuple that is None elsewhere."""
    spread: list[Any] = [None] * size
    for at, value in zip(index, values, strict=True):
        spread[at] = value
    return tuple(spread)


def _through_identity(args: tuple, node_hook: Hook) -> tuple[tuple, list[int] | None]:
    """Pass the tensors of `args` through one node that calls `node_hook`; None if nothing is recorded."""
    index = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
    if not (rtensor.is_grad_enabled() and any(args[i].requires_grad for i in index)):
        return args, None
    tapped = _identity_function().apply(*(args[i] for i in index))
    tapped = tapped if isinstance(tapped, tuple) else (tapped,)
    node = next(t.grad_fn for t in tapped if t.grad_fn is not None)
    node.register_hook(node_hook)
    replaced = list(args)
    for at, tensor in zip(index, tapped, strict=True):
        replaced[at] = tensor
    # A named tuple keeps its type.
    return (tuple(replaced) if type(args) is tuple else type(args)(*replaced)), index


def _identity_function() -> Any:
    """The autograd function behind the taps, made at its first use."""
    global _identity
    if _identity is None:
        from rtensor.autograd import Function

        class BackwardHookFunction(Function):
            @staticmethod
            def forward(ctx: Any, *args: Tensor) -> tuple[Tensor, ...]:
                ctx.mark_non_differentiable(*(arg for arg in args if not arg.requires_grad))
                return args

            @staticmethod
            def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
                return grads

        _identity = BackwardHookFunction
    return _identity


_identity: Any = None
