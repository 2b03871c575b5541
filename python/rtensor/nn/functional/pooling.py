"""Pooling: windows reduced to their maximum, mean or norm, and the way back."""

from collections.abc import Callable, Sequence
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import _ops
from rtensor.nn.modules.utils import to_tuple

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _max_pool(dims: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The functions `max_poolNd` and `max_poolNd_with_indices`."""
    plain, indexed = f"max_pool{dims}d", f"max_pool{dims}d_with_indices"

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        stride = [] if stride is None else stride
        return getattr(_ops, indexed)(input, kernel_size, stride, padding, dilation, ceil_mode)

    def max_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        stride = [] if stride is None else stride
        name = indexed if return_indices else plain
        return getattr(_ops, name)(input, kernel_size, stride, padding, dilation, ceil_mode)

    _name(max_pool, plain, f"Maximum of each window over {dims} dimensions; with `return_indices` its place as well.")
    _name(with_indices, indexed, "Maximum of each window and its place.")
    return max_pool, with_indices


def _name(function: Callable[..., Any], name: str, doc: str) -> None:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc


max_pool1d, max_pool1d_with_indices = _max_pool(1)
max_pool2d, max_pool2d_with_indices = _max_pool(2)
max_pool3d, max_pool3d_with_indices = _max_pool(3)


def _output_size(input: Tensor, output_size: Any, dims: int) -> list[int]:
    """The wanted size, with the input's where it is None."""
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size,) * dims
    if input.dim() <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    own = input.size()[input.dim() - len(output_size) :]
    return [o if wanted is None else wanted for wanted, o in zip(output_size, own, strict=True)]


def _adaptive_avg(pool: Callable[..., Tensor], input: Tensor, output_size: Any, dims: int) -> Tensor:
    """Adaptive averages, which are plain ones where a single window takes all."""
    wanted = _output_size(input, output_size, dims)
    if input.dim() in (dims + 1, dims + 2) and wanted == [1] * dims:
        return input.mean(tuple(range(-dims, 0)), True)
    return pool(input, wanted)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over windows such that the output has the size asked for."""
    return _adaptive_avg(_ops.adaptive_avg_pool2d, input, output_size, 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over windows such that the output has the size asked for."""
    return _adaptive_avg(_ops.adaptive_avg_pool3d, input, output_size, 3)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` with the places of the maxima."""
    return _ops.adaptive_max_pool1d(input, output_size)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` with the places of the maxima."""
    return _ops.adaptive_max_pool2d(input, _output_size(input, output_size, 2))


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool3d` with the places of the maxima."""
    return _ops.adaptive_max_pool3d(input, _output_size(input, output_size, 3))


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over windows such that the output has the size asked for."""
    result = adaptive_max_pool1d_with_indices(input, output_size)
    return result if return_indices else result[0]


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over windows such that the output has the size asked for."""
    result = adaptive_max_pool2d_with_indices(input, output_size)
    return result if return_indices else result[0]


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over windows such that the output has the size asked for."""
    result = adaptive_max_pool3d_with_indices(input, output_size)
    return result if return_indices else result[0]


def _fractional(input: Tensor, dims: int, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any) -> Any:
    name = f"fractional_max_pool{dims}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        if isinstance(output_ratio, (tuple, list)) and len(output_ratio) > dims:
            raise ValueError(f"{name} requires output_ratio to either be a single Int or tuple of Ints.")
        ratios = to_tuple(output_ratio, dims)
        output_size = [int(n * r) for n, r in zip(input.size()[-dims:], ratios, strict=True)]
    if samples is None:
        batch = 1 if input.dim() == dims + 1 else input.size(0)
        samples = rtensor.rand(batch, input.size(-dims - 1), dims, dtype=input.dtype, device=input.device)
    return getattr(_ops, name)(input, kernel_size, output_size, samples)


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Maximum over windows of random step, with the places of the maxima."""
    return _fractional(input, 2, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Maximum over windows of random step, with the places of the maxima."""
    return _fractional(input, 3, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maximum over windows of random step."""
    result = _fractional(input, 2, kernel_size, output_size, output_ratio, _random_samples)
    return result if return_indices else result[0]


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maximum over windows of random step."""
    result = _fractional(input, 3, kernel_size, output_size, output_ratio, _random_samples)
    return result if return_indices else result[0]


def _unpool_size(
    input: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], wanted: Any
) -> list[int]:
    """The size before pooling: as computed, or as wanted where that could have been it."""
    spatial = input.size()[-len(kernel) :]
    default = [(n - 1) * s + k - 2 * p for n, s, k, p in zip(spatial, stride, kernel, padding, strict=True)]
    size = default
    if wanted is not None:
        size = list(wanted)[2:] if len(wanted) == len(kernel) + 2 else list(wanted)
        if len(size) != len(kernel):
            raise ValueError(
                f"output_size should be a sequence containing {len(kernel)} or {len(kernel) + 2} elements, "
                f"but it has a length of '{len(size)}'"
            )
        for dim, (n, usual, step) in enumerate(zip(size, default, stride, strict=True)):
            low, high = usual - step, usual + step
            if not low < n < high:
                raise ValueError(f'invalid output_size "{wanted}" (dim {dim} must be between {low} and {high})')
    for dim, n in enumerate(size):
        if n < 0:
            raise ValueError(
                "max_unpooling: output_size must contain non-negative spatial dimensions, "
                f"but got output_size[{dim}]={n}"
            )
    return size


def _unpool(
    input: Tensor, indices: Tensor, dims: int, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    kernel, pad = to_tuple(kernel_size, dims), to_tuple(padding, dims)
    step = kernel if stride is None else to_tuple(stride, dims)
    size = _unpool_size(input, kernel, step, pad, output_size)
    if dims == 1:
        return _ops.max_unpool2d(input.unsqueeze(-1), indices.unsqueeze(-1), [*size, 1]).squeeze(-1)
    if dims == 2:
        return _ops.max_unpool2d(input, indices, size)
    return _ops.max_unpool3d(input, indices, size, step, pad)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put the maxima of `max_pool1d` back to their places, among zeros."""
    return _unpool(input, indices, 1, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put the maxima of `max_pool2d` back to their places, among zeros."""
    return _unpool(input, indices, 2, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put the maxima of `max_pool3d` back to their places, among zeros."""
    return _unpool(input, indices, 3, kernel_size, stride, padding, output_size)


def _lp_pool(input: Tensor, dims: int, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:
    if norm_type == 0:
        raise ValueError(f"norm_type must be a non-zero value, but got {norm_type}")
    kernel = to_tuple(kernel_size, dims)
    if abs(norm_type) == float("inf"):
        sign = 1 if norm_type > 0 else -1
        pool = (max_pool1d, max_pool2d, max_pool3d)[dims - 1]
        return sign * pool(sign * input.abs(), kernel_size, stride, 0, 1, ceil_mode)
    step = kernel if stride is None else to_tuple(stride, dims)
    mean = getattr(_ops, f"avg_pool{dims}d")(input.pow(norm_type), kernel, step, 0, ceil_mode)
    size = 1
    for n in kernel:
        size *= n
    return (rtensor.sign(mean) * rtensor.relu(rtensor.abs(mean))).mul(size).pow(1.0 / norm_type)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window."""
    return _lp_pool(input, 1, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window."""
    return _lp_pool(input, 2, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window."""
    return _lp_pool(input, 3, norm_type, kernel_size, stride, ceil_mode)
