"""All modules, under one name each."""

from rtensor.nn.modules.activation import *  # noqa: F403
from rtensor.nn.modules.attention import *  # noqa: F403
from rtensor.nn.modules.batchnorm import *  # noqa: F403
from rtensor.nn.modules.container import *  # noqa: F403
from rtensor.nn.modules.conv import *  # noqa: F403
from rtensor.nn.modules.dropout import *  # noqa: F403
from rtensor.nn.modules.lazy_conv import *  # noqa: F403
from rtensor.nn.modules.linear import *  # noqa: F403
from rtensor.nn.modules.loss import *  # noqa: F403
from rtensor.nn.modules.module import *  # noqa: F403
from rtensor.nn.modules.normalization import *  # noqa: F403
from rtensor.nn.modules.padding import *  # noqa: F403
from rtensor.nn.modules.parameter_containers import *  # noqa: F403
from rtensor.nn.modules.pooling import *  # noqa: F403
from rtensor.nn.modules.shape import *  # noqa: F403
from rtensor.nn.modules.sparse import *  # noqa: F403
