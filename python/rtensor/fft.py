"""Discrete Fourier transforms: PyTorch's ``torch.fft``."""

from rtensor import _namespaces

__all__ = _namespaces.fill(globals(), "fft")
