"""Triangular factorisations and systems, in blocks: small triangles by kernels, the rest by matrix products."""

import math
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._blas import gemm
from rtensor.cuda._source import Source

_SOURCE = Source("linalg.cu")
_WIDTH, _THREADS, _COLUMNS = 32, 256, 128


def _settings(dtype: Any) -> dict[str, Any]:
    return {"T": dtype, "WIDTH": _WIDTH, "THREADS": _THREADS}


def stacked(x: Tensor) -> Tensor:
    """A row-major copy as one batch of matrices, which may be overwritten."""
    return flattened(x.clone(memory_format=_C.contiguous_format))


def flattened(x: Tensor) -> Tensor:
    """A row-major tensor as one batch of matrices."""
    return x.view(math.prod(x.shape[:-2]), *x.shape[-2:])


def _starts(length: int) -> range:
    return range(0, length, _WIDTH)


def _solve_block(a: Tensor, b: Tensor, upper: bool, unit: bool, conjugated: bool = False) -> None:
    """``b = a^-1 b`` for triangles of few rows; any strides, with rows of `a` in memory."""
    batch, width, columns = b.shape
    grid = (batch, -(-columns // _COLUMNS))
    places = (a, a.stride(0), a.stride(1), width, b, *b.stride(), columns)
    _SOURCE.launch("solve_block", _settings(a.dtype), grid, _COLUMNS, *places, int(upper), int(unit), int(conjugated))


def solve_triangular(a: Tensor, b: Tensor, upper: bool, unit: bool) -> None:
    """``b = a^-1 b`` for row-major batches of triangular matrices, in place."""
    n = b.shape[1]
    if b.numel() == 0:
        return
    for start in reversed(_starts(n)) if upper else _starts(n):
        stop = min(start + _WIDTH, n)
        _solve_block(a[:, start:stop, start:stop], b[:, start:stop], upper, unit)
        rest = slice(0, start) if upper else slice(stop, n)
        if rest.start < rest.stop:
            gemm(b[:, rest], a[:, rest, start:stop], b[:, start:stop], -1, 1, tf32=False)


def factor_lu(a: Tensor) -> tuple[Tensor, Tensor]:
    """LU factors of a row-major batch in place; LAPACK's pivots and infos."""
    batch, rows, cols = a.shape
    steps = min(rows, cols)
    pivots = a.new_empty((batch, steps), dtype=_C.int32)
    infos = a.new_zeros((batch,), dtype=_C.int32)
    for start in _starts(steps) if batch else ():
        stop = min(start + _WIDTH, steps)
        panel = (a, rows, cols, start, stop - start, pivots, infos)
        _SOURCE.launch("lu_panel", _settings(a.dtype), batch, _THREADS, *panel)
        if stop < cols:
            right = a[:, start:stop, stop:]
            _solve_block(a[:, start:stop, start:stop], right, upper=False, unit=True)
            if stop < rows:
                gemm(a[:, stop:, stop:], a[:, stop:, start:stop], right, -1, 1, tf32=False)
    return pivots, infos


def swap_rows(b: Tensor, pivots: Tensor) -> None:
    """Exchange the rows of a row-major batch as the pivots of `factor_lu` say, in place."""
    batch, rows, columns = b.shape
    if b.numel():
        grid = (batch, -(-columns // _COLUMNS))
        _SOURCE.launch("swap_rows", _settings(b.dtype), grid, _COLUMNS, b, rows, columns, pivots, pivots.shape[1])


def solve_factored(lu: Tensor, pivots: Tensor, b: Tensor) -> None:
    """``b = A^-1 b`` from the factors of A, in place."""
    swap_rows(b, pivots)
    solve_triangular(lu, b, upper=False, unit=True)
    solve_triangular(lu, b, upper=True, unit=False)


def factor_cholesky(a: Tensor) -> Tensor:
    """Lower factors of a row-major batch in place, zeros above them included; LAPACK's infos."""
    batch, n, _ = a.shape
    infos = a.new_zeros((batch,), dtype=_C.int32)
    for start in _starts(n) if batch else ():
        stop = min(start + _WIDTH, n)
        _SOURCE.launch("cholesky_block", _settings(a.dtype), batch, _THREADS, a, n, start, stop - start, infos)
        if stop < n:
            below = a[:, stop:, start:stop]
            _solve_block(a[:, start:stop, start:stop], below.transpose(1, 2), upper=False, unit=False, conjugated=True)
            gemm(a[:, stop:, stop:], below, below.mH.resolve_conj(), -1, 1, tf32=False)
    a.tril_()
    return infos
