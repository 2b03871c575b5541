"""Neural networks: modules, their parameters, functions, initial values and utilities."""

from rtensor.nn import functional, init, utils
from rtensor.nn.modules import *
from rtensor.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "functional", "init", "utils"]
__all__ += [name for name in dir() if name[:1].isupper() and name not in __all__]
