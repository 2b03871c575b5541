"""Mixed precision on a GPU: PyTorch's ``torch.cuda.amp``."""

import contextlib

from rtensor import _settings
from rtensor.amp import GradScaler as _GradScaler


class GradScaler(_GradScaler):
    """`rtensor.amp.GradScaler` on a GPU."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


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
