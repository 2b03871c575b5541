"""Distinct elements and slices, and runs of equal ones."""

from dataclasses import dataclass

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._compact import Ranks
from rtensor.cuda._registry import kernel
from rtensor.cuda._sort import sorted_rows
from rtensor.cuda._source import Source, blocks

_ROWS = Source("rows.cu")
_THREADS = 256


@dataclass
class _Groups:
    """Equal rows: the position of one of each group, how many there are, and what tells the group of each row."""

    first: Tensor
    counts: Tensor
    order: Tensor
    ranks: Ranks

    def inverse(self) -> Tensor:
        """The group of each row."""
        return self.ranks.runs(self.order)


def _launch(name: str, rows: Tensor, *args) -> None:
    count, width = rows.shape
    _ROWS.launch(name, {"T": rows.dtype}, blocks(count, _THREADS), _THREADS, rows, count, width, *args)


def _sorted_order(rows: Tensor) -> Tensor:
    """The order of rows by their elements: a single one by its digits, several by merging."""
    count, width = rows.shape
    if width == 1:
        return sorted_rows(rows.view(1, count))[1].view(count)
    order, run = _C.arange(count, device=rows.device), 1
    while run < count:
        merged = _C.empty_like(order)
        _launch("merge_runs", rows, run, order, merged)
        order, run = merged, 2 * run
    return order


def _groups(rows: Tensor, consecutive: bool) -> _Groups:
    count = rows.shape[0]
    order = _C.arange(count, device=rows.device) if consecutive else _sorted_order(rows)
    starts = _C.empty(count, dtype=_C.bool, device=rows.device)
    _launch("starts", rows, order, starts)
    ranks = Ranks(starts)
    begins = ranks.positions().view(-1)
    ends = _C.cat([begins[1:], _C.full((1,), count, dtype=_C.int64, device=rows.device)])
    return _Groups(order.index_select(0, begins), ends[: begins.numel()] - begins, order, ranks)


def _as_rows(x: Tensor) -> Tensor:
    """Row-major rows of numbers that have an order; complex ones are two."""
    rows = x.contiguous()
    if rows.is_complex():
        return _C.view_as_real(rows).flatten(1)
    return rows


def _elements(x: Tensor, consecutive: bool, inverse: bool, counts: bool) -> list[Tensor]:
    """Distinct elements or runs of all, flattened."""
    flat = x.reshape(-1)
    found = _groups(_as_rows(flat.view(-1, 1)), consecutive)
    none = _C.empty(0, dtype=_C.int64, device=x.device)
    return [
        flat.index_select(0, found.first),
        found.inverse().view(x.shape) if inverse else none,
        found.counts if counts else none,
    ]


def _slices(x: Tensor, dim: int, consecutive: bool) -> list[Tensor]:
    """Distinct slices or runs of them along a dimension."""
    dim %= max(x.dim(), 1)
    x = x.reshape(1) if x.dim() == 0 else x
    if x.numel() == 0:
        if x.shape[dim] != 0:
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
        if list(x.shape).count(0) != 1:
            raise RuntimeError("Number of zero sized dimensions is more than one, so unique cannot be applied ")
        none = _C.empty(0, dtype=_C.int64, device=x.device)
        return [_C.empty_like(x), none, none.clone()]
    rows = x.transpose(0, dim).reshape(x.shape[dim], -1)
    found = _groups(_as_rows(rows), consecutive)
    return [x.index_select(dim, found.first), found.inverse(), found.counts]


@kernel("_unique2")
def unique(args):
    x, _, inverse, counts = args
    return _elements(x, False, inverse, counts)


@kernel("unique_dim")
def unique_dim(args):
    return _slices(args[0], args[1], False)


@kernel("_unique_consecutive")
def unique_consecutive(args):
    x, inverse, counts, dim = args
    return _elements(x, True, inverse, counts) if dim is None else _slices(x, dim, True)
