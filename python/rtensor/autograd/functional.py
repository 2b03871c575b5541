"""Derivatives of functions: Jacobians, Hessians, and products with them."""

from collections.abc import Callable, Sequence
from typing import Any

from rtensor import _C
from rtensor._C import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]


def _as_tuple(value: Any, name: str, function: str) -> tuple[bool, tuple[Tensor, ...]]:
    """Return whether the value was a tuple, and its tensors."""
    given = f"The {name} given to {function} must be either a Tensor or a tuple of Tensors but the"
    if name == "outputs of the user-provided function":
        short = "given outputs of the user-provided function"
    else:
        short = f"given {name}"
    if isinstance(value, Tensor):
        return False, (value,)
    if not isinstance(value, tuple):
        raise TypeError(f"{given} {short} has type {type(value)}.")
    for i, item in enumerate(value):
        if not isinstance(item, Tensor):
            raise TypeError(f"{given} value at index {i} has type {type(item)}.")
    return True, value


def _shaped_as(is_tuple: bool, values: Sequence[Any]) -> Any:
    return tuple(values) if is_tuple else values[0]


def _start(
    inputs: Any, create_graph: bool, function: str, track: bool = True, name: str = "inputs"
) -> tuple[bool, tuple[Tensor, ...]]:
    """Return the inputs as fresh tensors that gradients flow to, recorded where a graph is wanted."""
    is_tuple, tensors = _as_tuple(inputs, name, function)
    fresh = []
    for tensor in tensors:
        if create_graph and tensor.requires_grad:
            fresh.append(tensor.view_as(tensor))
        else:
            fresh.append(tensor.detach().requires_grad_(track))
    return is_tuple, tuple(fresh)


def _finish(values: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    return tuple(values) if create_graph else tuple(value.detach() for value in values)


def _call(func: Callable, inputs: tuple[Tensor, ...], function: str, strict: bool) -> tuple[bool, tuple[Tensor, ...]]:
    is_tuple, outputs = _as_tuple(func(*inputs), "outputs of the user-provided function", function)
    if strict:
        for i, output in enumerate(outputs):
            if not output.requires_grad:
                raise RuntimeError(
                    f"Output {i} of the user-provided function does not require gradients. The outputs must be "
                    "computed in a differentiable manner from the input when running in strict mode."
                )
    return is_tuple, outputs


def _grads(outputs, inputs, vectors=None, create_graph=False, retain_graph=True) -> tuple[Tensor | None, ...]:
    """As `autograd.grad`, with None where nothing requires gradients."""
    vectors = [None] * len(outputs) if vectors is None else vectors
    used = [(output, vector) for output, vector in zip(outputs, vectors, strict=True) if output.requires_grad]
    if not used:
        return (None,) * len(inputs)
    outputs, vectors = zip(*used, strict=True)
    return _C._grad(outputs, inputs, vectors, retain_graph, create_graph, True, False)


def _filled(grads, references, strict: bool, create_graph: bool, what: Callable[[int], str]) -> tuple[Tensor, ...]:
    """Zeros in place of missing gradients; in strict mode these are errors."""
    filled = []
    for i, (grad, reference) in enumerate(zip(grads, references, strict=True)):
        if strict and grad is None:
            raise RuntimeError(
                f"{what(i)}. This is not allowed in strict mode{' when create_graph=True' if create_graph else ''}."
            )
        if strict and create_graph and not grad.requires_grad:
            raise RuntimeError(f"{what(i)}. This is not allowed in strict mode when create_graph=True.")
        filled.append(_C.zeros_like(reference) if grad is None else grad)
    return tuple(filled)


def _vectors(
    v: Any, references: tuple[Tensor, ...], is_tuple: bool, create_graph: bool, function: str
) -> tuple[Tensor, ...]:
    """Return the vectors of a product, shaped as what they stand beside."""
    given_tuple, vectors = _start(v, create_graph, function, track=False, name="v")
    if len(vectors) != len(references):
        if is_tuple:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(references)} but got {len(vectors)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (vector, reference) in enumerate(zip(vectors, references, strict=True)):
        if vector.shape != reference.shape:
            prefix = f"Entry {i} in " if given_tuple or is_tuple else ""
            raise RuntimeError(f"{prefix}v has invalid size: should be {reference.size()} but got {vector.size()}.")
    return vectors


def _implicit_vector(outputs: tuple[Tensor, ...], of: str) -> tuple[Tensor, ...]:
    if len(outputs) != 1 or outputs[0].numel() != 1:
        raise RuntimeError(f"The vector v can only be None if {of}.")
    return (_C.ones_like(outputs[0]),)


_SINGLE_OUTPUT = "the user-provided function returns a single Tensor with a single element"
_SINGLE_INPUT = "the input to the user-provided function is a single Tensor with a single element"


def vjp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Tensors, Tensors]:
    """Return the function's outputs, and the product of a vector with its Jacobian.

    Parameters
    ----------
    func : callable
        Takes and returns tensors.
    inputs : Tensor or tuple of Tensor
        Where the Jacobian is taken.
    v : Tensor or tuple of Tensor, optional
        The vector, shaped as the outputs; 1 where there is one single output.
    create_graph : bool
        Record the computation, for higher derivatives.
    strict : bool
        Raise where an output does not depend on an input, instead of giving zeros.

    Returns
    -------
    outputs, products : Tensor or tuple of Tensor
        The products are shaped as the inputs.
    """
    with _recording():
        is_tuple, inputs = _start(inputs, create_graph, "vjp")
        out_tuple, outputs = _call(func, inputs, "vjp", strict)
        if v is None:
            vectors = _implicit_vector(outputs, _SINGLE_OUTPUT)
        else:
            vectors = _vectors(v, outputs, out_tuple, create_graph, "vjp")
        grads = _grads(outputs, inputs, vectors, create_graph)
        products = _filled(grads, inputs, strict, create_graph, _no_path("The output of the user-provided function"))
    return _shaped_as(out_tuple, _finish(outputs, create_graph)), _shaped_as(is_tuple, _finish(products, create_graph))


