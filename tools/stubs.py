"""Writes `python/rtensor/_C.pyi` (and those of the op modules) from the op table of the built extension.

python tools/stubs.py           writes the files
python tools/stubs.py --check   exits with 1 where a file is stale
"""

import argparse
import inspect
import sys
from pathlib import Path

import rtensor
from rtensor import _C

PACKAGE = Path(__file__).resolve().parent.parent / "python" / "rtensor"

HEADER = '''"""Written by tools/stubs.py from the op table; do not edit."""

import builtins as _b
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, overload

'''

TYPES = {
    "Tensor": "Tensor",
    "tuple of Tensors": "Sequence[Tensor | None]",
    "Number": "_Number | Tensor",
    "tuple of Scalars": "Sequence[_Number]",
    "int": "_Int",
    "tuple of ints": "Sequence[_Int] | Tensor",
    "float": "_Number",
    "tuple of floats": "Sequence[_b.float]",
    "bool": "_b.bool",
    "tuple of bools": "Sequence[_b.bool]",
    "str": "_b.str",
    "torch.dtype": "_DType",
    "torch.layout": "layout",
    "torch.device": "device | _b.str | _b.int",
    "torch.memory_format": "memory_format",
    "torch.Generator": "Any",
    "index": "Any",
}
RETURNS = {
    "Tensor": "Tensor",
    "None": "None",
    "tuple of Tensors": "tuple[Tensor, ...]",
    "Scalar": "_Number",
    "bool": "_b.bool",
    "int": "_b.int",
    "float": "_b.float",
    "ScalarType": "dtype",
}
KEYWORDS = {"from", "in", "is", "not", "lambda", "import"}


def annotation(param: dict) -> str:
    """The type of a parameter."""
    text = TYPES[param["type"]]
    if param["number"]:
        text = f"{text} | _Number"
    if param["single"]:
        text = f"{text} | _b.int"
    return f"{text} | None" if param["nullable"] else text


def default(param: dict) -> str:
    """The default of a parameter, as Python writes it."""
    text = param["default"]
    if text in ("contiguous_format", "preserve_format") or text.startswith("["):
        return "..."
    return repr(text.strip("'\"")) if param["type"] == "str" and text != "None" else text


def parameters(op: dict, first: str | None, *, varargs: bool) -> str | None:
    """The parameter list of an op; with `varargs`, sizes as separate numbers, or None where it takes none."""
    params = [p for p in op["params"] if p["name"] not in KEYWORDS]
    pieces, starred = ([first] if first else []), False
    if first and params and params[0]["name"] == "input":
        params = params[1:]
    if varargs:
        kinds = {"tuple of ints": "_Int", "tuple of Tensors": "Tensor"}
        if not params or params[0]["type"] not in kinds or params[0]["keyword_only"]:
            return None
        pieces.append(f"*{params[0]['name']}: {kinds[params[0]['type']]}")
        params, starred = params[1:], True
    optional = False
    for param in params:
        if param["keyword_only"] and not starred:
            pieces.append("*")
            starred = True
        text = f"{param['name']}: {annotation(param)}"
        optional = optional or param["default"] is not None
        if param["default"] is not None:
            text += f" = {default(param)}"
        elif optional and not starred:
            text += " = ..."
        pieces.append(text)
    if op["out"]:
        pieces += ([] if starred else ["*"]) + ["out: Any = None"]
    return ", ".join(pieces)


def returned(op: dict) -> str:
    """The type of a result."""
    text = op["returns"]
    if text.startswith("("):
        return f"tuple[{', '.join('Tensor' for _ in text.split(','))}]"
    return RETURNS.get(text, "Any")


def callables(name: str, ops: list[dict], first: str | None, indent: str, in_place: bool = False) -> list[str]:
    """The stub of a function or method with all its overloads."""
    forms = []
    for op in ops:
        result = "Tensor" if in_place else returned(op)
        op = {**op, "out": op["out"] and not in_place}
        for varargs in (False, True):
            params = parameters(op, first, varargs=varargs)
            if params is not None and (params, result) not in forms:
                forms.append((params, result))
    mark = [f"{indent}@overload"] if len(forms) > 1 else []
    lines = []
    for params, result in forms:
        lines += [*mark, f"{indent}def {name}({params}) -> {result}: ..."]
    return lines


