"""Tensors as CuPy arrays on the same memory, and what kernels ask of tensors."""

from typing import Any

import cupy
import numpy

from rtensor import _C
from rtensor._C import Tensor

#: bfloat16 has no NumPy dtype: library functions see its bits.
_DTYPES = {"torch.bfloat16": numpy.dtype("uint16")}


def numpy_dtype(dtype: Any) -> numpy.dtype:
    """The NumPy dtype that stores a tensor's elements."""
    name = str(dtype)
    return _DTYPES.get(name) or numpy.dtype(name.removeprefix("torch."))


def array(tensor: Tensor) -> Any:
    """The tensor as a CuPy array on the same memory, strides and all."""
    dtype = numpy_dtype(tensor.dtype)
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    memory, address = _C._memory(tensor), tensor.data_ptr()
    if isinstance(memory, cupy.cuda.MemoryPointer):
        pointer = memory + (address - memory.ptr)
    else:
        # Another library's memory, which the tensor keeps.
        unowned = cupy.cuda.UnownedMemory(address, tensor.untyped_storage().nbytes(), tensor, tensor.device.index)
        pointer = cupy.cuda.MemoryPointer(unowned, 0)
    return cupy.ndarray(tuple(tensor.shape), dtype, pointer, strides)


def tensor(made: Any) -> Tensor:
    """A CuPy array as a tensor on the same memory."""
    strides = [step // made.itemsize for step in made.strides]
    dtype = getattr(_C, made.dtype.name)
    device = _C.device("cuda", made.device.id)
    return _C._from_memory(made.data, made.data.ptr, list(made.shape), strides, dtype, device)


def dense(tensor: Tensor) -> Tensor:
    """The tensor itself where its elements lie row-major, else such a copy; lazy conjugates are carried out before."""
    return tensor if tensor.is_contiguous() else tensor.contiguous()


_NAMES = {"bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long"}
_NAMES |= {"float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double"}
_NAMES |= {"complex64": "ComplexFloat", "complex128": "ComplexDouble"}


def scalar_name(dtype: Any) -> str:
    """A dtype's name in errors: ``Float``."""
    name = str(dtype).removeprefix("torch.")
    return _NAMES.get(name, name)


def unsupported(what: str, dtype: Any) -> NotImplementedError:
    """PyTorch's error where a kernel does not take a dtype."""
    return NotImplementedError(f"\"{what}\" not implemented for '{scalar_name(dtype)}'")
