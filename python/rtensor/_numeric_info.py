"""Limits of the dtypes: ``finfo`` and ``iinfo``."""

from rtensor import _C

# eps, max, tiny, and decimal digits of the floating-point dtypes.
_FLOATS = {
    "float16": (2.0**-10, 65504.0, 2.0**-14, 0.001),
    "bfloat16": (2.0**-7, (2 - 2.0**-7) * 2.0**127, 2.0**-126, 0.01),
    "float32": (2.0**-23, (2 - 2.0**-23) * 2.0**127, 2.0**-126, 1e-6),
    "float64": (2.0**-52, (2 - 2.0**-52) * 2.0**1023, 2.0**-1022, 1e-15),
}


class _Info:
    """What both kinds of limits share: the dtype, and comparison by it."""

    def __init__(self, dtype):
        self._dtype = dtype

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return repr(self._dtype).removeprefix("torch.")

    @property
    def bits(self) -> int:
        """Bits of an element."""
        return self._dtype.itemsize * 8

    def __eq__(self, other) -> bool:
        return type(self) is type(other) and self._dtype == other._dtype

    def __ne__(self, other) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self), self._dtype))


class finfo(_Info):
    """Limits of a floating-point dtype (of its real parts, where it is complex).

    Parameters
    ----------
    type : dtype, optional
        The default dtype, unless given.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.finfo(torch.float16).max
    65504.0
    """

    def __init__(self, type=None):
        dtype = _C.get_default_dtype() if type is None else type
        if not isinstance(dtype, _C.dtype):
            raise TypeError(f"finfo(): argument 'type' (position 1) must be torch.dtype, not {dtype.__class__.__name__}")
        dtype = dtype.to_real()
        if not dtype.is_floating_point:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{dtype}'")
        super().__init__(dtype)
        self.eps, self.max, self.tiny, self.resolution = _FLOATS[self.dtype]
        self.min = -self.max
        self.smallest_normal = self.tiny

    def __repr__(self) -> str:
        fields = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        numbers = ", ".join(f"{field}={_short(getattr(self, field))}" for field in fields)
        return f"finfo({numbers}, dtype={self.dtype})"


def _short(value: float) -> str:
    return f"{value:g}"


class iinfo(_Info):
    """Limits of an integer dtype.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.iinfo(torch.int8).max
    127
    """

    def __init__(self, type):
        if not isinstance(type, _C.dtype):
            raise TypeError(f"iinfo(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}")
        if type.is_floating_point or type.is_complex:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
        if type is _C.bool:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        super().__init__(type)
        self.min = -(1 << (self.bits - 1)) if type.is_signed else 0
        self.max = (1 << (self.bits - type.is_signed)) - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
