"""Triangles of matrices, and diagonals written into new ones."""

from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source
from rtensor.cuda._walk import BYTES, THREADS, argument, walk

_TRIANGLE = Source("triangle.cu")


@kernel("tril", "triu")
def triangle(name, args, outs):
    (x, diagonal), out = args, outs[0]
    if x.numel() == 0:
        return
    numbers = (*[0] * (x.dim() - 2), -1, 1)
    steps = walk(x.shape, (out.stride(), x.stride(), numbers))
    words = argument([diagonal, name == "tril"], steps)
    _TRIANGLE.launch("triangle", {"T": BYTES[x.itemsize]}, steps.blocks, THREADS, words, out, x)


@kernel("diag_embed")
def diag_embed(args, outs):
    x, offset, dim1, dim2 = args
    outs[0].zero_()
    outs[0].diagonal(offset, dim1, dim2).copy_(x)