def table() -> dict[str, list[dict]]:
    """The ops by name."""
    names: dict[str, list[dict]] = {}
    for op in _C._table():
        names.setdefault(op["name"], []).append(op)
    return names


def functions(prefix: str) -> list[str]:
    """The stubs of the functions of a module: those whose names start with the prefix."""
    lines = []
    for name, ops in table().items():
        space, _, base = name.rpartition(".")
        if space != prefix or not base.isidentifier() or base in KEYWORDS:
            continue
        public = [op for op in ops if op["function"]]
        if public:
            lines += callables(base, public, None, "")
        in_place = [op for op in public if op["in_place"]]
        if in_place:
            lines += callables(f"{base}_", in_place, None, "", in_place=True)
    return lines


def tensor_class() -> list[str]:
    """The stub of the class: methods of the table, then everything else that it has."""
    lines, seen = ["class Tensor:"], set()
    for name, ops in table().items():
        base = name.rpartition(".")[2]
        for public, chosen, in_place in (
            (base, [op for op in ops if op["method"]], False),
            (f"{base}_", [op for op in ops if op["in_place"]], True),
        ):
            if chosen and public.isidentifier() and public not in seen:
                seen.add(public)
                lines += callables(public, chosen, "self", "    ", in_place=in_place)
        if any(op["property"] for op in ops) and base not in seen:
            seen.add(base)
            lines += ["    @property", f"    def {base}(self) -> {returned(ops[0])}: ..."]
    for name in sorted(dir(_C.Tensor)):
        if name not in seen and name not in dir(object):
            lines += other_member(name, inspect.getattr_static(_C.Tensor, name))
    lines += FIXED_MEMBERS
    return lines


FIXED_MEMBERS = [
    "    def __init__(self, *args: Any, **kwargs: Any) -> None: ...",
    "    def __eq__(self, other: Any) -> Tensor: ...",
    "    def __ne__(self, other: Any) -> Tensor: ...",
    *(f"    def __{name}__(self, other: Any) -> Tensor: ..." for name in ("lt", "le", "gt", "ge")),
    "    def __hash__(self) -> _b.int: ...",
]
PROTOCOLS = {
    "__len__": "(self) -> _b.int",
    "__bool__": "(self) -> _b.bool",
    "__int__": "(self) -> _b.int",
    "__index__": "(self) -> _b.int",
    "__float__": "(self) -> _b.float",
    "__complex__": "(self) -> _b.complex",
    "__iter__": "(self) -> Iterator[Tensor]",
    "__contains__": "(self, element: Any) -> _b.bool",
    "__getitem__": "(self, key: Any) -> Tensor",
    "__setitem__": "(self, key: Any, value: Any) -> None",
    "__delitem__": "(self, key: Any) -> None",
    "size": None,
    "stride": None,
}
SIZES = [
    "    @overload",
    "    def {name}(self, dim: None = None) -> {whole}: ...",
    "    @overload",
    "    def {name}(self, dim: _b.int) -> _b.int: ...",
]
KNOWN = {
    "shape": "Size",
    "ndim": "_b.int",
    "dtype": "dtype",
    "device": "device",
    "layout": "layout",
    "grad": "Any",
    "data": "Tensor",
    "requires_grad": "_b.bool",
    "is_leaf": "_b.bool",
    "item": "Any",
    "tolist": "Any",
    "dim": "_b.int",
    "numel": "_b.int",
    "data_ptr": "_b.int",
    "requires_grad_": "Tensor",
    "backward": "None",
}


def other_member(name: str, member) -> list[str]:
    """The stub of a member that is no op."""
    if name in ("size", "stride"):
        whole = "Size" if name == "size" else "tuple[_b.int, ...]"
        return [line.format(name=name, whole=whole) for line in SIZES]
    if name in PROTOCOLS:
        return [f"    def {name}{PROTOCOLS[name]}: ..."]
    if name.startswith("__") and not callable(member):
        return []
    if not callable(member) and not isinstance(member, (classmethod, staticmethod)):
        result = KNOWN.get(name, "Any")
        settable = getattr(member, "fset", member) is not None and name in ("grad", "data", "requires_grad")
        setter = [f"    @{name}.setter", f"    def {name}(self, value: Any) -> None: ..."] if settable else []
        return ["    @property", f"    def {name}(self) -> {result}: ...", *setter]
    if isinstance(member, staticmethod):
        return ["    @staticmethod", f"    def {name}(*args: Any, **kwargs: Any) -> Any: ..."]
    result = KNOWN.get(name, "Tensor" if name.startswith("__") and name not in dir(type) else "Any")
    return [f"    def {name}(self, *args: Any, **kwargs: Any) -> {result}: ..."]


