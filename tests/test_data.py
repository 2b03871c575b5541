"""Tensors from Python data, and back: inference of dtypes, ragged data, numbers, pickles, copies."""

import array
import copy
import math
import pickle
from collections import deque

import numpy as np
import pytest

import rtensor as torch


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, "int64"),
        (1.0, "float32"),
        (True, "bool"),
        (1j, "complex64"),
        ([1, 2.5, True], "float32"),
        ([1, 2j], "complex64"),
        ([], "float32"),
        ([[], []], "float32"),
        (np.float64(1), "float64"),
        (np.float32(1), "float32"),
        ([np.float32(1)], "float32"),
        ([np.int32(1), 2], "int64"),
        (np.int16(3), "int16"),
        (range(3), "int64"),
        ((1, (2, 3))[1], "int64"),
        (deque([1.0]), "float32"),
        (array.array("d", [1.0]), "float32"),
        ([[np.array([1, 2]), np.array([3, 4])]], "int64"),
    ],
)
def test_dtype_follows_the_data(data, dtype):
    assert torch.tensor(data).dtype is getattr(torch, dtype)


def test_default_dtype_is_followed(default_dtype):
    default_dtype(torch.float64)
    assert torch.tensor(1.0).dtype is torch.float64 and torch.tensor(1j).dtype is torch.complex128
    with pytest.raises(TypeError):
        torch.set_default_dtype(torch.int32)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        ([1, "a"], TypeError, "invalid data type 'str'"),
        ("abc", TypeError, "invalid data type 'str'"),
        (None, RuntimeError, "Could not infer dtype of NoneType"),
        ({}, RuntimeError, "Could not infer dtype of dict"),
        ([1, None], RuntimeError, "Could not infer dtype of NoneType"),
        ([2**70], ValueError, "Overflow when unpacking long"),
        ([[1, 2], 3], TypeError, "not a sequence"),
        ([1, [2]], TypeError, "cannot be interpreted as an integer"),
    ],
)
def test_data_that_makes_no_tensor(data, error, text):
    with pytest.raises(error, match=text):
        torch.tensor(data)


def test_self_referential_lists_are_refused():
    data = [1]
    data.append(data)
    with pytest.raises((TypeError, ValueError)):
        torch.tensor(data)


@pytest.mark.parametrize(
    ("data", "dtype", "values"),
    [
        ([1.5], "int64", [1]),
        ([-1], "uint8", [255]),
        ([True], "float16", [1.0]),
        ([float("nan")], "bool", [True]),
        ([2**64 - 1], "uint64", [2**64 - 1]),
        ([1e300], "float32", [math.inf]),
    ],
)
def test_data_are_converted(data, dtype, values):
    assert torch.tensor(data, dtype=getattr(torch, dtype)).tolist() == values


@pytest.mark.parametrize(
    ("data", "dtype", "error"),
    [
        ([300], "uint8", RuntimeError),
        ([float("nan")], "int32", RuntimeError),
        ([2**40], "int32", RuntimeError),
        ([1j], "float32", TypeError),
    ],
)
def test_data_that_do_not_fit(data, dtype, error):
    with pytest.raises(error):
        torch.tensor(data, dtype=getattr(torch, dtype))


def test_arguments_of_tensor():
    with pytest.raises(TypeError):
        torch.tensor()
    with pytest.raises(TypeError):
        torch.tensor([1], 2)
    with pytest.raises(TypeError, match=r"must be torch.dtype, not str"):
        torch.tensor([1.0], dtype="float32")
    with pytest.raises(RuntimeError, match="can require gradients"):
        torch.tensor([1], requires_grad=True)
    with pytest.warns(UserWarning, match="copy construct"):
        torch.tensor(torch.tensor([1.0]))


def test_nested_tensors():
    parts = [torch.tensor(1.0), torch.tensor([2.0])]
    assert torch.tensor(parts).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="only one element tensors"):
        torch.tensor([torch.tensor([1.0, 2.0])])


@pytest.mark.parametrize("data", [1, 2.5, True, 1j, [[1, 2], [3, 4]], [[[]]], [], [[1.5]]])
def test_tolist_gives_the_data_back(data):
    assert torch.tensor(data).tolist() == data


