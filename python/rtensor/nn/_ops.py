"""Native operators by name, wherever the operator table files them; found at the first use."""

from typing import Any

from rtensor import _C


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    functional = getattr(getattr(_C, "nn", None), "functional", None)
    for holder in (functional, _C):
        operator = getattr(holder, name, None)
        if operator is not None:
            globals()[name] = operator
            return operator
    raise NotImplementedError(f"rtensor has no operator '{name}' yet")
