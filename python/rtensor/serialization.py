"""Saving and loading, in PyTorch's zip format: files go both ways between the two libraries.

An archive holds a pickle of the object, in which tensors refer to storages by number, and the bytes
of each storage. Loading admits a closed list of types, so that a file cannot run code.
"""

import io
import os
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, ClassVar

import numpy as np

import rtensor
from rtensor import Tensor
from rtensor.nn.parameter import Parameter, _rebuild_parameter, _rebuild_parameter_with_state

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

# The alignment at which PyTorch maps storages into memory.
_ALIGNMENT = 64

# The class that stands for the dtype of a storage in the pickle.
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
_DTYPES = (*_STORAGES.values(), "uint16", "uint32", "uint64")


class _Global:
    """A name that is written into the pickle as it stands, whether or not it can be imported here."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __call__(self, *args: Any) -> Any:  # pickle wants the target of a call to be callable
        raise TypeError(f"{self.module}.{self.name} is only a name")


class _Storage:
    """The memory of tensors that are saved together."""

    def __init__(self, key: str, dtype: str, flat: Tensor):
        self.key, self.dtype, self.flat = key, dtype, flat

    def persistent_id(self) -> tuple:
        kinds = {dtype: name for name, dtype in _STORAGES.items()}
        kind = (
            _Global("torch", kinds[self.dtype]) if self.dtype in kinds else _Global("torch.storage", "UntypedStorage")
        )
        size = self.flat.numel() * (1 if self.dtype in kinds else self.flat.element_size())
        return "storage", kind, self.key, str(self.flat.device), size

    def to_bytes(self) -> bytes:
        return self.flat.cpu().view(rtensor.uint8).numpy().tobytes() if self.flat.numel() else b""


class _Pickler(pickle._Pickler):
    """Writes tensors, dtypes and devices under PyTorch's names."""

    dispatch: ClassVar[dict[Any, Any]] = pickle._Pickler.dispatch.copy()

    def __init__(self, file: IO[bytes], protocol: int):
        super().__init__(file, protocol)
        self.storages: dict[Any, _Storage] = {}
        self._globals: dict[tuple[str, str], _Global] = {}

    def _named(self, module: str, name: str) -> _Global:
        # One object for each name, so that the pickle refers back to the first.
        return self._globals.setdefault((module, name), _Global(module, name))

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        tag, kind, *rest = obj.persistent_id()
        return (tag, self._named(kind.module, kind.name), *rest)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Parameter):
            arguments: tuple = (obj.data, obj.requires_grad, OrderedDict())
            return self._named("torch._utils", "_rebuild_parameter"), arguments
        if isinstance(obj, Tensor):
            return self._reduce_tensor(obj)
        if isinstance(obj, rtensor.Size):
            return self._named("torch", "Size"), (tuple(obj),)
        if isinstance(obj, rtensor.device):
            arguments = (obj.type,) if obj.index is None else (obj.type, obj.index)
            return self._named("torch", "device"), arguments
        return NotImplemented

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, rtensor.dtype):
            obj = self._named("torch", _dtype_name(obj))
        # Tuples are saved before reducer_override is asked.
        if type(obj) is rtensor.Size and id(obj) not in self.memo:
            return self.save_reduce(*self.reducer_override(obj), obj=obj)
        return super().save(obj, save_persistent_id)

    def _reduce_tensor(self, tensor: Tensor) -> tuple:
        tensor = tensor.resolve_conj().resolve_neg()
        name = _dtype_name(tensor.dtype)
        storage = self._storage_of(tensor, name)
        place = (tensor.storage_offset(), tuple(tensor.size()), tensor.stride())
        arguments: tuple = (storage, *place, tensor.requires_grad, OrderedDict())
        if name in _STORAGES.values():
            return self._named("torch._utils", "_rebuild_tensor_v2"), arguments
        return self._named("torch._utils", "_rebuild_tensor_v3"), (*arguments, tensor.dtype)

    def _storage_of(self, tensor: Tensor, dtype: str) -> _Storage:
        untyped = tensor.untyped_storage()
        key = (tensor.device, untyped.data_ptr(), dtype) if untyped.nbytes() else len(self.storages)
        if key not in self.storages:
            count = untyped.nbytes() // tensor.element_size()
            flat = tensor.detach().as_strided((count,), (1,), 0)
            self.storages[key] = _Storage(str(len(self.storages)), dtype, flat)
        return self.storages[key]


