"""Sequences of different lengths: padded to one tensor, or packed without padding."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import rtensor
from rtensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences step by step: all first elements, then all second ones, and so on.

    Parameters
    ----------
    data
        The elements.
    batch_sizes
        How many sequences each step has.
    sorted_indices, unsorted_indices
        The order by falling length in which they are packed, and the way back.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> "PackedSequence":
        """Make the tuple; the way back is derived from the order."""
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """Convert or move the elements, as `Tensor.to`."""
        return self._replace(data=self.data.to(*args, **kwargs))

    @property
    def is_cuda(self) -> bool:
        """Whether the elements are on a GPU."""
        return self.data.is_cuda


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes another."""
    if permutation is None:
        return None
    places = rtensor.arange(0, permutation.numel(), device=permutation.device)
    return rtensor.empty_like(permutation).scatter_(0, permutation, places)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences that are padded to one length.

    Parameters
    ----------
    input
        ``(length, batch, ...)``, or ``(batch, length, ...)`` with `batch_first`.
    lengths
        The length of each sequence.
    enforce_sorted
        Whether they must come in order of falling length.
    """
    lengths = rtensor.as_tensor(lengths, dtype=rtensor.int64)
    order = None
    if not enforce_sorted:
        lengths, order = rtensor.sort(lengths, descending=True)
        input = input.index_select(0 if batch_first else 1, order)
    sizes = lengths.tolist()
    if sizes != sorted(sizes, reverse=True):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if not sizes or sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    steps = input.transpose(0, 1) if batch_first else input
    if steps.size(1) != len(sizes):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} (batch_size={steps.size(1)})"
        )
    batch_sizes = [sum(length > t for length in sizes) for t in range(sizes[0])]
    data = rtensor.cat([steps[t, :size] for t, size in enumerate(batch_sizes)])
    return PackedSequence(data, rtensor.tensor(batch_sizes), order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return padded sequences and their lengths; the way back from `pack_padded_sequence`."""
    sizes = sequence.batch_sizes.tolist()
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    padded = sequence.data.new_full((steps, sizes[0], *sequence.data.shape[1:]), padding_value)
    for t, part in enumerate(sequence.data.split(sizes)):
        padded[t, : sizes[t]] = part
    lengths = rtensor.tensor([sum(size > i for size in sizes) for i in range(sizes[0])])
    output = padded.transpose(0, 1) if batch_first else padded
    back = sequence.unsorted_indices
    if back is None:
        return output, lengths
    return output.index_select(0 if batch_first else 1, back), lengths[back]


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Join sequences of different lengths to one tensor."""
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"expected padding_side to be 'left' or 'right', but got '{padding_side}'")
    longest = max(s.size(0) for s in sequences)
    padded = sequences[0].new_full((len(sequences), longest, *sequences[0].shape[1:]), padding_value)
    for i, s in enumerate(sequences):
        place = slice(0, s.size(0)) if padding_side == "right" else slice(longest - s.size(0), longest)
        padded[i, place] = s
    return padded if batch_first else padded.transpose(0, 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Iterable[int], batch_first: bool = False) -> list[Tensor]:
    """Return the sequences without their padding."""
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [sequence[: int(length)] for sequence, length in zip(batch, lengths, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences."""
    lengths = [s.size(0) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)
