"""Numerical limits of dtypes: `finfo` and `iinfo`."""

import rtensor as torch

# Explicit bits of the fraction, largest and smallest exponent of a normal number, decimal digits.
_FLOATS = {
    "float16": (10, 15, -14, 3),
    "bfloat16": (7, 127, -126, 2),
    "float32": (23, 127, -126, 6),
    "float64": (52, 1023, -1022, 15),
}


class _TypeInfo:
    """What both kinds of limits share."""

    def __eq__(self, other):
        return type(self) is type(other) and self.dtype == other.dtype

    def __hash__(self):
        return hash((type(self), self.dtype))

    def __repr__(self):
        values = ", ".join(f"{name}={getattr(self, name):g}" for name in self._shown)
        return f"{type(self).__name__}({values}, dtype={self.dtype})"


class finfo(_TypeInfo):
    """Limits of a floating-point dtype.

    Parameters
    ----------
    type : dtype, optional
        The dtype, or a complex one for the limits of its parts; the default dtype if not given.

    Attributes
    ----------
    bits : int
        Size of an element.
    eps : float
        Difference between 1 and the next number.
    max, min : float
        Largest and lowest number.
    tiny, smallest_normal : float
        Smallest positive normal number.
    resolution : float
        Approximate decimal resolution.
    dtype : str
        Name of the dtype.
    """

    _shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")

    def __init__(self, type=None):
        type = torch.get_default_dtype() if type is None else type
        if not isinstance(type, torch.dtype):
            raise TypeError(f"finfo(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}")
        if not (type.is_floating_point or type.is_complex):
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        real = type.to_real()
        self.dtype = str(real).removeprefix("torch.")
        fraction, largest, smallest, digits = _FLOATS[self.dtype]
        self.bits = 8 * real.itemsize
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0**largest
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**smallest
        self.resolution = float(f"1e-{digits}")


class iinfo(_TypeInfo):
    """Limits of an integer dtype.

    Parameters
    ----------
    type : dtype
        The dtype.

    Attributes
    ----------
    bits : int
        Size of an element.
    max, min : int
        Largest and lowest number.
    dtype : str
        Name of the dtype.
    """

    _shown = ("min", "max")

    def __init__(self, type):
        if not isinstance(type, torch.dtype):
            raise TypeError(f"iinfo(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}")
        if type.is_floating_point or type.is_complex:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        if type == torch.bool:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        self.dtype = str(type).removeprefix("torch.")
        self.bits = 8 * type.itemsize
        signed = type.is_signed
        self.min = -(1 << (self.bits - 1)) if signed else 0
        self.max = (1 << (self.bits - signed)) - 1
