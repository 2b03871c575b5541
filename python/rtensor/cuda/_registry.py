"""Kernels by the names of their operators; the families that define them are imported at the first use."""

import functools
import importlib
import pkgutil
from collections.abc import Callable

_KERNELS: dict[str, Callable] = {}


def kernel(*names: str) -> Callable[[Callable], Callable]:
    """Make a function the kernel of operators, named as in the table: ``max/dim``.

    Parameters
    ----------
    *names : str
        The operators. With several, the function gets the operator's name before the arguments.
    """

    def add(function: Callable) -> Callable:
        for name in names:
            _KERNELS[name] = function if len(names) == 1 else functools.partial(function, name)
        return function

    return add


@functools.cache
def _import_families() -> None:
    from rtensor.cuda import kernels

    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"{kernels.__name__}.{module.name}")


def find(name: str) -> Callable:
    """The kernel of an operator.

    Raises
    ------
    NotImplementedError
        If there is none.
    """
    _import_families()
    if name not in _KERNELS:
        raise NotImplementedError(f"Could not run '{name}' on device 'cuda': no kernel for that device")
    return _KERNELS[name]
