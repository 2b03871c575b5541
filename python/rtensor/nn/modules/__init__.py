"""All modules, under one name each."""

from rtensor.nn.modules.activation import *
from rtensor.nn.modules.attention import *
from rtensor.nn.modules.batchnorm import *
from rtensor.nn.modules.container import *
from rtensor.nn.modules.conv import *
from rtensor.nn.modules.dropout import *
from rtensor.nn.modules.lazy_conv import *
from rtensor.nn.modules.linear import *
from rtensor.nn.modules.loss import *
from rtensor.nn.modules.module import *
from rtensor.nn.modules.normalization import *
from rtensor.nn.modules.padding import *
from rtensor.nn.modules.parameter_containers import *
from rtensor.nn.modules.pooling import *
from rtensor.nn.modules.rnn import *
from rtensor.nn.modules.shape import *
from rtensor.nn.modules.sparse import *
from rtensor.nn.modules.transformer import *

__all__ = [name for name in dir() if name[:1].isupper()]
