"""Normalisation of channels by statistics of groups or of the batch, and its gradients."""

import math

from rtensor import _C
from rtensor.cuda._arrays import dense
from rtensor.cuda._registry import kernel
from rtensor.cuda._rows import MAX_BLOCKS, power_of_two
from rtensor.cuda._source import Source, struct
from rtensor.cuda.kernels.norm import plain, row_statistics
from rtensor.cuda.kernels.reduce import total

_CHANNELS = Source("norm_channels.cu")
_THREADS, _LONG = 256, 2048
_BLOCKS, _SAMPLES_PER_PART = 528, 64


class Channels:
    """Tensors of the sizes [batch, channels, inner], and what the text is compiled with for them."""

    def __init__(self, x, weight, rstd, groups, *beside):
        shape: tuple[int, ...] = tuple(x.shape) if x.ndim > 1 else (1, x.numel())
        self.batch, self.channels = shape[0], shape[1]
        self.inner = math.prod(shape[2:])
        self.groups, self.numel = groups, x.numel()
        aligned = all(t.data_ptr() % 16 == 0 for t in (x, *beside))
        width = 16 // x.itemsize
        self.unit = width if aligned and self.inner % width == 0 else 1
        per_group = self.channels // groups if groups else 0
        self.layout = struct(self.batch, self.channels, self.inner, groups, per_group)
        self.settings = {
            "T": x.dtype,
            "W": rstd.dtype if weight is None else weight.dtype,
            "S": rstd.dtype,
            "UNIT": self.unit,
            "INDEX": "u32" if self.numel < 2**32 else "u64",
        }

    @property
    def statistics(self):
        """How many means there are."""
        return self.batch * self.groups if self.groups else self.channels

    def launch(self, kernel, blocks, threads, *args):
        """Run a kernel of the text."""
        _CHANNELS.launch(kernel, self.settings, blocks, threads, *args)

    def each(self, kernel, *args):
        """Run a kernel that walks over all elements."""
        blocks = -(-self.numel // (self.unit * _THREADS))
        self.launch(kernel, min(blocks, MAX_BLOCKS), _THREADS, *args, self.layout)

    def sums(self, grad, x, mean):
        """Sums over each channel, of each sample or of parts of the batch; and how many of those there are."""
        by_column = self.inner == 1 and not self.groups
        tiles = -(-self.channels // 32)
        parts = self.batch
        if by_column:
            parts = max(1, min(-(-self.batch // _SAMPLES_PER_PART), -(-_BLOCKS // max(tiles, 1))))
        sums = _C.empty([parts, self.channels, 2], dtype=total(x.dtype), device=x.device)
        tensors = (grad, x, mean, sums, self.layout)
        if by_column:
            self.launch("column_sums", (tiles, parts), _THREADS, *tensors, -(-self.batch // parts))
        else:
            units = self.inner // self.unit
            lanes = 512 if units >= _LONG else 128 if units > 128 else min(32, power_of_two(units))
            threads = max(lanes, 128)
            blocks = -(-self.batch * self.channels * lanes // threads)
            self.launch("plane_sums", min(blocks, MAX_BLOCKS), threads, *tensors, lanes)
        return sums, parts


def _of_one_dtype(first, second):
    """Two row-major tensors of the first one's dtype; either may be absent."""
    like = second if first is None else first
    return (None, None) if like is None else (plain(first, like), plain(second, like))


def _normalise(x, weight, bias, mean, rstd, out, groups):
    x = dense(x)
    weight, bias = _of_one_dtype(weight, bias)
    rstd, mean = _of_one_dtype(rstd, mean)
    affine = bias if weight is None else weight
    Channels(x, affine, rstd, groups, out).each("normalise", x, weight, bias, mean, rstd, out)


@kernel("native_group_norm")
def group_norm(args, outs):
    x, weight, bias, _, _, _, groups, eps = args
    if x.numel() == 0:
        return
    x, (out, *statistics) = dense(x), outs
    wide = total(x.dtype)
    mean, rstd = (t if t.dtype == wide else _C.empty(t.shape, dtype=wide, device=x.device) for t in statistics)
    row_statistics(x, mean, rstd, mean.numel(), eps)
    _normalise(x, weight, bias, mean, rstd, out, groups)
    for target, found in zip(statistics, (mean, rstd), strict=True):
        if found is not target:
            target.copy_(found)


@kernel("_channel_norm")
def channel_norm(args, outs):
    x, weight, bias, mean, rstd, _, _ = args
    _normalise(x, weight, bias, mean, rstd, outs[0], 0)


@kernel("_channel_norm_backward")
def channel_norm_backward(args, outs):
    grad, x, weight, mean, rstd, groups, frozen = args
    if x.numel() == 0:
        for part in outs[1:]:
            part.zero_()
        return
    x = dense(x)
    grad, weight = plain(grad, x), None if weight is None else dense(weight)
    rstd, mean = _of_one_dtype(rstd, mean)
    channels = Channels(x, outs[1], rstd, groups, grad, outs[0])
    sums, parts = channels.sums(grad, x, mean)
    lines = _C.empty([channels.statistics, 2], dtype=sums.dtype, device=x.device)
    warps = channels.statistics + channels.channels
    tensors = (sums, weight, rstd, lines, *outs[1:], channels.layout)
    channels.launch("lines", -(-warps * 32 // _THREADS), _THREADS, *tensors, parts, int(frozen))
    channels.each("gradient", grad, x, weight, mean, rstd, lines, outs[0])
