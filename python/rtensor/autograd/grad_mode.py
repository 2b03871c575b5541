"""Switches of recording, as context managers and as decorators."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

from rtensor import _C

__all__ = [
    "enable_grad",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


class _ContextDecorator:
    """A context manager that decorates functions and generator functions, too."""

    __slots__ = ()

    def clone(self):
        """Return a fresh manager with the same settings."""
        return type(self)()

    def __call__(self, func: Callable) -> Callable:
        if inspect.isclass(func):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
                "functions or methods. To preserve the current behavior of class decoration, you can directly decorate "
                "the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
            func.__init__ = self(func.__init__)
            return func
        if inspect.isgeneratorfunction(func):
            return _wrap_generator(self.clone, func)

        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            with self.clone():
                return func(*args, **kwargs)

        return wrapper


def _wrap_generator(make_context: Callable, func: Callable) -> Callable:
    """Enter the context whenever the generator runs, leave it whenever it yields."""

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        generator = func(*args, **kwargs)
        step, argument = generator.send, None
        while True:
            try:
                with make_context():
                    value = step(argument)
            except StopIteration as stop:
                return stop.value
            try:
                argument = yield value
                step = generator.send
            except GeneratorExit:
                with make_context():
                    generator.close()
                raise
            except BaseException as error:  # handed on to the generator, as `throw` does
                step, argument = generator.throw, error

    return wrapper


class no_grad(_C._NoGrad, _ContextDecorator):
    """Nothing is recorded inside: results do not require gradients."""

    __slots__ = ()


class enable_grad(_C._EnableGrad, _ContextDecorator):
    """Operations are recorded inside, also within ``no_grad``."""

    __slots__ = ()


class set_grad_enabled(_ContextDecorator):
    """Switch recording on or off: at once, and inside of a ``with`` block.

    Parameters
    ----------
    mode : bool
        Whether operations are recorded.
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            kind = type(mode).__name__
            raise TypeError(f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {kind}")
        self.mode = mode
        self.prev = _C._set_grad_enabled(mode)

    def __call__(self, func: Callable) -> Callable:
        """Decorate a function; the mode goes back to what it was."""
        _C._set_grad_enabled(self.prev)
        return super().__call__(func)

    def __enter__(self) -> None:
        _C._set_grad_enabled(self.mode)

    def __exit__(self, *exc_info: Any) -> None:
        _C._set_grad_enabled(self.prev)

    def clone(self) -> "set_grad_enabled":
        """Return a fresh manager with the same mode."""
        return type(self)(self.mode)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"


class inference_mode(_ContextDecorator):
    """As ``no_grad``; tensors made inside cannot take part in recorded operations later.

    Parameters
    ----------
    mode : bool or callable
        Whether the mode is on, or a function to decorate.
    """

    def __new__(cls, mode: bool | Callable = True):
        """Decorate a function given directly, as in ``@inference_mode`` without parentheses."""
        self = super().__new__(cls)
        if isinstance(mode, bool):
            return self
        self.mode = True
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self._before = (_C._set_inference_mode(self.mode), _C._set_grad_enabled(not self.mode))

    def __exit__(self, *exc_info: Any) -> None:
        inference, grad = self._before
        _C._set_inference_mode(inference)
        _C._set_grad_enabled(grad)

    def clone(self) -> "inference_mode":
        """Return a fresh manager with the same mode."""
        return type(self)(self.mode)


class set_multithreading_enabled(_ContextDecorator):
    """Kept for programs that set it: a backward pass runs on the thread that calls it."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: Any) -> None:
        pass

    def clone(self) -> "set_multithreading_enabled":
        """Return a fresh manager with the same mode."""
        return type(self)(self.mode)
