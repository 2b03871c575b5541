"""Tensors made from a rule: sequences and the identity."""

import struct
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks

_RANGE, _EYE = Source("range.cu"), Source("eye.cu")
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


@kernel("arange/start_step")
def arange(args: tuple, outs: tuple) -> None:
    out = outs[0]
    half = out.dtype in (_C.float16, _C.bfloat16)
    computed = _C.float32 if half else _C.float64 if out.dtype.is_floating_point else _C.int64
    _sequence("sequence", "arange", out, computed, args[0], args[2])


@kernel("linspace")
def linspace(args: tuple, outs: tuple) -> None:
    out = outs[0]
    single = out.dtype in (_C.float32, _C.float16, _C.bfloat16)
    computed = _C.complex128 if out.dtype.is_complex else _C.float32 if single else _C.float64
    _sequence("sequence", "linspace", out, computed, args[0], args[1])


@kernel("logspace")
def logspace(args: tuple, outs: tuple) -> None:
    out = outs[0]
    computed = _C.complex128 if out.dtype.is_complex else _C.float64
    _sequence("powers", "linspace", out, computed, args[0], args[1], float(args[3]))


@kernel("eye/m")
def eye(args: tuple, outs: tuple) -> None:
    out, count = outs[0], outs[0].numel()
    _EYE.launch("eye", {"T": out.dtype}, blocks(count, _THREADS), _THREADS, out, args[1], count)
