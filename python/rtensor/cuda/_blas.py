"""Products of matrices by cuBLAS, of any strides that are those of a matrix or of its transpose.

The library is called by ctypes: CuPy's own entries look the stream up on every call and refuse streams that capture.
"""

import ctypes
import functools
from typing import Any

import cupy
from cupy_backends.cuda.libs import cublas

from rtensor import _C
from rtensor._C import Tensor
from rtensor._settings import get_float32_matmul_precision
from rtensor.cuda._arrays import unsupported

_SINGLE, _SINGLE_TF32, _DOUBLE = 68, 77, 70
_DEFAULT_ALGORITHM = -1
PLAIN, TRANSPOSED = 0, 1
#: A dtype in cuBLAS: its type, the precision of sums, and of the factors alpha and beta.
_TYPES = {
    _C.float32: (0, _SINGLE, ctypes.c_float * 1),
    _C.float64: (1, _DOUBLE, ctypes.c_double * 1),
    _C.float16: (2, _SINGLE, ctypes.c_float * 1),
    _C.bfloat16: (14, _SINGLE, ctypes.c_float * 1),
    _C.complex64: (4, _SINGLE, ctypes.c_float * 2),
    _C.complex128: (5, _DOUBLE, ctypes.c_double * 2),
}
#: What NVIDIA advises for Hopper. Without a workspace of one's own cuBLAS allocates while a graph is captured.
_WORKSPACE = 32 << 20
_LARGEST = 2**31 - 1


@functools.cache
def _library() -> ctypes.PyDLL:
    """The library that CuPy loaded, with the types of the functions in use."""
    version = cupy.cuda.runtime.runtimeGetVersion() // 1000
    library = ctypes.PyDLL(f"libcublas.so.{version}")
    address, number, wide = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
    one, many = [address, number, number], [address, number, number, wide]
    sizes, tail = [address, *[number] * 5], [number, number]
    library.cublasGemmEx.argtypes = [*sizes, address, *one, *one, address, *one, *tail]
    library.cublasGemmStridedBatchedEx.argtypes = [*sizes, address, *many, *many, address, *many, number, *tail]
    library.cublasSetStream_v2.argtypes = [address, address]
    library.cublasSetWorkspace_v2.argtypes = [address, address, ctypes.c_size_t]
    return library


def _check(status: int) -> None:
    if status:
        raise cublas.CUBLASError(status)


class _Handle:
    """cuBLAS on one device: a handle that follows the current stream, with a workspace for each stream."""

    def __init__(self):
        self.address = cublas.create()
        self.library = _library()
        self._stream = None
        self._workspaces: dict[int, Any] = {}

    def follow(self, stream: int) -> int:
        """The handle, set to a stream."""
        if stream != self._stream:
            if stream not in self._workspaces:
                self._workspaces[stream] = cupy.cuda.alloc(_WORKSPACE)
            _check(self.library.cublasSetStream_v2(self.address, stream))
            _check(self.library.cublasSetWorkspace_v2(self.address, self._workspaces[stream].ptr, _WORKSPACE))
            self._stream = stream
        return self.address


_HANDLES: dict[int, _Handle] = {}


def _handle() -> _Handle:
    device = cupy.cuda.runtime.getDevice()
    found = _HANDLES.get(device)
    if found is None:
        found = _HANDLES[device] = _Handle()
    return found


@functools.lru_cache(maxsize=1024)
def _factor(dtype: Any, value: complex) -> Any:
    """A factor in the host's memory, as cuBLAS reads it."""
    kind = _TYPES[dtype][2]
    return ctypes.byref(kind(value.real, value.imag) if kind._length_ == 2 else kind(value))


def _leading(rows: int, columns: int, row: int, column: int) -> tuple[int, int] | None:
    """Whether a matrix lies row-major or transposed, and its leading dimension; None where neither is so."""
    if (column == 1 or columns == 1) and (row >= max(columns, 1) or rows == 1):
        return PLAIN, row if rows > 1 else max(columns, 1)
    if (row == 1 or rows == 1) and (column >= max(rows, 1) or columns == 1):
        return TRANSPOSED, column if columns > 1 else max(rows, 1)
    return None


