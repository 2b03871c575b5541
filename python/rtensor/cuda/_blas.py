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
_HALVES = (_C.float16, _C.bfloat16)
PLAIN, TRANSPOSED = 0, 1
#: A dtype in cuBLAS: its type, the precision of sums, and of the factors alpha and beta.
TYPES: dict[Any, tuple[int, int, Any]] = {
    _C.float32: (0, _SINGLE, ctypes.c_float * 1),
    _C.float64: (1, _DOUBLE, ctypes.c_double * 1),
    _C.float16: (2, _SINGLE, ctypes.c_float * 1),
    _C.bfloat16: (14, _SINGLE, ctypes.c_float * 1),
    _C.complex64: (4, _SINGLE, ctypes.c_float * 2),
    _C.complex128: (5, _DOUBLE, ctypes.c_double * 2),
}
#: What NVIDIA advises for Hopper. Without a workspace of one's own cuBLAS allocates while a graph is captured.
WORKSPACE = 32 << 20
_LARGEST = 2**31 - 1


def load(name: str) -> ctypes.PyDLL:
    """A library of cuBLAS that CuPy loaded."""
    return ctypes.PyDLL(f"{name}.so.{cupy.cuda.runtime.runtimeGetVersion() // 1000}")


@functools.cache
def _library() -> ctypes.PyDLL:
    """The library with the types of the functions in use."""
    library = load("libcublas")
    address, number, wide = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
    one: list[Any] = [address, number, number]
    many: list[Any] = [*one, wide]
    sizes: list[Any] = [address, *[number] * 5]
    tail: list[Any] = [number, number]
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

    def workspace(self, stream: int) -> int:
        """The address of a stream's workspace; not of the memory of a graph, which it may outlive."""
        if stream not in self._workspaces:
            self._workspaces[stream] = cupy.get_default_memory_pool().malloc(WORKSPACE)
        return self._workspaces[stream].ptr

    def follow(self, stream: int) -> int:
        """The handle, set to a stream."""
        if stream != self._stream:
            workspace = self.workspace(stream)
            _check(self.library.cublasSetStream_v2(self.address, stream))
            _check(self.library.cublasSetWorkspace_v2(self.address, workspace, WORKSPACE))
            self._stream = stream
        return self.address


_HANDLES: dict[int, _Handle] = {}


def current_handle() -> _Handle:
    device = cupy.cuda.runtime.getDevice()
    found = _HANDLES.get(device)
    if found is None:
        found = _HANDLES[device] = _Handle()
    return found


def precision(dtype: Any, result: Any, tf32: bool | None) -> int:
    """The precision of sums, as cuBLAS names it."""
    compute = TYPES[dtype][1]
    if compute == _SINGLE and (get_float32_matmul_precision() != "highest" if tf32 is None else tf32):
        return _SINGLE_TF32 if dtype not in _HALVES else compute
    return compute


@functools.lru_cache(maxsize=1024)
def factor(dtype: Any, value: complex) -> Any:
    """A factor in the host's memory, as cuBLAS reads it."""
    kind = TYPES[dtype][2]
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
    return None if found is None or step < 0 else (*found, step)


@functools.lru_cache(maxsize=4096)
def planned(a_shape, a_strides, b_shape, b_strides, out_shape, out_strides) -> tuple | None:
    """Whether `a` comes first in cuBLAS, and the product as `multiply` gets it; None if there is more to do."""
    (rows, columns), inner = out_shape[-2:], a_shape[-1]
    batch = out_shape[0] if len(out_shape) == 3 else 1
    a, b, out = _operand(a_shape, a_strides), _operand(b_shape, b_strides), _operand(out_shape, out_strides)
    if min(rows, columns, inner, batch) == 0 or not (a and b and out) or (out[2] == 0 and batch > 1):
        return None
    if max(rows, columns, inner, batch, a[1], b[1], out[1]) > _LARGEST:
        raise RuntimeError(f"matrices of sizes {rows} x {inner} x {columns} are too large for cuBLAS")
    if out[0] == TRANSPOSED:
        return True, (1 - a[0], 1 - b[0], rows, columns, inner, *a[1:], *b[1:], *out[1:], batch)
    # In cuBLAS columns lie side by side: what is `out = a @ b` here is `out.T = b.T @ a.T` there.
    return False, (b[0], a[0], columns, rows, inner, *b[1:], *a[1:], *out[1:], batch)


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
    dtype = a.dtype
    if dtype not in TYPES:
        raise unsupported(op, dtype)
    found = planned(a.shape, a.stride(), b.shape, b.stride(), out.shape, out.stride())
    if found is None:
        _prepared_gemm(out, a, b, alpha, beta, tf32)
        return
    a_first, product = found
    left, right = (a, b) if a_first else (b, a)
    addresses = left.data_ptr(), right.data_ptr(), out.data_ptr()
    multiply(product, addresses, (alpha, beta), (dtype, out.dtype), tf32)


def _prepared_gemm(out: Tensor, a: Tensor, b: Tensor, alpha: complex, beta: complex, tf32: bool | None) -> None:
    """As `gemm`, for what is empty and for strides that cuBLAS does not read."""
    if out.numel() == 0:
        return
    if a.shape[-1] == 0:
        out.zero_() if beta == 0 else out.mul_(beta)
        return
    left, right = (x if _operand(x.shape, x.stride()) else x.contiguous() for x in (a, b))
    place = _operand(out.shape, out.stride())
    target = out if place and (place[2] or out.ndim == 2 or len(out) == 1) else out.contiguous()
    gemm(target, left, right, alpha, beta, tf32=tf32)
    if target is not out:
        out.copy_(target)


def multiply(product: tuple, addresses: tuple, factors: tuple, dtypes: tuple, tf32: bool | None = None) -> None:
    """A product of matrices whose columns lie side by side, as cuBLAS has them.

    Parameters
    ----------
    product : tuple of int
        Whether the left and the right operand are transposed; rows, columns and what is summed over; leading dimension
        and step along the batch of the operands and the result; the batch.
    addresses : tuple of int
        Of the operands and the result.
    factors : tuple of complex
        Of the product, and of what the result was.
    dtypes : tuple of dtype
        Of the operands and the result.
    tf32 : bool, optional
        As for `gemm`.
    """
    op_x, op_y, rows, columns, inner, lead_x, step_x, lead_y, step_y, lead, step, batch = product
    (x, y, out), (dtype, result) = addresses, dtypes
    kind, compute = TYPES[dtype][0], precision(dtype, result, tf32)
    alpha, beta = factor(result, factors[0]), factor(result, factors[1])
    handle = current_handle()
    head = handle.follow(cupy.cuda.get_current_stream().ptr), op_x, op_y, rows, columns, inner, alpha
    target, library = TYPES[result][0], handle.library
    operands: tuple
    if batch == 1:
        operands = x, kind, lead_x, y, kind, lead_y, beta, out, target, lead
        status = library.cublasGemmEx(*head, *operands, compute, _DEFAULT_ALGORITHM)
    else:
        operands = x, kind, lead_x, step_x, y, kind, lead_y, step_y, beta, out, target, lead, step, batch
        status = library.cublasGemmStridedBatchedEx(*head, *operands, compute, _DEFAULT_ALGORITHM)
    _check(status)
