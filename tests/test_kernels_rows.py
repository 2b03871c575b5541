"""Rows that end within a vector or lie askew in memory, of complex numbers and truth values, too, against NumPy."""

import numpy as np
import pytest

import rtensor as torch

RNG = np.random.default_rng(0)
LENGTHS = [1, 63, 64, 65, 127, 128, 200, 1000]


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n", LENGTHS)
def test_the_end_of_a_row_is_computed_once(n):
    x, y = normal(11, n), normal(n)
    t, row = torch.from_numpy(x.copy()), torch.from_numpy(y)
    assert np.array_equal(t + row, x + y)
    assert np.array_equal((t * 2).exp(), (t * 2).contiguous().clone().exp())
    t.add_(row)
    assert np.array_equal(t, x + y)
    torch.mul(t, t, out=t)
    assert np.array_equal(t, (x + y) * (x + y))


@pytest.mark.parametrize("n", [64, 100, 200])
def test_results_beside_their_operands(n):
    x = normal(2 * n + 1)
    t = torch.from_numpy(x.copy())
    torch.add(t[:n], 1.0, out=t[n : 2 * n])
    want = x.copy()
    want[n : 2 * n] = x[:n] + 1
    assert np.array_equal(t, want)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("n", [5, 600, 5000])
def test_rolls_and_flips_of_long_rows(n, dtype):
    x = (normal(4, n) * 50).astype(np.int64).astype(dtype)
    t = torch.from_numpy(x)
    for shift in (1, 3, 64, n - 1):
        assert np.array_equal(t.roll(shift, 1), np.roll(x, shift, 1))
        assert np.array_equal(t.roll(shift), np.roll(x, shift))
        assert np.array_equal(t[:, shift % n :].clone(), x[:, shift % n :])
    for dims in ((0,), (1,), (0, 1)):
        assert np.array_equal(t.flip(dims), np.flip(x, dims))


COMPLEX = {
    "add": lambda m, x, y: x + y,
    "subtract": lambda m, x, y: x - y,
    "multiply": lambda m, x, y: x * y,
    "multiply by a number": lambda m, x, y: x * (2 - 1j),
    "divide": lambda m, x, y: x / y,
    "negative": lambda m, x, y: -x,
    "equal": lambda m, x, y: x == y,
    "square": lambda m, x, y: x * x,
    "absolute": lambda m, x, y: abs(x),
    "angle": lambda m, x, y: m.angle(x),
}


@pytest.mark.parametrize("name", COMPLEX)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("n", [3, 64, 201])
def test_complex_rows(n, dtype, name):
    x = (normal(n) + 1j * normal(n)).astype(dtype)
    y = (normal(n) + 1j * normal(n)).astype(dtype)
    y[::2] = x[::2]
    want = COMPLEX[name](np, x, y)
    got = COMPLEX[name](torch, torch.from_numpy(x), torch.from_numpy(y))
    assert got.numpy().dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_absolute_values_and_angles_at_the_edge(dtype):
    inf, nan = float("inf"), float("nan")
    z = torch.tensor(
        [complex(inf, nan), complex(nan, -inf), complex(2e38, 2e38), 0, complex(-0.0, -0.0), -1], dtype=dtype
    )
    np.testing.assert_allclose(z[2:].abs().double(), np.abs(z[2:].numpy().astype(np.complex128)), rtol=1e-6)
    assert np.array_equal(z[:2].abs(), [inf, inf])
    np.testing.assert_allclose(z[3:].angle(), np.angle(z[3:].numpy()), rtol=1e-6)


@pytest.mark.parametrize("n", [3, 300, 5000])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_lazy_signs_are_carried_out(n, dtype):
    x = (normal(2, n) + 1j * normal(2, n)).astype(dtype)
    t = torch.from_numpy(x)
    assert np.array_equal(t.conj().resolve_conj(), x.conj())
    assert np.array_equal(t.T.conj().clone(), x.T.conj())
    assert np.array_equal(t[:, ::2].conj().resolve_conj(), x[:, ::2].conj())
    assert np.array_equal(t.conj().imag.resolve_neg(), -x.imag)
    assert np.array_equal(t.conj().imag.clone(), -x.imag)
    target = torch.zeros(2, n, dtype=torch.complex128)
    target.copy_(t.conj())
    assert np.array_equal(target, x.conj())
    target = torch.zeros(2, n, dtype=t.dtype).conj()
    target.copy_(t)
    assert np.array_equal(target.resolve_conj(), x)


@pytest.mark.parametrize("n", LENGTHS)
def test_truth_values(n):
    x, y = RNG.integers(0, 2, n).astype(bool), RNG.integers(0, 2, n).astype(bool)
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    for got, want in [
        (~a, ~x),
        (a & b, x & y),
        (a | b, x | y),
        (a ^ b, x ^ y),
        (a == b, x == y),
        (a + b, x | y),
        (a * b, x & y),
        (torch.maximum(a, b), x | y),
        (torch.where(a, b, ~b), np.where(x, y, ~y)),
    ]:
        assert got.dtype == torch.bool
        assert np.array_equal(got, want)
        assert set(got.view(torch.uint8).tolist()) <= {0, 1}


def test_numbers_bound_and_let_gradients_through_between():
    x = torch.tensor([-2.0, -1.0, 0.5, 1.0, 3.0], requires_grad=True)
    y = x.clamp(-1, 1)
    y.backward(torch.arange(1.0, 6.0))
    assert y.tolist() == [-1, -1, 0.5, 1, 1]
    assert x.grad.tolist() == [0, 2, 3, 4, 0]
    assert torch.tensor([1, 5]).clamp(0.5, 2.5).tolist() == [1.0, 2.5]
    assert torch.tensor([1.0]).clamp(float("nan"), 2.0).isnan().all()
    assert torch.tensor([3.0]).clamp(2, 1).tolist() == [1.0]
