"""Reading and writing by index tensors: `x[i]`, `index_select`, `gather`, `take`, `put`."""

import numpy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._index import Index, along, apart, extent, gather, scatter, start_from
from rtensor.cuda._registry import kernel

_MASKS = (_C.bool, _C.uint8)


class _Selection:
    """What index tensors select; their dimensions are one block, in the place of the first where they are neighbours.

    Attributes
    ----------
    shape : tuple of int
        The result's sizes.
    strides : tuple of int
        The indexed tensor's strides under the shape, 0 for the block.
    indices : list of Index
        What chooses within the block.
    """

    def __init__(self, x: Tensor, given: list):
        free, parts = _resolved(x, given)
        covered = [dim for _, dim in parts]
        first, last = covered[0], covered[-1]
        adjacent = not any(first <= dim < last for dim in free)
        block = sum(dim < first for dim in free) if adjacent else 0
        inner = _broadcast([tensor for tensor, _ in parts])
        before, after = free[:block], free[block:]
        self.shape = (*(x.shape[d] for d in before), *inner, *(x.shape[d] for d in after))
        self.strides = (*(x.stride(d) for d in before), *[0] * len(inner), *(x.stride(d) for d in after))
        self.indices = [
            Index(
                tensor,
                (*[0] * len(before), *tensor.expand(inner).stride(), *[0] * len(after)),
                x.shape[dim],
                x.stride(dim),
                wraps=True,
            )
            for tensor, dim in parts
        ]


def _resolved(x: Tensor, given: list) -> tuple[list[int], list[tuple[Tensor, int]]]:
    """The dimensions without an index, and the indices with their dimensions."""
    if all(index is None for index in given):
        raise IndexError("at least one index must be provided")
    free: list[int] = []
    parts: list[tuple[Tensor, int]] = []
    dim = 0
    for index in given:
        covers = index.dim() if index is not None and index.dtype in _MASKS else 1
        if dim + covers > x.dim():
            raise IndexError(f"too many indices for tensor of dimension {x.dim()}")
        if index is None:
            free.append(dim)
        elif index.dtype in _MASKS:
            parts.extend((column, dim + d) for d, column in enumerate(_mask_indices(x, index, dim)))
        elif index.dtype in (_C.int32, _C.int64):
            parts.append((index, dim))
        else:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        dim += covers
    if len({tensor.dtype for tensor, _ in parts}) > 1:
        parts = [(tensor.to(_C.int64), d) for tensor, d in parts]
    return [*free, *range(dim, x.dim())], parts


def _mask_indices(x: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, ...]:
    if x.shape[dim : dim + mask.dim()] != mask.shape:
        at = next(d for d in range(mask.dim()) if x.shape[dim + d] != mask.shape[d])
        raise IndexError(
            f"The shape of the mask {list(mask.shape)} at index {at} does not match the shape of the indexed tensor "
            f"{list(x.shape)} at index {dim + at}"
        )
    return mask.nonzero().unbind(1)


def _broadcast(indices: list[Tensor]) -> tuple[int, ...]:
    try:
        return numpy.broadcast_shapes(*(tuple(index.shape) for index in indices))
    except ValueError:
        shapes = ", ".join(str(list(index.shape)) for index in indices)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None


@kernel("index")
def index(args):
    x, given = args
    if len(given) == 1 and given[0] is not None and given[0].dtype is _C.bool and given[0].shape == x.shape:
        return [_C.masked_select(x, given[0])]
    chosen = _Selection(x, given)
    out = _C.empty(chosen.shape, dtype=x.dtype, device=x.device)
    gather(chosen.shape, out, out.stride(), x, chosen.strides, chosen.indices)
    return [out]


@kernel("index_put")
def index_put(args, outs):
    (x, given, values, accumulate), out = args, outs[0]
    if values.dtype is not x.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, "
            f"got {x.dtype} for the destination and {values.dtype} for the source."
        )
    chosen = _Selection(out, [index if index is None else apart(index, out) for index in given])
    try:
        values = apart(values.to(out.device), out).expand(chosen.shape)
    except RuntimeError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result of "
            f"shape {list(chosen.shape)}"
        ) from None
    start_from(out, x)
    combine = "atomic_add" if accumulate else "assign"
    scatter(chosen.shape, out, chosen.strides, values, values.stride(), chosen.indices, combine)


@kernel("index_select")
def index_select(args, outs):
    (x, dim, index), out = args, outs[0]
    size, step = extent(x, dim)
    strides = along((), dim, out.dim(), index.stride(0) if index.dim() else 0)
    chosen = Index(index, strides, size, step)
    gather(out.shape, out, out.stride(), x, along(x.stride(), dim, out.dim()), [chosen])


@kernel("gather")
def gather_along(args, outs):
    (x, dim, index, _), out = args, outs[0]
    if index.numel() == 0:
        return
    size, step = extent(x, dim)
    strides = along(x.stride(), dim, index.dim())
    gather(index.shape, out, out.stride(), x, strides, [Index(index, index.stride(), size, step)])


def _flat_index(index: Tensor, name: str, size: int) -> Tensor:
    if index.dtype is not _C.int64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {index.dtype}")
    if size == 0 and index.numel() > 0:
        raise IndexError(f"{name}(): tried to take from an empty tensor")
    return index


@kernel("take")
def take(args, outs):
    (x, index), out = args, outs[0]
    index = _flat_index(index, "take", x.numel())
    chosen = Index(index, index.stride(), x.numel(), 1, wraps=True)
    gather(index.shape, out, out.stride(), x.contiguous(), (0,) * index.dim(), [chosen])


@kernel("put")
def put(args, outs):
    (x, index, source, accumulate), out = args, outs[0]
    if x.dtype is not source.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, "
            f"but got self.dtype = {x.dtype} and source.dtype = {source.dtype}"
        )
    index = _flat_index(index, "put_", x.numel())
    if index.numel() != source.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, "
            f"but got source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    start_from(out, x)
    index, source = index.reshape(-1), source.to(x.device).reshape(-1)
    chosen = Index(index, index.stride(), x.numel(), 1, wraps=True)
    scatter(index.shape, out, (0,), source, source.stride(), [chosen], "atomic_add" if accumulate else "assign")
