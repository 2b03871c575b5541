"""Look-up of rows by index."""

from rtensor import _C
from rtensor.cuda._index import Index, gather
from rtensor.cuda._registry import kernel


@kernel("embedding")
def embedding(args):
    weight, indices = args[:2]
    if weight.dim() != 2:
        raise RuntimeError("'weight' must be 2-D")
    if indices.dtype not in (_C.int32, _C.int64):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
            f"but got {indices.dtype} instead (while checking arguments for embedding)"
        )
    rows, width = weight.shape
    out = _C.empty((*indices.shape, width), dtype=weight.dtype, device=weight.device)
    chosen = Index(indices, (*indices.stride(), 0), rows, weight.stride(0))
    gather(out.shape, out, out.stride(), weight, (*(0,) * indices.dim(), weight.stride(1)), [chosen])
    return [out]
