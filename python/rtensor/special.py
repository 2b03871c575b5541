"""Special functions of mathematics: PyTorch's ``torch.special``."""

from rtensor import _namespaces

__all__ = _namespaces.fill(globals(), "special")
