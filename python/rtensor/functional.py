"""Functions whose arguments Python sorts out before the operators see them."""

from collections.abc import Sequence

from rtensor import _C
from rtensor._C import Size, Tensor

__all__ = [
    "broadcast_shapes",
    "detach_",
    "einsum",
    "gradient",
    "nonzero_static",
    "tensordot",
    "unique",
    "unique_consecutive",
    "zero_",
]


def broadcast_shapes(*shapes) -> Size:
    """The shape that shapes (tuples or ints) broadcast to.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    sizes = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    for size in sizes:
        if any(length < 0 for length in size):
            raise RuntimeError(f"Trying to create tensor with negative dimension: {list(size)}")
    result = [1] * max(map(len, sizes), default=0)
    for size in sizes:
        for i in range(-1, -1 - len(size), -1):
            if size[i] not in (1, result[i]) and result[i] != 1:
                raise RuntimeError(
                    "Shape mismatch: objects cannot be broadcast to a single shape: "
                    f"sizes {size[i]} and {result[i]} at dimension {i}"
                )
            result[i] = size[i] if size[i] != 1 else result[i]
    return Size(result)


def einsum(equation, *operands) -> Tensor:
    """The sum of products that Einstein's notation describes.

    Parameters
    ----------
    equation : str
        The subscripts, as ``"ij,jk->ik"``; or operands and lists of subscripts in turn.
    *operands : Tensor
        The factors, also as one list.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.einsum("i,i->", torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if not isinstance(equation, str):
        equation, lists = _from_sublists((equation, *operands))
        return _C.einsum(equation, list(lists))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        return _C.einsum(equation, list(operands[0]))
    return _C.einsum(equation, list(operands))


def _from_sublists(args: Sequence) -> tuple[str, Sequence]:
    """The equation of `(a, [0, 1], b, [1, 2], [0, 2])`."""
    operands, subscripts = args[: len(args) // 2 * 2 : 2], args[1::2]
    if len(operands) == 0:
        raise ValueError("einsum(): must specify the equation string and at least one operand")
    text = ",".join(_letters(sub) for sub in subscripts)
    return (text + "->" + _letters(args[-1]) if len(args) % 2 else text), operands


def _letters(subscripts) -> str:
    text = ""
    for subscript in subscripts:
        if subscript is Ellipsis:
            text += "..."
        elif isinstance(subscript, int) and 0 <= subscript < 52:
            text += chr(subscript + (ord("A") if subscript < 26 else ord("a") - 26))
        else:
            raise ValueError("einsum(): subscripts must be Ellipsis or integers in the range [0, 52)")
    return text


def tensordot(a, b, dims=2, out=None) -> Tensor:
    """The product of two tensors, summed over pairs of dimensions.

    Parameters
    ----------
    a, b : Tensor
        The factors.
    dims : int or pair of lists, default 2
        How many of the last dimensions of ``a`` meet the first of ``b``, or which meet which.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims = list(range(-dims, 0)), list(range(dims))
    pair = [[d] if isinstance(d, int) else list(d) for d in dims]
    return _C.tensordot(a, b, *pair) if out is None else _C.tensordot(a, b, *pair, out=out)


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or slices along a dimension).

    Parameters
    ----------
    input : Tensor
        Where they are looked for.
    sorted : bool, default True
        Whether they come in ascending order.
    return_inverse, return_counts : bool, default False
        Whether to give where each element went, and how often each occurs.
    dim : int, optional
        The dimension whose slices are compared; elements, unless given.
    """
    if dim is None:
        found = _C._unique2(input, sorted, return_inverse, return_counts)
    else:
        found = _C.unique_dim(input, dim, sorted, return_inverse, return_counts)
    return _chosen(found, return_inverse, return_counts)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements (or slices) that differ from the one before them.

    Parameters
    ----------
    input : Tensor
        Where they are looked for.
    return_inverse, return_counts : bool, default False
        Whether to give where each element went, and how long each run is.
    dim : int, optional
        The dimension whose slices are compared; elements, unless given.
    """
    found = _C._unique_consecutive(input, return_inverse, return_counts, dim)
    return _chosen(found, return_inverse, return_counts)


def _chosen(found, return_inverse: bool, return_counts: bool):
    values, inverse, counts = found
    results = [values, *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    return results[0] if len(results) == 1 else tuple(results)


def gradient(input, *, spacing=None, dim=None, edge_order=1) -> tuple[Tensor, ...]:
    """Estimates of the derivatives along dimensions, by central differences.

    Parameters
    ----------
    input : Tensor
        Values on a grid.
    spacing : number, list of numbers or tensors, optional
        The distance of neighbours (1, unless given), for all dimensions or each, or the coordinates of the grid.
    dim : int or list of ints, optional
        The dimensions; all, unless given.
    edge_order : {1, 2}, default 1
        The order of accuracy at the edges.
    """
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    dims = list(range(input.dim())) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    wrapped = [d % input.dim() if -input.dim() <= d < input.dim() else d for d in dims]
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError(f"dim {dims} appears multiple times in the list of dims")
    for d in dims:
        if not -input.dim() <= d < input.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-input.dim()}, {input.dim() - 1}], but got {d})"
            )
        if input.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    spacing = 1 if spacing is None else spacing
    spacings = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(spacings) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() = "
            f"{input.dim()}', since dim argument was not given, but got a list of length {len(spacings)}"
        )
    return tuple(_derivative(input, d, h, edge_order) for d, h in zip(dims, spacings, strict=True))


def _derivative(x: Tensor, dim: int, spacing, edge_order: int) -> Tensor:
    if not x.is_floating_point() and not x.is_complex():
        x = x.to(_C.get_default_dtype())
    x = x.movedim(dim, -1)
    n = x.shape[-1]
    steps = spacing.diff() if isinstance(spacing, Tensor) and spacing.dim() else _C.full((n - 1,), 1.0) * spacing
    h = steps.to(device=x.device)
    a, b = h[:-1], h[1:]
    left, middle, right = x[..., :-2], x[..., 1:-1], x[..., 2:]
    inner = -left * b / (a * (a + b)) + middle * (b - a) / (a * b) + right * a / (b * (a + b))
    if edge_order == 1:
        first, last = (x[..., 1] - x[..., 0]) / h[0], (x[..., -1] - x[..., -2]) / h[-1]
    else:
        first = _edge(x[..., 0], x[..., 1], x[..., 2], h[0], h[1])
        last = -_edge(x[..., -1], x[..., -2], x[..., -3], h[-1], h[-2])
    whole = _C.cat([first.unsqueeze(-1), inner, last.unsqueeze(-1)], -1)
    return whole.to(x.dtype).movedim(-1, dim)


def _edge(x0: Tensor, x1: Tensor, x2: Tensor, h0: Tensor, h1: Tensor) -> Tensor:
    """The one-sided derivative at `x0` of the parabola through three values."""
    return -x0 * (2 * h0 + h1) / (h0 * (h0 + h1)) + x1 * (h0 + h1) / (h0 * h1) - x2 * h0 / (h1 * (h0 + h1))


def zero_(input) -> Tensor:
    """Set every element to 0."""
    return input.zero_()


def detach_(input) -> Tensor:
    """Take the tensor out of the graph that made it."""
    return input.detach_()


def nonzero_static(input, *, size, fill_value=-1) -> Tensor:
    """The positions of the first elements that are not zero, in a result of a size known before.

    Parameters
    ----------
    input : Tensor
        Where they are looked for.
    size : int
        How many positions.
    fill_value : int, default -1
        What stands for positions that are not there.
    """
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, but got {size}")
    found = _C.nonzero(input)[:size]
    rest = size - found.shape[0]
    return found if rest == 0 else _C.cat([found, found.new_full((rest, found.shape[1]), fill_value)])
