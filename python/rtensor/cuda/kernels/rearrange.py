"""Copies in another arrangement: flips, rolls and repeats."""

from collections.abc import Sequence

from rtensor._C import Tensor
from rtensor.cuda._index import gather
from rtensor.cuda._registry import kernel
from rtensor.cuda._walk import row_major


def _listed(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


@kernel("flip")
def flip(args, outs):
    (x, dims), out = args, outs[0]
    if x.numel() == 0:
        return
    flipped = {dim % max(x.dim(), 1) for dim in _listed(dims)}
    strides = tuple(-step if dim in flipped else step for dim, step in enumerate(x.stride()))
    last = sum((x.shape[dim] - 1) * x.stride(dim) for dim in flipped if dim < x.dim())
    gather(x.shape, out, out.stride(), x, strides, (), offset=last)


@kernel("roll")
def roll(args, outs):
    (x, shifts, dims), out = args, outs[0]
    if x.numel() == 0:
        return
    shifts, dims = _listed(shifts), _listed(dims)
    if not dims:
        x, out, dims = x.reshape(-1), out.view(-1), [0]
    by = [0] * x.dim()
    for shift, dim in zip(shifts, dims, strict=True):
        by[dim] += shift
    _roll(out, x, by)


def _roll(out: Tensor, x: Tensor, by: list[int]) -> None:
    """Split each rolled dimension where it wraps, and copy the pieces to their new places."""
    for dim, (shift, size) in enumerate(zip(by, x.shape, strict=True)):
        if shift % size:
            shift %= size
            rest = [0] * (dim + 1) + by[dim + 1 :]
            _roll(out.narrow(dim, shift, size - shift), x.narrow(dim, 0, size - shift), rest)
            _roll(out.narrow(dim, 0, shift), x.narrow(dim, size - shift, shift), rest)
            return
    out.copy_(x)


@kernel("repeat")
def repeat(args, outs):
    (x, repeats), out = args, outs[0]
    repeats = _listed(repeats)
    lead = len(repeats) - x.dim()
    shape, strides = tuple(repeats[:lead]), (0,) * lead
    for times, size, step in zip(repeats[lead:], x.shape, x.stride(), strict=True):
        shape += (times, size)
        strides += (0, step)
    gather(shape, out, row_major(shape), x, strides, ())
