"""The recorded graph: nodes, edges, and hooks on what it saves."""

import abc
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from rtensor import _C
from rtensor._C import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class Node(abc.ABC):  # noqa: B024  (classes of nodes are registered, they need no methods)
    """What every ``grad_fn`` is an instance of."""


Node.register(_C._Node)
Node.register(_C._FunctionBase)


class GradientEdge(NamedTuple):
    """Where a gradient arrives: a node, and which of its outputs."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Return the edge at which the gradient of a tensor arrives.

    Parameters
    ----------
    tensor : Tensor
        A tensor that requires a gradient.

    Returns
    -------
    GradientEdge
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(*_C._gradient_edge(tensor))


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Count a write to a tensor (or to several) that autograd did not see.

    Parameters
    ----------
    tensor : Tensor or sequence of Tensor
        What was written.
    """
    for one in (tensor,) if isinstance(tensor, Tensor) else tensor:
        _C._bump_version(one)


class saved_tensors_hooks:
    """Have the tensors that the graph saves packed by one function, and unpacked by another.

    Parameters
    ----------
    pack_hook : callable
        Gets a tensor that is saved, returns anything.
    unpack_hook : callable
        Gets what ``pack_hook`` returned, returns a tensor of the same values.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _C._push_saved_tensors_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exc_info: Any) -> None:
        _C._pop_saved_tensors_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Keep the tensors that the graph saves in the CPU's memory.

    Parameters
    ----------
    pin_memory : bool
        Whether the copies lie in page-locked memory.
    device_type : str
        The kind of device that the tensors come from.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Tensor) -> tuple:
            if not pin_memory:
                return tensor.device, tensor.cpu()
            return tensor.device, tensor.cpu().pin_memory()

        def unpack(packed: tuple) -> Tensor:
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack, unpack)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Make saved-tensors hooks an error inside of the block.

    Parameters
    ----------
    error_message : str
        The message of that error.
    """
    before = _C._forbid_saved_tensors_hooks(error_message)
    try:
        yield
    finally:
        _C._forbid_saved_tensors_hooks(before)


class _Handles:
    """Removes several hooks at once."""

    def __init__(self, handles: tuple) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> "_Handles":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all") -> _Handles:
    """Call a function when the gradients of several tensors have been computed.

    Parameters
    ----------
    tensors : sequence of Tensor
        The tensors to watch.
    fn : callable
        With mode "all" it gets the list of all gradients (None for those that did not come) once the last has
        arrived; with "any", the first gradient that arrives.
    mode : {"all", "any"}
        When to call.

    Returns
    -------
    object
        A handle with ``remove()``.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    arrived: dict[int, dict[int, Tensor]] = {}

    def hook_for(index: int) -> Callable:
        def hook(grad: Tensor) -> None:
            run = _C._current_run()
            with lock:
                grads = arrived.setdefault(run, {})
                first = not grads
                grads[index] = grad
                expected = sum(_C._takes_part(tensor) for tensor in tensors) if mode == "all" else 1
                done = first if mode == "any" else len(grads) == expected
                if mode == "all" and done:
                    del arrived[run]
            if done:
                fn(grad if mode == "any" else [grads.get(i) for i in range(len(tensors))])

        return hook

    return _Handles(tuple(tensor.register_hook(hook_for(i)) for i, tensor in enumerate(tensors)))
