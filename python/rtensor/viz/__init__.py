"""Drawings of the graph that autograd records.

>>> import rtensor
>>> from rtensor.viz import make_dot
>>> x = rtensor.ones(2, requires_grad=True)
>>> dot = make_dot((x * 2).sum(), params={"x": x})  # doctest: +SKIP
"""

from rtensor.viz.dot import make_dot, save_graph

__all__ = ["make_dot", "save_graph"]
