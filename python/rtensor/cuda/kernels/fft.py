"""Fourier transforms by cuFFT: unnormalised, then scaled as the caller says."""

from typing import Any

import cupy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._arrays import array, numpy_dtype, tensor
from rtensor.cuda._registry import kernel

# The norms of CuPy that divide in the other direction, so that these transforms are sums alone.
_PLAIN_FORWARD, _PLAIN_INVERSE = "backward", "forward"


def _scaled(spectrum: Any, dtype: _C.dtype, scale: float) -> list[Tensor]:
    result = tensor(cupy.ascontiguousarray(spectrum.astype(numpy_dtype(dtype), copy=False)))
    return [result if scale == 1.0 else result.mul_(scale)]


@kernel("_fft_c2c")
def fft_c2c(args: tuple) -> list[Tensor]:
    """Complex transform along several dimensions."""
    x, dims, scale, forward = args
    x = x.resolve_conj()
    if x.numel() == 0 or not dims:
        return [x * scale]
    if forward:
        spectrum = cupy.fft.fftn(array(x), axes=tuple(dims), norm=_PLAIN_FORWARD)
    else:
        spectrum = cupy.fft.ifftn(array(x), axes=tuple(dims), norm=_PLAIN_INVERSE)
    return _scaled(spectrum, x.dtype, scale)


@kernel("_fft_r2c")
def fft_r2c(args: tuple) -> list[Tensor]:
    """Half of the spectrum of a real signal along the last of the dimensions."""
    x, dims, scale = args
    dtype = _C.complex64 if x.dtype == _C.float32 else _C.complex128
    if x.numel() == 0:
        shape = list(x.shape)
        shape[dims[-1]] = shape[dims[-1]] // 2 + 1
        return [x.new_empty(shape, dtype=dtype)]
    return _scaled(cupy.fft.rfftn(array(x), axes=tuple(dims), norm=_PLAIN_FORWARD), dtype, scale)


@kernel("_fft_c2r")
def fft_c2r(args: tuple) -> list[Tensor]:
    """The real signal of `n` points of half of a spectrum."""
    x, dim, n, scale = args
    x = x.resolve_conj()
    dtype = _C.float32 if x.dtype == _C.complex64 else _C.float64
    if x.numel() == 0:
        shape = list(x.shape)
        shape[dim] = n
        return [x.new_empty(shape, dtype=dtype)]
    return _scaled(cupy.fft.irfft(array(x), n=n, axis=dim, norm=_PLAIN_INVERSE), dtype, scale)
