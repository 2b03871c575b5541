"""Graphs as `graphviz.Digraph`, and as pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtensor import Tensor
from rtensor.viz.graph import FUNCTION, Graph
from rtensor.viz.svg import to_svg

if TYPE_CHECKING:
    import graphviz

_NODE_STYLE = {
    "style": "filled",
    "shape": "box",
    "align": "left",
    "fontsize": "10",
    "ranksep": "0.1",
    "height": "0.2",
    "fontname": "monospace",
}


def make_dot(
    var: Any,
    params: Mapping[str, Tensor] | None = None,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
) -> "graphviz.Digraph":
    """Draw the graph behind a tensor.

    Blue boxes are leaves, green ones outputs, grey ones functions; arrows follow the forward pass.

    Parameters
    ----------
    var
        A tensor, or a tuple of them.
    params
        Names of tensors, shown in their boxes: ``dict(model.named_parameters())``.
    show_attrs
        Whether the boxes of functions list what they saved.
    show_saved
        Whether saved tensors have boxes of their own.
    max_attr_chars
        Where to cut the text of an attribute.

    Returns
    -------
    graphviz.Digraph
        Shown by itself in a notebook; ``render(path, format="png")`` needs the program `dot`.
    """
    import graphviz

    graph = Graph(_outputs(var), params, show_attrs, show_saved, max_attr_chars)
    side = max(12.0, 0.15 * len(graph.nodes))
    dot = graphviz.Digraph(node_attr=_NODE_STYLE, graph_attr={"size": f"{side:g},{side:g}"})
    for node in graph.nodes:
        dot.node(node.key, node.label, **({} if node.color == FUNCTION else {"fillcolor": node.color}))
    for edge in graph.edges:
        dot.edge(edge.tail, edge.head, **({"style": "dotted"} if edge.dotted else {}))
    return dot


def save_graph(var: Any, path: str | Path, params: Mapping[str, Tensor] | None = None) -> Path:
    """Write the drawing of `make_dot` to a file: PNG, or SVG where the program `dot` is not installed.

    Parameters
    ----------
    var
        A tensor, or a tuple of them.
    path
        The file; its suffix is replaced by that of the format.
    params
        Names of tensors.

    Returns
    -------
    Path
        The file that was written.
    """
    import shutil

    path = Path(path)
    if shutil.which("dot"):
        path = path.with_suffix(".png")
        path.write_bytes(make_dot(var, params).pipe(format="png"))
    else:
        path = path.with_suffix(".svg")
        path.write_text(to_svg(Graph(_outputs(var), params)), encoding="utf-8")
    return path


def _outputs(var: Any) -> tuple[Tensor, ...]:
    return var if isinstance(var, tuple) else (var,)
