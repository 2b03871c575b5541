"""Exchange by DLPack capsules: PyTorch's ``torch.utils.dlpack``."""

from rtensor._creation import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
