"""PyTorch's tensors and autograd on a small Rust core: ``import rtensor as torch``."""

import importlib
from math import e, inf, nan, pi

from rtensor import _C, _tensor, return_types
from rtensor._C import *
from rtensor._C import Size, Tensor
from rtensor._checks import (
    get_device,
    is_complex,
    is_conj,
    is_floating_point,
    is_inference,
    is_neg,
    is_nonzero,
    is_same_size,
    is_signed,
    is_storage,
    is_tensor,
    numel,
    typename,
)
from rtensor._creation import asarray, from_dlpack, set_default_tensor_type, to_dlpack
from rtensor._factorizations import *
from rtensor._settings import *
from rtensor._statistics import *
from rtensor._tensor_str import set_printoptions
from rtensor._type_info import finfo, iinfo
from rtensor.functional import *  # type: ignore[assignment]

__version__ = _C.__version__
newaxis = None

_SUBMODULES = frozenset(
    [
        "amp",
        "autograd",
        "backends",
        "cuda",
        "fft",
        "func",
        "functional",
        "linalg",
        "nn",
        "optim",
        "random",
        "serialization",
        "signal",
        "special",
        "storage",
        "testing",
        "utils",
        "viz",
    ]
)

# Names that live in a submodule which is imported at their first use.
_ELSEWHERE = {
    "UntypedStorage": "storage",
    "TypedStorage": "storage",
    "load": "serialization",
    "save": "serialization",
    "rms_norm": "nn.functional",
    "vmap": "func",
    **dict.fromkeys(
        (
            "no_grad",
            "enable_grad",
            "inference_mode",
            "set_grad_enabled",
            "is_grad_enabled",
            "is_inference_mode_enabled",
        ),
        "autograd",
    ),
    **dict.fromkeys(
        ("manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "default_generator"), "random"
    ),
    **{
        f"{kind}Tensor": "_legacy_types"
        for kind in ["Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double"]
    },
    **{
        f"{kind}Storage": "storage"
        for kind in ["Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double"]
    },
}


def __getattr__(name: str):
    """Import submodules, and the names that they give to the top level, at their first use."""
    if name in _SUBMODULES:
        return importlib.import_module(f"rtensor.{name}")
    if name in _ELSEWHERE:
        value = getattr(importlib.import_module(f"rtensor.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rtensor' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_ELSEWHERE})
