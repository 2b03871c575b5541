"""PyTorch's old-style tensor types: ``FloatTensor(2, 3)``, ``isinstance(x, LongTensor)``."""

import functools

from rtensor import _C
from rtensor._C import Tensor


class _TypedTensor(type):
    """The class of classes that make, and recognise, tensors of one dtype on the CPU or on a GPU."""

    dtype: _C.dtype
    is_cuda: bool

    @property
    def place(cls) -> str:
        """The kind of device."""
        return "cuda" if cls.is_cuda else "cpu"

    def __call__(cls, *args, **kwargs):
        return _C._legacy(cls.dtype, *args, **kwargs).to(cls.place)

    def __instancecheck__(cls, obj) -> bool:
        return isinstance(obj, Tensor) and obj.dtype is cls.dtype and obj.device.type == cls.place

    def __repr__(cls) -> str:
        return f"<class 'torch.{'cuda.' if cls.is_cuda else ''}{cls.__name__}'>"


def _make(kind: str, dtype: _C.dtype, *, is_cuda: bool = False) -> _TypedTensor:
    module = "rtensor.cuda" if is_cuda else "rtensor"
    return _TypedTensor(f"{kind}Tensor", (), {"dtype": dtype, "is_cuda": is_cuda, "__module__": module})


@functools.cache
def on_gpu(name: str) -> _TypedTensor:
    """The type of tensors on a GPU beside ``FloatTensor`` and the others."""
    return _make(name.removesuffix("Tensor"), globals()[name].dtype, is_cuda=True)


def named(name: str) -> _TypedTensor | None:
    """The type that ``torch.FloatTensor`` or ``torch.cuda.FloatTensor`` means."""
    module, _, kind = name.rpartition(".")
    if not isinstance(globals().get(kind), _TypedTensor):
        return None
    return on_gpu(kind) if module.endswith("cuda") else globals()[kind]


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
