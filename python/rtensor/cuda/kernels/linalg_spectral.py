"""Singular values, eigenvalues, QR and what rests on them, by cuSOLVER through `cupy.linalg`."""

from typing import Any

import cupy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._arrays import array, numpy_dtype, tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda.kernels.linalg import check_matrix

_COMPLEX = {_C.float32: _C.complex64, _C.float64: _C.complex128}
_EPSILON = {_C.float32: 1.1920928955078125e-7, _C.complex64: 1.1920928955078125e-7}


def _row_major(made: Any, dtype: Any) -> Tensor:
    """A result of CuPy in a dtype, row-major."""
    return tensor(cupy.ascontiguousarray(made.astype(numpy_dtype(dtype), copy=False)))


def _real(dtype: Any) -> Any:
    return {wide: narrow for narrow, wide in _COMPLEX.items()}.get(dtype, dtype)


def _check_finite(values: Tensor, op: str) -> None:
    """Fail where an iteration gave no numbers. Waits for the GPU."""
    if not values.isfinite().all().item():
        raise _C._LinAlgError(
            f"{op}: The algorithm failed to converge because the input matrix contained non-finite values."
        )


@kernel("_linalg_svd")
def svd(args: tuple) -> list[Tensor]:
    """(U, S, Vh); empty U and Vh where they are not wanted."""
    x, full, vectors = args
    check_matrix(x, "linalg.svd")
    dtype = x.dtype
    made = cupy.linalg.svd(array(x), full_matrices=full, compute_uv=vectors)
    u, s, vh = made if vectors else (None, made, None)
    values = _row_major(s, _real(dtype))
    _check_finite(values, "linalg.svd")
    if not vectors:
        return [x.new_empty(0), values, x.new_empty(0)]
    return [_row_major(u, dtype), values, _row_major(vh, dtype)]


@kernel("_linalg_eigh")
def eigh(args: tuple) -> list[Tensor]:
    """(eigenvalues, eigenvectors) of symmetric or Hermitian matrices."""
    x, triangle, vectors = args
    if triangle.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {triangle} (linalg.eigh)")
    check_matrix(x, "linalg.eigh", square=True)
    solve = cupy.linalg.eigh if vectors else cupy.linalg.eigvalsh
    made = solve(array(x), UPLO=triangle.upper())
    w, v = made if vectors else (made, None)
    values = _row_major(w, _real(x.dtype))
    _check_finite(values, "linalg.eigh")
    return [values, _row_major(v, x.dtype) if vectors else x.new_empty(0)]


@kernel("linalg.eig")
def eig(args: tuple) -> list[Tensor]:
    """(eigenvalues, eigenvectors) of general matrices: complex."""
    x = args[0]
    check_matrix(x, "linalg.eig", square=True)
    if not x.isfinite().all().item():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    values, vectors = cupy.linalg.eig(array(x))
    dtype = _COMPLEX.get(x.dtype, x.dtype)
    return [_row_major(values, dtype), _row_major(vectors, dtype)]


@kernel("linalg.qr")
def qr(args: tuple) -> list[Tensor]:
    """(Q, R); an empty Q where it is not wanted."""
    x, mode = args
    check_matrix(x, "linalg.qr")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    made = cupy.linalg.qr(array(x), mode=mode)
    if mode == "r":
        return [x.new_empty(0), _row_major(made, x.dtype)]
    return [_row_major(part, x.dtype) for part in made]


@kernel("geqrf")
def geqrf(args: tuple) -> list[Tensor]:
    """(reflectors and R, their factors)."""
    x = args[0]
    check_matrix(x, "geqrf")
    packed, tau = cupy.linalg.qr(array(x), mode="raw")
    return [_row_major(packed.swapaxes(-2, -1), x.dtype), _row_major(tau, x.dtype)]


def _tolerance(x: Tensor, largest: Tensor, atol: Any, rtol: Any) -> Tensor:
    """Under which singular values count as zero: the larger of `atol` and `rtol` times the largest."""
    if rtol is None:
        epsilon = _EPSILON.get(x.dtype, 2.220446049250313e-16)
        relative = largest * (epsilon * max(x.shape[-2:]))
        if isinstance(atol, Tensor):
            relative = relative.masked_fill(atol > 0, 0.0)
        elif atol is not None and atol > 0:
            relative = relative.zero_()
    else:
        relative = largest * rtol
    if atol is None:
        return relative
    return _C.maximum(relative, atol if isinstance(atol, Tensor) else _C.full_like(relative, atol))


@kernel("_linalg_pinv")
def pinv(args: tuple) -> list[Tensor]:
    """The pseudo-inverse from singular values, or from eigenvalues of Hermitian matrices."""
    x, atol, rtol, hermitian = args
    rows, cols = x.shape[-2:]
    if x.numel() == 0:
        return [x.new_zeros((*x.shape[:-2], cols, rows))]
    if hermitian:
        s, left = eigh((x, "L", True))
        right = left.mH
    else:
        left, s, right = svd((x, False, True))
    sizes = s.abs()
    limit = _tolerance(x, sizes.amax(-1), atol, rtol)
    inverted = s.reciprocal().masked_fill(sizes <= limit.unsqueeze(-1), 0.0).to(x.dtype)
    return [(right.mH * inverted.unsqueeze(-2)) @ left.mH]
