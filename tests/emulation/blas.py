"""``cupy.cuda.cublas``, and the library under it: loaded under cuBLAS's name, so that ctypes finds it."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from . import native
from .streams import _captures, capturing, submit

CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C = range(3)
CUBLAS_DEFAULT_MATH, CUBLAS_TENSOR_OP_MATH, CUBLAS_PEDANTIC_MATH, CUBLAS_TF32_TENSOR_OP_MATH = range(4)
CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE = range(2)
CUBLAS_GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT_TENSOR_OP = -1, 99
CUBLAS_COMPUTE_16F, CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32I = 64, 68, 70, 72
CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_32F_PEDANTIC = 77, 69
VERSIONS = 12, 13


class CUBLASError(RuntimeError):
    """An error of cuBLAS."""

    def __init__(self, status):
        self.status = status
        super().__init__(f"CUBLAS_STATUS_{status}")


# The libraries know their Python objects by address.
_libraries: list[ctypes.PyDLL] = []


@functools.cache
def load() -> ctypes.PyDLL:
    """The library; each name under which CuPy's may be loaded."""
    native.device()
    text = "".join((Path(__file__).parent / name).read_text() for name in ("blas.cpp", "blas_lt.cpp"))
    flags = ["-O2", "-std=c++17", "-fPIC", "-shared", "-w"]
    for version in VERSIONS:
        for name in ("libcublasLt", "libcublas"):
            soname = f"-Wl,-soname,{name}.so.{version}"
            library = ctypes.PyDLL(str(native.compiled(text, [*flags, soname], ".cpp")))
            library.emu_blas_capture(_CAPTURING, _NOTED, ctypes.py_object(library))
            _libraries.append(library)
    return library


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_size_t)
def _CAPTURING(handle):
    return handle in _captures


@ctypes.PYFUNCTYPE(None, ctypes.py_object, ctypes.c_size_t, ctypes.c_size_t)
def _NOTED(library, handle, index):
    submit(lambda: library.emu_blas_repeat(ctypes.c_size_t(index)), handle)


def create():
    return 0xB1A5


def destroy(handle):
    pass


def setMathMode(handle, mode):
    load().cublasSetMathMode(ctypes.c_void_p(handle), mode)


def getMathMode(handle):
    mode = ctypes.c_int()
    load().cublasGetMathMode(ctypes.c_void_p(handle), ctypes.byref(mode))
    return mode.value


def setStream(handle, stream):
    if capturing(stream):
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    load().cublasSetStream_v2(ctypes.c_void_p(handle), ctypes.c_void_p(stream))


def gemmStridedBatchedEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C, Ctype, ldc,
    strideC, batchCount, computeType, algo,
):  # fmt: skip
    from .streams import get_current_stream

    setStream(handle, get_current_stream().ptr)
    address, long = ctypes.c_void_p, ctypes.c_longlong
    status = load().cublasGemmStridedBatchedEx(
        address(handle), transa, transb, m, n, k, address(alpha), address(A), Atype, lda, long(strideA), address(B),
        Btype, ldb, long(strideB), address(beta), address(C), Ctype, ldc, long(strideC), batchCount, computeType, algo,
    )  # fmt: skip
    if status:
        raise CUBLASError(status)


def gemmEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc, computeType, algo
):
    gemmStridedBatchedEx(
        handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0, beta, C, Ctype, ldc, 0, 1,
        computeType, algo,
    )  # fmt: skip
