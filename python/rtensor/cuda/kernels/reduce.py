"""Reductions of one output: sums, products, means, extremes, truth."""

from typing import Any, NamedTuple

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._reduction import reduce, reduced_dims
from rtensor.cuda._registry import kernel


class Reduction(NamedTuple):
    """The kind in ``reduce_kinds.cuh``; whether elements take the result's dtype first, and may be complex."""

    kind: str
    converts: bool = False
    complex: bool = True


REDUCTIONS = {
    "sum": Reduction("Sum", converts=True),
    "nansum": Reduction("NanSum", converts=True),
    "mean": Reduction("Mean", converts=True),
    "prod": Reduction("Prod", converts=True),
    "amax": Reduction("Max", complex=False),
    "amin": Reduction("Min", complex=False),
    "any": Reduction("Any"),
    "all": Reduction("All"),
    "count_nonzero": Reduction("CountNonzero"),
    "hash_tensor": Reduction("Xor", complex=False),
}


def total(dtype: Any) -> Any:
    """The dtype that sums of a dtype's elements are taken in."""
    if dtype.is_floating_point or dtype.is_complex:
        return _C.float32 if dtype.itemsize == 2 else dtype
    return _C.int64


def converted(x: Tensor, dtype: Any) -> Tensor:
    """The input in the dtype of the result, unless reading it as it is gives the same."""
    own = x.dtype
    return x if dtype == own or dtype == total(own) else x.to(dtype)


@kernel(*REDUCTIONS)
def reduction(name, args, outs):
    x, dim = args[0], args[1]
    found = REDUCTIONS[name]
    if x.dtype.is_complex and not found.complex:
        raise NotImplementedError(f'"{name}_cuda" not implemented for {x.dtype}')
    dims: tuple[int, ...]
    if name in ("any", "all") and dim is not None and not isinstance(dim, int) and len(dim) == 0:
        dims = ()  # An empty list is no dimension here, and all of them everywhere else.
    else:
        dims = reduced_dims(x.ndim, dim)
    reduce(found.kind, converted(x, outs[0].dtype) if found.converts else x, dims, outs[0])
