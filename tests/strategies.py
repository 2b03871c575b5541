"""Hypothesis strategies: shapes, strided arrays, dtypes, axes, and pairs that broadcast."""

import numpy as np
from hypothesis import strategies as st

FLOATS = ("float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
DTYPES = ("bool", *INTEGERS, "float16", *FLOATS, "complex64", "complex128")

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def arrays(draw, dtypes=FLOATS, shape=None):
    """An array of any strides: a permuted, cut and stepped view of a larger one."""
    wanted = draw(shapes) if shape is None else shape
    steps = [draw(st.integers(1, 3)) for _ in wanted]
    starts = [draw(st.integers(0, 2)) for _ in wanted]
    order = draw(st.permutations(range(len(wanted))))
    full = [start + step * size for start, step, size in zip(starts, steps, wanted, strict=True)]
    base = np.empty([full[d] for d in order], dtype=draw(st.sampled_from(dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    base[...] = rng.integers(-4, 5, base.shape) if base.dtype.kind not in "ub" else rng.integers(0, 2, base.shape)
    view = base.transpose(np.argsort(order))
    cuts = tuple(
        slice(start, start + step * size, step) for start, step, size in zip(starts, steps, wanted, strict=True)
    )
    return view[(*cuts, ...)]


@st.composite
def broadcastable(draw, dtypes=FLOATS):
    """Two arrays whose shapes broadcast."""
    whole = draw(shapes)

    def part():
        lead = draw(st.integers(0, len(whole)))
        return tuple(size if draw(st.booleans()) else 1 for size in whole[lead:])

    return draw(arrays(dtypes, part())), draw(arrays(dtypes, part()))


@st.composite
def arrays_with_axes(draw, dtypes=FLOATS):
    """An array and some of its axes, from either end."""
    array = draw(arrays(dtypes))
    if array.ndim == 0:
        return array, ()
    chosen = draw(st.lists(st.integers(0, array.ndim - 1), unique=True, min_size=1, max_size=array.ndim))
    return array, tuple(axis - array.ndim * draw(st.booleans()) for axis in chosen)
