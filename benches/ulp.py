"""The largest error of each math function, in units in the last place, as a table for the documentation.

    python benches/ulp.py                 # every 251st float, 4000 doubles
    python benches/ulp.py --stride 1      # every float: about a minute for each function
    python benches/ulp.py --only 'erf|pow'

Floats are compared with the same function of doubles, whose own error, measured against mpmath with 50
digits, is some 10^9 times finer. Subnormal results count in units of the smallest normal number's.
"""

from __future__ import annotations

import argparse
import re

import mpmath
import numpy as np

import rtensor as torch

mpmath.mp.dps = 50
BLOCK = 1 << 22

# name: (function of tensors, function of mpmath, arguments from, to)
F = torch.nn.functional
UNARY = {
    "exp": (torch.exp, mpmath.exp, -745, 709),
    "exp2": (torch.exp2, lambda x: mpmath.mpf(2) ** x, -1074, 1023),
    "expm1": (torch.expm1, mpmath.expm1, -50, 709),
    "log": (torch.log, mpmath.log, 0, 1e300),
    "log2": (torch.log2, lambda x: mpmath.log(x, 2), 0, 1e300),
    "log10": (torch.log10, mpmath.log10, 0, 1e300),
    "log1p": (torch.log1p, mpmath.log1p, -1, 1e300),
    "sin": (torch.sin, mpmath.sin, -1e9, 1e9),
    "cos": (torch.cos, mpmath.cos, -1e9, 1e9),
    "tan": (torch.tan, mpmath.tan, -1e9, 1e9),
    "asin": (torch.asin, mpmath.asin, -1, 1),
    "acos": (torch.acos, mpmath.acos, -1, 1),
    "atan": (torch.atan, mpmath.atan, -1e30, 1e30),
    "sinh": (torch.sinh, mpmath.sinh, -709, 709),
    "cosh": (torch.cosh, mpmath.cosh, -709, 709),
    "tanh": (torch.tanh, mpmath.tanh, -30, 30),
    "asinh": (torch.asinh, mpmath.asinh, -1e30, 1e30),
    "acosh": (torch.acosh, mpmath.acosh, 1, 1e30),
    "atanh": (torch.atanh, mpmath.atanh, -1, 1),
    "erf": (torch.erf, mpmath.erf, -6, 6),
    "erfc": (torch.erfc, mpmath.erfc, -6, 26),
    "erfinv": (torch.erfinv, mpmath.erfinv, -1, 1),
    # Of floats below -88.37 it is 0, where PyTorch's becomes 0 a little further out.
    "sigmoid, x > -88": (torch.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), -88, 700),
    "silu, x > -88": (F.silu, lambda x: x / (1 + mpmath.exp(-x)), -88, 700),
    "softplus": (F.softplus, lambda x: mpmath.log1p(mpmath.exp(x)) if x <= 20 else x, -700, 100),
    "gelu, x > 0": (F.gelu, lambda x: x * mpmath.ncdf(x), 0, 30),
    "ndtr, x > -5": (torch.special.ndtr, mpmath.ncdf, -5, 9),
    "lgamma, x > 3": (torch.lgamma, mpmath.loggamma, 3, 1e30),
    "digamma, x > 2": (torch.digamma, mpmath.digamma, 2, 1e30),
    "i0": (torch.special.i0, lambda x: mpmath.besseli(0, x), -80, 80),
}
BINARY = {
    "pow": (torch.pow, lambda x, y: x**y, (0, 1e5), (-7, 7)),
    "atan2": (torch.atan2, mpmath.atan2, (-1e5, 1e5), (-1e5, 1e5)),
    "hypot": (torch.hypot, mpmath.hypot, (-1e5, 1e5), (-1e5, 1e5)),
}


def spread(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """Half evenly over a range, half evenly over its exponents."""
    even = rng.uniform(low, high, count // 2)
    largest = max(abs(low), abs(high))
    logs = largest * 10.0 ** rng.uniform(-20 if largest < 1e9 else -320, 0, 4 * count)
    logs = np.concatenate([logs, -logs])
    logs = rng.permutation(logs[(logs > low) & (logs < high)])
    return np.concatenate([even, logs[: count // 2]])


def ulps_of_doubles(results: np.ndarray, exact: list) -> float:
    worst = 0.0
    for result, true in zip(results, exact, strict=True):
        if not np.isfinite(result) or abs(true) > 1.7e308 or isinstance(true, mpmath.mpc):
            continue
        unit = np.spacing(max(abs(float(true)), 2.3e-308))
        worst = max(worst, float(abs(mpmath.mpf(float(result)) - true) / mpmath.mpf(float(unit))))
    return worst


def ulps_of_floats(results: np.ndarray, exact: np.ndarray) -> float:
    limits = np.finfo(np.float32)
    size = np.abs(exact)
    good = np.isfinite(exact) & (size < limits.max) & np.isfinite(results)
    unit = np.spacing(np.maximum(size[good], limits.tiny).astype(np.float32)).astype(np.float64)
    return float((np.abs(results[good] - exact[good]) / unit).max(initial=0.0))


def floats_between(low: float, high: float, stride: int):
    """All floats of a range, block by block, or every so many."""
    step = BLOCK * stride
    for start in range(0, 1 << 32, step):
        bits = np.arange(start, min(start + step, 1 << 32), stride, dtype=np.uint64).astype(np.uint32)
        values = bits.view(np.float32)
        yield values[(values >= np.float64(low)) & (values <= np.float64(high))]


def measure_unary(name: str, stride: int, count: int) -> tuple[float, float]:
    function, exact, low, high = UNARY[name]
    worst = 0.0
    for values in floats_between(low, high, stride):
        if values.size:
            x = torch.from_numpy(values)
            worst = max(worst, ulps_of_floats(function(x).numpy(), function(x.double()).numpy()))
    x = spread(np.random.default_rng(0), low, high, count)
    return worst, ulps_of_doubles(function(torch.from_numpy(x)).numpy(), [exact(mpmath.mpf(v)) for v in x])


def measure_binary(name: str, count: int) -> tuple[float, float]:
    function, exact, first, second = BINARY[name]
    rng = np.random.default_rng(0)
    x, y = spread(rng, *first, 250 * count), rng.permutation(spread(rng, *second, 250 * count))
    a, b = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32))
    floats = ulps_of_floats(function(a, b).numpy(), function(a.double(), b.double()).numpy())
    x, y = x[::250], y[::250]
    true = [exact(mpmath.mpf(v), mpmath.mpf(w)) for v, w in zip(x, y, strict=True)]
    return floats, ulps_of_doubles(function(torch.from_numpy(x.copy()), torch.from_numpy(y.copy())).numpy(), true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=251, help="test every so many floats")
    parser.add_argument("--count", type=int, default=4000, help="how many doubles to test")
    parser.add_argument("--only", default="", help="a pattern of names")
    args = parser.parse_args()
    print("| function | float32 | float64 |\n|---|---|---|")
    for name in filter(re.compile(args.only).search, (*UNARY, *BINARY)):
        if name in UNARY:
            floats, doubles = measure_unary(name, args.stride, args.count)
        else:
            floats, doubles = measure_binary(name, args.count)
        print(f"| {name} | {floats:.2f} | {doubles:.2f} |", flush=True)


if __name__ == "__main__":
    main()
