"""Linear algebra: decompositions, solvers, norms: PyTorch's ``torch.linalg``."""

from rtensor import _C, _namespaces

LinAlgError = _C._LinAlgError
__all__ = ["LinAlgError", *_namespaces.fill(globals(), "linalg")]
