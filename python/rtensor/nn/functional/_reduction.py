"""The `reduction` argument of losses, in PyTorch's numbering."""

import warnings

_NUMBERS = {"none": 0, "mean": 1, "sum": 2}


def number(reduction: str) -> int:
    """The number of a reduction that native losses take."""
    try:
        return _NUMBERS[reduction]
    except (KeyError, TypeError):
        raise ValueError(f"{reduction} is not a valid value for reduction") from None


def resolve(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction meant by the old pair of flags, or `reduction` where neither is given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        meant = "none"
    else:
        meant = "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{meant}' instead.", stacklevel=3
    )
    return meant


def reduced(loss, reduction: str):
    """The loss of each element, reduced as asked."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss
