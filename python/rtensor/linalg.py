"""Linear algebra: decompositions, solvers, norms: PyTorch's ``torch.linalg``."""

from rtensor import _C, _operators

LinAlgError = _C._LinAlgError
__all__ = ["LinAlgError", *_operators.fill(globals(), "linalg")]