def _no_path(subject: str) -> Callable[[int], str]:
    return lambda i: f"{subject} is independent of input {i}"


def _recording():
    from rtensor.autograd.grad_mode import enable_grad

    return enable_grad()


def jvp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Tensors, Tensors]:
    """Return the function's outputs, and the product of its Jacobian with a vector.

    Parameters
    ----------
    func : callable
        Takes and returns tensors.
    inputs : Tensor or tuple of Tensor
        Where the Jacobian is taken.
    v : Tensor or tuple of Tensor, optional
        The vector, shaped as the inputs; 1 where there is one single input.
    create_graph : bool
        Record the computation, for higher derivatives.
    strict : bool
        Raise where an output does not depend on an input, instead of giving zeros.

    Returns
    -------
    outputs, products : Tensor or tuple of Tensor
        The products are shaped as the outputs.
    """
    with _recording():
        is_tuple, inputs = _start(inputs, create_graph, "jvp")
        if v is None:
            vectors = _implicit_vector(inputs, _SINGLE_INPUT)
        else:
            vectors = _vectors(v, inputs, is_tuple, create_graph, "jvp")
        out_tuple, outputs = _call(func, inputs, "jvp", strict)
        # The product with the Jacobian is the derivative, in u, of the product of u with the Jacobian.
        dummies = tuple(_C.zeros_like(output).requires_grad_() for output in outputs)
        grads = _grads(outputs, inputs, dummies, create_graph=True)
        grads = _filled(grads, inputs, strict, False, _no_path("The output of the user-provided function"))
        products = _grads(grads, dummies, vectors, create_graph)
        products = _filled(
            products, outputs, strict, create_graph, lambda i: f"Output {i} is independent of the inputs"
        )
    return _shaped_as(out_tuple, _finish(outputs, create_graph)), _shaped_as(out_tuple, _finish(products, create_graph))


def jacobian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the Jacobian of a function.

    Parameters
    ----------
    func : callable
        Takes and returns tensors.
    inputs : Tensor or tuple of Tensor
        Where the Jacobian is taken.
    create_graph : bool
        Record the computation, for higher derivatives.
    strict : bool
        Raise where an output does not depend on an input, instead of giving zeros.
    vectorize, strategy : bool, str
        Accepted for programs that give them; the rows are computed one by one.

    Returns
    -------
    Tensor or nested tuple of Tensor
        ``J[i][j]`` is shaped as output ``i`` followed by input ``j``; no tuple where there is a single tensor.
    """
    with _recording():
        is_tuple, inputs = _start(inputs, create_graph, "jacobian")
        out_tuple, outputs = _call(func, inputs, "jacobian", strict)
        blocks = [_rows(i, output, inputs, create_graph, strict) for i, output in enumerate(outputs)]
    blocks = [_shaped_as(is_tuple, _finish(block, create_graph)) for block in blocks]
    return _shaped_as(out_tuple, blocks)


def _rows(number: int, output: Tensor, inputs, create_graph: bool, strict: bool) -> list[Tensor]:
    """Return the blocks of the Jacobian for one output, one per input."""
    rows = []
    if strict and create_graph:
        what = _no_path("The jacobian of the user-provided function")
    else:
        what = _no_path(f"Output {number} of the user-provided function")
    for element in output.reshape(-1).unbind():
        grads = _grads((element,), inputs, create_graph=create_graph)
        rows.append(_filled(grads, inputs, strict, create_graph, what))
    if not rows:
        return [x.new_zeros((*output.shape, *x.shape)) for x in inputs]
    return [
        _C.stack(column).reshape((*output.shape, *x.shape))
        for column, x in zip(zip(*rows, strict=True), inputs, strict=True)
    ]


def _scalar(func: Callable, name: str) -> Callable:
    """Return the function with a check that its result is one number."""

    def checked(*inputs):
        is_tuple, outputs = _as_tuple(func(*inputs), "outputs of the user-provided function", name)
        if is_tuple:
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        if outputs[0].numel() != 1:
            raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
        return outputs[0].squeeze()

    return checked


def hessian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the Hessian of a function with one number as its result.

    Parameters
    ----------
    func : callable
        Takes tensors, returns a tensor of one element.
    inputs : Tensor or tuple of Tensor
        Where the Hessian is taken.
    create_graph : bool
        Record the computation, for higher derivatives.
    strict : bool
        Raise where the result does not depend on an input, instead of giving zeros.
    vectorize, outer_jacobian_strategy : bool, str
        Accepted for programs that give them; the rows are computed one by one.

    Returns
    -------
    Tensor or nested tuple of Tensor
        ``H[i][j]`` is shaped as input ``i`` followed by input ``j``.
    """
    is_tuple, _ = _as_tuple(inputs, "inputs", "hessian")
    checked = _scalar(func, "hessian")

    def gradient(*args):
        if not strict:
            return _shaped_as(is_tuple, _unwrapped(jacobian(checked, args, create_graph=True)))
        return _shaped_as(is_tuple, _unwrapped(jacobian(checked, args, create_graph=True, strict=True)))

    return jacobian(gradient, inputs, create_graph=create_graph, strict=strict)


