"""Look-up of rows by index."""

from rtensor.cuda._index import Index, gather
from rtensor.cuda._registry import kernel


@kernel("embedding")
def embedding(args: tuple, outs: tuple) -> None:
    (weight, indices, *_), (out,) = args, outs
    chosen = Index(indices, (*indices.stride(), 0), weight.shape[0], weight.stride(0))
    gather(out.shape, out, out.stride(), weight, (*(0,) * indices.dim(), weight.stride(1)), [chosen])