@functools.lru_cache(maxsize=4096)
def _operand(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int, int] | None:
    """How cuBLAS reads a matrix or a batch of them: transposed or not, leading dimension, step along the batch."""
    found = _leading(*shape[-2:], *strides[-2:])
    step = strides[0] if len(shape) == 3 and shape[0] > 1 else 0
    if found is None or step < 0 or max(found[1], *shape) > _LARGEST:
        return None
    return *found, step


def _readable(x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """A matrix as cuBLAS can read it, copied where it must be."""
    found = _operand(x.shape, x.stride())
    if found is None:
        x = x.contiguous()
        found = _operand(x.shape, x.stride())
    if found is None:
        raise RuntimeError(f"matrices of sizes {tuple(x.shape)} are too large for cuBLAS")
    return x, found


def gemm(
    out: Tensor,
    a: Tensor,
    b: Tensor,
    alpha: complex = 1,
    beta: complex = 0,
    *,
    tf32: bool | None = None,
    op="addmm_cuda",
) -> None:
    """``out = alpha * a @ b + beta * out`` for matrices, or batches of as many of them.

    Parameters
    ----------
    out, a, b : Tensor
        ``[m, n]``, ``[m, k]`` and ``[k, n]``, or the same behind a batch. ``out`` may be float32 where the operands are
        16-bit floats.
    alpha, beta : complex, default 1 and 0
        With ``beta=0`` nothing of ``out`` is read.
    tf32 : bool, optional
        Whether float32 may be rounded to TensorFloat-32; as `set_float32_matmul_precision` says if not given.
    op : str
        The name in the error for dtypes that cuBLAS lacks.
    """
    if a.dtype not in _TYPES:
        raise unsupported(op, a.dtype)
    if out.numel() == 0:
        return
    if a.shape[-1] == 0:
        out.zero_() if beta == 0 else out.mul_(beta)
        return
    place = _operand(out.shape, out.stride())
    if place is None or (place[2] == 0 and out.ndim == 3 and out.shape[0] > 1):
        dense = out.contiguous()
        gemm(dense, a, b, alpha, beta, tf32=tf32, op=op)
        out.copy_(dense)
    elif place[0] == TRANSPOSED:
        _launch(out.mT, b.mT, a.mT, (alpha, beta), tf32)
    else:
        _launch(out, a, b, (alpha, beta), tf32)


def _launch(out: Tensor, a: Tensor, b: Tensor, factors: tuple[complex, complex], tf32: bool | None) -> None:
    """The product into a row-major result: as columns come first in cuBLAS, it is ``b.T @ a.T`` there."""
    a, (op_a, lead_a, step_a) = _readable(a)
    b, (op_b, lead_b, step_b) = _readable(b)
    _, lead, step = _operand(out.shape, out.stride())
    multiply(
        (op_b, op_a),
        (out.shape[-1], out.shape[-2], a.shape[-1]),
        factors,
        (b.data_ptr(), lead_b, step_b),
        (a.data_ptr(), lead_a, step_a),
        (out.data_ptr(), lead, step),
        out.shape[0] if out.ndim == 3 else 1,
        (a.dtype, out.dtype),
        tf32,
    )


def multiply(operations, sizes, factors, left, right, out, batch, dtypes, tf32: bool | None = None) -> None:
    """A product of matrices in columns, given by address, leading dimension and step along the batch."""
    dtype, result = dtypes
    kind, compute, _ = _TYPES[dtype]
    if tf32 is None:
        tf32 = get_float32_matmul_precision() != "highest"
    if tf32 and kind in (0, 4):
        compute = _SINGLE_TF32
    alpha, beta = _factor(result, factors[0]), _factor(result, factors[1])
    handle = _handle()
    head = (handle.follow(cupy.cuda.get_current_stream().ptr), *operations, *sizes, alpha)
    target, tail = _TYPES[result][0], (compute, _DEFAULT_ALGORITHM)
    if batch == 1:
        (x, lead_x, _), (y, lead_y, _), (z, lead_z, _) = left, right, out
        _check(handle.library.cublasGemmEx(*head, x, kind, lead_x, y, kind, lead_y, beta, z, target, lead_z, *tail))
        return
    (x, lead_x, step_x), (y, lead_y, step_y), (z, lead_z, step_z) = left, right, out
    _check(
        handle.library.cublasGemmStridedBatchedEx(
            *head, x, kind, lead_x, step_x, y, kind, lead_y, step_y, beta, z, target, lead_z, step_z, batch, *tail
        )
    )
