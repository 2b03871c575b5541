"""Reductions of the segments that lengths or offsets cut a dimension into."""

import math

from rtensor import _C
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks

_SEGMENT = Source("segment.cu")
_THREADS = 256
_KINDS = {"sum": (0, 0.0), "mean": (1, 0.0), "prod": (2, 1.0), "max": (3, -math.inf), "min": (4, math.inf)}


@kernel("segment_reduce")
def segment_reduce(args, outs):
    (data, how, lengths, _, offsets, axis, _, initial), out = args, outs[0]
    axis %= data.dim()
    if lengths is None:
        bounds = offsets.to(_C.int64).contiguous()
    else:
        ends = lengths.to(_C.int64).cumsum(axis)
        bounds = _C.cat([_C.zeros_like(ends.narrow(axis, 0, 1)) if ends.shape[axis] else ends, ends], axis)
    kind, identity = _KINDS[how]
    outer, inner = math.prod(data.shape[:axis]), math.prod(data.shape[axis + 1 :])
    start = identity if initial is None else float(initial)
    sizes = (outer, data.shape[axis], inner, out.shape[axis], int(initial is not None))
    grid, settings = blocks(out.numel(), _THREADS), {"T": data.dtype, "KIND": kind}
    _SEGMENT.launch("segment", settings, grid, _THREADS, data.contiguous(), bounds, *sizes, start, out)
