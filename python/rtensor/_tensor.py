"""Methods of ``Tensor`` that are written in Python; importing this module attaches them."""

import copy
import sys
import weakref
from collections import OrderedDict
from typing import Any

from rtensor import _C, _statistics, functional
from rtensor._C import Tensor


def _rebuild(storage, dtype, offset, size, stride, requires_grad=False, hooks=None, cls=Tensor, state=None) -> Tensor:
    """A tensor on a storage, as pickles call it."""
    tensor = _C._tensor_on(storage, dtype, offset, tuple(size), tuple(stride))
    if cls is not Tensor:
        tensor = tensor.as_subclass(cls)
    if requires_grad:
        tensor.requires_grad_()
    if state:
        tensor.__dict__.update(state)
    return tensor


# One storage object for each storage, so that a pickle stores shared memory once.
_storages: weakref.WeakValueDictionary[int, _C.UntypedStorage] = weakref.WeakValueDictionary()


def _storage_of(tensor: Tensor) -> _C.UntypedStorage:
    storage = tensor.untyped_storage()
    return _storages.setdefault(storage._cdata, storage)


_set = Tensor.set_


def _exchange() -> Any:
    """What tensors on GPUs share with other libraries."""
    from rtensor.cuda import _exchange

    return _exchange


class _Methods:
    """What ``Tensor`` gets from Python."""

    def __rdiv__(self: Any, other):
        """Divide ``other`` by this tensor."""
        return self.reciprocal() * other

    def __repr__(self: Any, *, tensor_contents=None) -> str:
        from rtensor._tensor_str import _str

        return _str(self, tensor_contents=tensor_contents)

    def __format__(self: Any, format_spec: str) -> str:
        if self.dim() == 0 and type(self) is Tensor:
            return self.item().__format__(format_spec)
        return object.__format__(self, format_spec)

    def __iter__(self: Any):
        if self.dim() == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self: Any) -> Tensor:
        return self if self.dim() == 0 else self.flip(0)

    def __contains__(self: Any, element) -> bool:
        if isinstance(element, (Tensor, int, float, complex)):
            return bool((element == self).any().item())
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    def __dir__(self: Any) -> list[str]:
        return sorted({*dir(type(self)), *self.__dict__})

    def __array_wrap__(self: Any, array, context=None, return_scalar=False) -> Tensor:
        """The result of a NumPy function on tensors, as a tensor."""
        if array.dtype == bool:
            array = array.astype("uint8")
        return _C.from_numpy(array)

    def __dlpack__(self: Any, *, stream=-1, max_version=None, dl_device=None, copy=None):
        """A DLPack capsule that lends the tensor's memory, or that of a copy."""
        if stream is not None and type(stream) is not int:
            raise TypeError("stream must be ``int`` or ``none``")
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        source = self
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            if copy is False:
                raise ValueError("cannot move to another device without a copy")
            source = self.cpu() if dl_device[0] == 1 else self.cuda(dl_device[1])
        elif copy:
            source = self.clone()
        if source.is_cuda:
            _exchange().lend(source, stream)
        return source._to_dlpack(max_version is not None and max_version[0] >= 1)

    def __reduce_ex__(self: Any, protocol):
        source = self.detach().resolve_conj().resolve_neg() if self.is_conj() or self.is_neg() else self
        if not self.is_leaf and self.requires_grad:
            raise RuntimeError("Only leaf tensors can be pickled: call detach() first")
        if self.device.type != "cpu":
            return (Tensor.to, (source.detach().cpu().requires_grad_(self.requires_grad), self.device))
        state = {key: value for key, value in self.__dict__.items() if key != "grad"}
        return (
            _rebuild,
            (
                _storage_of(source),
                self.dtype,
                source.storage_offset(),
                tuple(source.size()),
                source.stride(),
                self.requires_grad,
                OrderedDict(),
                type(self),
                state,
            ),
        )

    def __deepcopy__(self: Any, memo) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment.  If you were attempting to deepcopy a module, this may be because of a "
                "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
            )
        if id(self) in memo:
            return memo[id(self)]
        if self.device.type == "cpu" and not self.is_conj() and not self.is_neg():
            storage = copy.deepcopy(_storage_of(self), memo)
            result = _C._tensor_on(storage, self.dtype, self.storage_offset(), tuple(self.size()), self.stride())
        else:
            result = self.detach().clone()
        if type(self) is not Tensor:
            result = result.as_subclass(type(self))
        if self.requires_grad:
            result.requires_grad_()
        if self.grad is not None:
            result.grad = copy.deepcopy(self.grad, memo)
        result.__dict__.update(copy.deepcopy(self.__dict__, memo))
        memo[id(self)] = result
        return result

    def __setstate__(self: Any, state) -> None:
        self.__dict__.update(state)

    corrcoef = _statistics.corrcoef
    cov = _statistics.cov
    histogram = _statistics.histogram
    nonzero_static = functional.nonzero_static
    unique = functional.unique
    unique_consecutive = functional.unique_consecutive

    def storage(self: Any):
        """The storage as a sequence of the tensor's elements."""
        from rtensor.storage import TypedStorage

        return TypedStorage(wrap_storage=self.untyped_storage(), dtype=self.dtype)

    _typed_storage = storage

    def storage_type(self: Any) -> type:
        """The class of ``storage()``."""
        return type(self.storage())

    def as_subclass(self: Any, cls) -> Tensor:
        """The same data as an object of a subclass of ``Tensor``."""
        return Tensor._make_subclass(cls, self, self.requires_grad)

    def type(self: Any, dtype=None, non_blocking=False, **kwargs):
        """The name of the old-style type; with a dtype (or such a type), a conversion."""
        if dtype is None:
            return self._type_name()
        if isinstance(dtype, str):
            from rtensor import _legacy_types

            kind = _legacy_types.named(dtype)
            if kind is None or not dtype.startswith("torch."):
                raise ValueError(f"invalid type: '{dtype}'")
            dtype = kind
        if isinstance(dtype, _C.dtype):
            return self.to(dtype)
        place = self.device if self.device.type == dtype.place else dtype.place
        return self.to(place, dtype.dtype, non_blocking)

    def new_tensor(
        self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False
    ) -> Tensor:
        """A copy of the data with this tensor's dtype and device."""
        return _C.tensor(
            data,
            dtype=dtype or self.dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def new(self: Any, *args, **kwargs) -> Tensor:
        """An old-style constructor with this tensor's dtype."""
        return _C._legacy(self.dtype, *args, **kwargs)

    def map_(self: Any, tensor: Tensor, callable) -> Tensor:
        """Replace each element by ``callable(element, element of the other tensor)``."""
        other = tensor.expand_as(self)
        values = [callable(a, b) for a, b in zip(self.flatten().tolist(), other.flatten().tolist(), strict=True)]
        return self.copy_(_C.tensor(values, dtype=self.dtype).view(self.shape))

    def apply_(self: Any, callable) -> Tensor:
        """Replace each element by what the callable makes of it."""
        if self.device.type != "cpu":
            raise TypeError("apply_ is only implemented on CPU tensors")
        if self.requires_grad:
            raise RuntimeError("Can't call apply_() on Variable that requires grad. Use var.detach().apply_() instead.")
        values = [callable(value) for value in self.flatten().tolist()]
        return self.copy_(_C.tensor(values, dtype=self.dtype).view(self.shape))

    def set_(self: Any, source=None, storage_offset=0, size=None, stride=None) -> Tensor:
        """Let the tensor look at the memory of a tensor or storage."""
        storage = getattr(source, "_untyped_storage", source)
        if isinstance(storage, _C.UntypedStorage):
            source = _C._tensor_on(storage, self.dtype, 0, (storage.nbytes() // self.dtype.itemsize,), (1,))
        if source is None:
            return _set(self)
        if size is None:
            return _set(self, source)
        return _set(self, source, storage_offset, size, [] if stride is None else stride)

    def is_shared(self: Any) -> bool:
        """Whether the memory is shared between processes."""
        return False

    def is_pinned(self: Any, device=None) -> bool:
        """Whether the memory is page-locked."""
        return "rtensor.cuda" in sys.modules and _exchange().is_pinned(self)

    def pin_memory(self: Any, device=None) -> Tensor:
        """The tensor in page-locked memory, which needs a GPU."""
        from rtensor import cuda

        if not cuda.is_available():
            raise RuntimeError("Cannot access accelerator device when none is available.")
        return _exchange().pinned(self)

    def record_stream(self: Any, stream) -> None:
        """Keep the memory from reuse until the work that a stream holds when the tensor dies is done."""
        from rtensor.cuda._memory import record_stream

        record_stream(self, stream)

    def get_device(self: Any) -> int:
        """The index of the device; -1 for the CPU."""
        return -1 if self.device.type == "cpu" else self.device.index or 0

    def has_names(self: Any) -> bool:
        """Whether dimensions are named; they never are here."""
        return False

    @property
    def __cuda_array_interface__(self: Any) -> dict[str, Any]:
        """The memory on a GPU, for CuPy, Numba and others."""
        return _exchange().interface(self)

    @property
    def layout(self: Any):
        """How the elements are stored."""
        return _C.strided

    @property
    def names(self: Any) -> tuple[None, ...]:
        """Names of the dimensions, which are not supported."""
        return (None,) * self.dim()

    @property
    def is_sparse(self: Any) -> bool:
        """Whether the layout is a sparse one."""
        return False

    @property
    def is_quantized(self: Any) -> bool:
        """Whether the elements are quantized."""
        return False

    @property
    def is_meta(self: Any) -> bool:
        """Whether the tensor has no data."""
        return self.device.type == "meta"


def _attach() -> None:
    for name, value in vars(_Methods).items():
        if name not in ("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__"):
            setattr(Tensor, name, value)


_attach()
