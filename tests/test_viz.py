"""Drawings of recorded graphs."""

import shutil

import pytest

import rtensor as torch
from rtensor import nn
from rtensor.viz import make_dot, save_graph
from rtensor.viz.graph import Graph

graphviz = pytest.importorskip("graphviz")


def mean_of_squares():
    x = torch.ones(2, 2, requires_grad=True)
    y = x + 2
    return x, (y * y * 3).mean()


def test_digraph():
    x, out = mean_of_squares()
    dot = make_dot(out, params={"x": x})
    assert isinstance(dot, graphviz.Digraph)
    for text in ("AccumulateGrad", "AddBackward0", "MeanBackward0", "lightblue", "darkolivegreen1"):
        assert text in dot.source
    assert dot.source.count("->") == 7 and dot.source.count("MulBackward0") == 2


def test_nodes_are_drawn_once():
    x, out = mean_of_squares()
    graph = Graph([out], {"x": x})
    labels = sorted(node.label.replace("\n", "") for node in graph.nodes)
    assert labels == [
        " ()",
        "AccumulateGrad",
        "AddBackward0",
        "MeanBackward0",
        "MulBackward0",
        "MulBackward0",
        "x (2, 2)",
    ]
    assert len({node.key for node in graph.nodes}) == 7 and len(set(graph.edges)) == 6


def test_names_of_parameters():
    net = nn.Linear(2, 1)
    source = make_dot(net(torch.ones(1, 2)), params=dict(net.named_parameters())).source
    assert "weight\n (1, 2)" in source and "bias\n (1)" in source


def test_several_outputs_and_leaves():
    x = torch.ones(1, requires_grad=True)
    assert make_dot((x * 2, x * 3)).source.count("MulBackward0") == 2
    assert make_dot(torch.ones(1)).source.count("->") == 0


def test_deep_graphs():
    y = torch.ones(1, requires_grad=True)
    for _ in range(3000):
        y = y + 1
    assert len(Graph([y]).nodes) == 3003


def test_saved_file(tmp_path, monkeypatch):
    x, out = mean_of_squares()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    path = save_graph(out, tmp_path / "graph.png", params={"x": x})
    assert path == tmp_path / "graph.svg"
    text = path.read_text()
    assert text.startswith("<svg") and text.count("<rect") == 8 and "MeanBackward0" in text


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")
def test_saved_picture(tmp_path):
    path = save_graph(mean_of_squares()[1], tmp_path / "graph")
    assert path.suffix == ".png" and path.read_bytes().startswith(b"\x89PNG")
