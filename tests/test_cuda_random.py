"""Random numbers of a GPU, or of the emulated one: `pytest --device cuda`."""

import math

import pytest
import samples

import rtensor as torch
from rtensor import _C

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")
COUNT = 20001
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def drawn(name, *args, dtype=torch.float32, seed=1):
    torch.cuda.manual_seed(seed)
    x = torch.empty(COUNT, dtype=dtype, device="cuda")
    return getattr(x, name)(*args).cpu().double()


def near(value, wanted, deviation):
    """Within five standard deviations of a mean of `COUNT` samples."""
    assert abs(float(value) - wanted) < 5 * deviation / math.sqrt(COUNT)


def test_bits_are_philox():
    """The first answers of Random123's test vectors."""
    torch.cuda.manual_seed(0)
    x = torch.empty(2, dtype=torch.int64, device="cuda").random_(-(2**63), None)
    assert [v + 2**63 for v in x.tolist()] == [0x6627E8D5E169C58D, 0xBC57AC4C9B00DBD8]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_uniform_and_normal(dtype):
    x = drawn("uniform_", 2, 4, dtype=dtype)
    assert x.min() >= 2 and x.max() < 4
    near(x.mean(), 3, 0.58)
    near(x.var(), 1 / 3, 0.3)
    x = drawn("normal_", 1, 2, dtype=dtype)
    near(x.mean(), 1, 2)
    near(x.std(), 2, 1.5)
    near((((x - 1) / 2) ** 4).mean(), 3, 10)


def test_continuous_distributions():
    x = drawn("exponential_", 2.0)
    assert x.min() > 0
    near(x.mean(), 0.5, 0.5)
    near(drawn("log_normal_", 0.0, 0.5).mean(), math.exp(0.125), 0.61)
    x = drawn("cauchy_", 1.0, 2.0)
    near((x < 1).double().mean(), 0.5, 0.5)
    near((x < 3).double().mean(), 0.75, 0.43)


@pytest.mark.parametrize("dtype", (torch.float32, torch.int64, torch.uint8, torch.float16), ids=str)
def test_whole_numbers(dtype):
    x = drawn("geometric_", 0.25, dtype=dtype)
    assert x.min() == 1
    near(x.mean(), 4, 3.5)
    x = drawn("random_", 3, 9, dtype=dtype)
    assert x.unique().tolist() == [3, 4, 5, 6, 7, 8]
    near(x.mean(), 5.5, 1.71)
    x = drawn("bernoulli_", 0.3, dtype=dtype)
    assert x.unique().tolist() == [0, 1]
    near(x.mean(), 0.3, 0.46)


def test_ranges_of_random():
    assert drawn("random_", dtype=torch.bool).unique().tolist() == [0, 1]
    x = drawn("random_", dtype=torch.int8)
    assert x.min() == 0 and x.max() == 127
    x = drawn("random_", dtype=torch.float16)
    assert x.min() >= 0 and x.max() <= 2048
    x = drawn("random_", -(2**62), 2**62, dtype=torch.int64) / 2**62
    near(x.mean(), 0, 0.58)
    assert x.min() < -0.99 and x.max() > 0.99


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        (lambda full: torch.poisson(full(3.0)), 3, 1.74),
        (lambda full: torch.poisson(full(300.0)), 300, 17.4),
        (lambda full: torch.poisson(full(0.0)), 0, 1e-9),
        (lambda full: torch.binomial(full(10.0), full(0.7)), 7, 1.45),
        (lambda full: torch.binomial(full(300.0), full(0.7)), 210, 8),
        (lambda full: torch.binomial(full(5.0), full(1.0)), 5, 1e-9),
        (lambda full: _C._standard_gamma(full(0.5)), 0.5, 0.71),
        (lambda full: _C._standard_gamma(full(5.0)), 5, 2.24),
        (lambda full: torch.bernoulli(full(0.2)), 0.2, 0.4),
        (lambda full: torch.normal(full(2.0), full(3.0)), 2, 3),
        (lambda full: torch.normal(2.0, full(3.0)), 2, 3),
        (lambda full: torch.normal(full(2.0), 3.0), 2, 3),
    ],
)
def test_distributions_of_tensors(draw, mean, deviation):
    torch.cuda.manual_seed(2)
    x = draw(lambda value: torch.full((COUNT,), value, device="cuda")).cpu().double()
    near(x.mean(), mean, deviation)
    assert x.std() <= 1.1 * deviation


