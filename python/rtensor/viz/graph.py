"""The nodes and edges of a recorded graph, as plain data to draw."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rtensor import Tensor

# The colours that torchviz uses.
LEAF, OUTPUT, BASE, SAVED, FUNCTION = "lightblue", "darkolivegreen1", "darkolivegreen3", "orange", "lightgray"


class Node(NamedTuple):
    """A box of the drawing."""

    key: str
    label: str
    color: str


class Edge(NamedTuple):
    """An arrow of the drawing."""

    tail: str
    head: str
    dotted: bool = False


class Graph:
    """The functions and tensors behind one or more outputs.

    Parameters
    ----------
    outputs
        The tensors whose history is drawn.
    params
        Names of tensors.
    show_attrs
        Whether the boxes of functions list what they saved as attributes.
    show_saved
        Whether saved tensors have boxes of their own.
    max_attr_chars
        Where to cut the text of an attribute.
    """

    def __init__(
        self,
        outputs: Iterable[Tensor],
        params: Mapping[str, Tensor] | None = None,
        show_attrs: bool = False,
        show_saved: bool = False,
        max_attr_chars: int = 50,
    ):
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self._names = {id(tensor): name for name, tensor in (params or {}).items()}
        self._keys: dict[Any, str] = {}
        self._drawn: set[str] = set()
        self._show_attrs, self._show_saved, self._max_chars = show_attrs, show_saved, max_attr_chars
        for output in outputs:
            self._add_output(output, OUTPUT)

    def _add_output(self, tensor: Tensor, color: str) -> None:
        if self._known(tensor):
            return
        key = self._add(tensor, self._tensor_label(tensor), color)
        if tensor.grad_fn is not None:
            self._add_functions(tensor.grad_fn)
            self.edges.append(Edge(self._key(tensor.grad_fn), key))
        base = tensor._base if tensor._is_view() else None
        if base is not None:
            self._add_output(base, BASE)
            self.edges.append(Edge(self._key(base), key, dotted=True))

    def _add_functions(self, root: Any) -> None:
        """Everything behind a function; without recursion, as graphs may be deep."""
        waiting = [root]
        while waiting:
            function = waiting.pop()
            if self._known(function):
                continue
            key = self._add(function, self._function_label(function), FUNCTION)
            variable = getattr(function, "variable", None)
            if variable is not None:
                if not self._known(variable):
                    self._add(variable, self._tensor_label(variable), LEAF)
                self.edges.append(Edge(self._key(variable), key))
            if self._show_saved:
                self._add_saved(function, key)
            for source, _ in getattr(function, "next_functions", ()):
                if source is not None:
                    self.edges.append(Edge(self._key(source), key))
                    waiting.append(source)

    def _add_saved(self, function: Any, key: str) -> None:
        for name, value in _saved(function):
            if isinstance(value, Tensor):
                if not self._known(value):
                    self._add(value, self._tensor_label(value, name), SAVED)
                self.edges.append(Edge(self._key(value), key))

    def _key(self, item: Any) -> str:
        # Tensors compare their elements, so they are told apart by identity. Holding the items keeps it valid.
        handle = _Identity(item) if isinstance(item, Tensor) else item
        return self._keys.setdefault(handle, f"n{len(self._keys)}")

    def _known(self, item: Any) -> bool:
        return self._key(item) in self._drawn

    def _add(self, item: Any, label: str, color: str) -> str:
        key = self._key(item)
        self._drawn.add(key)
        self.nodes.append(Node(key, label, color))
        return key

    def _tensor_label(self, tensor: Tensor, name: str | None = None) -> str:
        name = name or self._names.get(id(tensor), "")
        return f"{name}\n ({', '.join(str(n) for n in tensor.size())})"

    def _function_label(self, function: Any) -> str:
        name = type(function).__name__
        if not self._show_attrs:
            return name
        rows = []
        for attribute, value in _saved(function):
            text = f"[saved tensor {tuple(value.size())}]" if isinstance(value, Tensor) else str(value)
            rows.append(f"{attribute}: {text[: self._max_chars]}")
        return "\n".join([name, "-" * max(map(len, [name, *rows])), *rows]) if rows else name


class _Identity:
    """A key that stands for one object and keeps it alive."""

    def __init__(self, item: Any):
        self.item = item

    def __hash__(self) -> int:
        return id(self.item)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.item is self.item


def _saved(function: Any) -> list[tuple[str, Any]]:
    """What a function saved for its backward pass, by name."""
    prefix = "_saved_"
    return [(name[len(prefix) :], getattr(function, name)) for name in dir(function) if name.startswith(prefix)]
