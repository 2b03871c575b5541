"""Storages: the bytes behind tensors, and the same bytes as elements of a dtype."""

from rtensor import _C
from rtensor._C import Tensor, UntypedStorage


class TypedStorage:
    """The elements of a storage, as PyTorch's old storages show them.

    Parameters
    ----------
    *args : int or sequence, optional
        A number of elements, or the elements.
    wrap_storage : UntypedStorage, optional
        The bytes to look at, in place of new ones.
    dtype : dtype, optional
        The dtype; the default one, unless given.
    """

    def __init__(self, *args, wrap_storage=None, dtype=None, device=None, _internal=False):
        self.dtype = dtype or _C.get_default_dtype()
        if wrap_storage is not None:
            self._untyped_storage = wrap_storage
        elif args and not isinstance(args[0], int):
            self._untyped_storage = _C.tensor(args[0], dtype=self.dtype).untyped_storage()
        else:
            self._untyped_storage = UntypedStorage((args[0] if args else 0) * self.dtype.itemsize)

    def _tensor(self) -> Tensor:
        return _C._tensor_on(self._untyped_storage, self.dtype, 0, (len(self),), (1,))

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped_storage

    def size(self) -> int:
        """The number of elements."""
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._untyped_storage.data_ptr()

    def tolist(self) -> list:
        """The elements as a list."""
        return self._tensor().tolist()

    def resize_(self, size: int) -> None:
        """Give the storage another number of elements."""
        self._untyped_storage.resize_(size * self.dtype.itemsize)

    def fill_(self, value):
        """Set every element."""
        self._tensor().fill_(value)
        return self

    def copy_(self, source, non_blocking=None):
        """Take over the elements of another storage."""
        self._tensor().copy_(source._tensor())
        return self

    def clone(self):
        """A copy of the storage."""
        return TypedStorage(wrap_storage=self._tensor().clone().untyped_storage(), dtype=self.dtype)

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes."""
        return False

    @property
    def device(self):
        """Where the memory lies."""
        return self._untyped_storage.device

    @property
    def is_cuda(self) -> bool:
        """Whether the memory lies on a GPU."""
        return self._untyped_storage.is_cuda

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._tensor()[index].storage()
        if not isinstance(index, int):
            raise TypeError(f"can't index a {type(self).__name__} with {type(index).__name__}")
        return self._tensor()[index].item()

    def __setitem__(self, index, value) -> None:
        self._tensor()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def __eq__(self, other) -> bool:
        return isinstance(other, TypedStorage) and self._untyped_storage == other._untyped_storage

    def __hash__(self) -> int:
        return hash(self._untyped_storage)

    def __repr__(self) -> str:
        lines = [f" {value}" for value in self.tolist()]
        head = f"[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"
        return "\n".join([*lines, head])


def _make(kind: str, dtype: _C.dtype) -> type:
    def __init__(self, *args, **kwargs):
        TypedStorage.__init__(self, *args, **{"dtype": dtype, **kwargs})

    return type(f"{kind}Storage", (TypedStorage,), {"__init__": __init__, "__doc__": f"Elements of {dtype}."})


BoolStorage = _make("Bool", _C.bool)
ByteStorage = _make("Byte", _C.uint8)
CharStorage = _make("Char", _C.int8)
ShortStorage = _make("Short", _C.int16)
IntStorage = _make("Int", _C.int32)
LongStorage = _make("Long", _C.int64)
HalfStorage = _make("Half", _C.float16)
BFloat16Storage = _make("BFloat16", _C.bfloat16)
FloatStorage = _make("Float", _C.float32)
DoubleStorage = _make("Double", _C.float64)
