"""Softmax, log-softmax, their gradients, and log-sum-exp."""

import math

from rtensor.cuda._arrays import dense
from rtensor.cuda._reduction import reduce, reduced_dims
from rtensor.cuda._registry import kernel
from rtensor.cuda._rows import MAX_BLOCKS, power_of_two, rows_of
from rtensor.cuda._source import Source
from rtensor.cuda.kernels.reduce import converted

_ROWS, _COLUMNS = Source("softmax.cu"), Source("softmax_columns.cu")
_THREADS = 256
#: Columns that occupy a GPU without threads that share them, and a size up to which rows are taken as columns.
_MANY, _TINY = 1 << 17, 16


def _run(name, inputs, out, dim, log):
    """Launch `name` along a dimension: by rows where it is the last one that counts, else by columns."""
    shape = out.shape
    if out.numel() == 0:
        return
    dim = dim % max(len(shape), 1)
    size = shape[dim] if shape else 1
    inner = math.prod(shape[dim + 1 :])
    settings = {"T": inputs[0].dtype, "O": out.dtype, "LOG": int(log)}
    lines = out.numel() // size
    if inner == 1 and (size > _TINY or lines < _THREADS):
        rows = rows_of(lines, size, *inputs)
        _ROWS.launch(f"{name}_rows", settings | rows.settings, rows.blocks, rows.threads, *inputs, out, lines, size)
        return
    lanes = _THREADS if lines >= _MANY or inner == 1 else min(32, power_of_two(inner))
    blocks = min(-(-lines // lanes), MAX_BLOCKS)
    _COLUMNS.launch(f"{name}_columns", settings, blocks, _THREADS, *inputs, out, lines, size, inner, lanes)


@kernel("softmax", "log_softmax")
def softmax(name, args, outs):
    x, dim, _ = args
    _run("softmax", [dense(converted(x, outs[0].dtype))], outs[0], dim, name == "log_softmax")


@kernel("_softmax_backward_data", "_log_softmax_backward_data")
def softmax_backward(name, args, outs):
    grad, output, dim = args
    inputs = [dense(grad.to(output.dtype)), dense(output)]
    _run("gradient", inputs, outs[0], dim, name == "_log_softmax_backward_data")


@kernel("_logsumexp")
def logsumexp(args, outs):
    x, dim, _ = args
    dims = reduced_dims(x.ndim, dim)
    if not x.is_complex():
        reduce("LogSumExp", x, dims, outs[0])
    elif x.numel() == 0:
        outs[0].copy_(x.exp().sum(dims).log().view(outs[0].shape))
    else:
        greatest = x.real.amax(dims, keepdim=True)
        greatest = greatest.masked_fill(greatest.abs() == math.inf, 0.0)
        outs[0].copy_(((x - greatest).exp().sum(dims, keepdim=True).log() + greatest).view(outs[0].shape))
