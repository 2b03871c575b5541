"""Questions about objects and tensors."""

from rtensor import _C
from rtensor._C import Tensor


def is_tensor(obj) -> bool:
    """Whether the object is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj) -> bool:
    """Whether the object is a storage."""
    from rtensor.storage import TypedStorage

    return isinstance(obj, (_C.UntypedStorage, TypedStorage))


def typename(obj) -> str:
    """The type of an object with its module; a tensor's old-style type.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.typename(torch.ones(1))
    'torch.FloatTensor'
    """
    if isinstance(obj, Tensor):
        return obj.type()
    module = getattr(obj, "__module__", "") or ""
    if module in ("builtins", "__builtin__"):
        module = ""
    qualname = getattr(obj, "__qualname__", None)
    if qualname is None:
        module, qualname = type(obj).__module__, type(obj).__qualname__
        module = "" if module in ("builtins", "__builtin__") else module
    return f"{module}.{qualname}" if module else qualname


def _checked(input, name: str) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return input


def numel(input) -> int:
    """The number of elements of a tensor."""
    return _checked(input, "numel").numel()


def is_floating_point(input) -> bool:
    """Whether the dtype is a floating-point one."""
    return _checked(input, "is_floating_point").is_floating_point()


def is_complex(input) -> bool:
    """Whether the dtype is complex."""
    return _checked(input, "is_complex").is_complex()


def is_signed(input) -> bool:
    """Whether the dtype has negative values."""
    return _checked(input, "is_signed").is_signed()


def is_conj(input) -> bool:
    """Whether the tensor is a lazily conjugated view."""
    return _checked(input, "is_conj").is_conj()


def is_neg(input) -> bool:
    """Whether the tensor is a lazily negated view."""
    return _checked(input, "is_neg").is_neg()


def is_inference(input) -> bool:
    """Whether the tensor was made in inference mode."""
    return _checked(input, "is_inference").is_inference()


def is_nonzero(input) -> bool:
    """Whether the only element of a tensor is not zero."""
    return _checked(input, "is_nonzero").is_nonzero()


def is_same_size(input, other) -> bool:
    """Whether two tensors have the same sizes."""
    return _checked(input, "is_same_size").is_same_size(other)


def get_device(input) -> int:
    """The index of a tensor's device; -1 for the CPU."""
    return _checked(input, "get_device").get_device()
