"""Switches of the libraries that compute: PyTorch's ``torch.backends``."""

import importlib

_MODULES = frozenset(["cuda", "cudnn", "mps"])


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(_MODULES)
