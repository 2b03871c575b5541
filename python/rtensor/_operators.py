"""Modules of operators: ``linalg``, ``fft``, ``special`` and others are filled from the operator table."""

from rtensor import _C


def fill(module: dict, prefix: str) -> list[str]:
    """Put the operators named ``prefix.*`` into a module; give back their names."""
    operators = _C._namespaces.get(prefix, {})
    for name, function in operators.items():
        module.setdefault(name, function)
    return sorted(name for name in operators if not name.startswith("_"))
