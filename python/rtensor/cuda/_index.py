"""Reading and writing where index tensors point, in one launch each."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda import _failures
from rtensor.cuda._source import Source
from rtensor.cuda._walk import BYTES, THREADS, Strides, Walk, argument, walk, widest

_GATHER, _SCATTER = Source("gather.cu"), Source("scatter.cu")


class Index(NamedTuple):
    """An index tensor.

    Attributes
    ----------
    tensor : Tensor
        int32 or int64; all indices of a walk are of one dtype.
    strides : tuple of int
        Its strides under the sizes of the walk.
    size, step : int
        How many places it chooses among, and how far apart they are.
    wraps : bool
        Whether negative indices count from the end.
    """

    tensor: Tensor
    strides: Strides
    size: int
    step: int
    wraps: bool = False


def _words_of(indices: Sequence[Index], together: int = 1) -> list[int]:
    return [
        word for i in indices for word in (i.tensor.data_ptr(), -i.size if i.wraps else 0, i.size, i.step // together)
    ]


def _settings(indices: Sequence[Index]) -> dict[str, Any]:
    return {"I": indices[0].tensor.dtype if indices else _C.int64, "INDICES": len(indices)}


def _walk(shape: Strides, strides: tuple[Strides, ...], indices: Sequence[Index], most: int) -> Walk:
    return walk(shape, strides, tuple(i.strides for i in indices), most, tuple(i.step for i in indices))


def gather(
    shape: Strides, out: Tensor, out_strides: Strides, source: Tensor, strides: Strides, indices: Sequence[Index],
    offset: int = 0,
) -> None:  # fmt: skip
    """Read elements where indices point.

    Parameters
    ----------
    shape, out_strides, strides : tuple of int
        The sizes of the walk, and the strides of both tensors under them.
    out, source : Tensor
        Where elements go and come from; of one dtype.
    indices : sequence of Index
        What is added to the source's offsets.
    offset : int, default 0
        Elements from the source's first element to where the walk starts.
    """
    size = out.itemsize
    addresses = (out.data_ptr(), source.data_ptr() + offset * size)
    steps = _walk(shape, (out_strides, strides), indices, widest(size, *addresses))
    settings = {"T": BYTES[size * steps.together], **_settings(indices)}
    words = argument(_words_of(indices, steps.together), steps)
    _GATHER.launch("gather", settings, steps.blocks, THREADS, words, *addresses, _failures.address())


def scatter(
    shape: Strides, target: Tensor, target_strides: Strides, source: Any, strides: Strides, indices: Sequence[Index],
    combine: str = "assign",
) -> None:  # fmt: skip
    """Combine elements with those that indices point at.

    Parameters
    ----------
    shape, target_strides, strides : tuple of int
        The sizes of the walk, and the strides of both tensors under them.
    target : Tensor
        What is written.
    source : Tensor or number
        What comes in, of the target's dtype.
    indices : sequence of Index
        What is added to the target's offsets.
    combine : str, default "assign"
        A function of `atomics.cuh`: ``atomic_add``, ``atomic_mul``, ``atomic_min``, ``atomic_max``.
    """
    is_number, size = not isinstance(source, Tensor), target.itemsize
    addresses = (target.data_ptr(), 0 if is_number else source.data_ptr())
    settings = {"T": target.dtype, **_settings(indices), "COMBINE": combine}
    moves = combine == "assign" and not is_number
    steps = _walk(shape, (target_strides, strides), indices, widest(size, *addresses) if moves else 1)
    if moves:
        settings["T"] = BYTES[size * steps.together]
    if is_number:
        settings["VALUE"] = 1
    words = argument([*_number(source, target.dtype), *_words_of(indices, steps.together)], steps)
    _SCATTER.launch("scatter", settings, steps.blocks, THREADS, words, *addresses, _failures.address())


def _number(value: Any, dtype: Any) -> tuple[int, int]:
    """A number as two words, as `number` in `types.cuh` reads it."""
    if isinstance(value, Tensor):
        return 0, 0
    if dtype.is_complex:
        parts = complex(value).real, complex(value).imag
    elif dtype.is_floating_point:
        parts = float(value), 0.0
    else:
        word = int(bool(value) if dtype is _C.bool else value)
        return (word + (1 << 63)) % (1 << 64) - (1 << 63), 0
    return struct.unpack("2q", struct.pack("2d", *parts))


def apart(operand: Tensor, out: Tensor) -> Tensor:
    """The operand, or a copy of it where it is what is written."""
    return operand.clone() if operand.data_ptr() == out.data_ptr() else operand


def along(strides: Strides, dim: int, ndim: int, step: int = 0) -> Strides:
    """Strides for a walk of so many dimensions, with another step along one of them."""
    fitted = [*strides, *[0] * ndim][:ndim]
    if fitted:
        fitted[dim] = step
    return tuple(fitted)


def extent(x: Tensor, dim: int) -> tuple[int, int]:
    """Size and stride of a dimension; a 0-dim tensor has one of size 1."""
    return (x.shape[dim], x.stride(dim)) if x.dim() else (1, 1)


def start_from(out: Tensor, x: Tensor) -> None:
    """The output starts as a copy of the tensor, unless it is the tensor itself."""
    if out.data_ptr() != x.data_ptr() or out.stride() != x.stride():
        out.copy_(x)
