"""Neural networks: modules, their parameters, functions, initial values and utilities."""

from rtensor.nn import functional, init, modules, parameter, utils
from rtensor.nn.modules import *
from rtensor.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "modules",
    "parameter",
    "utils",
]
__all__ += modules.__all__
