"""Interpolation of images: weighted look-ups along one dimension at a time."""

import math

from rtensor.cuda._arrays import dense
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks
from rtensor.cuda._windows import THREADS, index_type

TAPS = Source("taps.cu")


@kernel("_taps", "_taps_adjoint")
def taps(name, args, outs):
    x, index, weight, dim, size = args
    adjoint = name == "_taps_adjoint"
    inputs, outputs = (size, x.shape[dim]) if adjoint else (x.shape[dim], size)
    sizes = math.prod(x.shape[:dim]), inputs, outputs, math.prod(x.shape[dim + 1 :]), index.shape[0]
    settings = {"T": x.dtype, "INDEX": index_type(max(x.numel(), outs[0].numel()))}
    lists = dense(index), dense(weight)
    grid = blocks(outs[0].numel(), THREADS)
    TAPS.launch("put_back" if adjoint else "look_up", settings, grid, THREADS, dense(x), *lists, outs[0], *sizes)
