"""Special functions of mathematics: PyTorch's ``torch.special``."""

from rtensor import _operators
from rtensor._C import log_softmax, logsumexp, softmax

__all__ = ["log_softmax", "logsumexp", "softmax", *_operators.fill(globals(), "special")]
