"""Mixed precision on a GPU: PyTorch's ``torch.cuda.amp``."""

import contextlib

from rtensor import _settings


@contextlib.contextmanager
def autocast(enabled: bool = True, dtype=None, cache_enabled: bool = True):
    """Compute in a smaller dtype within a ``with`` block."""
    before = _settings.is_autocast_enabled("cuda"), _settings.get_autocast_dtype("cuda")
    _settings.set_autocast_enabled("cuda", enabled)
    if dtype is not None:
        _settings.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        _settings.set_autocast_enabled("cuda", before[0])
        _settings.set_autocast_dtype("cuda", before[1])
