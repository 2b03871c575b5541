"""Sequences: elements computed from their index."""

import struct
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks

_RANGE = Source("range.cu")
_THREADS = 256


def _number(value: Any, computed: Any) -> bytes:
    """Two words, as `number` in ``types.cuh`` reads them."""
    if not computed.is_floating_point and not computed.is_complex:
        return struct.pack("qq", int(value), 0)
    return struct.pack("dd", complex(value).real, complex(value).imag)


def _sequence(name: str, rule: str, out: Tensor, computed: Any, a: Any, b: Any, *more: float) -> None:
    count = out.numel()
    settings = {"T": out.dtype, "A": computed, "RULE": rule}
    ends = _number(a, computed) + _number(b, computed)
    _RANGE.launch(name, settings, blocks(count, _THREADS), _THREADS, out, count, ends, *more)


@kernel("_arange")
def arange(args: tuple, outs: tuple) -> None:
    out = outs[0]
    half = out.dtype in (_C.float16, _C.bfloat16)
    computed = _C.float32 if half else _C.float64 if out.dtype.is_floating_point else _C.int64
    _sequence("sequence", "arange", out, computed, args[1], args[2])


@kernel("_linspace")
def linspace(args: tuple, outs: tuple) -> None:
    out = outs[0]
    single = out.dtype in (_C.float32, _C.float16, _C.bfloat16)
    computed = _C.complex128 if out.dtype.is_complex else _C.float32 if single else _C.float64
    _sequence("sequence", "linspace", out, computed, args[1], args[2])


@kernel("_logspace")
def logspace(args: tuple, outs: tuple) -> None:
    out = outs[0]
    computed = _C.complex128 if out.dtype.is_complex else _C.float64
    _sequence("powers", "linspace", out, computed, args[1], args[2], float(args[3]))
