"""Tensors made from nothing, and conversions: sizes, dtypes and strides by PyTorch's rules."""

import pytest

import rtensor as torch


@pytest.mark.parametrize(
    ("args", "dtype", "values"),
    [
        ((3,), torch.int64, [0, 1, 2]),
        ((2.5,), torch.float32, [0, 1, 2]),
        ((1, 6, 2), torch.int64, [1, 3, 5]),
        ((5, 0, -2), torch.int64, [5, 3, 1]),
        ((0, 1, 0.25), torch.float32, [0, 0.25, 0.5, 0.75]),
        ((True,), torch.int64, [0]),
    ],
)
def test_arange_takes_its_dtype_from_the_bounds(args, dtype, values):
    result = torch.arange(*args)
    assert result.dtype == dtype
    assert result.tolist() == values


@pytest.mark.parametrize(
    ("args", "kind"), [((0, 3, 0), RuntimeError), ((0, 3, -1), RuntimeError), ((0, float("inf")), RuntimeError)]
)
def test_arange_refuses_endless_ranges(args, kind):
    with pytest.raises(kind):
        torch.arange(*args)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1, torch.int64), (1.0, torch.float32), (True, torch.bool), (1j, torch.complex64)],
)
def test_full_takes_its_dtype_from_the_value(value, dtype):
    assert torch.full((2,), value).dtype == dtype


def test_values_must_fit_the_dtype():
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.full((2,), 300, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.zeros(2).fill_(1e300)


def test_linspace_hits_both_ends():
    values = torch.linspace(-1, 1, 7)
    assert (values[0].item(), values[-1].item()) == (-1, 1)
    assert torch.linspace(2, 9, 1).tolist() == [2]
    assert torch.linspace(torch.tensor(0), 4, 5).tolist() == [0, 1, 2, 3, 4]
    assert torch.logspace(0, 2, 3, base=2).tolist() == [1, 2, 4]


def test_sizes_may_not_be_negative():
    with pytest.raises(RuntimeError, match="negative dimension"):
        torch.zeros(2, -1)


def test_out_decides_the_dtype():
    out = torch.empty(0, dtype=torch.float64)
    assert torch.rand(3, out=out) is out
    assert out.shape == (3,)
    with pytest.raises(RuntimeError, match="does not match dtype of out"):
        torch.zeros(2, dtype=torch.float32, out=out)


def test_only_floats_require_gradients():
    assert torch.zeros(2, requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="floating point"):
        torch.zeros(2, dtype=torch.int64, requires_grad=True)


def test_like_keeps_the_order_of_dimensions():
    x = torch.zeros(2, 3, 4).permute(2, 0, 1)
    assert torch.ones_like(x).stride() == x.stride()
    assert torch.ones_like(x, memory_format=torch.contiguous_format).is_contiguous()
    assert torch.zeros_like(torch.zeros(3, 1).expand(3, 4)).is_contiguous()


def test_memory_formats_are_kept_and_changed():
    x = torch.zeros(2, 3, 4, 5)
    last = x.to(memory_format=torch.channels_last)
    assert last.stride() == (60, 1, 15, 3)
    assert last.double().stride() == last.stride()
    assert last.clone(memory_format=torch.contiguous_format).stride() == x.stride()
    assert last.contiguous().stride() == x.stride()


def test_to_returns_the_tensor_where_nothing_changes():
    x = torch.zeros(2)
    assert x.to(torch.float32) is x
    assert x.to("cpu") is x
    assert x.contiguous() is x
    assert x.to(torch.float32, copy=True) is not x
    assert x.to(torch.zeros(1, dtype=torch.int8)).dtype == torch.int8


def test_conversions_are_differentiable():
    x = torch.arange(3.0, requires_grad=True)
    x.double().sum().backward()
    assert x.grad.dtype == torch.float32
    assert x.grad.tolist() == [1, 1, 1]
    target = torch.zeros(2, 3)
    y = torch.ones(3, requires_grad=True)
    target.copy_(y).sum().backward()
    assert y.grad.tolist() == [2, 2, 2]


def test_floats_wrap_in_small_integers():
    assert torch.tensor([300.5, -1.0]).to(torch.int8).tolist() == [44, -1]


def test_writes_may_not_overlap_what_they_read():
    x = torch.arange(6.0)
    with pytest.raises(RuntimeError, match="single memory location"):
        x[1:].copy_(x[:-1])
    assert x.copy_(x) is x


def test_expanded_tensors_are_not_written():
    with pytest.raises(RuntimeError, match="more than one element"):
        torch.zeros(2, 1).expand(2, 3).fill_(1)


def test_grids_and_blocks():
    xs, ys = torch.meshgrid(torch.arange(3), torch.arange(2), indexing="xy")
    assert xs.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert ys.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert torch.cartesian_prod(torch.arange(2), torch.arange(2)).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert torch.combinations(torch.arange(3)).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert torch.block_diag(torch.ones(1, 2), torch.tensor(3.0)).tolist() == [[1, 1, 0], [0, 0, 3]]
    assert torch.vander(torch.tensor([1, 2, 3]), 2).tolist() == [[1, 1], [2, 1], [3, 1]]


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett"])
def test_windows_agree_with_their_symmetric_forms(name):
    native = getattr(torch, f"{name}_window")(9, periodic=False, dtype=torch.float64)
    symmetric = getattr(torch.signal.windows, name)(9, dtype=torch.float64)
    assert torch.allclose(native, symmetric, atol=1e-12)
    assert getattr(torch, f"{name}_window")(0).shape == (0,)
    assert getattr(torch, f"{name}_window")(1).tolist() == [1]
