"""Time the same statements on rtensor, NumPy and, where it is installed, PyTorch.

    python benches/compare.py [--only REGEX] [--threads N] [--plot ratios.png]

The libraries take turns, round after round, and each keeps its fastest time: a machine whose speed
drifts slows all of them alike. The figures to read are the ratios to rtensor's time: above 1, rtensor
is faster.
"""

import argparse
import importlib
import math
import re
import timeit

import numpy as np

# Name, setup and statement; `m` is the library. Statements that NumPy cannot spell are left out for it.
CASES = [
    ("add, 12 elements", "x = m.asarray(a(3, 4)); y = m.asarray(a(3, 4))", "x + y"),
    ("add, 1 M elements", "x = m.asarray(a(1000, 1000)); y = m.asarray(a(1000, 1000))", "x + y"),
    ("exp, 1 M elements", "x = m.asarray(a(1000, 1000))", "m.exp(x)"),
    ("tanh, 1 M elements", "x = m.asarray(a(1000, 1000))", "m.tanh(x)"),
    ("sum, 1 M elements", "x = m.asarray(a(1000, 1000))", "x.sum()"),
    ("sum of columns", "x = m.asarray(a(1000, 1000))", "x.sum(0)"),
    ("argmax of rows", "x = m.asarray(a(1000, 1000))", "x.argmax(1)"),
    ("transposed copy", "x = m.asarray(a(1000, 1000))", "x.T + 0"),
    ("matmul, 64", "x = m.asarray(a(64, 64)); y = m.asarray(a(64, 64))", "x @ y"),
    ("matmul, 512", "x = m.asarray(a(512, 512)); y = m.asarray(a(512, 512))", "x @ y"),
    ("gather of rows", "x = m.asarray(a(1000, 64)); i = m.asarray(np.arange(0, 1000, 3))", "x[i]"),
    ("softmax", "x = m.asarray(a(512, 512))", "m.nn.functional.softmax(x, 1)"),
    ("backward of a chain", "x = m.asarray(a(3, 4)).requires_grad_()", "(x * x + 2).tanh().sum().backward()"),
    (
        "convolution",
        "x = m.asarray(a(8, 16, 28, 28)); w = m.asarray(a(32, 16, 3, 3))",
        "m.nn.functional.conv2d(x, w, padding=1)",
    ),
    (
        "training step",
        "net = m.nn.Sequential(m.nn.Linear(64, 64), m.nn.ReLU(), m.nn.Linear(64, 10)); "
        "opt = m.optim.SGD(net.parameters(), lr=0.01); x = m.asarray(a(32, 64))",
        "opt.zero_grad(); net(x).sum().backward(); opt.step()",
    ),
]
ROUNDS, MIN_SECONDS = 7, 0.02


def random_array(*shape):
    """Return the same normal draws for every library."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


class Timer:
    """A statement prepared for one library."""

    def __init__(self, library, setup, statement):
        scope = {"m": library, "np": np, "a": random_array}
        exec(setup, scope)
        self.timer = timeit.Timer(statement, globals=scope)
        self.timer.timeit(1)
        self.loops, seconds = 1, 0.0
        while (seconds := self.timer.timeit(self.loops)) < MIN_SECONDS:
            self.loops = max(self.loops + 1, int(self.loops * min(10.0, 1.2 * MIN_SECONDS / max(seconds, 1e-9))))
        self.best = math.inf

    def run(self):
        """Time one round."""
        self.best = min(self.best, self.timer.timeit(self.loops) / self.loops)


def time_case(libraries, setup, statement):
    """Return the seconds of each library by name; those that cannot run the statement are left out."""
    timers = {}
    for name, library in libraries.items():
        try:
            timers[name] = Timer(library, setup, statement)
        except (AttributeError, TypeError, ValueError):
            continue
    for _ in range(ROUNDS):
        for timer in timers.values():
            timer.run()
    return {name: timer.best for name, timer in timers.items()}


def text_of(seconds):
    """Return a time with its unit."""
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def plot(rows, others, path):
    """Draw the ratios as bars."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 0.4 * len(rows) + 1), layout="constrained")
    for k, name in enumerate(others):
        places = [i + 0.4 * k for i in range(len(rows))]
        axes.barh(places, [times.get(name, math.nan) / times["rtensor"] for _, times in rows], 0.35, label=name)
    axes.set_yticks(range(len(rows)), [case for case, _ in rows])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="time / rtensor's time")
    axes.invert_yaxis()
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    """Time all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name matches")
    parser.add_argument("--threads", type=int, default=1, help="threads of each library (default: 1)")
    parser.add_argument("--plot", help="file for a picture of the ratios")
    options = parser.parse_args()

    libraries = {}
    for name in ("rtensor", "numpy", "torch"):
        try:
            libraries[name] = importlib.import_module(name)
        except ImportError:
            print(f"{name} is not installed: left out")
            continue
        if hasattr(libraries[name], "set_num_threads"):
            libraries[name].set_num_threads(options.threads)
    others = [name for name in libraries if name != "rtensor"]

    print(f"{'':22}{'rtensor':>10}" + "".join(f"{name:>12}{'ratio':>8}" for name in others))
    rows = []
    for case, setup, statement in CASES:
        if not re.search(options.only, case):
            continue
        times = time_case(libraries, setup, statement)
        if "rtensor" not in times:
            print(f"{case:22}{'fails':>10}")
            continue
        rows.append((case, times))
        cells = "".join(
            f"{text_of(times[n]):>12}{times[n] / times['rtensor']:>8.2f}" if n in times else f"{'-':>12}{'':>8}"
            for n in others
        )
        print(f"{case:22}{text_of(times['rtensor']):>10}{cells}", flush=True)
    if options.plot:
        plot(rows, others, options.plot)


if __name__ == "__main__":
    main()
