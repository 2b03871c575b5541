"""Assertions about tensors, and tensors to test with: PyTorch's ``torch.testing``."""

from rtensor.testing._comparison import assert_close
from rtensor.testing._creation import make_tensor

__all__ = ["assert_close", "make_tensor"]
