"""Writing and reading through a mask of booleans."""

from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._compact import Ranks
from rtensor.cuda._registry import kernel


def _fill_value(value: Any, dtype: Any) -> Any:
    """The value in the tensor's dtype."""
    if isinstance(value, Tensor):
        if value.dim() > 0:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.dim()} dimension(s)."
            )
        return value.to(dtype)
    if isinstance(value, complex) and not dtype.is_complex:
        if value.imag != 0:
            raise RuntimeError(f"value cannot be converted to type {dtype} without overflow")
        value = value.real
    if dtype is _C.bool:
        return bool(value)
    return value if dtype.is_floating_point or dtype.is_complex else int(value)


@kernel("masked_fill")
def masked_fill(args, outs):
    x, mask, value = args
    if mask.dtype is not _C.bool:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    _C.where(mask, _fill_value(value, x.dtype), x, out=outs[0])


def _together(x: Tensor, mask: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Tensor and mask under their common sizes, row-major."""
    if mask.dtype is not _C.bool:
        raise RuntimeError(f"{name}: expected BoolTensor for mask")
    x, mask = _C.broadcast_tensors(x, mask.to(x.device))
    return x.contiguous(), mask.contiguous()


@kernel("masked_select")
def masked_select(args):
    x, mask = args
    x, mask = _together(x, mask, "masked_select")
    return [Ranks(mask).keep(x)]


@kernel("masked_scatter")
def masked_scatter(args, outs):
    (x, mask, source), out = args, outs[0]
    if x.dtype is not source.dtype:
        raise RuntimeError(
            f"masked_scatter_: expected self and source to have same dtypes but got {x.dtype} and {source.dtype}"
        )
    x, mask = _together(x, mask, "masked_scatter_")
    out.copy_(x)
    Ranks(mask).spread(source.to(x.device).contiguous(), out)
