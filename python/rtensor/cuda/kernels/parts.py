"""Parts of numbers that are no formula of one result: mantissas with exponents."""

from rtensor import _C
from rtensor.cuda._arrays import dense
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks

_PARTS = Source("parts.cu")
_THREADS = 256


@kernel("frexp")
def frexp(args: tuple, outs: tuple) -> None:
    x = args[0]
    targets = [dense(out) for out in outs]
    settings = {"T": x.dtype, "A": _C.float64 if x.dtype == _C.float64 else _C.float32}
    count = x.numel()
    _PARTS.launch("mantissas", settings, blocks(count, _THREADS), _THREADS, dense(x), *targets, count)
    for out, target in zip(outs, targets, strict=True):
        if target is not out:
            out.copy_(target)
