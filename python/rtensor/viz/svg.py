"""A layered drawing of a graph as SVG, for machines without the program `dot`."""

from collections import defaultdict
from html import escape

from rtensor.viz.graph import Graph, Node

_CHARACTER, _LINE, _MARGIN, _GAP, _LAYER = 6.6, 13, 8, 18, 62
# SVG's names for the colours that only Graphviz numbers.
_COLORS = {"darkolivegreen1": "#caff70", "darkolivegreen3": "#a2cd5a"}


def to_svg(graph: Graph) -> str:
    """Return the drawing: sources above, outputs below."""
    layers = _layers(graph)
    _untangle(graph, layers)
    boxes = _places(layers)
    width = max(x + w / 2 for x, _, w, _ in boxes.values()) + _GAP
    height = max(y + h / 2 for _, y, _, h in boxes.values()) + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="11">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for tail, head, dotted in graph.edges:
        x1, y1, _, h1 = boxes[tail]
        x2, y2, _, h2 = boxes[head]
        dash = ' stroke-dasharray="3"' if dotted else ""
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1 + h1 / 2:.1f}" x2="{x2:.1f}" y2="{y2 - h2 / 2:.1f}" '
            f'stroke="black"{dash} marker-end="url(#head)"/>'
        )
    parts += [_box(node, *boxes[node.key]) for node in graph.nodes]
    return "\n".join([*parts, "</svg>\n"])


def _box(node: Node, x: float, y: float, width: float, height: float) -> str:
    fill = _COLORS.get(node.color, node.color)
    lines = _lines(node)
    top = y - _LINE * (len(lines) - 1) / 2 + 4
    texts = "".join(
        f'<text x="{x:.1f}" y="{top + i * _LINE:.1f}" text-anchor="middle">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<g><rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{fill}" stroke="black"/>{texts}</g>'
    )


def _lines(node: Node) -> list[str]:
    return [line.strip() for line in node.label.split("\n") if line.strip()]


def _layers(graph: Graph) -> list[list[Node]]:
    """Nodes by their longest way to a node without successors, the farthest first."""
    targets: defaultdict[str, list[str]] = defaultdict(list)
    sources: defaultdict[str, list[str]] = defaultdict(list)
    for tail, head, _ in graph.edges:
        targets[tail].append(head)
        sources[head].append(tail)
    depth = {node.key: 0 for node in graph.nodes}
    missing = {node.key: len(targets[node.key]) for node in graph.nodes}
    ready = [key for key, count in missing.items() if count == 0]
    while ready:
        key = ready.pop()
        for source in sources[key]:
            depth[source] = max(depth[source], depth[key] + 1)
            missing[source] -= 1
            if missing[source] == 0:
                ready.append(source)
    layers: list[list[Node]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in graph.nodes:
        layers[len(layers) - 1 - depth[node.key]].append(node)
    return layers


def _untangle(graph: Graph, layers: list[list[Node]]) -> None:
    """Order each layer by the mean place of its neighbours below, so that few arrows cross."""
    below: defaultdict[str, list[str]] = defaultdict(list)
    for tail, head, _ in graph.edges:
        below[tail].append(head)
    place: dict[str, float] = {}
    for layer in reversed(layers):
        for i, node in enumerate(layer):
            known = [place[key] for key in below[node.key] if key in place]
            place[node.key] = sum(known) / len(known) if known else i / len(layer)
        layer.sort(key=lambda node: place[node.key])
        for i, node in enumerate(layer):
            place[node.key] = (i + 0.5) / len(layer)


def _places(layers: list[list[Node]]) -> dict[str, tuple[float, float, float, float]]:
    """Centre and size of every box."""
    sizes = {
        node.key: (
            max(map(len, _lines(node)), default=1) * _CHARACTER + 2 * _MARGIN,
            len(_lines(node)) * _LINE + _MARGIN,
        )
        for layer in layers
        for node in layer
    }
    widths = [sum(sizes[n.key][0] + _GAP for n in layer) for layer in layers]
    boxes: dict[str, tuple[float, float, float, float]] = {}
    for level, (layer, width) in enumerate(zip(layers, widths, strict=True)):
        x = _GAP + (max(widths) - width) / 2
        for node in layer:
            w, h = sizes[node.key]
            boxes[node.key] = (x + w / 2, _LAYER * (level + 0.5), w, h)
            x += w + _GAP
    return boxes
