"""Normalisation without running statistics."""

from collections.abc import Sequence
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import _ops, init
from rtensor.nn import functional as F
from rtensor.nn.modules.module import Module
from rtensor.nn.modules.utils import to_tuple
from rtensor.nn.parameter import Parameter

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class _Affine(Module):
    """A normalisation with a learned scale and shift."""

    weight: Tensor | None
    bias: Tensor | None

    def _make_parameters(self, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, wanted in (("weight", weight), ("bias", bias)):
            value = Parameter(rtensor.empty(shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by one, shift by zero."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(_Affine):
    """Normalises over the last dimensions.

    Parameters
    ----------
    normalized_shape
        Their sizes; one number for the last alone.
    eps
        Added to the variance.
    elementwise_affine, bias
        Whether to learn a scale, and a shift with it.
    device, dtype
        Of the parameters.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = to_tuple(normalized_shape, 1)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise."""
        return _ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps, True)

    def extra_repr(self) -> str:
        """The parameters."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(_Affine):
    """Divides by the root of the mean square over the last dimensions.

    Parameters
    ----------
    normalized_shape
        Their sizes; one number for the last alone.
    eps
        Added to the mean square; the dtype's epsilon by default.
    elementwise_affine
        Whether to learn a scale.
    device, dtype
        Of the parameters.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = to_tuple(normalized_shape, 1)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        value = Parameter(rtensor.ones(self.normalized_shape, device=device, dtype=dtype))
        self.register_parameter("weight", value if elementwise_affine else None)

    def reset_parameters(self) -> None:
        """Scale by one."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return _ops.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The parameters."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """Normalises over groups of channels of each sample.

    Parameters
    ----------
    num_groups, num_channels
        Their numbers; the first divides the second.
    eps
        Added to the variance.
    affine
        Whether to learn a scale and a shift for each channel.
    device, dtype
        Of the parameters.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_parameters(num_channels, affine, affine, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The parameters."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """Divides by a power of the mean square over `size` neighbouring channels."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """Normalise."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The parameters."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