def _unwrapped(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _gradient(func: Callable, inputs: Any, name: str, create_graph: bool, strict: bool):
    """Return what `vhp` and `hvp` share: inputs, the value, and the recorded gradient."""
    is_tuple, inputs = _start(inputs, create_graph, name)
    value = _scalar(func, name)(*inputs)
    _call(lambda *_: value, inputs, name, strict)
    grads = _grads((value,), inputs, create_graph=True)
    grads = _filled(grads, inputs, strict, False, _no_path("The output of the user-provided function"))
    return is_tuple, inputs, value, grads


def vhp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Tensor, Tensors]:
    """Return the function's value, and the product of a vector with its Hessian.

    Parameters
    ----------
    func : callable
        Takes tensors, returns a tensor of one element.
    inputs : Tensor or tuple of Tensor
        Where the Hessian is taken.
    v : Tensor or tuple of Tensor, optional
        The vector, shaped as the inputs; 1 where there is one single input.
    create_graph : bool
        Record the computation, for higher derivatives.
    strict : bool
        Raise where the result does not depend on an input, instead of giving zeros.

    Returns
    -------
    value : Tensor
    products : Tensor or tuple of Tensor
    """
    with _recording():
        is_tuple, inputs, value, grads = _gradient(func, inputs, "vhp", create_graph, strict)
        vectors = _hessian_vectors(v, inputs, is_tuple, create_graph, "vhp")
        products = _grads(grads, inputs, vectors, create_graph)
        products = _filled(
            products, inputs, strict, create_graph, _no_path("The jacobian of the user-provided function")
        )
    return _finish((value,), create_graph)[0], _shaped_as(is_tuple, _finish(products, create_graph))


def hvp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Tensor, Tensors]:
    """Return the function's value, and the product of its Hessian with a vector.

    The Hessian is symmetric where it is continuous; this takes the product from the other side than `vhp`.

    Parameters
    ----------
    func : callable
        Takes tensors, returns a tensor of one element.
    inputs : Tensor or tuple of Tensor
        Where the Hessian is taken.
    v : Tensor or tuple of Tensor, optional
        The vector, shaped as the inputs; 1 where there is one single input.
    create_graph : bool
        Record the computation, for higher derivatives.
    strict : bool
        Raise where the result does not depend on an input, instead of giving zeros.

    Returns
    -------
    value : Tensor
    products : Tensor or tuple of Tensor
    """
    with _recording():
        is_tuple, inputs, value, grads = _gradient(func, inputs, "hvp", create_graph, strict)
        vectors = _hessian_vectors(v, inputs, is_tuple, create_graph, "hvp")
        dummies = tuple(_C.zeros_like(x).requires_grad_() for x in inputs)
        second = _grads(grads, inputs, dummies, create_graph=True)
        second = _filled(second, inputs, strict, False, _no_path("The jacobian of the user-provided function"))
        products = _filled(_grads(second, dummies, vectors, create_graph), inputs, False, create_graph, str)
    return _finish((value,), create_graph)[0], _shaped_as(is_tuple, _finish(products, create_graph))


def _hessian_vectors(v: Any, inputs, is_tuple: bool, create_graph: bool, name: str) -> tuple[Tensor, ...]:
    if v is None:
        return _implicit_vector(inputs, _SINGLE_INPUT)
    return _vectors(v, inputs, is_tuple, create_graph, name)