def test_edges():
    assert drawn("bernoulli_", 0.0).sum() == 0 and drawn("bernoulli_", 1.0).sum() == COUNT
    assert (drawn("uniform_", 2, 2) == 2).all()
    assert (drawn("normal_", 2, 0) == 2).all()
    assert torch.empty(0, device="cuda").uniform_().numel() == 0
    assert 0 <= torch.empty((), device="cuda").uniform_().item() < 1


def test_seeds_and_states():
    torch.manual_seed(7)
    state = torch.cuda.get_rng_state()
    first, second = (torch.empty(9, device="cuda").normal_() for _ in range(2))
    assert not torch.equal(first, second)
    torch.cuda.set_rng_state(state)
    assert torch.equal(torch.empty(9, device="cuda").normal_(), first)
    torch.manual_seed(7)
    assert torch.equal(torch.empty(9, device="cuda").normal_(), first)
    torch.manual_seed(8)
    assert not torch.equal(torch.empty(9, device="cuda").normal_(), first)


def test_elements_have_their_own_streams():
    """Longer tensors begin as shorter ones, and strides do not matter."""
    torch.cuda.manual_seed(3)
    short = torch.empty(10, device="cuda").uniform_()
    torch.cuda.manual_seed(3)
    long = torch.empty(5000, device="cuda").uniform_()
    assert torch.equal(long[:10], short) and long.unique().numel() > 4990
    torch.cuda.manual_seed(3)
    columns = torch.zeros(2500, 2, device="cuda").t()
    assert torch.equal(columns.uniform_().reshape(-1), long)
    a, b = long[:-1].cpu().double() - 0.5, long[1:].cpu().double() - 0.5
    assert abs((a * b).mean() * 12) < 5 / math.sqrt(5000)


def test_captured_graphs_draw_anew():
    x = torch.empty(8, device="cuda")
    torch.cuda.manual_seed(4)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.uniform_()
        y = torch.empty(8, device="cuda").normal_()
    torch.cuda.manual_seed(4)
    graph.replay()
    first = x.tolist(), y.tolist()
    graph.replay()
    assert (x.tolist(), y.tolist()) != first
    torch.cuda.manual_seed(4)
    eager = torch.empty(8, device="cuda").uniform_().tolist(), torch.empty(8, device="cuda").normal_().tolist()
    assert eager == first


def test_categories():
    torch.cuda.manual_seed(5)
    weights = torch.tensor([[0.0, 1, 3], [2, 0, 2]], device="cuda")
    drawn = torch.multinomial(weights, COUNT, replacement=True).cpu()
    shares = torch.stack([(drawn == k).double().mean(1) for k in range(3)], 1)
    for share, wanted in zip(shares.flatten().tolist(), (0, 0.25, 0.75, 0.5, 0, 0.5), strict=True):
        near(share, wanted, math.sqrt(wanted * (1 - wanted)) + 1e-9)
    assert sorted(torch.multinomial(weights, 2).cpu()[0].tolist()) == [1, 2]
    for bad, message in (([-1.0, 2], "element < 0"), ([0.0, 0], "sum of probabilities <= 0")):
        with pytest.raises(RuntimeError, match=message):
            torch.multinomial(torch.tensor(bad, device="cuda"), 1)


def test_slopes_of_rrelu():
    x = torch.tensor([-1.0] * 500 + [2.0] * 500, device="cuda", requires_grad=True)
    y = torch.rrelu(x, 0.25, 0.5, training=True)
    y.sum().backward()
    slopes = -y[:500].detach()
    assert slopes.min() >= 0.25 and slopes.max() < 0.5 and slopes.unique().numel() > 490
    assert torch.equal(x.grad[:500], slopes) and (x.grad[500:] == 1).all() and (y[500:] == 2).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.uniform_(2, 1), "found from=2.* > to=1"),
        (lambda x: x.uniform_(-3e38, 3e38), "exceed the limit"),
        (lambda x: x.normal_(0, -1), "std >= 0"),
        (lambda x: x.exponential_(0), "lambda > 0"),
        (lambda x: x.geometric_(1), r"p to be in \(0, 1\)"),
        (lambda x: x.bernoulli_(1.5), r"p to be in \[0, 1\]"),
        (lambda x: x.random_(3, 3), "'from' to be less than 'to'"),
        (lambda x: x.byte().random_(0, 300), "out of bounds"),
        (lambda x: x.long().exponential_(), "continuous"),
        (lambda x: x.long().normal_(), "not implemented"),
    ],
)
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call(torch.zeros(3, device="cuda"))
