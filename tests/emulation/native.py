"""Texts in CUDA C++, compiled for the host and called; the emulated device itself is such a library."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(tempfile.gettempdir()) / f"rtensor-emulation-{os.getuid()}"
FLAGS = ["-O1", "-std=c++17", "-w", "-fPIC", "-shared", "-nostdlib", "-Wl,-Bsymbolic"]
FLAGS += ["-fwrapv", "-fno-strict-aliasing", "-fno-threadsafe-statics", "-fno-gnu-unique"]
BOUNDS = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
KERNEL = re.compile(rf"__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)")
DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+(?:__align__\s*\(\d+\)\s*)?([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;")


def compiler() -> str | None:
    """The C++ compiler of this machine."""
    return shutil.which("g++") or shutil.which("c++")


def compiled(text: str, flags: list[str], suffix: str) -> Path:
    """The library of a C++ text, made once."""
    headers = "".join((HERE / name).read_text() for name in ("launch.hpp", "shim.hpp", "shim_math.hpp"))
    key = hashlib.sha256("\0".join([text, headers, *flags]).encode()).hexdigest()[:24]
    library = CACHE / f"{key}.so"
    if library.exists():
        return library
    CACHE.mkdir(parents=True, exist_ok=True)
    source = CACHE / f"{key}{suffix}"
    source.write_text(text)
    made = CACHE / f"{key}.{os.getpid()}.tmp"
    command = [compiler(), *flags, f"-I{HERE}", "-x", "c++", str(source), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompileException(done.stderr, str(source))
    made.replace(library)
    return library


class CompileException(Exception):
    """What the compiler has to say against a text."""

    def __init__(self, errors: str, source: str):
        self.errors, self.source = errors, source
        super().__init__(f"{source} does not compile:\n{errors}")


@functools.cache
def device() -> ctypes.PyDLL:
    """The emulated device; it is called with Python's lock held, and so by one thread at a time."""
    text = (HERE / "runtime.cpp").read_text()
    path = compiled(text, ["-O2", "-std=c++17", "-fPIC", "-shared"], ".cpp")
    library = ctypes.PyDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    address, size = ctypes.c_void_p, ctypes.c_size_t
    for name, result, *parameters in (
        ("emu_arena", address, size),
        ("emu_copy", None, address, address, size),
        ("emu_set", None, address, ctypes.c_int, size),
        ("emu_poison", None, address, size),
        ("emu_intact", ctypes.c_int, address, size),
        ("emu_next_released", address),
        ("emu_launch", ctypes.c_char_p, address, address, address, address, size),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, parameters
    return library


class Unlocked:
    """The host may touch the device's memory inside of a `with` block."""

    def __enter__(self):
        device().emu_unlock()

    def __exit__(self, *exc):
        device().emu_lock()


def host_text(code: str, kernels: tuple[str, ...]) -> str:
    """What the host compiles for a text: the shim, the text, and the entries of its kernels."""
    code = DYNAMIC_SHARED.sub(r"\1* const \2 = reinterpret_cast<\1*>(emu_shared);", code)
    entries = "".join(f"EMU_KERNEL({name})\n" for name in kernels)
    return f'#include "shim.hpp"\n#line 1 "kernel.cu"\n{code}\n{entries}'


@functools.cache
def loaded(code: str, defines: tuple[str, ...], kernels: tuple[str, ...]) -> ctypes.PyDLL:
    """The library of a CUDA text."""
    device()
    path = compiled(host_text(code, kernels), [*FLAGS, *defines], ".cu")
    return ctypes.PyDLL(str(path))


def kernel_names(code: str) -> tuple[str, ...]:
    """The kernels that a text defines."""
    return tuple(dict.fromkeys(KERNEL.findall(code)))
