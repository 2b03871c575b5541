"""Windows of images as columns, and columns added up to images."""

import rtensor as torch
from rtensor.cuda._arrays import dense, unsupported
from rtensor.cuda._registry import kernel
from rtensor.cuda._windows import Windows, from_columns, three, to_columns


def _windows(image, kernel_size, dilation, padding, stride):
    """The windows over images of the given height and width."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    sizes = zip(image, padding, spans, stride, strict=True)
    output = [(size + 2 * pad - span) // step + 1 for size, pad, span, step in sizes]
    sides = three(image, 2), three(output, 2), three(kernel_size, 2)
    return Windows(*sides, stride=three(stride, 2), padding=three(padding, 2, 0), dilation=three(dilation, 2))


@kernel("nn.functional.im2col")
def im2col(args, outs):
    x, *moves = args
    if x.dtype == torch.bool:
        raise unsupported("im2col_out_cuda", x.dtype)
    *batch, channels, height, width = x.shape
    windows = _windows((height, width), *moves)
    rows = channels * windows.taps
    steps = windows.positions, rows * windows.positions
    to_columns(dense(x), outs[0], windows, (batch[0] if batch else 1, channels), steps)


@kernel("nn.functional.col2im")
def col2im(args, outs):
    x, size, *moves = args
    if x.dtype == torch.bool:
        raise unsupported("col2im_out_cuda", x.dtype)
    windows = _windows(size, *moves)
    *batch, rows, positions = x.shape
    planes = batch[0] if batch else 1, rows // windows.taps
    from_columns(dense(x), outs[0], windows, planes, (positions, rows * positions))
