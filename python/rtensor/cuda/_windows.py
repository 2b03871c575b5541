"""How windows move over images: what convolutions, folds and pooling have in common, always as three dimensions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rtensor._C import Tensor
from rtensor.cuda._source import Source, blocks, struct

THREADS = 256
COLUMNS = Source("columns.cu")


def three(sizes: Sequence[int], spatial: int, fill: int = 1) -> tuple[int, ...]:
    """One entry for each of three dimensions; a single one counts for all that there are."""
    known = tuple(sizes) * spatial if len(sizes) == 1 else tuple(sizes)
    return (fill,) * (3 - spatial) + known


def index_type(count: int) -> str:
    """The type that counts so many elements without overflow."""
    return "u32" if count < 2**31 else "u64"


@dataclass(frozen=True)
class Windows:
    """Sizes of images, of the positions of a window, of the window itself, and how it moves."""

    input: tuple[int, ...]
    output: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @cached_property
    def argument(self):
        """The windows as kernels get them."""
        return struct(*self.input, *self.output, *self.kernel, *self.stride, *self.padding, *self.dilation)

    @cached_property
    def taps(self) -> int:
        """Elements of a window."""
        return math.prod(self.kernel)

    @cached_property
    def positions(self) -> int:
        """Positions of a window on an image."""
        return math.prod(self.output)

    @cached_property
    def area(self) -> int:
        """Elements of an image."""
        return math.prod(self.input)


def to_columns(x: Tensor, columns: Tensor, windows: Windows, planes: tuple[int, int], steps: tuple[int, int]) -> None:
    """Write the windows of ``planes``, images and channels of each, whose rows and images are ``steps`` apart."""
    count = planes[0] * planes[1] * windows.positions
    settings = {"T": x.dtype, "INDEX": index_type(max(count, columns.numel()))}
    COLUMNS.launch("im2col", settings, blocks(count, THREADS), THREADS, x, columns, windows.argument, *planes, *steps)


def from_columns(
    columns: Tensor,
    x: Tensor,
    windows: Windows,
    planes: tuple[int, int],
    steps: tuple[int, int],
    bias: Tensor | None = None,
) -> None:
    """Add columns up to images, the adjoint of `to_columns`, and a bias per channel."""
    count = planes[0] * planes[1] * windows.area
    settings = {"T": x.dtype, "INDEX": index_type(max(count, columns.numel()))}
    COLUMNS.launch(
        "col2im",
        settings,
        blocks(count, THREADS),
        THREADS,
        columns,
        0 if bias is None else bias,
        x,
        windows.argument,
        *planes,
        *steps,
    )
