"""Convolutions and their adjoints: products of the weight with the columns of windows, some images at a time."""

import functools
from dataclasses import dataclass
from functools import cached_property

import rtensor as torch
from rtensor.backends import cudnn
from rtensor.cuda._arrays import dense, unsupported
from rtensor.cuda._blas import gemm
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks
from rtensor.cuda._windows import THREADS, Windows, from_columns, index_type, three, to_columns

DEPTHWISE = Source("depthwise.cu")
#: Bytes of columns at a time: few enough to stay in the cache between their writing and the product.
WORKSPACE = 32 << 20
#: Positions of an image from which on a product per image is as fast as one for all.
WIDE = 256


@dataclass(frozen=True)
class Geometry:
    """A convolution of images with `groups` groups of `channels` inputs and `filters` outputs each."""

    images: int
    groups: int
    channels: int
    filters: int
    windows: Windows

    @classmethod
    def of(cls, image, weight, output, stride, padding, dilation, groups):
        """The geometry by the sizes of image, weight and output; a transposed convolution goes from output to image."""
        spatial = len(image) - 2
        windows = Windows(
            three(image[2:], spatial),
            three(output[2:], spatial),
            three(weight[2:], spatial),
            three(stride, spatial),
            three(padding, spatial, 0),
            three(dilation, spatial),
        )
        return cls(image[0], groups, weight[1], weight[0] // groups, windows)

    @cached_property
    def column(self) -> int:
        """Elements that one output sees."""
        return self.channels * self.windows.taps

    @cached_property
    def plain(self) -> bool:
        """Whether the columns of an image are the image itself."""
        w = self.windows
        return w.taps == 1 and set(w.stride) == {1} and set(w.padding) == {0}

    @cached_property
    def direct(self) -> bool:
        """Whether every group has one channel, so that a product has nothing to sum but the window."""
        return self.channels == 1 and self.groups > 1

    def joined(self, images: int) -> bool:
        """Whether images stand side by side in one product (for each group), not in one product for each of them."""
        return images == 1 or self.groups > 1 or (self.windows.positions < WIDE and not self.plain)

    def chunks(self, itemsize: int, joined: bool) -> list[tuple[int, int]]:
        """Ranges of images whose columns fit the workspace."""
        if self.plain and not joined:
            return [(0, self.images)]
        nbytes = max(1, self.groups * self.column * self.windows.positions * itemsize)
        step = max(1, WORKSPACE // nbytes)
        return [(at, min(at + step, self.images)) for at in range(0, self.images, step)]

    def steps(self, images: int, joined: bool) -> tuple[int, int]:
        """How far apart rows of columns and images are."""
        positions = self.windows.positions
        return (images * positions, positions) if joined else (positions, self.groups * self.column * positions)


@functools.lru_cache(maxsize=1024)
def _geometry(*sizes_and_moves) -> Geometry:
    return Geometry.of(*sizes_and_moves)


def _tuples(*lists):
    return map(tuple, lists)


def _check(x):
    if not (x.is_floating_point() or x.is_complex()):
        raise unsupported("slow_conv2d_cuda", x.dtype)


def _per_channel(bias, out):
    """A bias that broadcasts over the images of a result."""
    return bias if bias is None else bias.reshape(1, -1, *[1] * (out.ndim - 2))


def _with_bias(out, bias):
    """Put the bias of each channel into the result; whether there is one."""
    if bias is not None:
        out.copy_(_per_channel(bias, out))
    return bias is not None


def _product(out, a, b, beta=0):
    gemm(out, a, b, 1, beta, tf32=cudnn.allow_tf32, op="slow_conv2d_cuda")


def _columns(g, x, images, joined):
    """The columns of some images: a matrix for each group, or for each image where there is one group."""
    positions = g.windows.positions
    if g.plain and (images == 1 or not joined):
        return x.view(-1, g.column, positions)
    columns = torch.empty(images * g.groups * g.column * positions, dtype=x.dtype, device=x.device)
    to_columns(x, columns, g.windows, (images, g.groups * g.channels), g.steps(images, joined))
    return columns.view(-1, g.column, positions * images if joined else positions)


def _outputs(g, y, images, joined):
    """What lies at the positions of some images, in the order of `_columns`; a view unless images must move."""
    positions = g.windows.positions
    if images == 1 or not joined:
        return y.view(-1, g.filters, positions)
    side_by_side = y.view(images, g.groups * g.filters, positions).transpose(0, 1)
    return side_by_side.reshape(g.groups, g.filters, images * positions)


def _weights(g, w, images, joined):
    """The weight as a matrix for each product."""
    matrices = w.view(g.groups, g.filters, g.column)
    return matrices if joined else matrices.expand(images, -1, -1)


def _depthwise(name, g, from_, weight, bias, to):
    w = g.windows
    count = g.images * g.groups * (w.area if name == "depthwise_input" else g.filters * w.positions)
    bias = 0 if bias is None else dense(bias)
    sizes = g.images, g.groups, g.filters
    settings = {"T": to.dtype, "INDEX": index_type(count)}
    DEPTHWISE.launch(name, settings, blocks(count, THREADS), THREADS, from_, weight, bias, to, w.argument, *sizes)


def _forward(g, x, w, bias, out):
    _check(x)
    x, w = dense(x), dense(w)
    if out.numel() == 0:
        return
    if g.direct:
        _depthwise("depthwise", g, x, w, bias, out)
        return
    joined, added = g.joined(g.images), _per_channel(bias, out)
    for first, end in g.chunks(x.itemsize, joined):
        images, target = end - first, out[first:end]
        columns, weights = _columns(g, x[first:end], images, joined), _weights(g, w, images, joined)
        if images == 1 or not joined:
            beta = int(_with_bias(target, bias))
            _product(target.view(-1, g.filters, g.windows.positions), weights, columns, beta)
            continue
        made = torch.empty(g.groups, g.filters, columns.shape[2], dtype=x.dtype, device=x.device)
        _product(made, weights, columns)
        made = made.view(g.groups * g.filters, images, *target.shape[2:]).transpose(0, 1)
        target.copy_(made) if added is None else torch.add(made, added, out=target)


def _adjoint_in_input(g, y, w, bias, out):
    _check(y)
    y, w = dense(y), dense(w)
    if out.numel() == 0:
        return
    if g.direct:
        _depthwise("depthwise_input", g, y, w, bias, out)
        return
    joined = g.joined(g.images)
    direct = g.plain and (g.images == 1 or not joined)
    beta = int(direct and _with_bias(out, bias))
    bias = bias if bias is None else dense(bias)
    for first, end in g.chunks(y.itemsize, joined):
        images, target = end - first, out[first:end]
        given, weights = _outputs(g, y[first:end], images, joined), _weights(g, w, images, joined).mT
        if direct:
            _product(target.view(-1, g.column, g.windows.positions), weights, given, beta)
            continue
        columns = torch.empty(given.shape[0], g.column, given.shape[2], dtype=y.dtype, device=y.device)
        _product(columns, weights, given)
        planes = images, g.groups * g.channels
        from_columns(columns, target, g.windows, planes, g.steps(images, joined), bias)


def _adjoint_in_weight(g, x, y, out):
    _check(x)
    x, y, w = dense(x), dense(y), g.windows
    if out.numel() == 0 or not g.images:
        out.zero_()
        return
    if g.direct:
        settings = {"T": x.dtype, "INDEX": index_type(max(x.numel(), y.numel()))}
        sizes = g.images, g.groups, g.filters
        DEPTHWISE.launch("depthwise_weight", settings, out.numel(), THREADS, x, y, out, w.argument, *sizes)
        return
    chunks = g.chunks(x.itemsize, joined=True)
    # Sums of several parts are not rounded to 16 bits in between.
    exact = len(chunks) > 1 and x.dtype in (torch.float16, torch.bfloat16)
    sums = torch.empty(out.shape, dtype=torch.float32, device=out.device) if exact else out
    target = sums.view(g.groups, g.filters, g.column)
    for first, end in chunks:
        images = end - first
        columns, given = (of(g, t[first:end], images, True) for of, t in ((_columns, x), (_outputs, y)))
        _product(target, given, columns.mT, int(first > 0))
    if exact:
        out.copy_(sums)


@kernel("convolution")
def convolution(args, outs):
    x, w, bias, *moves, transposed, _, groups = args
    image, output = (outs[0], x) if transposed else (x, outs[0])
    g = _geometry(*_tuples(image.shape, w.shape, output.shape, *moves), groups)
    (_adjoint_in_input if transposed else _forward)(g, x, w, bias, outs[0])


@kernel("_convolution_input")
def convolution_input(args, outs):
    y, w, size, *moves, groups = args
    _adjoint_in_input(_geometry(*_tuples(size, w.shape, y.shape, *moves), groups), y, w, None, outs[0])


@kernel("_convolution_weight")
def convolution_weight(args, outs):
    x, y, size, *moves, groups = args
    _adjoint_in_weight(_geometry(*_tuples(x.shape, size, y.shape, *moves), groups), x, y, outs[0])
