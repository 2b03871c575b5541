"""Random numbers: the same as PyTorch's after the same seed, and the state that they come from."""

import pickle

import numpy as np
import pytest

import rtensor as torch


def test_manual_seed_starts_pytorchs_stream():
    torch.manual_seed(0)
    assert torch.rand(3).tolist() == [0.49625658988952637, 0.7682217955589294, 0.08847743272781372]
    assert torch.randn(3).tolist() == [0.3643381893634796, 0.13439632952213287, 0.16421625018119812]
    # Sixteen and more are drawn in blocks, the last one anew.
    assert torch.randn(17)[-3:].tolist() == [0.7924439907073975, -0.28966769576072693, 0.05250748619437218]
    assert torch.randint(10, (5,)).tolist() == [1, 7, 3, 5, 2]
    assert torch.randperm(6).tolist() == [1, 0, 3, 5, 2, 4]
    assert torch.rand(2, dtype=torch.float64).tolist() == [0.6819456856802084, 0.7453761605775864]


def test_distributions_draw_pytorchs_numbers():
    torch.manual_seed(0)
    assert torch.zeros(6).bernoulli_(0.5).tolist() == [0, 0, 1, 0, 0, 0]
    assert torch.empty(2).exponential_().tolist() == [0.19675259292125702, 0.43248841166496277]
    assert torch.empty(3, dtype=torch.int64).geometric_(0.3).tolist() == [2, 4, 3]
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert torch.multinomial(weights, 3).tolist() == [3, 0, 1]
    assert torch.multinomial(weights, 5, True).tolist() == [2, 2, 1, 3, 3]
    assert torch.nn.functional.dropout(torch.ones(6), 0.5).tolist() == [2, 0, 2, 0, 2, 0]
    assert torch.poisson(torch.tensor([1.0, 5.0, 20.0])).tolist() == [2, 4, 20]


def test_views_are_filled_in_the_order_of_memory():
    torch.manual_seed(0)
    x = torch.zeros(2, 3)
    x.t().uniform_()
    torch.manual_seed(0)
    assert x.tolist() == torch.rand(2, 3).tolist()


def test_few_normal_samples_come_in_pairs():
    torch.manual_seed(0)
    first, second = torch.randn(1, dtype=torch.float64), torch.randn(1, dtype=torch.float64)
    torch.manual_seed(0)
    assert torch.randn(2, dtype=torch.float64).tolist() == [first.item(), second.item()]


def test_state_is_restored():
    torch.manual_seed(1)
    torch.randn(3)
    state = torch.get_rng_state()
    assert state.dtype == torch.uint8
    assert state.shape == (5056,)
    drawn = torch.randn(5)
    torch.set_rng_state(state)
    assert torch.randn(5).tolist() == drawn.tolist()


def test_fork_rng_leaves_the_stream_alone():
    torch.manual_seed(2)
    with torch.random.fork_rng():
        inside = torch.rand(2)
    assert torch.rand(2).tolist() == inside.tolist()


def test_generators_have_streams_of_their_own():
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    own = torch.rand(2, generator=generator)
    assert torch.rand(2).tolist() == expected.tolist()
    twin = torch.Generator()
    twin.manual_seed(3)
    assert torch.rand(2, generator=twin).tolist() == own.tolist()
    assert torch.rand(2, generator=twin.clone_state()).tolist() == torch.rand(2, generator=generator).tolist()


def test_generators_are_pickled_with_their_state():
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    copy = pickle.loads(pickle.dumps(generator))
    assert torch.rand(3, generator=copy).tolist() == torch.rand(3, generator=generator).tolist()


@pytest.mark.parametrize(("seed", "kept"), [(7, 7), (-1, 2**64 - 1), (2**64 - 1, 2**64 - 1), (2.9, 2)])
def test_seeds_count_back_from_the_end(seed, kept):
    assert torch.manual_seed(seed).initial_seed() == kept
    assert torch.initial_seed() == kept


def test_bad_seeds_and_states_are_refused():
    with pytest.raises(ValueError, match="Overflow"):
        torch.manual_seed(2**64)
    with pytest.raises(RuntimeError, match="expected a long"):
        torch.Generator().manual_seed("1")
    with pytest.raises(TypeError, match="ByteTensor"):
        torch.set_rng_state(torch.zeros(3))
    with pytest.raises(RuntimeError, match="size 5056"):
        torch.set_rng_state(torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        torch.set_rng_state(torch.zeros(5056, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.zeros(2).uniform_(3, 1), "from=3 > to=1"),
        (lambda: torch.zeros(2).normal_(0, -1), "std >= 0.0"),
        (lambda: torch.zeros(2).exponential_(0), "lambda > 0.0"),
        (lambda: torch.zeros(2).geometric_(1), "p to be in"),
        (lambda: torch.zeros(2).bernoulli_(2), "p to be in"),
        (lambda: torch.randint(5, 2, (3,)), "less than 'to'"),
        (lambda: torch.randint(0, 1000, (3,), dtype=torch.uint8), "out of bounds"),
        (lambda: torch.randperm(-1), "non-negative"),
        (lambda: torch.multinomial(torch.zeros(3), 1), "invalid multinomial distribution"),
        (lambda: torch.nn.functional.dropout(torch.ones(2), 1.5), "probability has to be between 0 and 1"),
    ],
)
def test_bad_parameters_are_refused(call, message):
    with pytest.raises((RuntimeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_moments_are_those_of_the_distribution(dtype):
    torch.manual_seed(6)
    normal = np.asarray(torch.empty(20000, dtype=dtype).normal_(2, 3).double())
    assert abs(normal.mean() - 2) < 0.1
    assert abs(normal.std() - 3) < 0.1
    uniform = torch.empty(20000, dtype=dtype).uniform_(-1, 3).double()
    assert abs(uniform.mean().item() - 1) < 0.05
    assert uniform.min().item() >= -1
    assert uniform.max().item() < 3
