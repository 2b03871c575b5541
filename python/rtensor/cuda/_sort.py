"""Stable sorting of rows: short ones in shared memory, long ones by digits."""

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._source import Source, blocks

_SORT, _SELECT = Source("sort.cu"), Source("select.cu")
#: Rows up to this length are sorted by one block.
SHORT = 4096
_THREADS = 256
#: Elements that a block sorts at least, where there are as many.
_TOGETHER = 1024
#: Elements per row of a matrix up to which rows are worth a block each.
_PER_ROW = 1 << 15


def sort_rows(x: Tensor, descending: bool, values: Tensor, indices: Tensor) -> None:
    """Sort the rows of a row-major matrix.

    Parameters
    ----------
    x : Tensor
        The rows.
    descending : bool
        Whether the greatest come first. NaN counts as the greatest.
    values, indices : Tensor
        Row-major results, with as many columns as are wanted of the first; long rows are wanted whole.
    """
    if values.numel() == 0:
        return
    settings = {"T": x.dtype, "DESCENDING": int(descending)}
    if x.shape[1] <= SHORT:
        _sort_short(settings, x, values, indices)
    else:
        _sort_long(settings, x, values, indices)


def _sort_short(settings: dict, x: Tensor, values: Tensor, indices: Tensor) -> None:
    rows, size = x.shape
    length = max(1 << (size - 1).bit_length(), 2)
    per_block = max(_TOGETHER // length, 1)
    threads = min(per_block * length // 2, 1024)
    shared = per_block * length * (x.itemsize + 2)
    args = (x, rows, size, length, per_block, values, indices, values.shape[1])
    _SORT.launch("sort_short", settings, blocks(rows, per_block), threads, *args, shared=shared)


def _sort_long(settings: dict, x: Tensor, values: Tensor, indices: Tensor) -> None:
    rows, size = x.shape
    if size >= 1 << 32:
        raise RuntimeError("sort: rows of 2^32 elements and more are not supported on device 'cuda'")
    tiles = blocks(size, _THREADS * (8 if x.itemsize == 8 else 16))
    counts = _C.empty((rows, 256, tiles), dtype=_C.int32, device=x.device)
    totals = _C.empty((rows, 256), dtype=_C.int32, device=x.device)
    passes = x.itemsize
    spare = [(_C.empty_like(x), _C.empty(x.shape, dtype=_C.int32, device=x.device)) for _ in range(min(passes - 1, 2))]
    source: Tensor = x
    positions: Tensor | int = 0
    for number in range(passes):
        shift, last = 8 * number, number == passes - 1
        _SORT.launch("count_digits", settings, rows * tiles, _THREADS, source, size, tiles, shift, counts)
        _SORT.launch("scan_digits", settings, rows * 256, _THREADS, counts, tiles, totals)
        to, to_positions = (values, 0) if last else spare[number % 2]
        args = (source, positions, size, tiles, shift, counts, totals, to, to_positions, indices if last else 0)
        _SORT.launch("move_digits", settings, rows * tiles, _THREADS, *args)
        source, positions = to, to_positions


def sorted_rows(x: Tensor, descending: bool = False, kept: int | None = None) -> tuple[Tensor, Tensor]:
    """Sorted rows of a matrix and where their elements came from; of short rows only as many as are asked for."""
    columns = x.shape[1] if kept is None or x.shape[1] > SHORT else kept
    shape = (x.shape[0], columns)
    values = _C.empty(shape, dtype=x.dtype, device=x.device)
    indices = _C.empty(shape, dtype=_C.int64, device=x.device)
    sort_rows(x, descending, values, indices)
    return values, indices


def first_of_rows(x: Tensor, descending: bool, kept: int) -> tuple[Tensor, Tensor]:
    """The first elements of the sorted rows of a matrix, and where they came from."""
    rows, size = x.shape
    # One block selects from a row: few rows that are very long are sorted by all blocks.
    if size <= SHORT or size > rows * _PER_ROW or size >= 1 << 32:
        values, indices = sorted_rows(x, descending, kept)
        return values[:, :kept], indices[:, :kept]
    values = _C.empty((rows, kept), dtype=x.dtype, device=x.device)
    indices = _C.empty((rows, kept), dtype=_C.int64, device=x.device)
    settings = {"T": x.dtype, "DESCENDING": int(descending)}
    _SELECT.launch("select_first", settings, rows, 1024, x, size, kept, values, indices)
    values, order = sorted_rows(values, descending)
    return values, indices.gather(1, order)


def as_rows(x: Tensor, dim: int) -> Tensor:
    """The lines along a dimension as the rows of a row-major matrix."""
    if x.dim() == 0:
        return x.reshape(1, 1)
    size = x.shape[dim]
    lines = x.movedim(dim, -1).contiguous()
    return lines.view(x.numel() // max(size, 1), size)