def test_numbers():
    assert float(torch.tensor([2.5])) == 2.5 and int(torch.tensor(2.7)) == 2
    assert complex(torch.tensor(1 + 2j)) == 1 + 2j and [10, 20][torch.tensor(1)] == 20
    assert torch.tensor(True).__index__() == 1 and not torch.tensor([0.0])
    for call, error in (
        (lambda: float(torch.tensor([1, 2])), ValueError),
        (lambda: bool(torch.tensor([1, 2])), RuntimeError),
        (lambda: bool(torch.tensor([])), RuntimeError),
        (lambda: [1][torch.tensor(0.0)], TypeError),
        (lambda: float(torch.tensor(1 + 2j)), RuntimeError),
        (lambda: int(torch.tensor(math.nan)), ValueError),
        (lambda: int(torch.tensor(math.inf)), OverflowError),
        (lambda: len(torch.tensor(1)), TypeError),
        (lambda: iter(torch.tensor(1)), TypeError),
    ):
        with pytest.raises(error):
            call()


def test_old_style_constructors():
    assert torch.Tensor(2, 3).shape == (2, 3) and torch.Tensor().shape == (0,)
    assert torch.Tensor([2, 3]).tolist() == [2.0, 3.0] and torch.Tensor(torch.Size([2, 3])).shape == (2, 3)
    assert torch.LongTensor([1, 2]).dtype is torch.int64 and torch.FloatTensor(2).shape == (2,)
    assert isinstance(torch.ones(1), torch.FloatTensor) and not isinstance(torch.ones(1), torch.LongTensor)
    assert torch.CharTensor([1]).type() == "torch.CharTensor"
    for data in (2.5, "a"):
        with pytest.raises(TypeError):
            torch.Tensor(data)
    with pytest.raises(TypeError):
        torch.Tensor(dtype=torch.float32)


def test_size():
    size = torch.ones(5, 3).shape
    assert repr(size) == "torch.Size([5, 3])" and size == (5, 3) and size.numel() == 15
    assert type(size[:1]) is type((1,) + size) is type(size * 2) is torch.Size
    assert pickle.loads(pickle.dumps(size)) == size and hash(size) == hash((5, 3))
    assert torch.Size() == () and torch.Size([1, 2])[-1] == 2
    with pytest.raises(TypeError, match="takes an iterable of 'int'"):
        torch.Size([1.5])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol):
    for tensor in (
        torch.tensor([[1.0, 2.0]]).t(),
        torch.tensor(3),
        torch.tensor([True]),
        torch.tensor([1.0], requires_grad=True),
    ):
        back = pickle.loads(pickle.dumps(tensor, protocol))
        assert back.tolist() == tensor.tolist() and back.dtype is tensor.dtype
        assert back.stride() == tensor.stride() and back.requires_grad == tensor.requires_grad


def test_pickle_keeps_shared_memory_shared():
    base = torch.tensor([1.0, 2.0, 3.0])
    a, b = pickle.loads(pickle.dumps((base, base[1:])))
    a[1] = 9
    assert b[0].item() == 9


def test_copy_and_deepcopy():
    tensor = torch.tensor([1.0, 2.0], requires_grad=True)
    tensor.tag = "kept"
    deep = copy.deepcopy(tensor)
    assert deep.tolist() == tensor.tolist() and deep.requires_grad and deep.tag == "kept"
    assert deep.data_ptr() != tensor.data_ptr()
    assert copy.copy(tensor).data_ptr() == tensor.data_ptr()
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(tensor * 2)
    a, b = copy.deepcopy((tensor.detach(), tensor.detach()[1:]))
    a[1] = 7
    assert b[0].item() == 7


def test_storage():
    tensor = torch.tensor([1.0, 2.0, 3.0])
    storage = tensor.untyped_storage()
    assert storage.nbytes() == len(storage) == 12 and storage.data_ptr() == tensor.data_ptr()
    assert tensor[1:].untyped_storage() == storage
    assert tensor[1:].storage().tolist() == [1.0, 2.0, 3.0]
    storage[0] = 0
    with pytest.raises(IndexError):
        storage[12]
