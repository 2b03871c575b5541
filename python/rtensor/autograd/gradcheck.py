"""Checks of gradients against finite differences."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from rtensor import _C
from rtensor._C import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient differs from what finite differences give."""


def _grad(*args: Any, **kwargs: Any) -> tuple:
    from rtensor.autograd import grad

    return grad(*args, **kwargs)


def _as_tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _differentiable(values: Any) -> tuple[Tensor, ...]:
    return tuple(value for value in _as_tuple(values) if isinstance(value, Tensor) and value.requires_grad)


def _real_columns(tensor: Tensor) -> Tensor:
    """Return the elements as a row of real numbers, complex ones as two each."""
    flat = tensor.detach().resolve_conj().reshape(-1)
    return _C.view_as_real(flat).reshape(-1) if flat.is_complex() else flat


def _numerical_jacobian(func: Callable, inputs: tuple, at: Tensor, eps: float) -> list[Tensor]:
    """Return a Jacobian per output: a row for each real number in the input, by central differences."""
    values = at.data
    if not values.is_contiguous():
        raise GradcheckError("gradcheck expects inputs without overlapping or gapped memory; call contiguous() first")
    places = _C.view_as_real(values).reshape(-1) if values.is_complex() else values.reshape(-1)
    rows: list[list[Tensor]] = []
    for i in range(places.numel()):
        before = places[i].item()
        results = []
        for step in (eps, -eps):
            places[i] = before + step
            results.append([_real_columns(out).clone() for out in _differentiable(func(*inputs))])
        places[i] = before
        rows.append([(high - low) / (2 * eps) for high, low in zip(*results, strict=True)])
    return [_C.stack(column) for column in zip(*rows, strict=True)]


def _basis(output: Tensor) -> list[Tensor]:
    """Return gradients of the output that pick its real numbers one by one."""
    vectors = []
    for i in range(output.numel()):
        for unit in (1, 1j) if output.is_complex() else (1,):
            vector = _C.zeros_like(output).contiguous()
            vector.view(-1)[i] = unit
            vectors.append(vector.view(output.shape))
    return vectors