def _save_global(pickler: _Pickler, name: _Global) -> None:
    pickler.write(pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode())
    pickler.memoize(name)


_Pickler.dispatch[_Global] = _save_global


def _dtype_name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Save an object with the tensors inside it to a file.

    Parameters
    ----------
    obj
        Anything that can be pickled; best a `state_dict`.
    f
        A path, or a file opened for writing bytes.
    pickle_module
        Accepted for compatibility.
    pickle_protocol
        The pickle protocol; PyTorch reads 2.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, pickle_protocol)
    pickler.dump(obj)
    is_path = isinstance(f, (str, os.PathLike))
    name = os.path.splitext(os.path.basename(f))[0] if is_path else "archive"
    with zipfile.ZipFile(f, "w", zipfile.ZIP_STORED) as archive:
        _write(archive, f"{name}/data.pkl", buffer.getvalue())
        _write(archive, f"{name}/byteorder", b"little")
        for storage in pickler.storages.values():
            _write(archive, f"{name}/data/{storage.key}", storage.to_bytes())
        _write(archive, f"{name}/version", b"3\n")


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add an entry whose content starts at a multiple of the alignment."""
    info = zipfile.ZipInfo(name)
    header = 30 + len(name.encode()) + 4  # the fixed part, the name, and the head of the padding field
    assert archive.fp is not None
    padding = -(archive.fp.tell() + header) % _ALIGNMENT
    info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(info, content)


_safe_globals: dict[tuple[str, str], Any] = {}


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Admit functions and classes in files that `load` reads.

    Parameters
    ----------
    safe_globals
        The objects, or pairs of an object and the dotted name under which files refer to it.
    """
    for entry in safe_globals:
        target, dotted = entry if isinstance(entry, tuple) else (entry, f"{entry.__module__}.{entry.__qualname__}")
        module, _, name = dotted.rpartition(".")
        _safe_globals[module, name] = target


def get_safe_globals() -> list[Any]:
    """Return the objects admitted by `add_safe_globals`."""
    return list(_safe_globals.values())


def clear_safe_globals() -> None:
    """Withdraw what `add_safe_globals` admitted."""
    _safe_globals.clear()


@contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """Admit functions and classes for the duration of a block."""
    before = dict(_safe_globals)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe_globals.clear()
        _safe_globals.update(before)


def _rebuild_tensor(
    flat: Tensor, offset: int, size: tuple, stride: tuple, requires_grad: bool, hooks: Any = None, *rest: Any
) -> Tensor:
    if rest and isinstance(rest[0], rtensor.dtype):
        flat = flat.view(rest[0])
    # `.data` is no view to autograd, as a tensor that was just made is none.
    tensor = flat.as_strided(size, stride, offset).data
    return tensor.requires_grad_() if requires_grad else tensor


def _known_globals() -> dict[tuple[str, str], Any]:
    """What a file may refer to."""
    known: dict[tuple[str, str], Any] = {
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter_with_state,
        ("torch.nn.parameter", "Parameter"): Parameter,
        ("torch", "Tensor"): Tensor,
        ("torch", "Size"): rtensor.Size,
        ("torch", "device"): rtensor.device,
        ("torch.storage", "UntypedStorage"): "uint8",
        ("collections", "OrderedDict"): OrderedDict,
        ("collections", "defaultdict"): defaultdict,
        ("collections", "Counter"): Counter,
    }
    known |= {("torch", name): dtype for name, dtype in _STORAGES.items()}
    known |= {("torch", name): getattr(rtensor, name) for name in _DTYPES if hasattr(rtensor, name)}
    for kind in (set, frozenset, bytearray, complex, slice, dict, list, tuple):
        known["builtins", kind.__name__] = known["__builtin__", kind.__name__] = kind
    return known


