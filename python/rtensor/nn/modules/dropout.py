"""Dropout as modules."""

from rtensor import Tensor
from rtensor.nn import functional as F
from rtensor.nn.modules.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    """Zeroes at random in training; does nothing in evaluation.

    Parameters
    ----------
    p
        The probability of a zero.
    inplace
        Whether to write the result into the input.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        """The parameters."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zeroes elements and scales the others, so that the mean stays."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop out."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Zeroes whole channels of signals."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop out."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Zeroes whole channels of images."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop out."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Zeroes whole channels of volumes."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop out."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance of self-normalising activations."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop out."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop out."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
