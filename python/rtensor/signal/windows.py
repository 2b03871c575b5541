"""Window functions, symmetric for filter design or periodic for spectral analysis."""

import functools
import math
from collections.abc import Iterable

import rtensor as torch

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

_PARAMETERS = """
    Other Parameters
    ----------------
    sym : bool
        Whether the window is symmetric; a periodic one is the longer symmetric one without its last value.
    dtype : dtype, optional
        float32 or float64; the default dtype if not given.
    layout : layout
        Only `torch.strided`.
    device : device, optional
        Where the window is made.
    requires_grad : bool
        Whether autograd records operations on the window.

    Returns
    -------
    Tensor
        The window, of length `M`.
    """


def _check(name, M, dtype, layout):
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not torch.strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")


def _window(formula):
    """Give a formula the options that all windows have: `formula(M, sym, make, ...)` makes tensors by `make`."""

    @functools.wraps(formula)
    def window(M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False, **parameters):
        dtype = torch.get_default_dtype() if dtype is None else dtype
        _check(formula.__name__, M, dtype, layout)
        make = functools.partial(torch.linspace, dtype=dtype, device=device)
        values = formula(M, sym, make, **parameters) if M else torch.empty((0,), dtype=dtype, device=device)
        return values.requires_grad_(requires_grad)

    del window.__wrapped__
    window.__doc__ = formula.__doc__ + _PARAMETERS
    return window


def _period(M, sym):
    """Steps from the first value of the window to the one that mirrors it."""
    return M - 1 if sym or M == 1 else M


def _cosines(M, sym, make, a):
    """Sum of cosines with alternating signs."""
    if M == 1:
        return make(1, 1, 1)
    step = 2 * math.pi / _period(M, sym)
    angles = make(0, (M - 1) * step, M)
    total = torch.zeros_like(angles)
    for i, weight in enumerate(a):
        total += (-1) ** i * weight * torch.cos(i * angles)
    return total


@_window
def exponential(M, sym, make, *, center=None, tau=1.0):
    """Exponential window: decays on both sides of `center` with decay constant `tau`."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    center = _period(M, sym) / 2 if center is None else center
    return torch.exp(-torch.abs(make(-center / tau, (M - 1 - center) / tau, M)))


@_window
def cosine(M, sym, make):
    """Cosine window: half a period of the sine."""
    step = math.pi / (_period(M, sym) + 1)
    return torch.sin(make(0.5 * step, (M - 0.5) * step, M))


@_window
def gaussian(M, sym, make, *, std=1.0):
    """Gaussian window of standard deviation `std`."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    start, scale = -_period(M, sym) / 2, 1 / (std * math.sqrt(2))
    return torch.exp(-(make(start * scale, (start + M - 1) * scale, M) ** 2))


@_window
def kaiser(M, sym, make, *, beta=12.0):
    """Kaiser window of shape `beta`."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M == 1:
        return make(1, 1, 1)
    end = min(beta, -beta + (M - 1) * 2 * beta / _period(M, sym))
    positions, peak = make(-beta, end, M), make(beta, beta, 1)
    return torch.i0(torch.sqrt(torch.clamp(peak * peak - positions**2, min=0))) / torch.i0(peak)


@_window
def hamming(M, sym, make):
    """Hamming window."""
    return _cosines(M, sym, make, (0.54, 0.46))


@_window
def hann(M, sym, make):
    """Hann window."""
    return _cosines(M, sym, make, (0.5, 0.5))


@_window
def blackman(M, sym, make):
    """Blackman window."""
    return _cosines(M, sym, make, (0.42, 0.5, 0.08))


@_window
def bartlett(M, sym, make):
    """Bartlett window: a triangle that starts at zero."""
    if M == 1:
        return make(1, 1, 1)
    return 1 - torch.abs(make(-1, -1 + (M - 1) * 2 / _period(M, sym), M))


@_window
def general_cosine(M, sym, make, *, a):
    """Sum of cosines with the weights `a`."""
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    a = tuple(a)
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _cosines(M, sym, make, a)


@_window
def general_hamming(M, sym, make, *, alpha=0.54):
    """Generalized Hamming window of weight `alpha`."""
    return _cosines(M, sym, make, (alpha, 1.0 - alpha))


@_window
def nuttall(M, sym, make):
    """Minimum 4-term Blackman-Harris window after Nuttall."""
    return _cosines(M, sym, make, (0.3635819, 0.4891775, 0.1365995, 0.0106411))
