"""CUDA text of formulas: what the declaration of a pointwise operator says, compiled for the types of a launch."""

import functools
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from rtensor import _C
from rtensor.backend import Formula, Signature
from rtensor.cuda._source import TYPES, by_value, compile_text, text

_THREADS = 256
_MOST_ELEMENTS = 8
#: Threads of a block along two dimensions: lines that are read across are used up before they are lost.
_TILE = (8, 32)

_VECTOR = """
extern "C" __global__ void map(const Words p) {{
    const i64 first = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * {width};
    if (first + {width} <= p.w[0]) {{
{loads}
        Pack<{target}, {width}> result;
        #pragma unroll
        for (int k = 0; k < {width}; ++k) result.at[k] = to<{target}>(formula(p{packed}));
        *(Pack<{target}, {width}>*)(({target}*)p.w[1] + first) = result;
    }} else {{
        for (i64 i = first; i < p.w[0]; ++i) (({target}*)p.w[1])[i] = to<{target}>(formula(p{single}));
    }}
}}
"""

# A thread computes some neighbours along the innermost dimension; blocks of two dimensions cover tiles.
_STRIDED = """
extern "C" __global__ void map(const Words p) {{
    const {index} size = p.w[{at}], runs = (size + {width} - 1) / {width};
    {index} rest = blockIdx.x, run;
{tiles}
    const {index} first = run * {width};
    if (first >= size || rest >= ({index})({outermost})) return;
    const int n = size - first < {width} ? size - first : {width};
    {offset} {offsets};
{steps}
{loads}
    Pack<{target}, {width}> result;
    #pragma unroll
    for (int k = 0; k < {width}; ++k) result.at[k] = to<{target}>(formula(p{lanes}));
    store_run(result, ({target}*)p.w[1] + o0, p.w[{step}], n);
}}
"""
_LINEAR = """    rest = rest * blockDim.x + threadIdx.x, run = rest % runs, rest /= runs;"""
_TILED = """    if (blockDim.y == 1) {{
    {linear}
    }} else {{
        const {index} rows = p.w[{next}], wide = (runs + blockDim.x - 1) / blockDim.x;
        const {index} tall = (rows + blockDim.y - 1) / blockDim.y, tile = rest % wide, row = rest / wide;
        const {index} y = row % tall * blockDim.y + threadIdx.y;
        if (y >= rows) return;
        run = tile * blockDim.x + threadIdx.x, rest = row / tall * rows + y;
    }}"""


def _literal(value: float) -> str:
    if math.isnan(value):
        return "Limits<double>::nan()"
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}Limits<double>::infinity()"
    return repr(value)


def _function(formula: Formula, form: Signature) -> str:
    """The formula as a function of a launch's words and of its tensors' elements."""
    lane = TYPES[form.lane]
    tensors = len(form.tensors)
    parameters = "".join(f", const {lane} x{k}" for k in range(tensors))
    at_tensor, at_number = iter(range(tensors)), iter(range(2 + tensors, 2 + tensors + 2 * form.numbers, 2))
    inputs = []
    for kind in [*form.operands, *"#" * form.params]:
        if kind == "-":
            inputs.append(f"{lane}()")
        else:
            inputs.append(f"number<{lane}>(p.w + {next(at_number)})" if kind == "#" else f"x{next(at_tensor)}")
    lines = []
    for at, (name, *operands) in enumerate(formula.nodes):
        if name == "input":
            value = inputs[operands[0]]
        else:
            values = [f"r{e}" if isinstance(e, int) else f"lit<{lane}>({_literal(e)})" for e in operands]
            value = f"op::{name}({', '.join(values)})"
        lines.append(f"    const auto r{at} = {value};")
    root = f"r{formula.root}" if isinstance(formula.root, int) else f"lit<{lane}>({_literal(formula.root)})"
    body = "\n".join([*lines, f"    return {root};"])
    return f"__device__ __forceinline__ auto formula(const Words& p{parameters}) {{\n{body}\n}}\n"


def _vector_kernel(form: Signature) -> str:
    lane, width = TYPES[form.lane], int(form.layout[1:])
    loads, packed, single = [], [], []
    for k, dtype in enumerate(form.tensors):
        name = TYPES[dtype]
        source = f"((const {name}*)p.w[{2 + k}]"
        loads.append(f"        const auto v{k} = *(const Pack<{name}, {width}>*){source} + first);")
        packed.append(f", to<{lane}>(v{k}.at[k])")
        single.append(f", to<{lane}>({source})[i])")
    return _VECTOR.format(
        width=width, target=TYPES[form.target], loads="\n".join(loads), packed="".join(packed), single="".join(single)
    )


