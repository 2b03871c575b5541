"""Derivatives of functions, as functions."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.autograd.grad_mode import enable_grad
from rtensor.func._tree import leaves, rebuild, tree_map


class _Tracked:
    """Arguments made into the start of a graph, which is kept only where a graph goes on outside."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        given = leaves(tree)
        for leaf in given:
            if not isinstance(leaf, Tensor):
                raise RuntimeError(f"expected the differentiated arguments to be tensors, got {type(leaf).__name__}")
        self.keeps_graph = any(leaf.requires_grad for leaf in given)
        self.leaves = [leaf.view_as(leaf) if leaf.requires_grad else leaf.detach().requires_grad_() for leaf in given]
        self.fresh = rebuild(tree, self.leaves)

    def finish(self, result: Any) -> Any:
        """Cut results off the graph that starts at the fresh arguments."""
        if self.keeps_graph:
            return result
        return tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, result)

    def pull(self, outputs: Sequence[Tensor], vectors: Sequence[Tensor], create_graph: bool = True) -> list[Tensor]:
        """Return the vector-Jacobian products, zeros where an output does not depend on an argument."""
        used = [(output, vector) for output, vector in zip(outputs, vectors, strict=True) if output.requires_grad]
        if not used:
            return [_C.zeros_like(leaf) for leaf in self.leaves]
        outputs, vectors = zip(*used, strict=True)
        grads = _C._grad(outputs, self.leaves, vectors, True, create_graph, True, False)
        pairs = zip(grads, self.leaves, strict=True)
        return [_C.zeros_like(leaf) if grad is None else grad for grad, leaf in pairs]


def _select(args: tuple, argnums: int | tuple[int, ...]) -> Any:
    return args[argnums] if isinstance(argnums, int) else tuple(args[i] for i in argnums)


def _replace(args: tuple, argnums: int | tuple[int, ...], values: Any) -> tuple:
    replaced = list(args)
    for i, value in [(argnums, values)] if isinstance(argnums, int) else zip(argnums, values, strict=True):
        replaced[i] = value
    return tuple(replaced)


