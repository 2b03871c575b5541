"""Distances between rows."""

import math

import rtensor as torch
from rtensor.cuda._arrays import dense
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source

DISTANCE = Source("distance.cu")
TILE = 16
_NORMS = {0.0: 0, 1.0: 1, 2.0: 2, math.inf: 3}
_ANY_NORM = 4


@kernel("_cdist")
def cdist(args):
    x, y, p = args
    *batch, rows, size = x.shape
    columns = y.shape[-2]
    out = torch.empty(*batch, rows, columns, dtype=x.dtype, device=x.device)
    count = math.prod(batch)
    tiles = count * -(-rows // TILE) * -(-columns // TILE)
    settings = {"T": x.dtype, "NORM": _NORMS.get(p, _ANY_NORM)}
    sizes = count, rows, columns, size, float(p)
    DISTANCE.launch("distances", settings, min(tiles, 2**31 - 1), TILE * TILE, dense(x), dense(y), out, *sizes)
    return [out]
