"""CUDA text of formulas: what the declaration of a pointwise operator says, compiled for the types of a launch."""

import functools
import math
import re
from typing import Any

import numpy

from rtensor.backend import Formula, Signature
from rtensor.cuda._source import TYPES, compile_text, text

THREADS = 256

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

_STRIDED = """
extern "C" __global__ void map(const Words p) {{
    {index} rest = ({index})blockIdx.x * blockDim.x + threadIdx.x;
    if (rest >= ({index})p.w[0]) return;
    {index} {offsets};
{steps}
    (({target}*)p.w[1])[o0] = to<{target}>(formula(p{loads}));
}}
"""


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


def _strided_kernel(form: Signature) -> str:
    places, lane = 1 + len(form.tensors), TYPES[form.lane]
    index = "u32" if form.layout[0] == "s" else "u64"
    at = 1 + places + 2 * form.numbers
    steps = []
    for dim in range(form.dims):
        last = dim == form.dims - 1
        here = "rest" if last else f"rest % ({index})p.w[{at}]"
        moves = " ".join(f"o{k} += here * ({index})p.w[{at + 1 + k}];" for k in range(places))
        onward = "" if last else f" rest /= ({index})p.w[{at}];"
        steps.append(f"    {{ const {index} here = {here}; {moves}{onward} }}")
        at += 1 + places
    dtypes = [TYPES[name] for name in form.tensors]
    loads = [f", to<{lane}>(((const {name}*)p.w[{2 + k}])[o{k + 1}])" for k, name in enumerate(dtypes)]
    offsets = ", ".join(f"o{k} = 0" for k in range(places))
    return _STRIDED.format(
        index=index, offsets=offsets, steps="\n".join(steps), target=TYPES[form.target], loads="".join(loads)
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


def compile_formula(formula: Formula, signature: str) -> tuple[Any, int, numpy.dtype]:
    """The kernel of a formula for a signature, how many elements a block computes, and the type of its argument."""
    form = Signature.parse(signature)
    words = 2 + len(form.tensors) + 2 * form.numbers + form.dims * (2 + len(form.tensors))
    flat = form.layout[0] == "v"
    code = "\n".join(
        [
            _headers(formula, form.lane),
            f"struct Words {{ i64 w[{words}]; }};",
            _function(formula, form),
            _vector_kernel(form) if flat else _strided_kernel(form),
        ]
    )
    per_thread = int(form.layout[1:]) if flat else 1
    return compile_text(code).get_function("map"), THREADS * per_thread, numpy.dtype((numpy.void, 8 * words))
