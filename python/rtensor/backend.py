"""Backends: what serves a kind of device, registered from Python.

The core sizes and allocates the results of an operator. Formulas of single elements, copies among them, reach
`Backend.map`, written down; every other operator reaches the kernel that `Backend.kernel` finds for its name.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtensor import _C
from rtensor._C import Tensor


class Backend:
    """What a backend must do; missing parts raise ``NotImplementedError``.

    Every call is made with the device of its tensors as the current one (`set_device`).
    """

    def set_device(self, index: int) -> None:
        """Make a device of this kind the current one of the thread."""
        if index != 0:
            raise RuntimeError(f"{type(self).__name__} has one device, got index {index}")

    def alloc(self, nbytes: int, zeroed: bool) -> tuple[Any, int]:
        """Memory on the current device: an object that keeps it alive, and its address."""
        raise NotImplementedError(f"{type(self).__name__} does not allocate")

    def transfer(self, target: Tensor, source: Tensor, non_blocking: bool = False) -> None:
        """Move contiguous elements of one dtype between devices, one of them of this kind.

        With `non_blocking` the host need not wait where its memory is page-locked.
        """
        raise NotImplementedError(f"{type(self).__name__} does not copy between devices")

    def map(self, formula: "Formula", signature: str, words: bytes, count: int) -> None:
        """Compute a formula for ``count`` elements; `Launch.read` reads ``signature`` and ``words``."""
        raise NotImplementedError(f"{type(self).__name__} does not compute formulas")

    def kernel(self, name: str) -> Callable:
        """What computes an operator: called with its arguments and results, as two tuples.

        Operators whose results' sizes depend on data are called with the arguments alone and return a list of tensors.
        It is asked for once per operator.
        """
        raise NotImplementedError(f"Could not run '{name}': {type(self).__name__} has no kernel for it")

    def pinned(self, source: Tensor) -> Tensor:
        """A copy of a CPU tensor in page-locked memory, from which copies to the device need not wait."""
        raise NotImplementedError(f"{type(self).__name__} does not pin memory")

    def synchronize(self) -> None:
        """Wait until all work given to the current device is done."""


@dataclass(eq=False)
class Formula:
    """A formula of single elements, written down once; the core hands over the same object every time.

    Attributes
    ----------
    nodes : list of tuple
        What is computed, in order: ``("input", position)`` or the name of an operator and its operands, which are
        positions of earlier nodes (int) or literals (float). Inputs are the operands of a launch, then its parameters.
    root : int or float
        The result: a node or a literal.
    kernels : dict
        For the backend: what it compiled, by signature.
    """

    nodes: list[tuple]
    root: int | float
    kernels: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where an operand lies: an address, the dtype's name, strides in elements for the sizes of the launch."""

    address: int
    dtype: str
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """What distinguishes the kernels of one formula.

    It is written ``lane>result:target,operands..,parameters,layout``: dtype names, ``#`` for a number and ``-`` for an
    operand that is not read; how many parameters there are; the layout ``v4`` (all contiguous, four elements in a row
    are aligned), ``s3`` (by sizes and strides of three dimensions) or ``l3`` (the same, with offsets beyond 32 bits).
    """

    lane: str
    result: str
    target: str
    operands: tuple[str, ...]
    params: int
    layout: str

    @classmethod
    def parse(cls, text: str) -> "Signature":
        """Read a signature."""
        head, *operands, params, layout = text.split(",")
        lane, rest = head.split(">")
        result, target = rest.split(":")
        return cls(lane, result, target, tuple(operands), int(params), layout)

    @property
    def tensors(self) -> list[str]:
        """The dtypes of the operands that are tensors."""
        return [name for name in self.operands if name not in "#-"]

    @property
    def numbers(self) -> int:
        """How many numbers follow the addresses, two words each."""
        return self.operands.count("#") + self.params

    @property
    def dims(self) -> int:
        """How many dimensions follow the numbers; a contiguous launch has none."""
        return 0 if self.layout[0] == "v" else int(self.layout[1:])


@dataclass(frozen=True)
class Launch:
    """One computation of a formula, as a backend gets it: `read` takes the words apart.

    The words are 64 bits each: the number of elements, the addresses of the target and of the operands that are
    tensors, two words per number (a double and its imaginary part, or an integer), and for each dimension, innermost
    first, its size, the target's stride and the operands'.
    """

    signature: Signature
    shape: tuple[int, ...]
    target: Place
    inputs: list[Place | complex | None]

    @classmethod
    def read(cls, signature: str, words: bytes) -> "Launch":
        """Read a launch: its sizes outermost first; inputs are operands, then parameters."""
        form = Signature.parse(signature)
        all_words = struct.unpack(f"{len(words) // 8}q", words)
        dtypes = [form.target, *form.tensors]
        numbers = 1 + len(dtypes)
        sizes = numbers + 2 * form.numbers
        step = 1 + len(dtypes)
        dims = [all_words[at : at + step] for at in range(sizes, len(all_words), step)][::-1]
        shape = tuple(dim[0] for dim in dims) or (all_words[0],)
        strides = [tuple(dim[1 + k] for dim in dims) or (1,) for k in range(len(dtypes))]
        places = iter([Place(all_words[1 + k], dtype, strides[k]) for k, dtype in enumerate(dtypes)])
        values = iter(_number(form.lane, words, at) for at in range(numbers, sizes, 2))
        target = next(places)
        kinds = [*form.operands, *"#" * form.params]
        inputs = [None if kind == "-" else next(values if kind == "#" else places) for kind in kinds]
        return cls(form, shape, target, inputs)


def _number(lane: str, words: bytes, at: int) -> complex | int:
    if lane.startswith(("float", "complex")):
        parts = struct.unpack_from("2d", words, 8 * at)
        return complex(*parts) if lane.startswith("complex") else parts[0]
    return struct.unpack_from("q", words, 8 * at)[0]


def register(device_type: str, backend: Backend) -> None:
    """Make a backend serve a kind of device: "cuda" or "privateuseone".

    Parameters
    ----------
    device_type : str
        The kind of device.
    backend : Backend
        The backend; an earlier one of the kind is replaced.
    """
    _C._register_backend(device_type, backend)


def strided_array(tensor: Tensor, xp: Any) -> Any:
    """The tensor's elements as an array of the library ``xp`` (NumPy, CuPy) on the same memory.

    The block that the backend's ``alloc`` returned must be an array of bytes of that library.
    """
    block = _C._memory(tensor)
    dtype = xp.dtype(repr(tensor.dtype).removeprefix("torch."))
    elements = block[: block.size - block.size % dtype.itemsize].view(dtype)[tensor.storage_offset() :]
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    if math.prod(tensor.shape) == 0:
        return xp.empty(tuple(tensor.shape), dtype=dtype)
    return xp.lib.stride_tricks.as_strided(elements, tuple(tensor.shape), strides)
