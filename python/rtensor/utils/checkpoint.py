"""Trading time for memory: parts of a graph are computed again in the backward pass instead of being kept."""

from collections.abc import Callable, Sequence
from typing import Any

from rtensor import cuda
from rtensor._C import Tensor
from rtensor.autograd import Function, backward
from rtensor.autograd.grad_mode import enable_grad, no_grad
from rtensor.autograd.graph import saved_tensors_hooks
from rtensor.random import get_rng_state, set_rng_state

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential"]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function differs from the first."""


def _generators() -> tuple[Tensor, list[Tensor]]:
    """The states of the default generators: the CPU's and, once one was used, the GPUs'."""
    return get_rng_state(), cuda.get_rng_state_all() if cuda.is_initialized() else []


def _set_generators(states: tuple[Tensor, list[Tensor]]) -> None:
    set_rng_state(states[0])
    cuda.set_rng_state_all(states[1])


class _Replay:
    """Runs a function as it ran the first time: with the same random numbers, and recorded."""

    def __init__(self, function: Callable, args: tuple, kwargs: dict, preserve_rng_state: bool) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.states = _generators() if preserve_rng_state else None

    def __call__(self, *args: Any) -> Any:
        before = _generators()
        try:
            if self.states is not None:
                _set_generators(self.states)
            with enable_grad():
                return self.function(*args, **self.kwargs)
        finally:
            if self.states is not None:
                _set_generators(before)


class _Saved:
    """The tensors that a function saves: numbered in the first run, computed in a second one."""

    def __init__(self, replay: _Replay) -> None:
        self.replay = replay
        self.count = 0
        self.tensors: dict[int, Tensor] = {}

    def pack(self, tensor: Tensor) -> int:
        self.count += 1
        return self.count - 1

    def unpack(self, number: int) -> Tensor:
        if number not in self.tensors:
            self._compute()
        return self.tensors.pop(number)

    def _compute(self) -> None:
        found: list[Tensor] = []

        def keep(tensor: Tensor) -> Tensor:
            found.append(tensor.detach())
            return tensor.detach()

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            self.replay(*self.replay.args)
        if len(found) != self.count:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {self.count}\n"
                f"Number of tensors saved during recomputation: {len(found)}."
            )
        self.tensors = dict(enumerate(found))


class _Reentrant(Function):
    """Runs the function unrecorded, and a second time inside of the backward pass."""

    @staticmethod
    def forward(ctx, replay, *args):
        ctx.replay = replay
        ctx.plain = [None if isinstance(arg, Tensor) else arg for arg in args]
        ctx.at = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        ctx.save_for_backward(*(args[i] for i in ctx.at))
        with no_grad():
            return replay.function(*args, **replay.kwargs)

    @staticmethod
    def backward(ctx, *grads):
        args = list(ctx.plain)
        for i, tensor in zip(ctx.at, ctx.saved_tensors, strict=True):
            args[i] = tensor.detach().requires_grad_(tensor.requires_grad)
        outputs = ctx.replay(*args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        used = [(o, g) for o, g in zip(outputs, grads, strict=True) if isinstance(o, Tensor) and o.requires_grad]
        if not used:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward(*(list(column) for column in zip(*used, strict=True)))
        return (None, *(arg.grad if isinstance(arg, Tensor) else None for arg in args))


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a function without keeping what its backward pass needs: it is called again then.

    Parameters
    ----------
    function : callable
        Takes the arguments, returns a tensor or a tuple of tensors.
    *args, **kwargs
        The arguments of the function.
    use_reentrant : bool, optional
        Whether the second call is a backward pass of its own. The default does without.
    preserve_rng_state : bool
        Whether the second call draws the same random numbers as the first.
    determinism_check, debug : str, bool
        Accepted for programs that give them.

    Returns
    -------
    object
        What the function returns.
    """
    replay = _Replay(function, args, kwargs, preserve_rng_state)
    if use_reentrant:
        return _Reentrant.apply(replay, *args)
    saved = _Saved(replay)
    with saved_tensors_hooks(saved.pack, saved.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **options: Any
) -> Any:
    """Call functions one after the other, in segments that are checkpointed, the last one excepted.

    Parameters
    ----------
    functions : Sequential or sequence of callable
        Called in order, each with the result of the one before.
    segments : int
        How many parts the sequence is cut into.
    input : object
        The argument of the first function.
    use_reentrant : bool, optional
        As for `checkpoint`.
    **options
        As for `checkpoint`.

    Returns
    -------
    object
        What the last function returns.
    """
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = max(len(steps) // segments, 1)
    last = size * (segments - 1)
    for start in range(0, last, size):
        input = checkpoint(_chain(steps[start : start + size]), input, use_reentrant=use_reentrant, **options)
    return _chain(steps[last:])(input)


def _chain(steps: Sequence[Callable]) -> Callable:
    def run(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return run
