"""Scans along a dimension: running sums, products, log-sum-exps and extremes."""

import math

from rtensor import _C
from rtensor.cuda._arrays import dense
from rtensor.cuda._registry import kernel
from rtensor.cuda._rows import MAX_BLOCKS, power_of_two
from rtensor.cuda._source import Source
from rtensor.cuda.kernels.reduce import converted

_SCAN = Source("scan.cu")
_THREADS = 256
#: Elements of a row that are worth a block of their own, and rows that keep a GPU busy without.
_CHUNK, _MANY_ROWS = 8192, 528
#: Columns that keep a GPU busy, a size up to which fewer are scanned as they lie, and one up to which rows are columns.
_MANY_COLUMNS, _SHORT, _TINY = 16384, 256, 16
#: Elements that any thread's own ones divide.
_UNIT = 8
#: Bytes of the widest running value.
_VALUE = 16
_KINDS = {
    "cumsum": "CumSum",
    "cumprod": "CumProd",
    "logcumsumexp": "LogCumSumExp",
    "cummax": "CumMax",
    "cummin": "CumMin",
}


def _scan_rows(settings, x, out, positions, rows, size):
    chunks = max(1, min(-(-size // _CHUNK), -(-4 * _MANY_ROWS // rows))) if rows < _MANY_ROWS else 1
    chunk = -(-size // (chunks * _UNIT)) * _UNIT
    chunks = -(-size // chunk)
    packed = size % _UNIT == 0 and all(t is None or t.data_ptr() % 64 == 0 for t in (x, out, positions))
    settings = settings | {"PACKED": int(packed)}
    blocks, threads = min(rows * chunks, MAX_BLOCKS), min(_THREADS, max(32, power_of_two(-(-size // 4))))
    folds = None
    if chunks > 1:
        folds = _C.empty([rows * chunks * _VALUE], dtype=_C.uint8, device=x.device)
        _SCAN.launch("fold_chunks", settings, blocks, _THREADS, x, folds, rows, size, chunk, chunks)
        _SCAN.launch("scan_folds", settings, rows, _THREADS, folds, rows, chunks)
    _SCAN.launch("scan_rows", settings, blocks, threads, x, out, positions, folds, rows, size, chunk, chunks)


def _scan(kind, x, out, positions, dim):
    if out.numel() == 0:
        return
    dim = dim % max(x.ndim, 1)
    size = x.shape[dim] if x.ndim else 1
    inner = math.prod(x.shape[dim + 1 :])
    lines = out.numel() // size
    settings = {"KIND": kind, "T": x.dtype, "O": out.dtype}
    if inner == 1 and size > _TINY:
        _scan_rows(settings, dense(x), out, positions, lines, size)
    elif size <= _SHORT or lines >= _MANY_COLUMNS:
        blocks = min(-(-lines // _THREADS), MAX_BLOCKS)
        _SCAN.launch(
            "scan_columns", settings | {"PACKED": 0}, blocks, _THREADS, dense(x), out, positions, lines, size, inner
        )
    else:
        # Few long columns: as rows of a transposed copy.
        x = x.movedim(dim, -1).contiguous()
        targets = [t for t in (out, positions) if t is not None]
        rows = [_C.empty(x.shape, dtype=t.dtype, device=t.device) for t in targets]
        _scan_rows(settings, x, rows[0], rows[1] if positions is not None else None, lines, size)
        for target, made in zip(targets, rows, strict=True):
            target.copy_(made.movedim(-1, dim))


@kernel(*_KINDS)
def scan(name, args, outs):
    x, dim = args[:2]
    if name in ("cumsum", "cumprod"):
        x = converted(x, outs[0].dtype)
    _scan(_KINDS[name], x, outs[0], outs[1] if len(outs) > 1 else None, dim)
