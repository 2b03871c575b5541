"""Padding with a constant."""

from rtensor import _C
from rtensor.cuda._registry import kernel


@kernel("constant_pad_nd")
def constant_pad_nd(args):
    x, pad, value = args
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) // 2 > x.dim():
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. "
            f"Pad length is {len(pad)} while the input has {x.dim()} dimensions."
        )
    shape, inner, places = list(x.shape), x, []
    for i, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        dim = x.dim() - 1 - i
        shape[dim] += before + after
        if shape[dim] < 0:
            raise RuntimeError(
                f"The input size {x.shape[dim]}, plus negative padding {before} and {after} resulted in a negative "
                f"output size, which is invalid. Check dimension {dim} of your input."
            )
        cut = max(-before, 0)
        inner = inner.narrow(dim, cut, max(x.shape[dim] - cut - max(-after, 0), 0))
        places.append((dim, max(before, 0)))
    out = _C.full(shape, value, dtype=x.dtype, device=x.device)
    place = out
    for dim, start in places:
        place = place.narrow(dim, start, inner.shape[dim])
    place.copy_(inner)
    return [out]
