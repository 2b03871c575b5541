"""PyTorch's old-style tensor types: ``FloatTensor(2, 3)``, ``isinstance(x, LongTensor)``."""

from rtensor import _C
from rtensor._C import Tensor


class _TypedTensor(type):
    """The class of classes that make, and recognise, tensors of one dtype on the CPU."""

    dtype: _C.dtype

    def __call__(cls, *args, **kwargs):
        return _C._legacy(cls.dtype, *args, **kwargs)

    def __instancecheck__(cls, obj) -> bool:
        return isinstance(obj, Tensor) and obj.dtype is cls.dtype and obj.device.type == "cpu"

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _make(kind: str, dtype: _C.dtype) -> _TypedTensor:
    return _TypedTensor(f"{kind}Tensor", (), {"dtype": dtype, "is_cuda": False, "__module__": "rtensor"})


BoolTensor = _make("Bool", _C.bool)
ByteTensor = _make("Byte", _C.uint8)
CharTensor = _make("Char", _C.int8)
ShortTensor = _make("Short", _C.int16)
IntTensor = _make("Int", _C.int32)
LongTensor = _make("Long", _C.int64)
HalfTensor = _make("Half", _C.float16)
BFloat16Tensor = _make("BFloat16", _C.bfloat16)
FloatTensor = _make("Float", _C.float32)
DoubleTensor = _make("Double", _C.float64)
