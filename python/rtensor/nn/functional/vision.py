"""Resampling of images: interpolation, grids, sliding windows."""

import warnings
from collections.abc import Sequence
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import _ops
from rtensor.nn.functional.pooling import adaptive_avg_pool2d, adaptive_avg_pool3d
from rtensor.nn.modules.utils import to_tuple

__all__ = [
    "affine_grid",
    "fold",
    "grid_sample",
    "interpolate",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

# The native operator of a mode and a number of dimensions of the input.
_UPSAMPLE = {
    ("nearest", 3): "upsample_nearest1d",
    ("nearest", 4): "upsample_nearest2d",
    ("nearest", 5): "upsample_nearest3d",
    ("nearest-exact", 3): "_upsample_nearest_exact1d",
    ("nearest-exact", 4): "_upsample_nearest_exact2d",
    ("nearest-exact", 5): "_upsample_nearest_exact3d",
    ("linear", 3): "upsample_linear1d",
    ("bilinear", 4): "upsample_bilinear2d",
    ("bicubic", 4): "upsample_bicubic2d",
    ("trilinear", 5): "upsample_trilinear3d",
}
_ANTIALIASED = {"bilinear": "_upsample_bilinear2d_aa", "bicubic": "_upsample_bicubic2d_aa"}
_WANTED_DIMS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize to `size`, or by `scale_factor`, along the dimensions after batch and channel.

    Parameters
    ----------
    mode
        ``nearest``, ``nearest-exact``, ``linear``, ``bilinear``, ``bicubic``, ``trilinear`` or ``area``.
    align_corners
        Whether the corner elements, rather than the corners of their areas, fall on each other.
    recompute_scale_factor
        Derive the scale from the output size.
    antialias
        Widen the filter when an image shrinks.
    """
    stepped = mode in ("nearest", "area", "nearest-exact")
    if stepped and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    output_size, scales = _target_size(input, size, scale_factor)
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if scales is not None and (recompute_scale_factor or mode == "area"):
        output_size = [int(n * scale) for n, scale in zip(input.shape[2:], scales, strict=True)]
        scales = None
    dims = input.dim()
    if antialias and not (mode in _ANTIALIASED and dims == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    if mode == "area" and dims in (3, 4, 5):
        pool = (_ops.adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dims - 3]
        return pool(input, output_size)
    if (mode, dims) not in _UPSAMPLE:
        raise NotImplementedError(_no_mode(mode, dims))
    upsample = getattr(_ops, _ANTIALIASED[mode] if antialias else _UPSAMPLE[mode, dims])
    if stepped:
        return upsample(input, output_size, scales)
    return upsample(input, output_size, bool(align_corners), scales)


def _target_size(input: Tensor, size: Any, scale_factor: Any) -> tuple[Any, Any]:
    """The output size or the scales, one number for each spatial dimension."""
    dims = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given, name, what = (size, "output size", "output") if size is not None else (scale_factor,) + ("scale_factor",) * 2
    given = list(given) if isinstance(given, (list, tuple)) else [given] * dims
    if len(given) != dims:
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input with spatial dimensions "
            f"of {list(input.shape[2:])} and {name} of {'' if what == 'output' else 'shape '}{tuple(given)}. Please "
            "provide input tensor in (N, C, d1, d2, ...,dK) format."
        )
    if size is None:
        return None, given
    if any(isinstance(n, float) for n in given):
        raise TypeError(
            "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], "
            f"but got size with types {[type(n) for n in given]}"
        )
    return given, None


def _no_mode(mode: str, dims: int) -> str:
    if dims in (3, 4, 5) and mode in _WANTED_DIMS and mode != "bicubic":
        return f"Got {dims}D input, but {mode} mode needs {_WANTED_DIMS[mode]}D input"
    return (
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {dims}D) for the modes: nearest | linear | "
        f"bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
    )


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """Old name of `interpolate`."""
    _warn_deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Old form of `interpolate` with ``mode="nearest"``."""
    _warn_deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Old form of `interpolate` with ``mode="bilinear"`` and aligned corners."""
    _warn_deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _warn_deprecated(name: str) -> None:
    warnings.warn(f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3)


_GRID_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
_GRID_PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}
_CORNERS = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
    "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details."
)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Values of an image at the places that `grid` holds, from -1 to 1 across the image."""
    if mode not in _GRID_MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _GRID_PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(_CORNERS, stacklevel=2)
    return _ops.grid_sampler(input, grid, _GRID_MODES[mode], _GRID_PADDINGS[padding_mode], bool(align_corners))


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid for `grid_sample` that applies the affine maps `theta` to images of size `size`."""
    if align_corners is None:
        warnings.warn(_CORNERS, stacklevel=2)
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {size}."
        )
    dims = len(size) - 2
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. "
            f"Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return rtensor.affine_grid_generator(theta, size, bool(align_corners))


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The sliding windows of an image as columns."""
    sizes = (to_tuple(n, 2) for n in (kernel_size, dilation, padding, stride))
    return _ops.im2col(input, *sizes)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The image whose sliding windows are the columns of `input`, overlaps summed."""
    sizes = (to_tuple(n, 2) for n in (output_size, kernel_size, dilation, padding, stride))
    return _ops.col2im(input, *sizes)
