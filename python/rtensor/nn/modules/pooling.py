"""Pooling as modules."""

from typing import Any

from rtensor import Tensor
from rtensor.nn import _ops
from rtensor.nn import functional as F
from rtensor.nn.modules.module import Module
from rtensor.nn.modules.utils import to_tuple

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _Pool(Module):
    """A pooling over one to three dimensions."""

    _dims: int

    def _window(self, kernel_size: Any, stride: Any, padding: Any = 0) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding


class _MaxPool(_Pool):
    """Maximum over windows.

    Parameters
    ----------
    kernel_size, stride, padding, dilation
        Of the windows: one number, or one for each dimension; the stride is the size by default.
    return_indices
        Whether to return the places of the maxima as well.
    ceil_mode
        Whether a window may reach beyond the end.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self._window(kernel_size, stride, padding)
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Pool."""
        return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self._dims - 1](
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        """The windows."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Maximum over windows of one dimension; parameters as of its base class."""

    _dims = 1


class MaxPool2d(_MaxPool):
    """Maximum over windows of two dimensions; parameters as of its base class."""

    _dims = 2


class MaxPool3d(_MaxPool):
    """Maximum over windows of three dimensions; parameters as of its base class."""

    _dims = 3


class _MaxUnpool(_Pool):
    """Puts the maxima back to their places, among zeros.

    Parameters
    ----------
    kernel_size, stride, padding
        Of the pooling that is undone.
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        super().__init__()
        self.kernel_size = to_tuple(kernel_size, self._dims)
        self.stride = to_tuple(kernel_size if stride is None else stride, self._dims)
        self.padding = to_tuple(padding, self._dims)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Unpool, to `output_size` where several sizes pool to the same."""
        return (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._dims - 1](
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Undoes `MaxPool1d`; parameters as of its base class."""

    _dims = 1


class MaxUnpool2d(_MaxUnpool):
    """Undoes `MaxPool2d`; parameters as of its base class."""

    _dims = 2


class MaxUnpool3d(_MaxUnpool):
    """Undoes `MaxPool3d`; parameters as of its base class."""

    _dims = 3


class AvgPool1d(_Pool):
    """Mean over windows of one dimension.

    Parameters
    ----------
    kernel_size, stride, padding
        Of the windows; the stride is the size by default.
    ceil_mode
        Whether a window may reach beyond the end.
    count_include_pad
        Whether the padding counts among the elements.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__()
        self._window(*(to_tuple(n, 1) for n in (kernel_size, kernel_size if stride is None else stride, padding)))
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Pool."""
        return _ops.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_Pool):
    """Mean over windows of two dimensions.

    Parameters
    ----------
    kernel_size, stride, padding
        Of the windows: one number or two; the stride is the size by default.
    ceil_mode
        Whether a window may reach beyond the end.
    count_include_pad
        Whether the padding counts among the elements.
    divisor_override
        Divide by this instead of the number of elements.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__()
        self._window(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """Pool."""
        return self._function()(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def _function(self) -> Any:
        return _ops.avg_pool2d

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """Mean over windows of three dimensions; parameters as of `AvgPool2d`."""

    def _function(self) -> Any:
        return _ops.avg_pool3d


class _Adaptive(Module):
    """Pooling to a size that is given."""

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_Adaptive):
    """Maximum over windows such that the output has the size asked for."""

    def forward(self, input: Tensor) -> Any:
        """Pool."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_Adaptive):
    """Maximum over windows such that the output has the size asked for; None keeps the input's."""

    def forward(self, input: Tensor) -> Any:
        """Pool."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_Adaptive):
    """Maximum over windows such that the output has the size asked for; None keeps the input's."""

    def forward(self, input: Tensor) -> Any:
        """Pool."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _AdaptiveAvg(_Adaptive):
    def __init__(self, output_size: Any):
        super().__init__(output_size)


class AdaptiveAvgPool1d(_AdaptiveAvg):
    """Mean over windows such that the output has the size asked for."""

    def forward(self, input: Tensor) -> Tensor:
        """Pool."""
        return _ops.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvg):
    """Mean over windows such that the output has the size asked for; None keeps the input's."""

    def forward(self, input: Tensor) -> Tensor:
        """Pool."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvg):
    """Mean over windows such that the output has the size asked for; None keeps the input's."""

    def forward(self, input: Tensor) -> Tensor:
        """Pool."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class _FractionalMaxPool(_Pool):
    """Maximum over windows whose steps are random, so that the size shrinks by a fraction.

    Parameters
    ----------
    kernel_size
        Of the windows.
    output_size, output_ratio
        The size, or its ratio to the input's: one of the two.
    return_indices
        Whether to return the places of the maxima as well.
    """

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ):
        super().__init__()
        name = type(self).__name__
        self.kernel_size = to_tuple(kernel_size, self._dims)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else to_tuple(output_size, self._dims)
        self.output_ratio = None if output_ratio is None else to_tuple(output_ratio, self._dims)
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError(f"only one of output_size and output_ratio may be specified for {name}")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """Pool."""
        return (F.fractional_max_pool2d, F.fractional_max_pool3d)[self._dims - 2](
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """Fractional pooling of images; parameters as of its base class."""

    _dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Fractional pooling of volumes; parameters as of its base class."""

    _dims = 3


class _LPPool(_Pool):
    """The p-norm of windows.

    Parameters
    ----------
    norm_type
        The power p.
    kernel_size, stride
        Of the windows; the stride is the size by default.
    ceil_mode
        Whether a window may reach beyond the end.
    """

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """Pool."""
        return (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self._dims - 1](
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """The norm and the windows."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of windows of one dimension; parameters as of its base class."""

    _dims = 1


class LPPool2d(_LPPool):
    """The p-norm of windows of two dimensions; parameters as of its base class."""

    _dims = 2


class LPPool3d(_LPPool):
    """The p-norm of windows of three dimensions; parameters as of its base class."""

    _dims = 3
