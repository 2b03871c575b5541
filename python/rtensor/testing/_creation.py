"""Random tensors of any dtype, for tests."""

import rtensor as torch

_DEFAULT_RANGES = {"float": (-9.0, 9.0), "unsigned": (0, 10), "signed": (-9, 10)}


def _range(dtype, low, high):
    default: tuple[float, float]
    if dtype is torch.bool:
        default = (0, 2)
    elif dtype.is_floating_point or dtype.is_complex:
        default = _DEFAULT_RANGES["float"]
    else:
        default = _DEFAULT_RANGES["signed" if dtype.is_signed else "unsigned"]
    low = default[0] if low is None else low
    high = default[1] if high is None else high
    if low > high or (low == high and dtype is torch.bool):
        raise ValueError(f"`low` must be less than `high`, but got {low} > {high}")
    return low, high


def make_tensor(
    *shape,
    dtype,
    device="cpu",
    low=None,
    high=None,
    requires_grad=False,
    noncontiguous=False,
    exclude_zero=False,
    memory_format=None,
):
    """A tensor of uniformly distributed values.

    Parameters
    ----------
    *shape : int or tuple of ints
        The sizes.
    dtype : dtype
        The dtype.
    device : device or str, default "cpu"
        Where the tensor is.
    low, high : number, optional
        Bounds of the values; ``high`` is excluded.
    requires_grad : bool, default False
        Whether to record what is done with the tensor.
    noncontiguous : bool, default False
        Whether to leave gaps between the elements.
    exclude_zero : bool, default False
        Whether zeros become the smallest positive value (1 for integers).

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.testing.make_tensor(2, 3, dtype=torch.int64).shape
    torch.Size([2, 3])
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    low, high = _range(dtype, low, high)
    full = (*sizes[:-1], 2 * sizes[-1]) if noncontiguous and sizes else sizes
    if dtype.is_complex:
        parts = torch.empty((*full, 2), dtype=dtype.to_real(), device=device).uniform_(low, high)
        result = torch.view_as_complex(parts)
    elif dtype.is_floating_point:
        result = torch.empty(full, dtype=torch.float64 if dtype is torch.float64 else torch.float32, device=device)
        result = result.uniform_(low, high).to(dtype)
    else:
        result = torch.randint(int(low), int(high), full, device=device).to(dtype)
    if noncontiguous and sizes:
        result = result[..., ::2]
    if exclude_zero:
        smallest = torch.finfo(dtype).tiny if dtype.is_floating_point or dtype.is_complex else 1
        result[result == 0] = smallest
    if memory_format is not None:
        result = result.clone(memory_format=memory_format)
    return result.requires_grad_() if requires_grad else result
