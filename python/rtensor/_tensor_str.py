"""How tensors print: PyTorch's format, character for character."""

import contextlib
import dataclasses
import math

import rtensor as torch

_ELLIPSIS = object()
_PROFILES: dict = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


@dataclasses.dataclass
class _PrinterOptions:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTS = _PrinterOptions()


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Set how tensors print.

    Parameters
    ----------
    precision : int, optional
        Digits after the decimal point (4 at first).
    threshold : float, optional
        Number of elements above which a tensor is summarized (1000 at first).
    edgeitems : int, optional
        Elements shown at both ends of each summarized dimension (3 at first).
    linewidth : int, optional
        Characters per line (80 at first).
    profile : {"default", "short", "full"}, optional
        Values for the four options above, which the other arguments override.
    sci_mode : bool, optional
        Whether to use scientific notation; None chooses by the values.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([1.12345])
    tensor([1.12])
    >>> torch.set_printoptions(profile="default")
    """
    options = dict(_PROFILES.get(profile, {}))
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    options.update((name, value) for name, value in given.items() if value is not None)
    for name, value in options.items():
        setattr(PRINT_OPTS, name, value)
    PRINT_OPTS.sci_mode = sci_mode


def get_printoptions():
    """Return the options for printing, as keyword arguments of `set_printoptions`.

    Returns
    -------
    dict
        The five options by name.
    """
    return dataclasses.asdict(PRINT_OPTS)


@contextlib.contextmanager
def printoptions(**kwargs):
    """Change the options for printing inside a ``with`` block.

    Parameters
    ----------
    **kwargs
        As for `set_printoptions`.
    """
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


class _IntegerFormatter:
    """Formats integers and booleans to one width."""

    def __init__(self, values):
        self.width = max((len(str(value)) for value in values), default=1)

    def __call__(self, value):
        return str(value).rjust(self.width)


class _FloatFormatter:
    """Formats floats alike: as integers with a point, with fixed precision, or in scientific notation."""

    def __init__(self, values):
        values = [value for value in values if value != 0 and math.isfinite(value)]
        sizes = [abs(value) for value in values]
        self.integral = all(value.is_integer() for value in values)
        self.scientific = bool(values) and self._is_scientific(min(sizes), max(sizes))
        self.width = max((len(self._text(value)) for value in values), default=1)

    @staticmethod
    def _is_scientific(smallest, largest):
        if PRINT_OPTS.sci_mode is not None:
            return PRINT_OPTS.sci_mode
        return largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4

    def _text(self, value):
        if self.scientific:
            return f"{value:.{PRINT_OPTS.precision}e}"
        if self.integral:
            return f"{value:.0f}" + ("." if math.isfinite(value) else "")
        return f"{value:.{PRINT_OPTS.precision}f}"

    def __call__(self, value):
        return self._text(value).rjust(self.width)


class _ComplexFormatter:
    """Formats the real and the imaginary parts, each by the rules of floats."""

    def __init__(self, values):
        self.real = _FloatFormatter([value.real for value in values])
        self.imag = _FloatFormatter([value.imag for value in values])
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value):
        imag = self.imag(value.imag).lstrip() + "j"
        return self.real(value.real) + ("" if imag[0] in "+-" else "+") + imag


def _nested(tensor, summarize):
    """The values as nested lists, with `_ELLIPSIS` for what a summary leaves out."""
    edge = PRINT_OPTS.edgeitems
    if not summarize or tensor.dim() == 0:
        return tensor.tolist()
    size = tensor.size(0)
    cut = size > 2 * edge
    if tensor.dim() == 1:
        return [*tensor[:edge].tolist(), _ELLIPSIS, *tensor[size - edge :].tolist()] if cut else tensor.tolist()
    if not cut:
        return [_nested(row, summarize) for row in tensor]
    head = [_nested(tensor[i], summarize) for i in range(edge)]
    return [*head, _ELLIPSIS, *(_nested(tensor[i], summarize) for i in range(size - edge, size))]


def _leaves(values):
    if not isinstance(values, list):
        return [] if values is _ELLIPSIS else [values]
    if values and not any(isinstance(value, list) for value in values):
        return [value for value in values if value is not _ELLIPSIS]
    return [leaf for value in values for leaf in _leaves(value)]


def _vector_text(values, indent, formatter):
    per_line = max(1, math.floor((PRINT_OPTS.linewidth - indent) / (formatter.width + 2)))
    ellipsis = " ..." if PRINT_OPTS.edgeitems else "..."
    texts = [ellipsis if value is _ELLIPSIS else formatter(value) for value in values]
    lines = [", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested_text(values, dim, indent, formatter):
    if dim == 0:
        return formatter(values)
    if dim == 1:
        return _vector_text(values, indent, formatter)
    texts = ["..." if value is _ELLIPSIS else _nested_text(value, dim - 1, indent + 1, formatter) for value in values]
    return "[" + ("," + "\n" * (dim - 1) + " " * (indent + 1)).join(texts) + "]"


def _contents(tensor, indent):
    values = _nested(tensor, tensor.numel() > PRINT_OPTS.threshold)
    if tensor.dtype.is_complex:
        kind: type = _ComplexFormatter
    else:
        kind = _FloatFormatter if tensor.dtype.is_floating_point else _IntegerFormatter
    return _nested_text(values, tensor.dim(), indent, kind(_leaves(values)))


def _has_default_dtype(tensor):
    default = torch.get_default_dtype()
    complex_dtype = torch.complex128 if default == torch.float64 else torch.complex64
    return tensor.dtype in (default, complex_dtype, torch.int64, torch.bool)


def _contents_and_suffixes(tensor, indent):
    """The values, and what `size=` and `dtype=` have to say beside them."""
    size, dtype = f"size={tuple(tensor.shape)}", f"dtype={tensor.dtype}"
    if tensor.device.type == "meta" or tensor.numel() == 0:
        meta = tensor.device.type == "meta"
        sized = meta or tensor.dim() != 1
        # Without elements nothing tells int64 from the default.
        typed = tensor.dtype != torch.get_default_dtype()
        return "..." if meta else "[]", [size] * sized + [dtype] * typed
    suffixes = [size] * (not PRINT_OPTS.edgeitems) + [dtype] * (not _has_default_dtype(tensor))
    return _contents(tensor, indent), suffixes


def _autograd_suffix(tensor):
    try:
        grad_fn = tensor.grad_fn
    except RuntimeError:
        # A view modified in place where it may not be: reading its history fails, printing must not.
        return ["grad_fn=<Invalid>"]
    if grad_fn is not None:
        name = type(grad_fn).__name__
        return [f"grad_fn=<{name}>"]
    return ["requires_grad=True"] if tensor.requires_grad else []


def _join(text, suffixes, indent):
    width = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if width + len(suffix) + 2 > PRINT_OPTS.linewidth:
            text += ",\n" + " " * indent + suffix
            width = indent + len(suffix)
        else:
            text += ", " + suffix
            width += len(suffix) + 2
    return text + ")"


def _str(tensor, *, tensor_contents=None):
    """Return the text of a tensor; `tensor_contents` stands for its values if given."""
    plain = type(tensor) is torch.Tensor or getattr(tensor, "_is_param", False)
    prefix = "tensor(" if plain else f"{type(tensor).__name__}("
    data = tensor.detach()
    device = [] if data.device.type == "cpu" else [f"device='{data.device}'"]
    contents, suffixes = _contents_and_suffixes(data, len(prefix))
    if tensor_contents is not None:
        contents = tensor_contents
    text = _join(prefix + contents, device + suffixes + _autograd_suffix(tensor), len(prefix))
    return f"Parameter({text})" if isinstance(tensor, torch.nn.Parameter) and not plain else text
