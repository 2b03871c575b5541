"""Products of matrices with a bias added in the same launch, by cuBLASLt."""

import ctypes
import functools
import threading
from typing import Any

import cupy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._blas import TYPES, WORKSPACE, current_handle, factor, load, planned, precision

_FLOATS = (_C.float32, _C.float16, _C.bfloat16)
_TRANSPOSES, _EPILOGUE, _BIAS_POINTER = (3, 4), 7, 8
_BIAS = 4
_MOST_WORKSPACE, _LEAST_ALIGNMENTS = 1, (5, 6, 7, 8)
#: Bytes to which all operands must be aligned, and which algorithms may rely on.
_ALIGNMENT = 16
#: A description is shared, and the address of a bias is part of it.
_LOCK = threading.Lock()


class _Choice(ctypes.Structure):
    """An algorithm that cuBLASLt proposes."""

    _fields_ = [
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("status", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    ]


@functools.cache
def _library() -> ctypes.PyDLL:
    """The library with the types of the functions in use."""
    library = load("libcublasLt")
    address, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    library.cublasLtMatmulDescCreate.argtypes = [address, number, number]
    library.cublasLtMatmulDescSetAttribute.argtypes = [address, number, address, size]
    library.cublasLtMatrixLayoutCreate.argtypes = [address, number, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64]
    library.cublasLtMatmulPreferenceCreate.argtypes = [address]
    library.cublasLtMatmulPreferenceSetAttribute.argtypes = [address, number, address, size]
    library.cublasLtMatmulPreferenceDestroy.argtypes = [address]
    library.cublasLtMatmulAlgoGetHeuristic.argtypes = [*[address] * 7, number, address, address]
    library.cublasLtMatmul.argtypes = [*[address] * 13, address, size, address]
    return library


class _Unsupported(Exception):
    """Something that cuBLASLt does not do."""


def _check(status: int) -> None:
    if status:
        raise _Unsupported


class _Plan:
    """Descriptions of a product and its matrices, and the algorithm for it; kept for good."""

    def __init__(self, product: tuple, dtype: Any, compute: int):
        op_x, op_y, rows, columns, inner, lead_x, _, lead_y, _, lead, _, _ = product
        self.library, kind = _library(), TYPES[dtype][0]
        self.description = ctypes.c_void_p()
        _check(self.library.cublasLtMatmulDescCreate(ctypes.byref(self.description), compute, 0))
        for attribute, value in (*zip(_TRANSPOSES, (op_x, op_y), strict=True), (_EPILOGUE, _BIAS)):
            self._describe(attribute, ctypes.c_int32(value))
        # Algorithms are chosen by the alignment of the address.
        self.add_bias(_ALIGNMENT)
        self.x = self._layout(kind, *((rows, inner) if op_x == 0 else (inner, rows)), lead_x)
        self.y = self._layout(kind, *((inner, columns) if op_y == 0 else (columns, inner)), lead_y)
        self.out = self._layout(kind, rows, columns, lead)
        self.choice = self._choose()

    def _describe(self, attribute: int, value: Any) -> None:
        size = ctypes.sizeof(value)
        _check(self.library.cublasLtMatmulDescSetAttribute(self.description, attribute, ctypes.byref(value), size))

    def _layout(self, kind: int, rows: int, columns: int, lead: int) -> ctypes.c_void_p:
        layout = ctypes.c_void_p()
        _check(self.library.cublasLtMatrixLayoutCreate(ctypes.byref(layout), kind, rows, columns, lead))
        return layout

    def _choose(self) -> _Choice:
        preference, choice, count = ctypes.c_void_p(), _Choice(), ctypes.c_int()
        _check(self.library.cublasLtMatmulPreferenceCreate(ctypes.byref(preference)))
        wanted = [(_MOST_WORKSPACE, ctypes.c_uint64(WORKSPACE))]
        wanted += [(attribute, ctypes.c_uint32(_ALIGNMENT)) for attribute in _LEAST_ALIGNMENTS]
        for attribute, value in wanted:
            size = ctypes.sizeof(value)
            _check(self.library.cublasLtMatmulPreferenceSetAttribute(preference, attribute, ctypes.byref(value), size))
        matrices = self.x, self.y, self.out, self.out
        results = ctypes.byref(choice), ctypes.byref(count)
        handle = current_handle().address
        _check(
            self.library.cublasLtMatmulAlgoGetHeuristic(handle, self.description, *matrices, preference, 1, *results)
        )
        self.library.cublasLtMatmulPreferenceDestroy(preference)
        if count.value == 0:
            raise _Unsupported
        return choice

    def add_bias(self, address: int) -> None:
        """Set where the bias is."""
        self._describe(_BIAS_POINTER, ctypes.c_void_p(address))


@functools.cache
def _plan(device: int, product: tuple, dtype: Any, compute: int) -> _Plan | None:
    try:
        return _Plan(product, dtype, compute)
    except (_Unsupported, OSError):
        return None


def gemm_with_bias(out: Tensor, bias: Tensor, a: Tensor, b: Tensor) -> bool:
    """``out = a @ b + bias`` for a row-major result and a bias per column; False if it must be done otherwise."""
    dtype = a.dtype
    if dtype not in _FLOATS or bias.ndim != 1 or bias.shape[0] != out.shape[1] or bias.stride(0) != 1:
        return False
    found = planned(a.shape, a.stride(), b.shape, b.stride(), out.shape, out.stride())
    # A single row or column is a product by a vector, for which cuBLAS has better kernels.
    if found is None or found[0] or min(found[1][2:5]) < 2:
        return False
    addresses = b.data_ptr(), a.data_ptr(), out.data_ptr(), bias.data_ptr()
    if any(address % _ALIGNMENT for address in addresses):
        return False
    plan = _plan(cupy.cuda.runtime.getDevice(), found[1], dtype, precision(dtype, dtype, None))
    return plan is not None and _run(plan, dtype, *addresses)


def _run(plan: _Plan, dtype: Any, x: int, y: int, out: int, bias: int) -> bool:
    handle, stream = current_handle(), cupy.cuda.get_current_stream().ptr
    workspace = handle.workspace(stream)
    with _LOCK:
        plan.add_bias(bias)
        status = plan.library.cublasLtMatmul(
            handle.address, plan.description, factor(dtype, 1), x, plan.x, y, plan.y, factor(dtype, 0), out, plan.out,
            out, plan.out, ctypes.byref(plan.choice), workspace, WORKSPACE, stream,
        )  # fmt: skip
    return status == 0
