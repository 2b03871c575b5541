"""Anomaly mode: a failing backward pass shows which forward call it belongs to."""

import warnings
from typing import Any

from rtensor import _C

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Switch anomaly mode on or off: at once, and inside of a ``with`` block.

    Parameters
    ----------
    mode : bool
        Whether nodes remember where they were recorded.
    check_nan : bool
        Whether a gradient with NaN is an error while the mode is on.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.prev = (_C.is_anomaly_enabled(), _C.is_anomaly_check_nan_enabled())
        _C.set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: Any) -> None:
        _C.set_anomaly_enabled(*self.prev)


class detect_anomaly:
    """Anomaly mode inside of a ``with`` block.

    Parameters
    ----------
    check_nan : bool
        Whether a gradient with NaN is an error.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.prev = (_C.is_anomaly_enabled(), _C.is_anomaly_check_nan_enabled())
        _C.set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *exc_info: Any) -> None:
        _C.set_anomaly_enabled(*self.prev)
