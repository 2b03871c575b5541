"""Functions and modules whose forward and backward passes are recorded as graphs."""

from collections.abc import Callable
from typing import Any

import rtensor
from rtensor._C import Tensor
from rtensor.cuda import _devices, _graphs, _streams
from rtensor.cuda._memory import PrivatePool


class _Graphed:
    """A function with its graphs, and the tensors that those read and write.

    Parameters
    ----------
    function : callable
        What to record: a module's parameters are inputs, too.
    inputs : tuple of Tensor
        What it is called with while it is recorded.
    """

    def __init__(self, function: Callable, inputs: tuple[Tensor, ...]):
        self.function, self.inputs = function, inputs
        is_module = isinstance(function, rtensor.nn.Module)
        self.parameters = tuple(function.parameters()) if is_module else ()
        self.forward, self.backward = _graphs.CUDAGraph(), _graphs.CUDAGraph()
        self.is_single = False
        self.outputs: tuple[Tensor, ...] = ()
        self.output_gradients: list[Tensor | None] = []
        self.gradients: list[Tensor | None] = []

    @property
    def sources(self) -> list[Tensor]:
        """What gradients flow to."""
        return [x for x in (*self.inputs, *self.parameters) if x.requires_grad]

    def _call(self) -> tuple[Tensor, ...]:
        made = self.function(*self.inputs)
        self.is_single = isinstance(made, Tensor)
        return (made,) if self.is_single else tuple(made)

    def _differentiate(self, outputs: tuple[Tensor, ...], unused: bool) -> list[Tensor | None]:
        chosen = [(y, g) for y, g in zip(outputs, self.output_gradients, strict=True) if g is not None]
        if not chosen or not self.sources:
            return []
        targets, weights = zip(*chosen, strict=True)
        return list(rtensor.autograd.grad(targets, self.sources, weights, allow_unused=unused))

    def warm_up(self, times: int, unused: bool) -> None:
        """Compute a few times, so that kernels and libraries are loaded."""
        for _ in range(times):
            outputs = self._call()
            self.output_gradients = [rtensor.ones_like(y) if y.requires_grad else None for y in outputs]
            self._differentiate(outputs, unused)

    def record_forward(self, pool: PrivatePool) -> None:
        """Record the forward pass."""
        with _graphs.graph(self.forward, pool=pool):
            self.outputs = self._call()

    def record_backward(self, pool: PrivatePool, unused: bool) -> None:
        """Record the backward pass."""
        self.output_gradients = [rtensor.empty_like(y) if y.requires_grad else None for y in self.outputs]
        with _graphs.graph(self.backward, pool=pool):
            found = iter(self._differentiate(self.outputs, unused))
        self.gradients = [next(found, None) if x.requires_grad else None for x in (*self.inputs, *self.parameters)]
        self.outputs = tuple(y.detach() for y in self.outputs)

    def __call__(self, *inputs: Tensor) -> Any:
        outputs = _Replay.apply(self, *inputs, *self.parameters)
        return outputs[0] if self.is_single else outputs


class _Replay(rtensor.autograd.Function):
    """Replays the graphs on other numbers."""

    @staticmethod
    def forward(ctx: Any, graphed: _Graphed, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.graphed = graphed
        for kept, given in zip(graphed.inputs, inputs, strict=False):
            if kept.data_ptr() != given.data_ptr():
                kept.copy_(given)
        graphed.forward.replay()
        return tuple(y.detach() for y in graphed.outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        graphed = ctx.graphed
        for kept, given in zip(graphed.output_gradients, gradients, strict=True):
            if kept is not None and given is not None:
                kept.copy_(given)
        graphed.backward.replay()
        return (None, *[g if g is None else g.detach() for g in graphed.gradients])


def _installed(function: Callable, graphed: _Graphed) -> Callable:
    """A module that replays while it is in the mode that it was recorded in; a function's replacement."""
    if not isinstance(function, rtensor.nn.Module):
        return graphed
    plain, training = function.forward, function.training

    def forward(*inputs: Tensor) -> Any:
        return graphed(*inputs) if function.training == training else plain(*inputs)

    function.forward = forward
    return function


def make_graphed_callables(
    callables: Any,
    sample_args: tuple,
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """Functions or modules that replay graphs of their forward and backward passes.

    Parameters
    ----------
    callables : callable or tuple of callables
        What to record; several must be called in the order given, and differentiated in the opposite one.
    sample_args : tuple of Tensor, or tuple of such tuples
        Inputs of each; later ones must have their sizes and dtypes.
    num_warmup_iters : int, default 3
        How often to compute before.
    allow_unused_input : bool, default False
        Whether an input need not have a gradient.
    pool : optional
        Memory to share with other graphs.

    Returns
    -------
    callable or tuple of callables
        Modules are returned themselves, changed.
    """
    is_single = not isinstance(callables, tuple)
    functions, samples = ((callables,), (sample_args,)) if is_single else (callables, sample_args)
    pool = _graphs.graph_pool_handle() if pool is None else pool
    made = [_Graphed(function, tuple(inputs)) for function, inputs in zip(functions, samples, strict=True)]
    _devices.synchronize()
    with _streams.stream(_streams.Stream()):
        for graphed in made:
            graphed.warm_up(num_warmup_iters, allow_unused_input)
    _devices.synchronize()
    for graphed in made:
        graphed.record_forward(pool)
    for graphed in reversed(made):
        graphed.record_backward(pool, allow_unused_input)
    replaced = tuple(_installed(function, graphed) for function, graphed in zip(functions, made, strict=True))
    return replaced[0] if is_single else replaced
