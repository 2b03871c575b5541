"""Neural network functions without state: PyTorch's ``torch.nn.functional``.

Functions that are native operators under the same arguments are not wrapped: they are looked
up in the operator table at their first use.
"""

from typing import Any

from rtensor.nn import _ops
from rtensor.nn.functional.activation import *
from rtensor.nn.functional.attention import *
from rtensor.nn.functional.distance import *
from rtensor.nn.functional.dropout import *
from rtensor.nn.functional.loss import *
from rtensor.nn.functional.margin_loss import *
from rtensor.nn.functional.norm import *
from rtensor.nn.functional.pooling import *
from rtensor.nn.functional.sparse import *
from rtensor.nn.functional.vision import *

# Native operators that need no wrapper, by their name here and in the operator table.
_NATIVE = {
    "adaptive_avg_pool1d": "adaptive_avg_pool1d",
    "avg_pool1d": "avg_pool1d",
    "avg_pool2d": "avg_pool2d",
    "avg_pool3d": "avg_pool3d",
    "bilinear": "bilinear",
    "celu_": "celu_",
    "channel_shuffle": "channel_shuffle",
    "conv1d": "conv1d",
    "conv2d": "conv2d",
    "conv3d": "conv3d",
    "conv_transpose1d": "conv_transpose1d",
    "conv_transpose2d": "conv_transpose2d",
    "conv_transpose3d": "conv_transpose3d",
    "cosine_similarity": "cosine_similarity",
    "elu_": "elu_",
    "gelu": "gelu",
    "grouped_mm": "_grouped_mm",
    "hardshrink": "hardshrink",
    "hardtanh_": "hardtanh_",
    "leaky_relu_": "leaky_relu_",
    "linear": "linear",
    "logsigmoid": "log_sigmoid",
    "native_channel_shuffle": "native_channel_shuffle",
    "one_hot": "one_hot",
    "pad": "pad",
    "pairwise_distance": "pairwise_distance",
    "pdist": "pdist",
    "pixel_shuffle": "pixel_shuffle",
    "pixel_unshuffle": "pixel_unshuffle",
    "prelu": "prelu",
    "relu_": "relu_",
    "rrelu_": "rrelu_",
    "scaled_dot_product_attention": "scaled_dot_product_attention",
    "selu_": "selu_",
    "softplus": "softplus",
    "softshrink": "softshrink",
    "threshold_": "threshold_",
}


def __getattr__(name: str) -> Any:
    if name not in _NATIVE:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        function = getattr(_ops, _NATIVE[name])
    except NotImplementedError as error:
        raise AttributeError(str(error)) from None
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*globals(), *_NATIVE})
