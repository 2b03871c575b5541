"""The largest error of each math function, in units in the last place, as a table for the documentation.

    python benches/ulp.py                 # every 251st float, 4000 doubles
    python benches/ulp.py --stride 1      # every float: some minutes for each function
    python benches/ulp.py --only 'erf|pow'

Floats are compared with the same function of doubles, doubles with mpmath at 50 digits. The functions and the
bounds that a test holds them to stand in `tests/ulp.py`.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import mpmath
import numpy as np

import rtensor as torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from ulp import FUNCTIONS, ulps, worst_of_floats

mpmath.mp.dps = 50

# name: (function of mpmath, arguments from, to)
EXACT = {
    "exp": (mpmath.exp, -745, 709),
    "exp2": (lambda x: mpmath.mpf(2) ** x, -1074, 1023),
    "expm1": (mpmath.expm1, -50, 709),
    "log": (mpmath.log, 0, 1e300),
    "log2": (lambda x: mpmath.log(x, 2), 0, 1e300),
    "log10": (mpmath.log10, 0, 1e300),
    "log1p": (mpmath.log1p, -1, 1e300),
    "sin": (mpmath.sin, -1e9, 1e9),
    "cos": (mpmath.cos, -1e9, 1e9),
    "tan": (mpmath.tan, -1e9, 1e9),
    "asin": (mpmath.asin, -1, 1),
    "acos": (mpmath.acos, -1, 1),
    "atan": (mpmath.atan, -1e30, 1e30),
    "sinh": (mpmath.sinh, -709, 709),
    "cosh": (mpmath.cosh, -709, 709),
    "tanh": (mpmath.tanh, -30, 30),
    "asinh": (mpmath.asinh, -1e30, 1e30),
    "acosh": (mpmath.acosh, 1, 1e30),
    "atanh": (mpmath.atanh, -1, 1),
    "erf": (mpmath.erf, -6, 6),
    "erfc": (mpmath.erfc, -6, 26),
    "erfinv": (mpmath.erfinv, -1, 1),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), -700, 700),
    "silu": (lambda x: x / (1 + mpmath.exp(-x)), -700, 700),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)) if x <= 20 else x, -700, 100),
    "gelu": (lambda x: x * mpmath.ncdf(x), -37, 30),
    "ndtr": (mpmath.ncdf, -37, 9),
    "lgamma": (mpmath.loggamma, 3, 1e30),
    "digamma": (mpmath.digamma, 2, 1e30),
    "i0": (lambda x: mpmath.besseli(0, x), -700, 700),
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


def measure_unary(name: str, stride: int, count: int) -> tuple[float, float]:
    function = FUNCTIONS[name]
    exact, low, high = EXACT[name]
    x = spread(np.random.default_rng(0), low, high, count)
    doubles = ulps_of_doubles(function.call(torch.from_numpy(x)).numpy(), [exact(mpmath.mpf(v)) for v in x])
    return worst_of_floats(function, stride)[0], doubles


def measure_binary(name: str, count: int) -> tuple[float, float]:
    function, exact, first, second = BINARY[name]
    rng = np.random.default_rng(0)
    x, y = spread(rng, *first, 250 * count), rng.permutation(spread(rng, *second, 250 * count))
    a, b = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32))
    floats = np.nanmax(ulps(function(a, b).numpy(), function(a.double(), b.double()).numpy()))
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
    for name in filter(re.compile(args.only).search, (*FUNCTIONS, *BINARY)):
        if name in FUNCTIONS:
            floats, doubles = measure_unary(name, args.stride, args.count)
        else:
            floats, doubles = measure_binary(name, args.count)
        print(f"| {name} | {floats:.2f} | {doubles:.2f} |", flush=True)


if __name__ == "__main__":
    main()