CLASSES = """
_Number: TypeAlias = _b.bool | _b.int | _b.float | _b.complex
_Int: TypeAlias = _b.int | Tensor
_DType: TypeAlias = dtype | type[_b.float] | type[_b.int] | type[_b.bool] | type[_b.complex]

class dtype:
    @property
    def is_floating_point(self) -> _b.bool: ...
    @property
    def is_complex(self) -> _b.bool: ...
    @property
    def is_signed(self) -> _b.bool: ...
    @property
    def itemsize(self) -> _b.int: ...
    def to_real(self) -> dtype: ...
    def to_complex(self) -> dtype: ...

class device:
    def __init__(self, type: Any, index: _b.int | None = None) -> None: ...
    @property
    def type(self) -> _b.str: ...
    @property
    def index(self) -> _b.int | None: ...
    def __enter__(self) -> device: ...
    def __exit__(self, *exc: Any) -> None: ...

class layout: ...
class memory_format: ...

class Size(tuple[_b.int, ...]):
    def numel(self) -> _b.int: ...

class UntypedStorage:
    def __init__(self, size: _b.int = 0) -> None: ...
    def nbytes(self) -> _b.int: ...
    def data_ptr(self) -> _b.int: ...
    def __len__(self) -> _b.int: ...
    def __getattr__(self, name: _b.str) -> Any: ...
"""


def constants() -> list[str]:
    """Dtypes, layouts and memory formats."""
    kinds = {_C.dtype: "dtype", _C.layout: "layout", _C.memory_format: "memory_format"}
    return [f"{name}: {kinds[type(v)]}" for name, v in vars(_C).items() if type(v) in kinds]


def plain_functions() -> list[str]:
    """Functions and classes of the module that are no ops."""
    listed = set(table()) | {f"{name}_" for name in table()}
    written = {"Tensor", "dtype", "device", "layout", "memory_format", "Size", "UntypedStorage"}
    lines = []
    for name, value in sorted(vars(_C).items()):
        if name in listed or name in written or name.startswith("__"):
            continue
        if isinstance(value, type):
            lines.append(f"{name}: Any" if not issubclass(value, BaseException) else f"class {name}(RuntimeError): ...")
        elif callable(value):
            result = "Tensor" if name in ("tensor", "as_tensor", "from_numpy", "frombuffer") else "Any"
            lines.append(f"def {name}(*args: Any, **kwargs: Any) -> {result}: ...")
        elif isinstance(value, dict):
            lines.append(f"{name}: dict[_b.str, Any]")
    return lines


def native_stub() -> str:
    """The text of `_C.pyi`."""
    parts = [CLASSES, "\n".join(tensor_class()), "\n".join(constants()), "\n".join(plain_functions())]
    parts += ["\n".join(functions("")), "__version__: _b.str"]
    return HEADER + "\n\n".join(parts) + "\n"


def module_stub(prefix: str) -> str:
    """The text of the stub of a module of ops."""
    names = "Tensor, _DType, _Int, _Number, device, dtype, layout, memory_format"
    extra = {
        "linalg": "from rtensor._C import _LinAlgError as LinAlgError\n",
        "special": "from rtensor._C import log_softmax as log_softmax, logsumexp as logsumexp, softmax as softmax\n",
    }.get(prefix, "")
    return HEADER + f"from rtensor._C import {names}\n{extra}\n" + "\n".join(functions(prefix)) + "\n"


def stubs() -> dict[Path, str]:
    """Every generated file with its text."""
    files = {PACKAGE / "_C.pyi": native_stub()}
    for prefix in ("linalg", "fft", "special"):
        files[PACKAGE / f"{prefix}.pyi"] = module_stub(prefix)
    return files


def main() -> int:
    """Write or check the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [path for path, text in stubs().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if not check:
            path.write_text(stubs()[path])
        print(("stale: " if check else "written: ") + path.name)
    return 1 if check and stale else 0


if __name__ == "__main__":
    rtensor.Tensor  # noqa: B018  the import attaches the Python methods
    sys.exit(main())
