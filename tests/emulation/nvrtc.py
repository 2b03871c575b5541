"""NVIDIA's own compiler, which needs no GPU: whether texts compile, where the wheel nvidia-cuda-nvrtc is there."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
from pathlib import Path

from . import native

ARCHITECTURES = "sm_80", "sm_90"
# Set by the option `--nvrtc`: every text that is asked for is compiled for these GPUs, too.
architectures: tuple[str, ...] = ()


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, of the system or of the wheel."""
    places = [Path(name) for name in ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")]
    nvidia = importlib.util.find_spec("nvidia")
    for folder in nvidia.submodule_search_locations if nvidia else ():
        places += sorted(Path(folder).glob("**/libnvrtc.so.*"))
    for place in places:
        try:
            return ctypes.CDLL(str(place))
        except OSError:
            continue
    return None


def check(code: str, options: tuple[str, ...], architecture: str) -> None:
    """Compile a text to a GPU's machine code, as CuPy does.

    Raises
    ------
    CompileException
        If it does not compile.
    """
    nvrtc = library()
    version = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(*map(ctypes.byref, version))
    all_options = [f"-arch={architecture}", *options]
    key = "\0".join([code, *all_options, *(str(part.value) for part in version)])
    known = native.CACHE / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.nvrtc"
    if known.exists():
        return
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None)
    values = (ctypes.c_char_p * len(all_options))(*[option.encode() for option in all_options])
    status = nvrtc.nvrtcCompileProgram(program, len(all_options), values)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    if status != 0:
        raise native.CompileException(log.value.decode(), f"a text ({' '.join(all_options)})")
    native.CACHE.mkdir(parents=True, exist_ok=True)
    known.write_text(log.value.decode())
