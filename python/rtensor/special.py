"""Special functions of mathematics: PyTorch's ``torch.special``."""

from rtensor import _operators

__all__ = _operators.fill(globals(), "special")
