"""Extremes with their positions: max, min, argmax, argmin, aminmax."""

from rtensor.cuda._reduction import reduce, reduced_dims
from rtensor.cuda._registry import kernel

_WITH_INDEX = {"max/dim": "MaxWithIndex", "min/dim": "MinWithIndex"}
_POSITIONS = {"argmax": "ArgMax", "argmin": "ArgMin"}
_WHOLE = {"max": "Max", "min": "Min"}


@kernel(*_WITH_INDEX)
def extreme_with_index(name, args, outs):
    reduce(_WITH_INDEX[name], args[0], reduced_dims(args[0].ndim, args[1]), *outs)


@kernel(*_POSITIONS)
def position(name, args, outs):
    x, dim, _ = args
    out = outs[0]
    if dim is None:
        # Positions count in row-major order.
        x, dim, out = x.reshape(-1), 0, out.view(())
    reduce(_POSITIONS[name], x, reduced_dims(x.ndim, dim), out)


@kernel(*_WHOLE)
def extreme(name, args, outs):
    reduce(_WHOLE[name], args[0], reduced_dims(args[0].ndim, None), outs[0])


@kernel("aminmax")
def aminmax(args, outs):
    reduce("MinMax", args[0], reduced_dims(args[0].ndim, args[1]), *outs)
