"""Process-wide settings: devices, determinism, precision, warnings, mixed precision."""

from typing import Any

from rtensor import _C

__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_autocast_dtype",
    "get_autocast_xla_dtype",
    "get_deterministic_debug_mode",
    "get_device_module",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_autocast_enabled",
    "is_autocast_xla_enabled",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_warn_always_enabled",
    "set_anomaly_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
    "set_autocast_xla_dtype",
    "set_autocast_xla_enabled",
    "set_default_device",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_warn_always",
    "use_deterministic_algorithms",
]

_deterministic = {"on": False, "warn_only": False}
_anomaly = {"on": False, "check_nan": True}
_autocast = {"cpu": False, "cuda": False, "xla": False}
_autocast_dtypes = {"cpu": _C.bfloat16, "cuda": _C.float16, "xla": _C.bfloat16}
_other: dict[str, Any] = {"warn_always": False, "interop_threads": 1}


def set_default_device(device) -> None:
    """Set the device of tensors made without one, on this thread."""
    _C._set_default_device(device)


def get_device_module(device=None):
    """The module of a device: ``rtensor.cuda`` or ``rtensor.cpu``."""
    kind = _C.device(device).type if device is not None else "cpu"
    if kind == "cuda":
        from rtensor import cuda

        return cuda
    raise RuntimeError(f"Invalid device type '{kind}', only cuda is supported")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic kernels; every CPU kernel here is one."""
    _deterministic.update(on=bool(mode), warn_only=bool(warn_only))


def are_deterministic_algorithms_enabled() -> bool:
    """Whether deterministic kernels were asked for."""
    return _deterministic["on"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether a kernel that is not deterministic only warns."""
    return _deterministic["warn_only"]


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set determinism as a level: 0 "default", 1 "warn", 2 "error"."""
    names = {"default": 0, "warn": 1, "error": 2}
    if isinstance(debug_mode, str):
        if debug_mode not in names:
            raise RuntimeError(
                f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got {debug_mode}"
            )
        debug_mode = names[debug_mode]
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(debug_mode > 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode() -> int:
    """The level of determinism: 0, 1 or 2."""
    if not _deterministic["on"]:
        return 0
    return 1 if _deterministic["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Set how float32 matrix products are computed: "highest", "high" or "medium"."""
    _C._set_float32_matmul_precision(precision)


def get_float32_matmul_precision() -> str:
    """How float32 matrix products are computed."""
    return _C._float32_matmul_precision()


def set_flush_denormal(mode: bool) -> bool:
    """Ask to flush denormal numbers to zero; False: this build does not."""
    return False


def set_warn_always(b: bool) -> None:
    """Whether warnings that appear once are to appear always."""
    _other["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """Whether warnings that appear once are to appear always."""
    return _other["warn_always"]


def get_num_interop_threads() -> int:
    """How many threads run whole operators in parallel."""
    return _other["interop_threads"]


def set_num_interop_threads(int: int) -> None:
    """Set how many threads run whole operators in parallel (kept for compatibility)."""
    if int <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _other["interop_threads"] = int


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Whether backward passes look for NaN and say where they came from."""
    _anomaly.update(on=bool(mode), check_nan=bool(check_nan))


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return _anomaly["on"]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for NaN."""
    return _anomaly["check_nan"]


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether mixed precision is on for a kind of device."""
    return _autocast[device_type]


def set_autocast_enabled(device_type, enabled=None) -> None:
    """Switch mixed precision for a kind of device."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    _autocast[device_type] = bool(enabled)


def get_autocast_dtype(device_type: str):
    """The dtype of mixed precision for a kind of device."""
    return _autocast_dtypes[device_type]


def set_autocast_dtype(device_type: str, dtype) -> None:
    """Set the dtype of mixed precision for a kind of device."""
    _autocast_dtypes[device_type] = dtype


def is_autocast_xla_enabled() -> bool:
    """Whether mixed precision is on for XLA devices."""
    return is_autocast_enabled("xla")


def set_autocast_xla_enabled(enabled: bool) -> None:
    """Switch mixed precision for XLA devices."""
    set_autocast_enabled("xla", enabled)


def get_autocast_xla_dtype():
    """The dtype of mixed precision for XLA devices."""
    return get_autocast_dtype("xla")


def set_autocast_xla_dtype(dtype) -> None:
    """Set the dtype of mixed precision for XLA devices."""
    set_autocast_dtype("xla", dtype)