class _Unpickler(pickle.Unpickler):
    """Reads a closed list of types, or any where the caller says so."""

    def __init__(self, archive: "_Archive", weights_only: bool):
        super().__init__(io.BytesIO(archive.read("data.pkl")), encoding="utf-8")
        self.archive, self.weights_only = archive, weights_only
        self.known = _known_globals() | _safe_globals

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.known:
            return self.known[module, name]
        if self.weights_only:
            raise pickle.UnpicklingError(
                f"Unsupported global: GLOBAL {module}.{name} was not an allowed global by default. Please use "
                f"`torch.serialization.add_safe_globals([{name}])` or the `torch.serialization.safe_globals"
                f"([{name}])` context manager to allowlist this global if you trust this class/function."
            )
        root, _, rest = module.partition(".")
        return super().find_class(f"rtensor.{rest}" if root == "torch" and rest else module, name)

    def persistent_load(self, pid: Any) -> Tensor:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and pid[1] in _DTYPES):
            raise pickle.UnpicklingError(f"persistent_load: expected a storage, got {pid!r}")
        _, dtype, key, location, _ = pid[:5]
        return self.archive.storage(str(key), dtype, str(location))


class _Archive:
    """An open file: its entries, and the storages read so far."""

    def __init__(self, file: zipfile.ZipFile, map_location: Any):
        names = [name for name in file.namelist() if name.endswith("/data.pkl")]
        if not names:
            raise RuntimeError("PytorchStreamReader failed locating file data.pkl: file not found")
        self.file, self.root, self.map_location = file, names[0][: -len("data.pkl")], map_location
        self._storages: dict[tuple[str, str], Tensor] = {}
        if f"{self.root}byteorder" in file.namelist() and self.read("byteorder") != b"little":
            raise RuntimeError("loading archives of big-endian machines is not supported")

    def read(self, name: str) -> bytes:
        try:
            return self.file.read(self.root + name)
        except KeyError:
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found") from None

    def storage(self, key: str, dtype: str, location: str) -> Tensor:
        """The elements of a storage in one dimension."""
        if (key, dtype) not in self._storages:
            content = np.frombuffer(bytearray(self.read(f"data/{key}")), dtype=np.uint8)
            flat = rtensor.from_numpy(content).view(getattr(rtensor, dtype))
            self._storages[key, dtype] = self._placed(flat, location)
        return self._storages[key, dtype]

    def _placed(self, flat: Tensor, location: str) -> Tensor:
        target = self.map_location
        if callable(target):
            moved = target(flat, location)
            return flat.to(location) if moved is None else moved
        if isinstance(target, dict):
            target = target.get(location, location)
        device = rtensor.device(location if target is None else target)
        if target is None and device.type == "cuda" and not rtensor.cuda.is_available():
            raise RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are "
                "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map "
                "your storages to the CPU."
            )
        return flat.to(device)


def load(
    f: Any,
    map_location: str | Any | Callable[..., Any] | dict[str, str] | None = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load an object from a file that `save` or PyTorch wrote.

    Parameters
    ----------
    f
        A path, or a seekable file opened for reading bytes.
    map_location
        Where tensors go: a device, a dictionary of devices, or a function of storage and device.
    pickle_module
        Accepted for compatibility.
    weights_only
        Admit tensors, plain containers and what `add_safe_globals` names; the default. False admits
        anything, which lets the file run code: only for files that you trust.
    mmap
        Accepted for compatibility: storages are read into memory.
    """
    weights_only = weights_only is not False
    if not zipfile.is_zipfile(f):
        if isinstance(f, (str, os.PathLike)) and not os.path.exists(f):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(f))
        raise RuntimeError("Invalid file: expected a zip archive as written by torch.save")
    if hasattr(f, "seek"):
        f.seek(0)
    with zipfile.ZipFile(f) as file:
        unpickler = _Unpickler(_Archive(file, map_location), weights_only)
        try:
            return unpickler.load()
        except pickle.UnpicklingError as error:
            if not weights_only:
                raise
            raise pickle.UnpicklingError(
                "Weights only load failed. In PyTorch 2.6, we changed the default value of the `weights_only` argument "
                "in `torch.load` from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` "
                "will likely succeed, but it can result in arbitrary code execution. Do it only if you got the file "
                f"from a trusted source.\n{error}"
            ) from None
