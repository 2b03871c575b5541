"""Writes the op reference, one page for each module of ops, from the op table of the built extension.

python tools/reference.py           writes docs/reference/*.md
python tools/reference.py --check   exits with 1 where a page is stale
"""

import argparse
import sys
import textwrap
from pathlib import Path

from stubs import table

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"


def signature(op: dict) -> str:
    """The call as a user writes it."""
    pieces, starred = [], False
    for param in op["params"]:
        if param["keyword_only"] and not starred:
            pieces.append("*")
            starred = True
        pieces.append(param["name"] if param["default"] is None else f"{param['name']}={param['default']}")
    if op["out"]:
        pieces += ([] if starred else ["*"]) + ["out=None"]
    return f"{op['name']}({', '.join(pieces)}) -> {op['returns']}"


def forms(ops: list[dict]) -> str:
    """In which ways a name can be called."""
    has = {kind: any(op[kind] for op in ops) for kind in ("function", "method", "in_place", "property")}
    base = ops[0]["name"].rpartition(".")[2]
    names = {"method": f"`Tensor.{base}`", "property": f"property `Tensor.{base}`", "in_place": f"`Tensor.{base}_`"}
    listed = [text for kind, text in names.items() if has[kind]]
    return ("Also " if has["function"] else "") + ", ".join(listed) + "." if listed else ""


def section(name: str, ops: list[dict]) -> str:
    """What the reference says of a name."""
    doc = textwrap.dedent(ops[0]["doc"]).strip()
    calls = "\n".join(signature(op) for op in ops)
    return "\n\n".join(part for part in (f"## {name}", f"```\n{calls}\n```", doc, forms(ops)) if part)


def pages() -> dict[Path, str]:
    """Every page with its text."""
    spaces: dict[str, list[str]] = {}
    for name, ops in sorted(table().items()):
        space, _, base = name.rpartition(".")
        public = any(op[kind] for op in ops for kind in ("function", "method", "in_place", "property"))
        if public and not base.startswith("_"):
            spaces.setdefault(space, []).append(section(name, ops))
    files = {}
    for space, sections in spaces.items():
        title = f"rtensor.{space}" if space else "rtensor"
        head = f"# {title}\n\nWritten by tools/reference.py from the op table; do not edit."
        files[PAGES / f"{title}.md"] = "\n\n".join([head, *sections]) + "\n"
    return files


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path])
        print(("stale: " if check else "written: ") + path.name)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
