"""Tools around tensors: checkpoints in graphs, data loading, DLPack, hook handles."""

from typing import Any

__all__ = ["checkpoint", "data", "dlpack", "hooks"]


def __getattr__(name: str) -> Any:
    # Loaded on demand: data loading brings multiprocessing with it.
    if name in __all__:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
