"""Discrete Fourier transforms: PyTorch's ``torch.fft``."""

from rtensor import _operators

__all__ = _operators.fill(globals(), "fft")
