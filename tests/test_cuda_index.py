"""Indexing, sorting and searching on a GPU, or on the emulated one, where kernels take branches for large tensors."""

import numpy as np
import pytest
import samples

import rtensor as torch

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")


def tensor(*shape, dtype=torch.float32, seed=0):
    """Numbers among which many are equal."""
    values = np.random.default_rng(seed).normal(size=shape) * 5
    return torch.tensor(np.trunc(values)).to(dtype)


def positions(high, *shape):
    return torch.tensor(np.random.default_rng(1).integers(0, high, shape))


def agree(call, *tensors):
    """The same on both devices, NaN included."""
    want, got = call(*tensors), call(*(t.cuda() for t in tensors))
    several = isinstance(want, (tuple, list))
    for a, b in zip(want if several else [want], got if several else [got], strict=True):
        assert a.shape == b.shape and a.dtype is b.dtype
        np.testing.assert_array_equal(*(t.cpu().to(torch.float64).numpy() for t in (b, a)))


# --- reading and writing by index


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.complex128])
@pytest.mark.parametrize("width", [3, 8, 32])
def test_rows_move_in_words_as_wide_as_they_may_be(dtype, width):
    x, index = tensor(40, width, dtype=torch.float32), positions(40, 1500)
    as_real = lambda t: torch.view_as_real(t) if t.is_complex() else t  # noqa: E731
    agree(lambda x, i: as_real(x.to(dtype).index_select(0, i)), x, index)
    agree(lambda x, i: as_real(x.to(dtype)[1:].index_select(1, i % (width - 1))[:, 1:]), x, index)
    agree(lambda x, i: as_real(x.to(dtype).index_copy(0, i[:1], x.to(dtype)[:1])), x, index)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int16, torch.int32, torch.int64, torch.float64])
def test_many_additions_to_one_place(dtype):
    x, index, source = tensor(7, 5, dtype=dtype), positions(7, 3000), tensor(3000, 5, dtype=dtype)
    agree(lambda x, i, s: x.index_put((i,), s, accumulate=True), x, index, source)


def test_products_of_complex_numbers_take_turns():
    x, source = torch.full((4,), 1 + 1j, dtype=torch.complex128), torch.full((9,), 1j, dtype=torch.complex128)
    index = positions(4, 9)
    agree(lambda x, i, s: torch.view_as_real(x.scatter(0, i, s, reduce="multiply")), x, index, source)


def test_indices_of_several_kinds():
    x, mask, index = tensor(6, 5, 4, 3), tensor(5, 4) > 0, positions(6, 2, 1)
    agree(lambda x, i: x[i, :, i % 4], x, index)
    agree(lambda x, i: x[:, i % 5, i.int() % 4, 1:], x, index)
    agree(lambda x, m: x[1:3, m], x, mask)
    agree(lambda x, m: x[..., m, :].flip(0), x, mask)
    agree(lambda x, i: x[None, ..., i % 4, None, ::2], x, index)
    agree(lambda x, i: x[-i - 1], x, index)


def test_writes_through_indices_and_masks():
    def written(x, mask, index):
        x = x.clone()
        x[index] = 7
        x[:, mask] = -1
        x[mask.flip(0)[:, 0].nonzero().view(-1), index % 4] += 2
        x[x > 3] = x[x > 3] * 2
        return x

    agree(written, tensor(6, 5, 4)[:, :, :], tensor(5, 4) > 0, positions(5, 1))


def test_an_operand_that_is_what_is_written():
    index = torch.tensor([2, 0, 1])
    agree(lambda i: (lambda x: x.scatter_add_(0, i, x))(i.clone() + 1), index)
    agree(lambda i: (lambda x: x.index_copy_(0, i, x))(i.clone() + 1), index)


def test_an_index_out_of_range_is_told_by_the_next_wait():
    x, index = torch.zeros(3, device="cuda"), torch.tensor([0, 5, -4], device="cuda")
    for call in (lambda: x[index], lambda: x.index_add_(0, index, index.float()), lambda: x.take(index)):
        call()
        with pytest.raises(IndexError, match="out of bounds for dimension with size 3"):
            torch.cuda.synchronize()
    x.masked_scatter_(torch.ones(3, dtype=torch.bool, device="cuda"), torch.ones(2, device="cuda"))
    with pytest.raises(IndexError):
        x.cpu()
    assert x.tolist() == [1, 1, 0]


def test_masks_of_many_tiles():
    x = tensor(3, 9000)
    agree(lambda x: (x[x > 0], x.nonzero(), (x > 100).nonzero()), x)
    agree(lambda x: x.masked_scatter(x > 0, x.flip(1)), x)


def test_joining_more_than_a_launch_takes():
    x = tensor(2, 3, 5)
    agree(lambda x: torch.cat([x, x[:, :2], x.transpose(1, 2).contiguous().transpose(1, 2)] * 30, 1), x)
    agree(lambda x: torch.cat([x, torch.empty(0, device=x.device), x.double()]), x)
    agree(lambda x: torch.stack([x[..., ::2]] * 3, -1), x)


# --- order


def special(dtype, *shape):
    x = tensor(*shape, dtype=dtype)
    if dtype.is_floating_point:
        x.view(-1)[::7] = float("nan")
        x.view(-1)[::5] = -0.0
    return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_long_rows_are_sorted_by_digits(dtype):
    x = special(dtype, 2, 9000)
    for descending in (False, True):
        agree(lambda x: (*x.sort(1, descending), x.sort(1, descending)[0].reciprocal()), x)


def test_short_rows_are_sorted_in_a_block():
    for shape, dim in (((300, 5), 1), ((70, 3, 4), 0), ((1, 4096), -1)):
        agree(lambda x: tuple(x.sort(dim)) + tuple(x.mode(dim)) + tuple(x.median(dim)), special(torch.float32, *shape))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int16])
def test_the_first_of_long_rows(dtype):
    x = special(dtype, 2, 5000)
    for k in (1, 100, 4500):
        for largest in (False, True):
            values, indices = x.cuda().topk(k, largest=largest)
            want, order = x.sort(descending=largest, stable=True)
            np.testing.assert_array_equal(values.cpu().numpy(), want[:, :k].numpy())
            assert torch.equal(indices.cpu(), order[:, :k])


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_distinct_elements_and_slices(dtype):
    both = {"return_inverse": True, "return_counts": True}
    agree(lambda x: torch.unique(x, **both), special(dtype, 3, 3000))
    agree(lambda x: torch.unique_consecutive(x, **both), special(dtype, 3, 3000))
    x = tensor(400, 2, 2, dtype=dtype)
    agree(lambda x: torch.unique(x, dim=0, **both), x)
    agree(lambda x: torch.unique(x.transpose(0, 2), dim=-1, **both), x)
    values, counts = torch.unique(torch.tensor([1j, 1, 1j, -1], device="cuda"), return_counts=True)
    assert values.tolist() == [-1, 1j, 1] and counts.tolist() == [1, 2, 1]


def test_bins_within_shared_memory_and_beyond():
    x = positions(9, 2000)
    agree(lambda x: (torch.bincount(x), torch.bincount(x * 900, x.double()), torch.bincount(x, minlength=20)), x)
    agree(lambda x: (torch.histc(x, 7), torch.histc(x, 5000, 1, 4)), x.float())
