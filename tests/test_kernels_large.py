"""Kernels at sizes where they take other paths than on a handful of elements, against NumPy."""

import numpy as np
import pytest

import rtensor as torch

RNG = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def close(mine, want, rtol=1e-5, atol=1e-5):
    mine = mine.detach() if isinstance(mine, torch.Tensor) else mine
    np.testing.assert_allclose(np.asarray(mine), want, rtol=rtol, atol=atol)


SHAPES = [(5000, 3), (3, 5000), (40, 700), (700, 40), (1, 70000), (70000, 1), (17, 33, 65), (2, 2000, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8])
def test_reductions_along_each_dimension(shape, dtype):
    x = (normal(*shape, dtype=np.float64) * 50).astype(np.int64 if dtype == np.uint8 else dtype).astype(dtype)
    t = torch.from_numpy(x)
    for dim in (*range(len(shape)), None):
        kind = {"axis": dim}
        args = () if dim is None else (dim,)
        close(t.sum(*args), x.sum(**kind, dtype=np.float64 if x.dtype.kind == "f" else None), 1e-4, 1e-2)
        close(t.amax(args), x.max(**kind))
        close(t.amin(args), x.min(**kind))
        close(t.argmax(*args), x.argmax(**kind))
        close(t.argmin(*args), x.argmin(**kind))
        assert np.array_equal((t > 40).any(*args), (x > 40).any(**kind))


@pytest.mark.parametrize("shape", SHAPES)
def test_extremes_let_nan_win(shape):
    x = normal(*shape)
    x.flat[x.size // 2] = np.nan
    t = torch.from_numpy(x)
    for dim in range(len(shape)):
        close(t.amax(dim), x.max(axis=dim))
        close(t.max(dim)[1], np.where(np.isnan(x).any(dim), np.isnan(x).argmax(dim), x.argmax(dim)))
    assert np.isnan(t.amin().item())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [255, 256, 300, 5000, 70001])
def test_extremes_of_a_row_find_nan_and_infinity_anywhere(n, dtype):
    x = normal(n, dtype=dtype)
    for i in {0, 1, 63, 64, n // 2, n - 65, n - 1}:
        for odd in (np.inf, -np.inf, np.nan, -np.nan):
            y = x.copy()
            y[i] = odd
            close(torch.from_numpy(y).amax(), y.max())
            close(torch.from_numpy(y).amin(), y.min())
    for value in (np.inf, -np.inf, 0.0, -0.0):
        close(torch.full((n,), value).amax(), value)
        close(torch.full((n,), value).amin(), value)


def bfloat(n):
    """Values of all magnitudes, and what is no number, in bfloat16."""
    bits = RNG.integers(0, 1 << 16, n).astype(np.uint16)
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 100_003])
@pytest.mark.parametrize(
    "formula",
    [
        lambda x, y: x + y,
        lambda x, y: torch.sub(x, y, alpha=3),
        lambda x, y: x * 0.1,
        lambda x, y: 1 / x,
        lambda x, y: -x,
        lambda x, y: torch.relu(x),
        lambda x, y: torch.maximum(x, y),
        lambda x, y: torch.add(x, y, alpha=0.3),
        lambda x, y: x.clamp(-1.5, 2.5),
        lambda x, y: torch.addcmul(x, y, y, value=0.5),
        lambda x, y: x.sqrt(),
    ],
)
def test_short_formulas_of_bfloat16_round_once(formula, n):
    x, y = bfloat(n + 1)[1:], bfloat(n)
    if n == 1:
        x, y = x[0], y[0]
    got, wide = formula(x, y), formula(x.float(), y.float())
    assert got.dtype == torch.bfloat16
    want = wide.bfloat16()
    assert torch.equal(got.isnan(), want.isnan()) and got.nan_to_num(1.0).equal(want.nan_to_num(1.0))


def test_short_formulas_of_bfloat16_in_place():
    x, y = bfloat(5000).nan_to_num(1.0), bfloat(5000).nan_to_num(1.0)
    want = x + y
    assert x.add_(y).nan_to_num(2.0).equal(want.nan_to_num(2.0))
    part = torch.zeros(5000, dtype=torch.bfloat16)
    torch.mul(y[:4000], 2.0, out=part[1000:])
    assert part[1000:].equal(y[:4000] * 2.0) and part[:1000].eq(0).all()


