"""Native operators by name, wherever the operator table files them; found at the first use."""

from typing import Any

from rtensor import _C


def __getattr__(name: str) -> Any:
    for operators in (_C._namespaces.get("nn.functional", {}), vars(_C)):
        if name in operators:
            globals()[name] = operators[name]
            return operators[name]
    raise AttributeError(f"rtensor has no operator '{name}'")
