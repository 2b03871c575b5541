"""Time the same work on rtensor and PyTorch on one GPU.

    python benches/cuda.py [--only REGEX] [--json FILE]

The libraries take turns, round after round, and each keeps its fastest round. A round is many calls between two
synchronizations; where a call is shorter than its launch, what is timed is the launch. The figure to read is the
ratio of rtensor's time to PyTorch's: below 1, rtensor is faster.
"""

import argparse
import importlib
import json
import re
import time

ROUNDS, MIN_SECONDS = 5, 0.05
CASES = {}


def case(name):
    """Name a function that, given a library, returns the call to time."""

    def add(function):
        CASES[name] = function
        return function

    return add


def normal(m, *shape, **options):
    """Draws of the library's own generator on the GPU."""
    return m.randn(*shape, device="cuda", **options)


def pointwise(size, make):
    """A case of two vectors."""

    def prepare(m):
        x, y = normal(m, size), normal(m, size)
        return lambda: make(m, x, y)

    return prepare


for label, size in (("16", 16), ("16 M", 1 << 24)):
    case(f"add, {label}")(pointwise(size, lambda m, x, y: x + y))
    case(f"add in place, {label}")(pointwise(size, lambda m, x, y: x.add_(y)))
    case(f"exp, {label}")(pointwise(size, lambda m, x, y: x.exp()))
    case(f"sum, {label}")(pointwise(size, lambda m, x, y: x.sum()))
for name in ("tanh", "sigmoid", "relu"):
    case(f"{name}, 16 M")(pointwise(1 << 24, lambda m, x, y, name=name: getattr(m, name)(x)))
case("gelu, 16 M")(pointwise(1 << 24, lambda m, x, y: m.nn.functional.gelu(x)))
case("where, 16 M")(pointwise(1 << 24, lambda m, x, y: m.where(x > 0, x, y)))
case("cumsum, 16 M")(pointwise(1 << 24, lambda m, x, y: x.cumsum(0)))
case("sort, 1 M")(pointwise(1 << 20, lambda m, x, y: x.sort()))


@case("add transposed, 4096")
def transposed(m):
    x, y = normal(m, 4096, 4096), normal(m, 4096, 4096)
    return lambda: x.t() + y


@case("sum of rows, 8192 x 2048")
def row_sums(m):
    x = normal(m, 8192, 2048)
    return lambda: x.sum(1)


@case("sum of columns, 8192 x 2048")
def column_sums(m):
    x = normal(m, 8192, 2048)
    return lambda: x.sum(0)


@case("softmax, 8192 x 2048")
def softmax(m):
    x = normal(m, 8192, 2048)
    return lambda: x.softmax(1)


@case("layer norm, 8192 x 2048")
def layer_norm(m):
    x, w, b = normal(m, 8192, 2048), normal(m, 2048), normal(m, 2048)
    return lambda: m.nn.functional.layer_norm(x, (2048,), w, b)


@case("embedding, 50257 x 768, 8192 rows")
def embedding(m):
    table = normal(m, 50257, 768)
    rows = m.randint(0, 50257, (8192,), device="cuda")
    return lambda: m.nn.functional.embedding(rows, table)


def product(m, size, dtype, tf32=False):
    x, y = normal(m, size, size).to(dtype), normal(m, size, size).to(dtype)

    def multiply():
        m.backends.cuda.matmul.allow_tf32 = tf32
        return x @ y

    return multiply


case("matmul, 4096, float32")(lambda m: product(m, 4096, m.float32))
case("matmul, 4096, TF32")(lambda m: product(m, 4096, m.float32, tf32=True))
case("matmul, 4096, bfloat16")(lambda m: product(m, 4096, m.bfloat16))
case("matmul, 4096, float16")(lambda m: product(m, 4096, m.float16))
case("matmul, 256, float32")(lambda m: product(m, 256, m.float32))


@case("backward of a chain, 1 M")
def chain(m):
    x = normal(m, 1 << 20).requires_grad_()

    def run():
        x.grad = None
        (x * x + 2).tanh().sum().backward()

    return run


@case("convolution step, 32 x 64 x 56 x 56")
def convolution(m):
    x, layer = normal(m, 32, 64, 56, 56), m.nn.Conv2d(64, 64, 3, padding=1).to("cuda")

    def run():
        layer.zero_grad()
        layer(x).sum().backward()

    return run


def mlp(m):
    """A training step of a small perceptron."""
    nn = m.nn
    net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)).to("cuda")
    optimizer = m.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    images, labels = normal(m, 128, 784), m.randint(0, 10, (128,), device="cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step


case("MLP step, eager")(mlp)


@case("MLP step, captured")
def captured(m):
    step = mlp(m)
    side = m.cuda.Stream()
    side.wait_stream(m.cuda.current_stream())
    with m.cuda.stream(side):
        for _ in range(3):
            step()
    m.cuda.current_stream().wait_stream(side)
    graph = m.cuda.CUDAGraph()
    with m.cuda.graph(graph):
        step()
    return graph.replay


def seconds(m, call, count):
    """Time of one call out of many."""
    m.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        call()
    m.cuda.synchronize()
    return (time.perf_counter() - start) / count


def prepared(m, make):
    """The call to time and how often a round makes it, or why there is none."""
    try:
        call = make(m)
        call()
        once = min(seconds(m, call, 1) for _ in range(3))
        return call, max(1, int(MIN_SECONDS / once))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def measure(libraries, make):
    """The fastest time of each library, or its error."""
    ready = [prepared(m, make) for m in libraries]
    best = [entry if isinstance(entry, str) else float("inf") for entry in ready]
    for _ in range(ROUNDS):
        for at, (m, entry) in enumerate(zip(libraries, ready, strict=True)):
            if not isinstance(entry, str):
                best[at] = min(best[at], seconds(m, *entry))
    return best


def shown(value):
    """A time in the unit that suits it."""
    if isinstance(value, str):
        return value.splitlines()[0][:40]
    return f"{value * 1e6:.1f} us" if value < 1e-3 else f"{value * 1e3:.2f} ms"


def rows(only=""):
    """Name, rtensor's and PyTorch's time of every case."""
    libraries = [importlib.import_module(name) for name in ("rtensor", "torch")]
    for name, make in CASES.items():
        if re.search(only, name):
            yield name, *measure(libraries, make)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names that match")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    figures = []
    print(f"{'case':<36} {'rtensor':>12} {'PyTorch':>12} {'ratio':>7}")
    for name, mine, theirs in rows(options.only):
        ratio = None if isinstance(mine, str) or isinstance(theirs, str) else mine / theirs
        figures.append({"case": name, "rtensor": mine, "torch": theirs, "ratio": ratio})
        last = "-" if ratio is None else f"{ratio:.2f}"
        print(f"{name:<36} {shown(mine):>12} {shown(theirs):>12} {last:>7}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