@pytest.mark.parametrize("n", [3, 64, 65, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_repeated_elements_and_numbers_beside_rows(n, dtype):
    x = normal(n, dtype=dtype)
    t, one = torch.from_numpy(x), torch.full((1,), 1.5, dtype=torch.from_numpy(x).dtype)
    wide = one.expand(n)
    close(wide + t, 1.5 + x)
    close(t - wide, x - 1.5)
    close(wide * wide, np.full(n, 2.25))
    close(torch.addcmul(wide, t, wide, value=2), 1.5 + 3 * x)
    close(2 - t, 2 - x)
    close(torch.where(t > wide, t, wide), np.where(x > 1.5, x, 1.5))
    assert (t + 1j).is_complex() and (t > wide).dtype == torch.bool


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_softmax_along_each_dimension(shape, dtype):
    t = torch.from_numpy(normal(*shape)).to(dtype)
    x = t.double().numpy()
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-5
    for dim in range(len(shape)):
        e = np.exp(x - x.max(axis=dim, keepdims=True))
        total = e.sum(axis=dim, keepdims=True)
        close(t.softmax(dim).double(), e / total, tolerance, 1e-6)
        log = x - x.max(axis=dim, keepdims=True) - np.log(total)
        close(t.log_softmax(dim).double(), log, tolerance, 3e-2 if dtype == torch.bfloat16 else 1e-5)
        want = (np.log(total) + x.max(axis=dim, keepdims=True)).squeeze(dim)
        close(t.logsumexp(dim).double(), want, tolerance)


@pytest.mark.parametrize("shape", [(300, 10), (4, 70, 5), (3, 5, 200)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_gradients_of_softmax(shape, name):
    g = torch.from_numpy(normal(*shape, dtype=np.float64))
    for dim in range(len(shape)):
        x = torch.from_numpy(normal(*shape, dtype=np.float64)).requires_grad_()
        y = getattr(x, name)(dim)
        (y * g).sum().backward()
        p = np.asarray(x.detach().softmax(dim))
        if name == "softmax":
            want = p * (g.numpy() - (g.numpy() * p).sum(axis=dim, keepdims=True))
        else:
            want = g.numpy() - p * g.numpy().sum(axis=dim, keepdims=True)
        close(x.grad, want, 1e-9, 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int16, np.uint8])
@pytest.mark.parametrize("largest", [True, False])
def test_topk_of_long_rows(dtype, largest):
    x = (normal(7, 5000, dtype=np.float64) * 100).astype(np.int64).astype(dtype)
    order = np.argsort(x.astype(np.float64) * (-1 if largest else 1), axis=1, kind="stable")
    for k in (1, 10, 300, 2500):
        values, indices = torch.from_numpy(x).topk(k, largest=largest)
        close(values, np.take_along_axis(x, order[:, :k], 1))
        close(indices, order[:, :k])
    values, indices = torch.from_numpy(np.ascontiguousarray(x.T)).topk(10, dim=0, largest=largest)
    close(indices, order[:, :10].T)


def test_topk_puts_nan_first():
    x = normal(3, 3000)
    x[1, [5, 2000]] = np.nan
    values, indices = torch.from_numpy(x).topk(4)
    assert np.isnan(np.asarray(values)[1]).tolist() == [True, True, False, False]
    assert np.asarray(indices)[1, :2].tolist() == [5, 2000]


@pytest.mark.parametrize("n", [100, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_order_statistics(n, dtype):
    x = (normal(3, n, dtype=np.float64) * 20).astype(np.int64).astype(dtype)
    t, ordered = torch.from_numpy(x), np.sort(x, axis=1)
    for k in (1, n // 3, n):
        values, indices = t.kthvalue(k, 1)
        close(values, ordered[:, k - 1])
        close(x[np.arange(3), np.asarray(indices)], ordered[:, k - 1])
    close(t.median(1)[0], ordered[:, (n - 1) // 2])


@pytest.mark.parametrize("span", [100, 1 << 20, 1 << 40, 1 << 62])
def test_sort_and_unique_of_integers(span):
    x = RNG.integers(-span, span, 20000)
    t = torch.from_numpy(x)
    for descending in (False, True):
        values, indices = t.sort(descending=descending, stable=True)
        order = np.argsort(-x if descending else x, kind="stable")
        close(values, x[order], 0, 0)
        close(indices, order, 0, 0)
    want = np.unique(x, return_inverse=True, return_counts=True)
    for mine, expected in zip(t.unique(return_inverse=True, return_counts=True), want, strict=True):
        close(mine, expected, 0, 0)
    close(t.unique(), want[0], 0, 0)


def test_unique_keeps_nans_apart():
    x = torch.tensor([3.0, float("nan"), -0.0, 0.0, float("nan")])
    values, counts = x.unique(return_counts=True)
    assert values[:2].tolist() == [0.0, 3.0]
    assert counts.tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize("width", [1, 3, 64, 5000])
@pytest.mark.parametrize("rows", [10, 3000])
def test_rows_added_by_index(width, rows):
    index = RNG.integers(0, rows, 4000 if width < 5000 else 40)
    source = normal(index.size, width, dtype=np.float64)
    want = np.zeros((rows, width))
    np.add.at(want, index, source)
    t = torch.from_numpy
    close(torch.zeros(rows, width, dtype=torch.float64).index_add(0, t(index), t(source)), want)
    wide = np.repeat(index[:, None], width, 1)
    close(torch.zeros(rows, width, dtype=torch.float64).scatter_add(0, t(wide), t(source)), want)
    x = torch.zeros(rows, width, dtype=torch.float64)
    x.index_put_((t(index),), t(source), accumulate=True)
    close(x, want)
    x[t(index)] = t(source)
    last = {int(i): k for k, i in enumerate(index)}
    close(x[torch.tensor(list(last))], source[list(last.values())])


def test_gathers():
    x = normal(3000, 40)
    t, rows = torch.from_numpy(x), RNG.integers(-3000, 3000, 9000)
    close(t[torch.from_numpy(rows)], x[rows])
    columns = RNG.integers(0, 40, (3000, 300))
    close(t.gather(1, torch.from_numpy(columns)), np.take_along_axis(x, columns, 1))
    down = RNG.integers(0, 3000, (500, 40))
    close(t.gather(0, torch.from_numpy(down)), np.take_along_axis(x, down, 0))
    close(t.index_select(1, torch.from_numpy(columns[0])), x[:, columns[0]])
    close(t[torch.from_numpy(rows), torch.from_numpy(rows % 40)], x[rows, rows % 40])
    columns[2999, 299] = 40
    with pytest.raises(RuntimeError, match="index 40 is out of bounds"):
        t.gather(1, torch.from_numpy(columns))
    with pytest.raises(IndexError):
        t.index_select(0, torch.tensor([3000]))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_masks(share):
    x, mask = normal(300, 301), RNG.random((300, 301)) < share
    t, m = torch.from_numpy(x), torch.from_numpy(mask)
    close(t[m], x[mask])
    close(t.masked_fill(m, 2.0), np.where(mask, 2, x))
    close(t.masked_fill(m[0], 2.0), np.where(mask[0], 2, x))
    close(t.masked_fill(m[:, :1], 2.0), np.where(mask[:, :1], 2, x))
    close(t.T.masked_fill(m.T, 2.0), np.where(mask, 2, x).T)
    close(t.clone().masked_fill_(m, 2.0), np.where(mask, 2, x))
    close(m.nonzero(), np.argwhere(mask))
    close((t * m).nonzero(), np.argwhere(x * mask))
    close(t[m[:, 0]], x[mask[:, 0]])
    source = normal(mask.sum())
    x[mask] = source
    close(t.masked_scatter(m, torch.from_numpy(source)), x)


def test_rows_of_a_few_bytes_are_joined():
    for dtype in (np.int8, np.int16, np.float32, np.float64, np.complex128):
        parts = [RNG.integers(0, 100, (500, 1)).astype(dtype) for _ in range(3)]
        close(torch.cat([torch.from_numpy(p) for p in parts], 1), np.concatenate(parts, 1))


@pytest.mark.parametrize("dim", [0, 1])
def test_running_extremes(dim):
    x = np.round(normal(90, 80), 1)
    values, indices = torch.from_numpy(x).cummax(dim)
    close(values, np.maximum.accumulate(x, axis=dim))
    close(np.take_along_axis(x, np.asarray(indices), dim), np.asarray(values))


@pytest.mark.parametrize("shape", [(70, 6), (5, 6, 9), (3, 6, 5, 7)])
@pytest.mark.parametrize("kind", ["batch", "frozen", "group", "instance"])
def test_gradients_of_channel_norms(shape, kind):
    x = torch.from_numpy(normal(*shape, dtype=np.float64)).requires_grad_()
    if kind == "instance" and x.ndim < 3:
        pytest.skip("one element per channel")
    weight, bias = (torch.from_numpy(normal(6, dtype=np.float64)).requires_grad_() for _ in range(2))
    mean, var = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)

    def norm(x, weight, bias):
        if kind == "group":
            return torch.group_norm(x, 2, weight, bias)
        if kind == "instance":
            return torch.instance_norm(x, weight, bias, None, None, True, 0.1, 1e-5, True)
        running = (mean.clone(), var.clone())
        return torch.batch_norm(x, weight, bias, *running, kind == "batch", 0.1, 1e-5, True)

    assert torch.autograd.gradcheck(norm, (x, weight, bias))


def test_half_precision_norms():
    x = torch.from_numpy(normal(8, 4, 30)).to(torch.bfloat16)
    for name, args in {
        "group_norm": (2,),
        "layer_norm": ([30],),
        "rms_norm": ([30],),
        "batch_norm": (None, None, None, None, True, 0.1, 1e-5, True),
    }.items():
        norm = getattr(torch, name)
        assert norm(x, *args).dtype == torch.bfloat16
        close(norm(x, *args).float(), np.asarray(norm(x.float(), *args)), 2e-2, 2e-2)


def test_runs_of_equal_neighbours():
    x = RNG.integers(0, 3, 5000)
    starts = np.flatnonzero(np.diff(x, prepend=-1))
    values, inverse, counts = torch.from_numpy(x).unique_consecutive(return_inverse=True, return_counts=True)
    close(values, x[starts])
    close(inverse, np.cumsum(np.diff(x, prepend=-1) != 0) - 1)
    close(counts, np.diff(starts, append=x.size))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100, 1000])
def test_binary_search(n):
    edges, x = np.sort(np.round(normal(n), 1)), np.round(normal(5000), 1)
    t, e = torch.from_numpy(x), torch.from_numpy(edges)
    close(torch.searchsorted(e, t), np.searchsorted(edges, x))
    close(torch.bucketize(t, e, right=True), np.searchsorted(edges, x, side="right"))
    close(torch.isin(t, e), np.isin(x, edges))


def test_counts():
    x = RNG.integers(0, 50, 30000)
    t, weights = torch.from_numpy(x), normal(x.size, dtype=np.float64)
    close(t.bincount(minlength=60), np.bincount(x, minlength=60))
    close(t.bincount(torch.from_numpy(weights)), np.bincount(x, weights))
    close(torch.nn.functional.one_hot(t, 60), np.eye(60)[x])


@pytest.mark.parametrize("bins", [1, 100, 40000])
def test_histograms(bins):
    x = normal(70001, dtype=np.float64)
    x[:4] = -2, 2, 1e300, np.inf
    t = torch.from_numpy(x)
    close(torch.histc(t, bins, -2, 2), np.histogram(x, bins, (-2, 2))[0], atol=1)
    assert torch.histc(t, bins, -1e308, 1e308).sum() == x.size - 1
    close(torch.histc(t[4:], bins), np.histogram(x[4:], bins)[0], atol=1)
    close(torch.histc(t[:1], bins), np.histogram(x[:1], bins, (-3, -1))[0])
    with pytest.raises(RuntimeError, match="not finite"):
        torch.histc(torch.where(t > 0, t, torch.nan), bins)


@pytest.mark.parametrize("shape", [(70, 90), (3, 50, 40), (2, 3, 7, 5)])
def test_triangles(shape):
    x = normal(*shape)
    for k in (-60, -3, 0, 5, 200):
        t = torch.from_numpy(x.copy())
        close(t.tril(k), np.tril(x, k))
        close(t.mT.triu(k), np.triu(np.swapaxes(x, -1, -2), k))
        close(t.triu_(k), np.triu(x, k))


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, 4.5, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_of_any_order(p, dtype):
    x = normal(60, 700, dtype=dtype)
    close(torch.from_numpy(x).norm(p=p, dim=1), np.linalg.norm(x.astype(np.float64), p, axis=1), 1e-5)
    close(torch.from_numpy(x).norm(p=p, dim=0), np.linalg.norm(x.astype(np.float64), p, axis=0), 1e-5)


def test_where_without_values_gives_positions():
    mask = RNG.random((50, 60)) < 0.3
    for mine, want in zip(torch.where(torch.from_numpy(mask)), np.where(mask), strict=True):
        close(mine, want)


@pytest.mark.parametrize("shape", [(5000, 3), (3, 5000), (50, 60)])
def test_running_sums(shape):
    x = normal(*shape)
    for dim in (0, 1):
        close(torch.from_numpy(x).cumsum(dim), x.cumsum(axis=dim, dtype=np.float64), 1e-4, 1e-4)
        close(
            torch.from_numpy(x).logcumsumexp(dim), np.logaddexp.accumulate(x.astype(np.float64), axis=dim), 1e-4, 1e-4
        )


# Beyond what any last-level cache is taken to hold: results go around the caches, line by line.
HUGE = 9_000_003


@pytest.fixture(scope="module")
def huge():
    return torch.from_numpy(normal(HUGE))


@pytest.mark.parametrize("start", [0, 1, 5])
def test_formulas_of_results_that_no_cache_holds(huge, start):
    x = huge[start:]
    a = x.numpy()
    assert np.array_equal((x + x).numpy(), a + a)
    assert np.array_equal((x > 0.5).numpy(), a > 0.5)
    close(x.exp()[::1001], np.exp(a[::1001]))
    out = torch.empty(HUGE + 3)[3:][: x.numel()]
    assert np.array_equal(torch.mul(x, 2.0, out=out).numpy(), a * 2)
    assert np.array_equal((x.half() + x).numpy(), a.astype(np.float16).astype(np.float32) + a)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.float16])
def test_conversions_of_tensors_that_no_cache_holds(huge, dtype):
    x = huge[1:] * 100
    assert np.array_equal(x.to(getattr(torch, np.dtype(dtype).name)).numpy(), x.numpy().astype(dtype))


def test_transposed_operands_that_no_cache_holds(huge):
    x, y = huge[: 2999 * 3001].view(2999, 3001), huge[3 : 3 + 2999 * 3001].view(3001, 2999)
    assert np.array_equal((x + y.t()).numpy(), x.numpy() + y.numpy().T)


@pytest.mark.parametrize("width", [512, 500, 48])
def test_normalised_rows_that_no_cache_holds(huge, width):
    x = huge[: HUGE // width * width].view(-1, width)
    w, b = torch.from_numpy(normal(width)), torch.from_numpy(normal(width))
    rows = x[::997].double().numpy()
    centred = rows - rows.mean(1, keepdims=True)
    want = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * w.numpy() + b.numpy()
    close(torch.nn.functional.layer_norm(x, (width,), w, b)[::997], want, 1e-4, 1e-4)
    shifted = rows - rows.max(1, keepdims=True)
    close(x.log_softmax(1)[::997], shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def test_floats_beyond_integers_become_the_least():
    for wide, whole in ((torch.int32, -(2**31)), (torch.int64, -(2**63))):
        for dtype in (torch.float32, torch.float64):
            x = torch.tensor([1e30, -1e30, np.inf, -np.inf, np.nan, -0.9, 2.5, -2.5], dtype=dtype)
            assert x.to(wide).tolist() == [whole] * 5 + [0, 2, -2]
    edge = torch.tensor([2147483647.0, -2147483648.0, -2147483648.9], dtype=torch.float64)
    assert edge.to(torch.int32).tolist() == [2147483647, -2147483648, -2147483648]


@pytest.mark.parametrize(
    "name", ["sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "erf", "erfinv", "expm1", "log1p", "sqrt"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_odd_functions_keep_the_sign_of_zero(name, dtype):
    y = getattr(torch, name)(torch.tensor([-0.0, 0.0], dtype=dtype))
    assert y.signbit().tolist() == [True, False]
