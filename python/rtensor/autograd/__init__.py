"""Automatic differentiation: the backward pass, grad modes, user-defined functions, checks."""

from collections.abc import Sequence

from rtensor import _C
from rtensor._C import Tensor, _backward, is_grad_enabled, is_inference_mode_enabled
from rtensor.autograd import forward_ad, function, functional, grad_mode, graph
from rtensor.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from rtensor.autograd.function import Function, InplaceFunction
from rtensor.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from rtensor.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from rtensor.autograd.variable import Variable

__all__ = [
    "Function",
    "GradcheckError",
    "InplaceFunction",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

backward = _backward


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """Return the gradients of the outputs with respect to the inputs, without touching any ``grad``.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensor
        What is differentiated, with respect to what.
    grad_outputs : Tensor or sequence of Tensor, optional
        The vector in the vector-Jacobian product; 1 for scalar outputs.
    retain_graph : bool, optional
        Keep the graph for another pass. The default is the value of ``create_graph``.
    create_graph : bool
        Record the pass itself, for higher derivatives.
    only_inputs : bool
        Only True is supported.
    allow_unused : bool, optional
        Return None for inputs that the outputs do not depend on, instead of raising.
    is_grads_batched : bool
        The first dimension of each of ``grad_outputs`` counts independent vectors.
    materialize_grads : bool
        Return zeros for inputs that the outputs do not depend on.

    Returns
    -------
    tuple of Tensor
    """
    if not only_inputs:
        raise ValueError("only_inputs=False is not supported: the gradients of the inputs are all that is computed")
    options = (create_graph, allow_unused, materialize_grads)
    if not is_grads_batched:
        return _C._grad(outputs, inputs, grad_outputs, retain_graph, *options)
    return _batched_grad(outputs, inputs, grad_outputs, retain_graph, options)


def _batched_grad(outputs, inputs, grad_outputs, retain_graph, options):
    """Run one pass for each vector of the batch, and stack the results."""
    if isinstance(grad_outputs, Tensor):
        grad_outputs = (grad_outputs,)
    size = next(v.shape[0] for v in grad_outputs if v is not None)
    retain_graph = options[0] if retain_graph is None else retain_graph
    passes = []
    for i in range(size):
        vectors = [None if v is None else v[i] for v in grad_outputs]
        passes.append(_C._grad(outputs, inputs, vectors, retain_graph or i < size - 1, *options))
    return tuple(None if column[0] is None else _C.stack(column) for column in zip(*passes, strict=True))
