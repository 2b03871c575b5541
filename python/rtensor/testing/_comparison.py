"""``assert_close``: numbers, tensors and containers of them, compared with tolerances."""

import cmath
from collections.abc import Mapping, Sequence

import numpy as np

import rtensor as torch

# Relative and absolute tolerance of each dtype; others are compared exactly.
_TOLERANCES = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
_NUMBER_DTYPES = {bool: torch.bool, int: torch.int64, float: torch.float64, complex: torch.complex128}


class _Options:
    """What a comparison allows."""

    def __init__(self, allow_subclasses, rtol, atol, equal_nan, checks, msg):
        self.allow_subclasses, self.rtol, self.atol = allow_subclasses, rtol, atol
        self.equal_nan, self.checks, self.msg = equal_nan, checks, msg

    def tolerances(self, *dtypes):
        """Those asked for, or the wider ones of the dtypes."""
        if self.rtol is not None:
            return self.rtol, self.atol
        pairs = [_TOLERANCES.get(dtype, (0.0, 0.0)) for dtype in dtypes]
        return max(r for r, _ in pairs), max(a for _, a in pairs)


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses=True,
    rtol=None,
    atol=None,
    equal_nan=False,
    check_device=True,
    check_dtype=True,
    check_layout=True,
    check_stride=False,
    msg=None,
):
    """Raise an ``AssertionError`` unless two values are close.

    Values are close where ``|actual - expected| <= atol + rtol * |expected|``; shapes, and unless
    switched off dtypes and devices, must agree. Containers are compared item by item.

    Parameters
    ----------
    actual, expected : tensor, number, array, sequence or mapping
        What is compared.
    rtol, atol : float, optional
        Tolerances, both or none; without them the dtypes decide.
    equal_nan : bool, default False
        Whether NaN equals NaN.
    check_device, check_dtype, check_layout, check_stride : bool
        What else must agree.
    msg : str or callable, optional
        The message of a failure, or what makes it from the usual one.

    Examples
    --------
    >>> import rtensor as torch
    >>> torch.testing.assert_close(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    checks = {"device": check_device, "dtype": check_dtype, "layout": check_layout, "stride": check_stride}
    options = _Options(allow_subclasses, rtol, atol, equal_nan, checks, msg)
    _compare(actual, expected, options, ())


def _fail(text: str, options: _Options, path: tuple):
    if path:
        text += "\n\nThe failure occurred for item " + "".join(f"[{key!r}]" for key in path)
    if callable(options.msg):
        text = options.msg(text)
    elif options.msg is not None:
        text = options.msg
    raise AssertionError(text) from None


def _compare(actual, expected, options: _Options, path: tuple) -> None:
    if _is_sequence(actual) and _is_sequence(expected):
        return _compare_sequences(actual, expected, options, path)
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return _compare_mappings(actual, expected, options, path)
    if actual is None or expected is None:
        if actual is not expected:
            _fail(f"None mismatch: {actual} is not {expected}", options, path)
        return None
    if _is_number(actual) and _is_number(expected):
        return _compare_numbers(actual, expected, options, path)
    if _is_arraylike(actual) and _is_arraylike(expected):
        related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
        if related and (options.allow_subclasses or type(actual) is type(expected)):
            return _compare_tensors(torch.as_tensor(actual), torch.as_tensor(expected), options, path)
    raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")


def _is_sequence(obj) -> bool:
    return isinstance(obj, Sequence) and not isinstance(obj, str)


def _is_number(obj) -> bool:
    return isinstance(obj, (bool, int, float, complex, np.number, np.bool_))


def _is_arraylike(obj) -> bool:
    return isinstance(obj, (torch.Tensor, np.ndarray))


def _compare_sequences(actual, expected, options: _Options, path: tuple) -> None:
    if len(actual) != len(expected):
        _fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", options, path)
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        _compare(a, b, options, (*path, i))


def _compare_mappings(actual, expected, options: _Options, path: tuple) -> None:
    if actual.keys() != expected.keys():
        missing = sorted(expected.keys() - actual.keys(), key=str)
        additional = sorted(actual.keys() - expected.keys(), key=str)
        _fail(
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {missing}\nAdditional keys in the actual mapping: {additional}",
            options,
            path,
        )
    for key in actual:
        _compare(actual[key], expected[key], options, (*path, key))


def _number_dtype(value):
    return next(dtype for kind, dtype in _NUMBER_DTYPES.items() if isinstance(value, kind))


def _compare_numbers(actual, expected, options: _Options, path: tuple) -> None:
    actual, expected = (v.item() if isinstance(v, np.generic) else v for v in (actual, expected))
    dtypes = _number_dtype(actual), _number_dtype(expected)
    if options.checks["dtype"] and dtypes[0] is not dtypes[1] and type(actual) is not type(expected):
        _fail(f"The (d)types do not match: {type(actual)} != {type(expected)}.", options, path)
    rtol, atol = options.tolerances(*dtypes)
    _check_numbers(actual, expected, rtol, atol, options, path)


def _check_numbers(actual, expected, rtol, atol, options: _Options, path: tuple) -> None:
    if actual == expected or (options.equal_nan and cmath.isnan(actual) and cmath.isnan(expected)):
        return
    difference = abs(actual - expected)
    relative = float("inf") if expected == 0 else difference / abs(expected)
    if cmath.isfinite(difference) and difference <= atol + rtol * abs(expected):
        return
    exact = rtol == atol == 0
    allowed = ("", "") if exact else (f" (up to {atol} allowed)", f" (up to {rtol} allowed)")
    _fail(
        f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
        f"Absolute difference: {difference}{allowed[0]}\nRelative difference: {relative}{allowed[1]}",
        options,
        path,
    )


def _compare_tensors(actual, expected, options: _Options, path: tuple) -> None:
    _compare_attributes(actual, expected, options, path)
    rtol, atol = options.tolerances(actual.dtype, expected.dtype)
    wide = actual.dtype if actual.dtype == expected.dtype else torch.promote_types(actual.dtype, expected.dtype)
    a, b = (x.detach().cpu().to(wide) for x in (actual, expected))
    if wide is not torch.bool and not wide.is_complex and not wide.is_floating_point:
        a, b = a.to(torch.int64), b.to(torch.int64)
    matches = torch.isclose(a, b, rtol=rtol, atol=atol, equal_nan=options.equal_nan)
    if bool(matches.all()):
        return
    if a.dim() == 0:
        _check_numbers(a.item(), b.item(), rtol, atol, options, path)
        return
    _fail(_report(a, b, matches, rtol, atol), options, path)


def _compare_attributes(actual, expected, options: _Options, path: tuple) -> None:
    pairs = {
        "shape": (True, actual.shape, expected.shape),
        "layout": (options.checks["layout"], actual.layout, expected.layout),
        "device": (options.checks["device"], actual.device, expected.device),
        "dtype": (options.checks["dtype"], actual.dtype, expected.dtype),
        "stride()": (options.checks["stride"], actual.stride(), expected.stride()),
    }
    for name, (wanted, a, b) in pairs.items():
        if wanted and a != b:
            _fail(f"The values for attribute '{name}' do not match: {a} != {b}.", options, path)


def _report(a, b, matches, rtol, atol) -> str:
    """How many elements differ, and where the most."""
    differ = (~matches).numpy()
    x, y = a.numpy(force=True), b.numpy(force=True)
    if x.dtype == bool:
        x, y = x.astype(np.int64), y.astype(np.int64)
    with np.errstate(all="ignore"):
        absolute = np.where(differ, np.abs(x - y), 0)
        relative = np.where(differ, np.abs(x - y) / np.abs(y), 0)
    exact = rtol == atol == 0
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!\n",
        f"Mismatched elements: {int(differ.sum())} / {differ.size} ({differ.sum() / differ.size:.1%})",
    ]
    for name, values, allowed in (("absolute", absolute, atol), ("relative", relative, rtol)):
        at = np.unravel_index(np.argmax(values), values.shape)
        limit = "" if exact else f" (up to {allowed} allowed)"
        place = tuple(int(i) for i in at)
        lines.append(f"Greatest {name} difference: {values[at].item()} at index {place}{limit}")
    return "\n".join(lines)
