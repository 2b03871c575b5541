"""Vector norms."""

import math

from rtensor.cuda._reduction import reduce, reduced_dims
from rtensor.cuda._registry import kernel

_ORDERS = {0.0: "Norm0", 1.0: "Norm1", 2.0: "Norm2", math.inf: "NormInf", -math.inf: "NormNegInf"}


@kernel("linalg.vector_norm")
def vector_norm(args, outs):
    x, order, dim, _, dtype = args
    order = float(order)
    x = x if dtype is None else x.to(dtype)
    reduce(_ORDERS.get(order, "NormP"), x, reduced_dims(x.ndim, dim), outs[0], parameter=order)