def _strided_kernel(form: Signature, width: int) -> str:
    places, lane = 1 + len(form.tensors), TYPES[form.lane]
    index, offset = ("u32", "i32") if form.layout[0] == "s" else ("u64", "i64")
    inner = 1 + places + 2 * form.numbers
    starts = [inner + dim * (1 + places) for dim in range(form.dims)]
    steps = [" ".join(f"o{k} += ({offset})first * ({offset})p.w[{inner + 1 + k}];" for k in range(places))]
    for at in starts[1:]:
        last = at == starts[-1]
        here = "rest" if last else f"rest % ({index})p.w[{at}]"
        moves = " ".join(f"o{k} += ({offset})here * ({offset})p.w[{at + 1 + k}];" for k in range(places))
        onward = "" if last else f" rest /= ({index})p.w[{at}];"
        steps.append(f"{{ const {index} here = {here}; {moves}{onward} }}")
    loads = []
    for k, dtype in enumerate(form.tensors):
        source = f"(const {TYPES[dtype]}*)p.w[{2 + k}] + o{k + 1}"
        loads.append(f"{lane} a{k}[{width}]; load_run(a{k}, {source}, p.w[{inner + 2 + k}], n);")
    tiled = _TILED.format(linear=_LINEAR, index=index, next=starts[1]) if form.dims > 1 else _LINEAR
    outermost = " * ".join(f"p.w[{at}]" for at in starts[1:]) or "1"
    return _STRIDED.format(
        index=index,
        offset=offset,
        at=inner,
        width=width,
        tiles=tiled,
        outermost=outermost,
        offsets=", ".join(f"o{k} = 0" for k in range(places)),
        steps="\n".join(f"    {step}" for step in steps),
        loads="\n".join(f"    {load}" for load in loads),
        target=TYPES[form.target],
        lanes="".join(f", a{k}[k]" for k in range(len(form.tensors))),
        step=inner + 1,
    )


@functools.cache
def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text(name)))


def _headers(formula: Formula, lane: str) -> str:
    """The texts that define the functions of a formula, as few as will do."""
    names = {name for name, *_ in formula.nodes} - {"input"}
    basic = "complex.cuh" if lane.startswith("complex") else "math.cuh"
    missing = names - _words(basic)
    special = ("special_gamma.cuh", "special_bessel.cuh", "special_polynomials.cuh")
    return text(basic, *(name for name in special if missing & _words(name)))


class _Flat:
    """A kernel of contiguous elements."""

    __slots__ = ("kernel", "per_block")

    def __init__(self, kernel: Any, width: int):
        self.kernel, self.per_block = kernel, _THREADS * width

    def __call__(self, words: bytes, count: int) -> None:
        blocks = (count + self.per_block - 1) // self.per_block
        self.kernel((blocks,), (_THREADS,), (by_value(words),))


class _Strided:
    """A kernel of elements with gaps: chooses how blocks cover them."""

    __slots__ = ("dims", "inner", "kernel", "places", "width")

    def __init__(self, kernel: Any, form: Signature, width: int):
        self.kernel, self.width, self.dims = kernel, width, form.dims
        self.places = 1 + len(form.tensors)
        words = self.places + 1
        self.inner = struct.Struct(f"{8 * (words + 2 * form.numbers)}x{min(form.dims, 2) * words}q")

    def __call__(self, words: bytes, count: int) -> None:
        inner = self.inner.unpack_from(words)
        runs = -(-inner[0] // self.width)
        rows = inner[1 + self.places] if self.dims > 1 else 0
        wide, tall = _TILE
        across = not {0, 1}.issuperset(inner[2 : 1 + self.places])
        if across and runs >= wide and rows >= tall:
            blocks = -(-runs // wide) * -(-rows // tall) * (count // (inner[0] * rows))
            self.kernel((blocks,), _TILE, (by_value(words),))
        else:
            self.kernel((-(-(count // inner[0] * runs) // _THREADS),), (_THREADS,), (by_value(words),))


def compile_formula(formula: Formula, signature: str) -> Callable[[bytes, int], None]:
    """What computes a formula for a signature, given the words of a launch and how many elements it has."""
    form = Signature.parse(signature)
    count = 2 + len(form.tensors) + 2 * form.numbers + form.dims * (2 + len(form.tensors))
    flat = form.layout[0] == "v"
    widest = max(getattr(_C, name).itemsize for name in (form.target, *form.tensors))
    width = int(form.layout[1:]) if flat else max(1, min(_MOST_ELEMENTS, 16 // widest))
    code = [
        _headers(formula, form.lane),
        "" if flat else text("runs.cuh"),
        f"struct Words {{ i64 w[{count}]; }};",
        _function(formula, form),
        _vector_kernel(form) if flat else _strided_kernel(form, width),
    ]
    kernel = compile_text("\n".join(code)).get_function("map")
    return _Flat(kernel, width) if flat else _Strided(kernel, form, width)
