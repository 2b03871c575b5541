"""CUDA texts: read from `source/`, specialised by types and numbers, compiled once and launched."""

import functools
import re
import struct as _struct
from pathlib import Path
from typing import Any

import cupy
from cupy.cuda.function import CPointer

from rtensor._C import Tensor, dtype

_FOLDER = Path(__file__).parent / "source"
_INCLUDE = re.compile(r'^#include "([\w.]+)"\n', re.MULTILINE)
_OPTIONS = ("-std=c++17",)
#: Where the bytes of a `bytes` object begin in CPython.
_HEADER = bytes.__basicsize__ - 1

#: The dtypes as the texts spell them.
TYPES = {
    "bool": "bool",
    "uint8": "u8",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "float16": "half_t",
    "bfloat16": "bfloat16_t",
    "float32": "float",
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
}


def type_name(of: dtype) -> str:
    """The CUDA type of a dtype."""
    return TYPES[str(of).removeprefix("torch.")]


@functools.cache
def text(*names: str) -> str:
    """Texts with their includes put in, each once. `types.cuh` stands before all of them (`compile_text`)."""
    seen: set[str] = set()

    def put_in(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        return _INCLUDE.sub(lambda match: put_in(match[1]), (_FOLDER / name).read_text())

    return "".join(map(put_in, names))


def compile_text(code: str) -> Any:
    """The module of a whole text, on top of the types that every text uses."""
    return cupy.RawModule(code=text("types.cuh") + code, options=_OPTIONS)


@functools.lru_cache(maxsize=4096)
def struct(*numbers: int) -> bytes:
    """Whole numbers as one argument of a kernel: a struct of ``i64``."""
    return _struct.pack(f"{len(numbers)}q", *numbers)


def by_value(data: bytes) -> CPointer:
    """Bytes as an argument of a kernel that is a struct; they must live until it is launched.

    CuPy takes NumPy arrays, too, but asks each for its description, which takes longer than the launch.
    """
    return CPointer(id(data) + _HEADER)


def _argument(value: Any) -> Any:
    if type(value) is int or type(value) is float:
        return value
    if isinstance(value, Tensor):
        return value.data_ptr()
    return by_value(value) if isinstance(value, bytes) else value


def blocks(count: int, threads: int) -> int:
    """How many blocks have a thread for each of so many elements; loops over the grid do the rest of very many."""
    return min((count + threads - 1) // threads, 2**31 - 1)


class Source:
    """A CUDA text of the package and the kernels compiled from it.

    Parameters
    ----------
    name : str
        A file in `source/`.
    """

    def __init__(self, name: str):
        self.name = name
        self._functions: dict[tuple, Any] = {}
        self._modules: dict[tuple, Any] = {}

    def _module(self, settings: tuple) -> Any:
        if settings not in self._modules:
            lines = []
            for name, value in settings:
                as_type = isinstance(value, dtype)
                lines.append(f"typedef {type_name(value)} {name};" if as_type else f"#define {name} {value}")
            self._modules[settings] = compile_text("\n".join([*lines, text(self.name)]))
        return self._modules[settings]

    def launch(
        self,
        kernel: str,
        settings: dict[str, Any],
        blocks: int | tuple[int, ...],
        threads: int | tuple[int, ...],
        *args: Any,
        shared: int = 0,
    ) -> None:
        """Run a kernel on the current stream.

        Parameters
        ----------
        kernel : str
            Its name in the text.
        settings : dict
            Dtypes become typedefs, other values macros, in front of the text.
        blocks, threads : int or tuple of int
            The grid and a block.
        *args : Tensor, int, float or bytes
            Pointers, ``i64``, ``double``, and structs by value.
        shared : int, default 0
            Bytes of dynamic shared memory.
        """
        key = (kernel, *settings.items())
        function = self._functions.get(key)
        if function is None:
            function = self._functions[key] = self._module(tuple(settings.items())).get_function(kernel)
        values = tuple(map(_argument, args))
        grid = blocks if isinstance(blocks, tuple) else (blocks,)
        block = threads if isinstance(threads, tuple) else (threads,)
        if 0 not in grid:
            function(grid, block, values, shared_mem=shared)
