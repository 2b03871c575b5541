"""Writing along one dimension where an index points: `scatter`, `index_add`, and their reductions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._index import Index, along, apart, extent, scatter, start_from
from rtensor.cuda._registry import kernel

_COMBINE = {
    "sum": "atomic_add",
    "mean": "atomic_add",
    "add": "atomic_add",
    "prod": "atomic_mul",
    "multiply": "atomic_mul",
    "amax": "atomic_max",
    "amin": "atomic_min",
}


@dataclass
class _Along:
    """An index along a dimension of a target, and the sizes of what it covers."""

    shape: tuple[int, ...]
    dim: int
    index: Tensor
    strides: tuple[int, ...]
    wraps: bool = False

    def run(self, target: Tensor, source: Any, strides: tuple[int, ...], combine: str) -> None:
        """Combine a source, whose strides fit the shape, or a number with the target."""
        ndim = len(self.shape)
        size, step = extent(target, self.dim)
        fitted = (*strides, *(0,) * ndim)[:ndim]
        chosen = Index(self.index, self.strides, size, step, self.wraps)
        scatter(self.shape, target, along(target.stride(), self.dim, ndim), source, fitted, [chosen], combine)

    def fill(self, target: Tensor, value: Any, combine: str) -> None:
        """Combine one number everywhere."""
        self.run(target, value, (), combine)

    def reduce(self, target: Tensor, source: Tensor, how: str, include_self: bool) -> None:
        """Reduce a source into the target; without `include_self` the places that are hit start from nothing."""
        if not include_self:
            if how in ("amax", "amin"):
                # Whichever value comes is one of those that are reduced.
                self.run(target, source, source.stride(), "assign")
            else:
                self.fill(target, 1 if how == "prod" else 0, "assign")
        self.run(target, source, source.stride(), _COMBINE[how])
        if how == "mean":
            counts = _C.full(target.shape, 1 if include_self else 0, dtype=target.dtype, device=target.device)
            self.fill(counts, 1, "atomic_add")
            rounding = None if target.dtype.is_floating_point or target.dtype.is_complex else "floor"
            target.copy_(_C.div(target, counts.clamp_(1), rounding_mode=rounding))


def _full(args: Sequence, out: Tensor, name: str, source: Tensor | None = None) -> _Along:
    """The index of a scatter, as large as what it covers."""
    x, dim, index = args[:3]
    if index.numel() > 0:
        if index.dtype not in (_C.int32, _C.int64):
            raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
        if max(index.dim(), 1) != max(x.dim(), 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
        _check_sizes(x, dim, index, source)
    return _Along(index.shape, dim % max(x.dim(), 1), apart(index, out), index.stride())


def _check_sizes(x: Tensor, dim: int, index: Tensor, source: Tensor | None) -> None:
    dim %= max(x.dim(), 1)
    fits = all(d == dim or size <= have for d, (size, have) in enumerate(zip(index.shape, x.shape, strict=False)))
    within = source is None or all(size <= have for size, have in zip(index.shape, source.shape, strict=False))
    if not (fits and within):
        of_source = "" if source is None else f" and to be no larger size than src {list(source.shape)}"
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart from dimension "
            f"{dim}{of_source}"
        )


def _source(args: Sequence, out: Tensor, name: str) -> Tensor:
    x, _, index, source = args[:4]
    if source.dtype is not x.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if index.numel() > 0 and max(source.dim(), 1) != max(index.dim(), 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    return apart(source.to(out.device), out)


def _scatter_source(name: str, args: Sequence, out: Tensor, combine: str) -> None:
    source = _source(args, out, name)
    place = _full(args, out, name, source)
    start_from(out, args[0])
    place.run(out, source, source.stride(), combine)


def _scatter_value(args: Sequence, out: Tensor, combine: str) -> None:
    place = _full(args, out, "scatter")
    start_from(out, args[0])
    place.fill(out, args[3], combine)


def _old_reduction(name: str) -> str:
    if name not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    return _COMBINE[name]


@kernel("scatter")
def scatter_source(args, outs):
    _scatter_source("scatter", args, outs[0], "assign")


@kernel("scatter/value")
def scatter_value(args, outs):
    _scatter_value(args, outs[0], "assign")


@kernel("scatter/reduce")
def scatter_source_reduced(args, outs):
    _scatter_source("scatter", args, outs[0], _old_reduction(args[4]))


@kernel("scatter/value_reduce")
def scatter_value_reduced(args, outs):
    _scatter_value(args, outs[0], _old_reduction(args[4]))


@kernel("scatter_add")
def scatter_add(args, outs):
    _scatter_source("scatter_add", args, outs[0], "atomic_add")


@kernel("scatter_reduce")
def scatter_reduce(args, outs):
    (x, *_, how, include_self), out = args, outs[0]
    if how not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {how}")
    source = _source(args, out, "scatter_reduce")
    place = _full(args, out, "scatter_reduce", source)
    start_from(out, x)
    place.reduce(out, source, how, include_self)


def _rows(args: Sequence, out: Tensor, name: str) -> _Along:
    """The index of `index_add` and its kin: one dimension, the same for every row."""
    x, dim, index = args[:3]
    if index.dim() > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, but got dim: {index.dim()}")
    if index.dtype not in (_C.int32, _C.int64):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index but got: {index.dtype}")
    ndim = max(x.dim(), 1)
    shape = along(tuple(x.shape) or (1,), dim, ndim, index.numel())
    strides = along((), dim, ndim, index.stride(0) if index.dim() else 0)
    return _Along(shape, dim % ndim, apart(index, out), strides)


def _row_source(args: Sequence, out: Tensor, place: _Along, name: str, mismatch: type = IndexError) -> Tensor:
    """The source has the target's sizes, apart from the dimension."""
    x, source = args[0], args[3]
    if source.dtype is not x.dtype:
        raise RuntimeError(f"{name}(): self ({x.dtype}) and source ({source.dtype}) must have the same scalar type")
    length, count = extent(source, place.dim)[0] if place.dim < max(source.dim(), 1) else 1, place.shape[place.dim]
    if length != count:
        raise mismatch(
            f"{name}(): Number of indices ({count}) should be equal to source.size(dim): ({length}), "
            f"for dim: {place.dim}"
        )
    if max(source.dim(), 1) != len(place.shape) or any(a != b for a, b in zip(source.shape, place.shape, strict=False)):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(x.shape)} source.shape = {list(source.shape)}"
        )
    return apart(source.to(out.device), out)


