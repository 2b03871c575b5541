"""PyTorch's tensors and autograd on a small Rust core: ``import rtensor as torch``."""

from rtensor import _C
from rtensor._C import *  # noqa: F403
from rtensor._size import Size

__version__ = _C.__version__
