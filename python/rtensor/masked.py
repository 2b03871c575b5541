"""Reductions and normalisations of the elements that a mask selects."""

import rtensor as torch
from rtensor import Tensor

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]


def _mask_of(input: Tensor, mask: Tensor) -> Tensor:
    """Return the mask as booleans of the input's sizes."""
    if mask.ndim > input.ndim:
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    return torch.broadcast_to(mask, input.shape).to(torch.bool)


def _filled(input: Tensor, mask: Tensor | None, value) -> Tensor:
    """Return the input with `value` where the mask leaves elements out."""
    if mask is None:
        return input
    return torch.where(_mask_of(input, mask), input, torch.full((), value, dtype=input.dtype, device=input.device))


def _extreme(dtype, sign: int):
    """Return the greatest (sign 1) or least (-1) value of a dtype."""
    if dtype.is_floating_point:
        return sign * float("inf")
    if dtype == torch.bool:
        return sign > 0
    return torch.iinfo(dtype).max if sign > 0 else torch.iinfo(dtype).min


def _dims(dim, ndim: int) -> tuple[int, ...]:
    """Return the dimensions that `dim` means, non-negative; None and () are all of them."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    dims = []
    for d in (dim,) if isinstance(dim, int) else dim:
        size = max(ndim, 1)
        if not -size <= d < size:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-size}, {size - 1}], but got {d})")
        if d % size in dims:
            raise RuntimeError(f"dim={d % size} appears multiple times in the list of dims")
        dims.append(d % size)
    return tuple(dims) if ndim else ()


def _total_dtype(input: Tensor, dtype):
    """Return the dtype of sums: integers widen to int64."""
    if dtype is not None:
        return dtype
    return input.dtype if input.dtype.is_floating_point or input.dtype.is_complex else torch.int64


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the sum of the selected elements, 0 where there are none.

    Parameters
    ----------
    input : Tensor
        The elements.
    dim : int or tuple of ints, optional
        Dimensions to reduce; all by default.
    keepdim : bool
        Keep reduced dimensions with size 1.
    dtype : dtype, optional
        Dtype of the sum.
    mask : Tensor, optional
        True where an element counts.

    Returns
    -------
    Tensor
        The sums.
    """
    filled = _filled(input, mask, 0)
    return torch.sum(filled, _dims(dim, input.ndim), bool(keepdim), dtype=_total_dtype(input, dtype))


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the product of the selected elements, 1 where there are none (arguments as for `sum`)."""
    result = _filled(input, mask, 1)
    dtype = _total_dtype(input, dtype)
    result = result.to(dtype)
    for d in sorted(_dims(dim, input.ndim), reverse=True):
        result = result.prod(dim=d, keepdim=bool(keepdim))
    return result


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the greatest of the selected elements (arguments as for `sum`)."""
    filled = _filled(input, mask, _extreme(input.dtype, -1))
    return torch.amax(filled, _dims(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the least of the selected elements (arguments as for `sum`)."""
    filled = _filled(input, mask, _extreme(input.dtype, 1))
    return torch.amin(filled, _dims(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return where the greatest of the selected elements is (arguments as for `sum`; one dimension)."""
    filled = _filled(input, mask, _extreme(input.dtype, -1))
    return torch.argmax(filled, dim, bool(keepdim)).to(dtype or input.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return where the least of the selected elements is (arguments as for `sum`; one dimension)."""
    filled = _filled(input, mask, _extreme(input.dtype, 1))
    return torch.argmin(filled, dim, bool(keepdim)).to(dtype or input.dtype)


def cumsum(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Return running sums of the selected elements along a dimension."""
    return torch.cumsum(_filled(input, mask, 0), _dims(dim, input.ndim)[0] if input.ndim else dim, dtype=dtype)


def cumprod(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Return running products of the selected elements along a dimension."""
    return torch.cumprod(_filled(input, mask, 1), _dims(dim, input.ndim)[0] if input.ndim else dim, dtype=dtype)


def _count(input: Tensor, dim, keepdim: bool, mask: Tensor | None) -> Tensor:
    """Count the selected elements."""
    selected = torch.ones_like(input, dtype=torch.bool) if mask is None else _mask_of(input, mask)
    return torch.sum(selected, _dims(dim, input.ndim), keepdim)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the mean of the selected elements, NaN where there are none (arguments as for `sum`)."""
    dtype = input.dtype if dtype is None else dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(f"mean(): expected a floating point or complex dtype, got {dtype}")
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count(input, dim, bool(keepdim), mask)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the lower median of the selected elements along a dimension."""
    is_float = input.dtype.is_floating_point
    values = input if is_float else input.to(torch.float32)
    result = torch.nanmedian(_filled(values, mask, float("nan")), dim, bool(keepdim)).values
    if is_float:
        return result
    if torch.isnan(result).any():
        raise ValueError("masked.median expects no fully masked out rows if dtype is not floating point")
    return result.to(dtype or input.dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the vector norm of the selected elements (arguments as for `sum`, `ord` as for `linalg.vector_norm`)."""
    order = 2.0 if ord is None else float(ord)
    filled = _filled(input, mask, float("inf") if order == float("-inf") else 0)
    dims = _dims(dim, input.ndim)
    return torch.linalg.vector_norm(filled, order, dims, bool(keepdim), dtype=dtype or input.dtype)


def _spread(input, dim, correction, keepdim, dtype, mask) -> Tensor:
    """Return the variance of the selected elements."""
    dtype = dtype or (input.dtype if input.dtype.is_floating_point or input.dtype.is_complex else torch.float32)
    values = input.to(dtype)
    count = _count(input, dim, True, mask)
    centered = values - sum(values, dim, keepdim=True, mask=mask) / count
    squares = (centered * centered.conj()).real if dtype.is_complex else centered * centered
    total = sum(squares, dim, keepdim=bool(keepdim), mask=mask)
    free = count if keepdim else count.reshape(total.shape)
    return (total / torch.clamp(free - correction, min=0)).to(dtype)


def _correction(unbiased, correction) -> float:
    """Return the correction that the two ways to ask for it mean."""
    if unbiased is not None and correction is not None:
        raise RuntimeError("Only one of unbiased and correction may be given")
    if correction is not None:
        return correction
    return 1 if unbiased is None or unbiased else 0


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the variance of the selected elements (arguments as for `sum` and `torch.var`)."""
    return _spread(input, dim, _correction(unbiased, correction), keepdim, dtype, mask)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the standard deviation of the selected elements (arguments as for `sum` and `torch.std`)."""
    return torch.sqrt(_spread(input, dim, _correction(unbiased, correction), keepdim, dtype, mask))


def softmax(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Return the softmax of the selected elements along a dimension."""
    values = input if dtype is None else input.to(dtype)
    return torch.softmax(_filled(values, mask, float("-inf")), dim)


def log_softmax(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Return the logarithm of the softmax of the selected elements along a dimension."""
    values = input if dtype is None else input.to(dtype)
    return torch.log_softmax(_filled(values, mask, float("-inf")), dim)


def softmin(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Return the softmax of the negated selected elements along a dimension."""
    values = input if dtype is None else input.to(dtype)
    return torch.softmax(-_filled(values, mask, float("inf")), dim)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None) -> Tensor:
    """Return the selected elements divided by their norm along a dimension, at least `eps`."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled(input, mask, 0) / torch.clamp(length, min=eps)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """Return the logarithm of the sum of exp over the selected elements (arguments as for `sum`)."""
    filled = _filled(input, mask, _extreme(input.dtype, -1) if not input.dtype.is_complex else float("-inf"))
    return torch.logsumexp(filled, _dims(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None) -> Tensor:
    """Return log(exp(input) + exp(other)) of the selected elements."""
    if dtype is not None:
        input, other = input.to(dtype), other.to(dtype)
    low = float("-inf")
    return torch.logaddexp(_filled(input, input_mask, low), _filled(other, other_mask, low))
