"""Laws that hold for every shape, stride, dtype and axis, against NumPy."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, FLOATS, INTEGERS, arrays, arrays_with_axes, broadcastable, shapes

import rtensor as torch

settings.register_profile("rtensor", max_examples=60, deadline=None)
settings.load_profile("rtensor")


@given(arrays(DTYPES))
def test_arrays_come_back_as_they_went(array):
    tensor = torch.from_numpy(array)
    assert np.array_equal(tensor.numpy(), array) and tensor.tolist() == array.tolist()
    copy = tensor.clone()
    assert np.array_equal(copy.numpy(), array) and np.array_equal(tensor.contiguous().numpy(), array)
    assert torch.equal(tensor, copy)


@given(arrays(DTYPES), st.sampled_from(DTYPES))
def test_conversions_are_numpys(array, dtype):
    if array.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        array = array.real
    with np.errstate(all="ignore"):
        want = array.astype(dtype)
    if array.dtype.kind in "fc" and np.dtype(dtype).kind == "u" and (array.real < 0).any():
        return
    assert np.array_equal(torch.from_numpy(array).to(getattr(torch, dtype)).numpy(), want)


@given(broadcastable())
def test_arithmetic_broadcasts_as_numpys(pair):
    a, b = pair
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    assert np.array_equal((x + y).numpy(), a + b)
    assert np.array_equal((x * y - x).numpy(), a * b - a)
    assert np.array_equal((x < y).numpy(), a < b)
    assert np.array_equal(torch.where(x > 0, x, y).numpy(), np.where(a > 0, a, b))
    assert (x + y).shape == torch.broadcast_shapes(x.shape, y.shape) == np.broadcast_shapes(a.shape, b.shape)


@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES), shapes, shapes)
def test_promotion_commutes_and_scalars_are_weak(left, right, a, b):
    x, y = torch.ones(a, dtype=getattr(torch, left)), torch.ones(b, dtype=getattr(torch, right))
    assert torch.result_type(x, y) is torch.result_type(y, x)
    if x.dim() and y.dim():
        assert torch.result_type(x, y) is torch.promote_types(x.dtype, y.dtype)
    if x.dim():
        assert torch.result_type(x, True) is x.dtype


@given(arrays_with_axes(("float64",)))
def test_reductions_are_numpys(case):
    array, axes = case
    tensor = torch.from_numpy(array)
    for keep in (False, True):
        got = tensor.sum(axes, keepdim=keep) if axes else tensor.sum()
        want = array.sum(axes, keepdims=keep) if axes else array.sum()
        np.testing.assert_allclose(got.numpy(), want, atol=1e-9)
        if axes and array.size:
            np.testing.assert_array_equal(tensor.amax(axes, keepdim=keep).numpy(), array.max(axes, keepdims=keep))


@given(arrays_with_axes((*INTEGERS, *FLOATS)))
def test_rearrangements_are_numpys(case):
    array, axes = case
    tensor = torch.from_numpy(array)
    assert np.array_equal(tensor.flip(axes).numpy(), np.flip(array, axes))
    assert np.array_equal(tensor.reshape(-1).numpy(), array.reshape(-1))
    if array.ndim >= 2:
        assert np.array_equal(tensor.transpose(0, -1).numpy(), np.swapaxes(array, 0, -1))
    if axes:
        assert np.array_equal(tensor.sort(axes[0]).values.numpy(), np.sort(array, axes[0]))
        assert np.array_equal(
            tensor.cumsum(axes[0]).numpy(), array.cumsum(axes[0], dtype=tensor.cumsum(axes[0]).numpy().dtype)
        )


@given(arrays(), st.integers(-3, 3))
def test_writes_through_views_reach_the_base(array, number):
    array = np.ascontiguousarray(array)
    tensor = torch.from_numpy(array.copy())
    view = tensor.transpose(0, -1) if tensor.dim() else tensor
    view.fill_(number)
    assert (tensor == number).all()
    view.add_(1)
    assert (tensor == number + 1).all() and view._version == tensor._version


@given(arrays(("float64",)))
def test_gradients_have_the_shape_of_the_input(array):
    x = torch.from_numpy(array).requires_grad_()
    (x * 3).sum().backward()
    assert x.grad.shape == x.shape and bool((x.grad == 3).all())


def test_importing_stays_light():
    code = "import sys, rtensor; print(*(name for name in sys.modules if name.startswith('rtensor.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not {"rtensor.optim", "rtensor.utils", "rtensor.viz"} & set(done.stdout.split()), done.stdout


@pytest.mark.parametrize("name", dir(torch))
def test_every_listed_name_is_there(name):
    getattr(torch, name)
