"""Convolutions and transposed convolutions in one to three dimensions."""

import math
from collections.abc import Sequence
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import _ops, init
from rtensor.nn.modules.module import Module
from rtensor.nn.modules.utils import to_tuple
from rtensor.nn.parameter import Parameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share: their sizes, parameters and print."""

    _dims: int
    _operator: str
    _transposed = False
    weight: Tensor
    bias: Tensor | None

    def _setup(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = to_tuple(kernel_size, self._dims)
        self.stride = to_tuple(stride, self._dims)
        self.padding = padding if isinstance(padding, str) else to_tuple(padding, self._dims)
        self.dilation = to_tuple(dilation, self._dims)
        self.transposed = self._transposed
        self.output_padding = to_tuple(output_padding, self._dims)
        self.groups = groups
        self.padding_mode = padding_mode
        self._check()
        self._reversed_padding_repeated_twice = self._explicit_padding()
        self.weight = Parameter(rtensor.empty(self._weight_shape(), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(rtensor.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self) -> None:
        if self.groups <= 0:
            raise ValueError("groups must be a positive integer")
        if self.in_channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if self.out_channels % self.groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {self.padding!r}, should be one of {{'valid', 'same'}}")
            if self.padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if self.padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {set(_PADDING_MODES)}, but got padding_mode='{self.padding_mode}'"
            )

    def _weight_shape(self) -> tuple[int, ...]:
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def _explicit_padding(self) -> list[int]:
        """The padding before and after each dimension, the last one first, as `pad` takes it."""
        sides = []
        for i in reversed(range(self._dims)):
            if not isinstance(self.padding, str):
                sides += [self.padding[i]] * 2
                continue
            total = self.dilation[i] * (self.kernel_size[i] - 1) if self.padding == "same" else 0
            sides += [total // 2, total - total // 2]
        return sides

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Channels, sizes, and what differs from the default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * len(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * len(self.output_padding):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    """A convolution; subclasses say in how many dimensions.

    Parameters
    ----------
    in_channels, out_channels
        Number of channels.
    kernel_size, stride, dilation
        One number, or one for each dimension.
    padding
        Width added on each side: a number, one for each dimension, ``"same"`` or ``"valid"``.
    groups
        Number of blocks of channels that do not see each other.
    bias
        Whether to add a bias.
    padding_mode
        What the padding holds: ``zeros``, ``reflect``, ``replicate`` or ``circular``.
    device, dtype
        Of the parameters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self._setup(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Convolve."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = _ops.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = (0,) * self._dims
        convolve = getattr(_ops, self._operator)
        return convolve(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Convolution over one dimension of `(N, C, ...)` or `(C, ...)`; parameters as of its base class."""

    _dims = 1
    _operator = "conv1d"


class Conv2d(_Conv):
    """Convolution over two dimensions of `(N, C, ...)` or `(C, ...)`; parameters as of its base class."""

    _dims = 2
    _operator = "conv2d"


class Conv3d(_Conv):
    """Convolution over three dimensions of `(N, C, ...)` or `(C, ...)`; parameters as of its base class."""

    _dims = 3
    _operator = "conv3d"


class _ConvTranspose(_ConvNd):
    """A transposed convolution: the gradient of a convolution as a layer.

    Parameters
    ----------
    in_channels, out_channels
        Number of channels.
    kernel_size, stride, padding, dilation
        Of the convolution that is transposed.
    output_padding
        Added to one side of the output, as several input sizes convolve to the same size.
    groups
        Number of blocks of channels that do not see each other.
    bias
        Whether to add a bias.
    padding_mode
        Only ``zeros``.
    device, dtype
        Of the parameters.
    """

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self._setup(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Convolve, to `output_size` where it is given."""
        function = getattr(_ops, self._operator)
        output_padding = self._output_padding(input, output_size)
        return function(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )

    def _output_padding(self, input: Tensor, output_size: Sequence[int] | None) -> Sequence[int]:
        if output_size is None:
            return self.output_padding
        leading = 2 if input.dim() == self._dims + 2 else 1
        wanted = list(output_size)
        if len(wanted) == leading + self._dims:
            wanted = wanted[leading:]
        if len(wanted) != self._dims:
            raise ValueError(
                f"ConvTranspose{self._dims}D: for {input.dim()}D input, output_size must have {self._dims} or "
                f"{leading + self._dims} elements (got {len(wanted)})"
            )
        lowest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.size()[leading:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        highest = [low + s - 1 for low, s in zip(lowest, self.stride, strict=True)]
        if any(not low <= n <= high for n, low, high in zip(wanted, lowest, highest, strict=True)):
            raise ValueError(
                f"requested an output size of {wanted}, but valid sizes range from {lowest} to {highest} "
                f"(for an input of {input.size()[2:]})"
            )
        return [n - low for n, low in zip(wanted, lowest, strict=True)]


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over one dimension; parameters as of its base class."""

    _dims = 1
    _operator = "conv_transpose1d"


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution over two dimensions; parameters as of its base class."""

    _dims = 2
    _operator = "conv_transpose2d"


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution over three dimensions; parameters as of its base class."""

    _dims = 3
    _operator = "conv_transpose3d"
