"""Copies of a tensor with one of its views replaced."""

from rtensor._C import Tensor
from rtensor.cuda._registry import kernel


def _replace(args: tuple, out: Tensor, place: Tensor) -> None:
    x, source = args[:2]
    if place.shape != source.shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. "
            f"src size = {list(source.shape)}, slice size = {list(place.shape)}"
        )
    out.copy_(x)
    place.copy_(source)


@kernel("select_scatter")
def select_scatter(args, outs):
    _replace(args, outs[0], outs[0].select(*args[2:]))


@kernel("slice_scatter")
def slice_scatter(args, outs):
    dim, start, end, step = args[2:]
    before = (slice(None),) * (dim % max(outs[0].dim(), 1))
    _replace(args, outs[0], outs[0][(*before, slice(start, end, step))])


@kernel("diagonal_scatter")
def diagonal_scatter(args, outs):
    _replace(args, outs[0], outs[0].diagonal(*args[2:]))


@kernel("as_strided_scatter")
def as_strided_scatter(args, outs):
    _replace(args, outs[0], outs[0].as_strided(*args[2:]))
