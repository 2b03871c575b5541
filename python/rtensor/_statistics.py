"""Statistics of samples: covariances and histograms."""

from rtensor import _C
from rtensor._C import Tensor

__all__ = ["corrcoef", "cov", "histogram", "histogramdd"]


def cov(input, *, correction=1, fweights=None, aweights=None) -> Tensor:
    """The covariance matrix of variables, one in each row.

    Parameters
    ----------
    input : Tensor
        Observations of each variable; of one variable, where it has one dimension.
    correction : int, default 1
        What is taken off the number of observations.
    fweights, aweights : Tensor, optional
        How often each observation was made, and how much it counts.
    """
    if input.dim() > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        )
    if input.dtype is _C.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    count = x.shape[1]
    weights = _weights(fweights, aweights, count)
    if weights is None:
        total, mean = _C.tensor(float(count)), x.sum(1) / count
    else:
        total, mean = weights.sum(), (x * weights).sum(1) / weights.sum()
        if total.item() == 0:
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    norm = total - correction
    if weights is not None and aweights is not None and correction:
        norm = total - correction * (weights * aweights).sum() / total
    centred = x - mean.unsqueeze(1)
    scaled = centred if weights is None else centred * weights
    result = (scaled @ centred.mH) / norm.clamp(min=0).to(centred.dtype)
    return result.squeeze()


def _weights(fweights, aweights, count: int) -> Tensor | None:
    """The product of both kinds of weights, checked."""
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is None:
            continue
        if weights.dim() > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} with {weights.dim()} dimensions"
            )
        if weights.is_floating_point() != (name == "aweights"):
            kind = "floating point" if name == "aweights" else "integral"
            raise RuntimeError(f"cov(): expected {name} to have {kind} dtype but got {name} with {weights.dtype} dtype")
        if weights.numel() != count:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got "
                f"{weights.numel()} != {count}"
            )
        if count and weights.min().item() < 0:
            raise RuntimeError(f"cov(): {name} cannot be negative")
    if fweights is None:
        return aweights
    return fweights if aweights is None else fweights * aweights


def corrcoef(input) -> Tensor:
    """The matrix of correlation coefficients of variables, one in each row."""
    if input.dim() > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        )
    c = cov(input)
    if c.dim() == 0:
        return c / c
    deviations = (c.diagonal().real if c.is_complex() else c.diagonal()).sqrt()
    c = c / deviations.unsqueeze(1) / deviations
    if c.is_complex():
        return _C.complex(c.real.clamp(-1, 1), c.imag.clamp(-1, 1))
    return c.clamp(-1, 1)


def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    """Counts of elements in intervals.

    Parameters
    ----------
    input : Tensor
        The elements.
    bins : int or Tensor
        How many intervals of equal width, or their edges.
    range : pair of floats, optional
        Lowest and highest edge; those of the data, unless given.
    weight : Tensor, optional
        What each element counts.
    density : bool, default False
        Whether to divide by the total and the width of the interval.
    """
    from rtensor import return_types

    wanted = bins if isinstance(bins, int) else [bins]
    weight = None if weight is None else weight.reshape(-1)
    hist, (edges,) = histogramdd(input.reshape(-1, 1), wanted, range=range, weight=weight, density=density)
    if out is not None:
        for target, result in zip(out, (hist, edges), strict=True):
            target.resize_(result.shape).copy_(result)
        hist, edges = out
    return return_types._make("histogram", ("hist", "bin_edges"), (hist, edges))


def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """Counts of points in the boxes of a grid.

    Parameters
    ----------
    input : Tensor
        Points; the last dimension holds their coordinates.
    bins : int, list of ints or list of tensors
        How many intervals each coordinate has, or their edges.
    range : list of float, optional
        Lowest and highest edge of each coordinate; those of the data, unless given.
    weight : Tensor, optional
        What each point counts.
    density : bool, default False
        Whether to divide by the total and the size of the box.
    """
    if input.dim() < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    coordinates = input.shape[-1]
    points = input.reshape(-1, coordinates)
    edges = _edges(points, bins, range, coordinates)
    inside = _C.ones(points.shape[0], dtype=_C.bool)
    flat = _C.zeros(points.shape[0], dtype=_C.int64)
    for i, edge in enumerate(edges):
        x = points[:, i].contiguous()
        inside &= (x >= edge[0]) & (x <= edge[-1])
        at = (_C.searchsorted(edge, x, right=True) - 1).clamp(0, len(edge) - 2)
        flat = flat * (len(edge) - 1) + at
    shape = [len(edge) - 1 for edge in edges]
    count = 1
    for size in shape:
        count *= size
    weights = _C.ones(points.shape[0], dtype=input.dtype) if weight is None else weight.reshape(-1).to(input.dtype)
    hist = _C.zeros(count, dtype=input.dtype).index_add(0, flat[inside], weights[inside]).reshape(shape)
    if density:
        hist = hist / hist.sum()
        for i, edge in enumerate(edges):
            sizes = [1] * coordinates
            sizes[i] = -1
            hist = hist / edge.diff().reshape(sizes)
    from rtensor import return_types

    return return_types._make("histogramdd", ("hist", "bin_edges"), (hist, tuple(edges)))


def _edges(points: Tensor, bins, range, coordinates: int) -> list[Tensor]:
    if not isinstance(bins, int) and len(bins) and isinstance(bins[0], Tensor):
        return list(bins)
    counts = [bins] * coordinates if isinstance(bins, int) else list(bins)
    if len(counts) != coordinates:
        raise RuntimeError(
            "torch.histogramdd: The size of bins must be equal to the innermost dimension of the input, "
            f"got {len(counts)}"
        )
    edges = []
    for i, count in enumerate(counts):
        if range is not None:
            low, high = range[2 * i], range[2 * i + 1]
        elif points.shape[0] == 0:
            low, high = 0.0, 1.0
        else:
            low, high = points[:, i].min().item(), points[:, i].max().item()
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(_C.linspace(low, high, count + 1, dtype=points.dtype))
    return edges
