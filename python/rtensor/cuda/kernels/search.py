"""Binary search in sorted sequences, and counting: searchsorted, bucketize, bincount, histc."""

import math
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks

_SEARCH, _HISTOGRAM = Source("search.cu"), Source("histogram.cu")
_THREADS = 256
_SHARED_BINS = 4096
_MOST_BLOCKS = 1024


def _search(boundaries: Tensor, value: Any, right: bool, sorter: Tensor | None, out: Tensor) -> None:
    if not isinstance(value, Tensor):
        value = _C.full((), value, dtype=_needle_dtype(value, boundaries.dtype), device=boundaries.device)
    dtype = _C.promote_types(boundaries.dtype, value.dtype)
    boundaries, values = boundaries.to(dtype).contiguous(), value.to(boundaries.device, dtype).contiguous()
    per_row = 0 if boundaries.dim() == 1 else values.shape[-1]
    order = 0 if sorter is None else sorter.contiguous()
    args = (boundaries, order, boundaries.shape[-1], per_row, values, values.numel(), int(right), out)
    _SEARCH.launch("search", {"T": dtype, "O": out.dtype}, blocks(values.numel(), _THREADS), _THREADS, *args)


def _needle_dtype(value: Any, boundaries: Any) -> Any:
    """A float that is searched among integers is one of single precision."""
    is_float = isinstance(value, float) and not boundaries.is_floating_point
    is_int = not isinstance(value, bool) and boundaries is _C.bool
    return _C.float32 if is_float or is_int else boundaries


@kernel("searchsorted")
def searchsorted(args, outs):
    boundaries, value, _, right, side, sorter = args
    _search(boundaries, value, right or side == "right", sorter, outs[0])


@kernel("bucketize")
def bucketize(args, outs):
    value, boundaries, _, right = args
    _search(boundaries, value, right, None, outs[0])


def _count(x: Tensor, out: Tensor, weights: Tensor | None = None, edges: tuple[float, float] | None = None) -> None:
    """Add to each bin how many elements it has, or their weights."""
    x, bins = x.contiguous(), out.numel()
    settings = {"T": x.dtype, "C": out.dtype, "SHARED": _SHARED_BINS if bins <= _SHARED_BINS else 0}
    if edges is not None:
        settings["EQUAL_BINS"] = 1
    grid = min(blocks(x.numel(), 8 * _THREADS), _MOST_BLOCKS)
    args = (x, x.numel(), bins, *map(float, edges or (0, 0)), 0 if weights is None else weights, out)
    _HISTOGRAM.launch("histogram", settings, grid, _THREADS, *args)


@kernel("bincount")
def bincount(args):
    x, weights, minimum = args
    if x.dtype.is_floating_point or x.dtype.is_complex:
        raise NotImplementedError(f"\"bincount_cuda\" not implemented for '{x.dtype}'")
    if minimum < 0:
        raise RuntimeError("minlength should be >= 0")
    low, high = (_C.stack(_C.aminmax(x.to(_C.int64))).tolist()) if x.numel() else (0, -1)
    if x.dim() != 1 or low < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    size = max(high + 1, minimum)
    if weights is None:
        out = _C.zeros(size, dtype=_C.int64, device=x.device)
        _count(x, out)
        return [out]
    if weights.shape != x.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    out = _C.zeros(size, dtype=_C.float64, device=x.device)
    _count(x, out, weights.to(_C.float64).contiguous())
    return [out.to(_C.float32) if weights.dtype is _C.float32 else out]


def _edges(x: Tensor, low: float, high: float) -> tuple[float, float]:
    """The range of a histogram: as given, or that of the data, never empty."""
    if low == high and x.numel() > 0:
        low, high = _C.stack(_C.aminmax(x)).tolist()
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"histc: range of [{low}, {high}] is not finite")
    if low >= high:
        raise RuntimeError("histc: max must be larger than min")
    return low, high


@kernel("histc")
def histc(args, outs):
    (x, bins, low, high), out = args, outs[0]
    counts = _C.zeros(bins, dtype=_C.int64, device=x.device)
    _count(x, counts, edges=_edges(x, low, high))
    out.copy_(counts)