def _analytical_jacobian(output: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return a Jacobian per input, laid out as the numerical ones."""
    columns = []
    for vector in _basis(output):
        grads = _grad(output, inputs, vector, retain_graph=True, allow_unused=True)
        columns.append(
            [_real_columns(_C.zeros_like(x) if g is None else g) for g, x in zip(grads, inputs, strict=True)]
        )
    return [_C.stack(column, dim=1) for column in zip(*columns, strict=True)]


def _check_inputs(inputs: tuple) -> None:
    asked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not asked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i, x in asked:
        if x.dtype not in (_C.float64, _C.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        x.retain_grad()


def _mismatch(output: int, number: int, numerical: Tensor, analytical: Tensor) -> GradcheckError:
    return GradcheckError(
        f"Jacobian mismatch for output {output} with respect to input {number},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _check_zero_grad(outputs: tuple[Tensor, ...], inputs: Sequence[Tensor]) -> None:
    """The backward pass is linear: it takes zeros to zeros."""
    zeros = [_C.zeros_like(output) for output in outputs]
    grads = _grad(outputs, inputs, zeros, retain_graph=True, allow_unused=True)
    for grad, x in zip(grads, inputs, strict=True):
        if grad is None:
            continue
        if not bool((grad == 0).all()):
            raise GradcheckError("backward not multiplied by grad_output")
        if grad.dtype != x.dtype:
            raise GradcheckError(f"grad is incorrect dtype: expected {x.dtype}, got {grad.dtype}")
        if grad.shape != x.shape:
            raise GradcheckError("grad is incorrect size")


def _check(func: Callable, inputs: tuple, eps: float, atol: float, rtol: float, nondet_tol: float) -> None:
    _check_inputs(inputs)
    asked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    tensors = [x for _, x in asked]
    outputs = _differentiable(func(*inputs))
    if not outputs:
        _check_constant(func, inputs, tensors, eps)
        return
    numerical = [_numerical_jacobian(func, inputs, x, eps) for x in tensors]
    for o, output in enumerate(outputs):
        analytical = _analytical_jacobian(output, tensors)
        again = _analytical_jacobian(output, tensors)
        for place, (number, _) in enumerate(asked):
            expected, got = numerical[place][o], analytical[place]
            if not _C.allclose(got, expected.to(got.dtype), rtol, atol):
                raise _mismatch(o, number, expected, got)
            if not _C.allclose(got, again[place], 0.0, nondet_tol):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    "gives different values, although analytical gradient matches numerical gradient. The tolerance "
                    f"for nondeterminism was {nondet_tol}."
                )
    _check_zero_grad(outputs, tensors)


def _check_constant(func: Callable, inputs: tuple, tensors: Sequence[Tensor], eps: float) -> None:
    """Where no output asks for a gradient, the function must not depend on the inputs."""

    def tracked(*args):
        results = (out for out in _as_tuple(func(*args)) if isinstance(out, Tensor) and out.is_floating_point())
        return tuple(out.detach().requires_grad_() for out in results)

    for x in tensors:
        for jacobian in _numerical_jacobian(tracked, inputs, x, eps):
            if not bool((jacobian == 0).all()):
                raise GradcheckError("Numerical gradient for function expected to be zero")


def gradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of a function with finite differences.

    Parameters
    ----------
    func : callable
        Takes the inputs, returns a tensor or several.
    inputs : Tensor or sequence
        Those that require gradients are checked; they should be of double precision.
    eps : float
        The step of the differences.
    atol, rtol : float
        Tolerances of the comparison.
    raise_exception : bool
        Raise where the check fails, instead of returning False.
    nondet_tol : float
        How much two runs of the same backward pass may differ.
    check_undefined_grad, check_grad_dtypes, check_batched_grad, check_batched_forward_grad : bool
        Accepted for programs that give them; every check here runs in full.
    check_forward_ad : bool
        Only False is supported.
    check_backward_ad : bool
        Whether to check anything.
    fast_mode, masked : bool
        Accepted for programs that give them; every check here runs in full.

    Returns
    -------
    bool
        Whether all gradients agree.
    """
    if check_forward_ad:
        raise NotImplementedError("forward-mode differentiation is not implemented")
    if not check_backward_ad:
        return True
    try:
        _check(func, _as_tuple(inputs), eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    **options: Any,
) -> bool:
    """Compare the second derivatives of a function with finite differences of the first.

    Parameters
    ----------
    func : callable
        Takes the inputs, returns a tensor or several.
    inputs : Tensor or sequence
        Those that require gradients are checked.
    grad_outputs : Tensor or sequence of Tensor, optional
        The gradients of the outputs; random by default.
    gen_non_contig_grad_outputs : bool
        Make the random gradients non-contiguous.
    **options
        As for `gradcheck`.

    Returns
    -------
    bool
        Whether all derivatives agree.
    """
    inputs = _as_tuple(inputs)
    if grad_outputs is None:
        outputs = _differentiable(func(*inputs))
        grad_outputs = tuple(_random_grad(output, gen_non_contig_grad_outputs) for output in outputs)
    else:
        grad_outputs = _as_tuple(grad_outputs)

    def first_derivatives(*args):
        split = len(args) - len(grad_outputs)
        values, vectors = args[:split], args[split:]
        asked = _differentiable(values)
        grads = _grad(_differentiable(func(*values)), asked, vectors, create_graph=True, allow_unused=True)
        return tuple(grad for grad in grads if grad is not None)

    return gradcheck(first_derivatives, (*inputs, *grad_outputs), **options)


def _random_grad(output: Tensor, gapped: bool) -> Tensor:
    grad = _C.randn(output.shape, dtype=output.dtype, device=output.device)
    if gapped and grad.numel() > 1:
        grad = _C.stack([grad, grad], dim=-1)[..., 0]
    return grad.detach().requires_grad_()