@kernel("index_add")
def index_add(args, outs):
    out, alpha = outs[0], args[4]
    place = _rows(args, out, "index_add_")
    source = _row_source(args, out, place, "index_add_", RuntimeError)
    start_from(out, args[0])
    if alpha != 1:
        source = (source * alpha).to(out.dtype)
    place.run(out, source, source.stride(), "atomic_add")


@kernel("index_copy")
def index_copy(args, outs):
    place = _rows(args, outs[0], "index_copy_")
    source = _row_source(args, outs[0], place, "index_copy_")
    start_from(outs[0], args[0])
    place.run(outs[0], source, source.stride(), "assign")


@kernel("index_fill")
def index_fill(args, outs):
    (x, _, _, value), out = args, outs[0]
    place = _rows(args, out, "index_fill_")
    is_tensor = isinstance(value, Tensor)
    if is_tensor and value.dim() > 0:
        raise RuntimeError(f"Only supports 0-dimension value tensor, but got tensor with {value.dim()} dimension(s).")
    kind = value.dtype.is_complex if is_tensor else isinstance(value, complex)
    if kind and not x.dtype.is_complex:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    start_from(out, x)
    place.wraps = True
    place.fill(out, value.to(out.device, out.dtype) if is_tensor else value, "assign")


@kernel("index_reduce")
def index_reduce(args, outs):
    (x, *_, how, include_self), out = args, outs[0]
    if how not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {how}.")
    place = _rows(args, out, "index_reduce")
    source = _row_source(args, out, place, "index_reduce")
    start_from(out, x)
    place.reduce(out, source, how, include_self)
