"""Named tuples that ops with several results return."""

from __future__ import annotations

from typing import Any

_classes: dict[str, type] = {}


def _class(name: str, fields: tuple[str, ...]) -> type:
    """The class of an op's results, made on first use."""
    base = name.rsplit(".", 1)[-1]

    def __repr__(self):
        body = ",\n".join(f"{field}={value!r}" for field, value in zip(fields, self, strict=True))
        return f"torch.return_types.{base}(\n{body})"

    members: dict[str, Any] = {field: property(lambda self, i=i: self[i]) for i, field in enumerate(fields)}
    members |= {"__slots__": (), "__repr__": __repr__, "__module__": "torch.return_types", "_fields": fields}
    members["__reduce__"] = lambda self: (_make, (name, fields, tuple(self)))
    members["__doc__"] = f"Results of ``{name}``: {', '.join(fields)}."
    return type(base, (tuple,), members)


def _make(name: str, fields: tuple[str, ...], values: tuple) -> tuple:
    """The results of an op under their names."""
    cls = _classes.get(name)
    if cls is None or cls._fields != fields:
        cls = _classes[name] = _class(name, fields)
    return tuple.__new__(cls, values)