def _split_aux(result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError("output of function f should be a tuple: (output, aux) if has_aux is True")
    return result


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Return a function that computes the gradient of a scalar function, and its value.

    Parameters
    ----------
    func : callable
        Returns a tensor of one element, or with ``has_aux`` a pair of it and anything.
    argnums : int or tuple of int
        The arguments with respect to which the gradient is taken.
    has_aux : bool
        Whether ``func`` returns something besides its value.

    Returns
    -------
    callable
        Returns ``(gradient, value)``, or ``(gradient, (value, aux))``.
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        with enable_grad():
            tracked = _Tracked(_select(args, argnums))
            value, aux = _split_aux(func(*_replace(args, argnums, tracked.fresh), **kwargs), has_aux)
            if not isinstance(value, Tensor):
                raise RuntimeError(f"Expected f(*args) to return a tensor, got {type(value).__name__}")
            if value.dim() != 0:
                raise RuntimeError(
                    f"Expected f(*args) to return a scalar tensor, got tensor with {value.dim()} dims. Did you forget "
                    "to use the vmap transform?"
                )
            grads = tracked.pull([value], [_C.ones_like(value)])
        result = tracked.finish(rebuild(tracked.tree, grads))
        value = tracked.finish(value)
        return (result, (value, tracked.finish(aux))) if has_aux else (result, value)

    return wrapper


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Return a function that computes the gradient of a scalar function.

    Parameters
    ----------
    func : callable
        Returns a tensor of one element, or with ``has_aux`` a pair of it and anything.
    argnums : int or tuple of int
        The arguments with respect to which the gradient is taken.
    has_aux : bool
        Whether ``func`` returns something besides its value.

    Returns
    -------
    callable
        Returns the gradient, or ``(gradient, aux)``.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        result, value = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return wrapper


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """Return a function's outputs, and a function that multiplies vectors with its Jacobian from the left.

    Parameters
    ----------
    func : callable
        Takes the primals, returns tensors, or with ``has_aux`` a pair of them and anything.
    *primals
        Where the Jacobian is taken.
    has_aux : bool
        Whether ``func`` returns something besides its outputs.

    Returns
    -------
    tuple
        ``(outputs, vjp_fn)``, or ``(outputs, vjp_fn, aux)``.
    """
    with enable_grad():
        tracked = _Tracked(primals)
        outputs, aux = _split_aux(func(*tracked.fresh), has_aux)

    def product(*vectors):
        vectors = vectors[0] if len(vectors) == 1 and not isinstance(outputs, tuple) else vectors
        flat = leaves(vectors)
        keeps_graph = tracked.keeps_graph or any(vector.requires_grad for vector in flat)
        with enable_grad():
            grads = tracked.pull(leaves(outputs), flat, create_graph=True)
        result = rebuild(tracked.tree, grads)
        return result if keeps_graph else tracked.finish(result)

    shown = tracked.finish(outputs)
    return (shown, product, tracked.finish(aux)) if has_aux else (shown, product)


def jvp(func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False, has_aux: bool = False) -> tuple:
    """Return a function's outputs, and the product of its Jacobian with a vector.

    Parameters
    ----------
    func : callable
        Takes the primals, returns tensors, or with ``has_aux`` a pair of them and anything.
    primals, tangents : tuple
        Where the Jacobian is taken, and the vector.
    strict : bool
        Accepted for programs that give it.
    has_aux : bool
        Whether ``func`` returns something besides its outputs.

    Returns
    -------
    tuple
        ``(outputs, products)``, or ``(outputs, products, aux)``.
    """
    with enable_grad():
        tracked = _Tracked(tuple(primals))
        outputs, aux = _split_aux(func(*tracked.fresh), has_aux)
        flat = leaves(outputs)
        # The product with the Jacobian is the derivative, in u, of the product of u with the Jacobian.
        dummies = [_C.zeros_like(output).requires_grad_() for output in flat]
        grads = tracked.pull(flat, dummies)
        used = [(g, t) for g, t in zip(grads, leaves(tuple(tangents)), strict=True) if g.requires_grad]
        products = _forward(used, dummies) if used else [None] * len(dummies)
        products = [_C.zeros_like(o) if p is None else p for p, o in zip(products, flat, strict=True)]
    result = tracked.finish(rebuild(outputs, products))
    shown = tracked.finish(outputs)
    return (shown, result, tracked.finish(aux)) if has_aux else (shown, result)


def _forward(used: Sequence[tuple[Tensor, Tensor]], dummies: Sequence[Tensor]) -> tuple:
    grads, tangents = zip(*used, strict=True)
    return _C._grad(grads, dummies, tangents, True, True, True, False)


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """Return a function's outputs, and a function that multiplies its Jacobian with vectors.

    Parameters
    ----------
    func : callable
        Takes the primals, returns tensors.
    *primals
        Where the Jacobian is taken.

    Returns
    -------
    tuple
        ``(outputs, jvp_fn)``.
    """
    return func(*primals), lambda *tangents: jvp(func, primals, tangents)[1]


def jacrev(func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, **_: Any) -> Callable:
    """Return a function that computes the Jacobian.

    Parameters
    ----------
    func : callable
        Returns tensors, or with ``has_aux`` a pair of them and anything.
    argnums : int or tuple of int
        The arguments with respect to which the Jacobian is taken.
    has_aux : bool
        Whether ``func`` returns something besides its outputs.

    Returns
    -------
    callable
        For each output it returns the blocks of the Jacobian, one per argument, shaped as output then argument.
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        with enable_grad():
            tracked = _Tracked(_select(args, argnums))
            outputs, aux = _split_aux(func(*_replace(args, argnums, tracked.fresh), **kwargs), has_aux)
            blocks = tree_map(lambda output: rebuild(tracked.tree, _blocks(output, tracked)), outputs)
        blocks = tracked.finish(blocks)
        return (blocks, tracked.finish(aux)) if has_aux else blocks

    return wrapper


def _blocks(output: Tensor, tracked: _Tracked) -> list[Tensor]:
    """Return the Jacobian of one output, a block per argument."""
    rows = [tracked.pull([element], [_C.ones_like(element)]) for element in output.reshape(-1).unbind()]
    shapes = [(*output.shape, *leaf.shape) for leaf in tracked.leaves]
    if not rows:
        return [leaf.new_zeros(shape) for leaf, shape in zip(tracked.leaves, shapes, strict=True)]
    return [_C.stack(column).reshape(shape) for column, shape in zip(zip(*rows, strict=True), shapes, strict=True)]


def jacfwd(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, **_: Any) -> Callable:
    """Return a function that computes the Jacobian, as `jacrev`.

    Parameters
    ----------
    func : callable
        Returns tensors, or with ``has_aux`` a pair of them and anything.
    argnums : int or tuple of int
        The arguments with respect to which the Jacobian is taken.
    has_aux : bool
        Whether ``func`` returns something besides its outputs.

    Returns
    -------
    callable
    """
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """Return a function that computes the Hessian.

    Parameters
    ----------
    func : callable
        Returns a tensor.
    argnums : int or tuple of int
        The arguments with respect to which the Hessian is taken.

    Returns
    -------
    callable
    """
    return jacrev(jacrev(func, argnums), argnums)
