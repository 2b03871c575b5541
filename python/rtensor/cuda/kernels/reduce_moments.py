"""Variance and standard deviation, alone or with the mean."""

from rtensor.cuda._reduction import reduce, reduced_dims
from rtensor.cuda._registry import kernel

_KINDS = {"var": "Variance", "var_mean": "Variance", "std": "Deviation", "std_mean": "Deviation"}


@kernel(*(f"{name}/correction" for name in _KINDS))
def moments(name, args, outs):
    x, dim, correction, _ = args
    free = 1.0 if correction is None else float(correction)
    reduce(_KINDS[name.removesuffix("/correction")], x, reduced_dims(x.ndim, dim), *outs, parameter=free)
