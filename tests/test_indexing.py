"""Subscripts, read and written, against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rtensor as torch

pytestmark = pytest.mark.any_device

SHAPE = (3, 4, 5)


def pair():
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    return array, torch.from_numpy(array.copy())


KEYS = [
    0,
    -1,
    np.int64(1),
    (1, 2),
    (0, -1, 3),
    slice(None),
    slice(1, 3),
    (slice(None), slice(None, None, 2)),
    (Ellipsis, 0),
    (0, Ellipsis),
    (0, Ellipsis, 1),
    None,
    (None, 0, None),
    (slice(0, 0),),
    [0, 2],
    [-1],
    (slice(None), [1, 1, 0]),
    ([0, 1], [2, 3]),
    ([0, 1], slice(None), [2, 3]),
    (slice(None), [0, 1], [2, 3]),
    (Ellipsis, [0, 4]),
    ([[0], [1]], [2, 3]),
    np.array([True, False, True]),
    (slice(None), np.array([True, False, True, True])),
    np.array([[0, 1], [2, 0]]),
    (0, [1, 2], None),
    True,
    False,
    (np.array([0, 2]), 1),
]


def as_torch(key):
    parts = key if isinstance(key, tuple) else (key,)
    parts = tuple(torch.from_numpy(p) if isinstance(p, np.ndarray) else p for p in parts)
    return parts if isinstance(key, tuple) else parts[0]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_reading_is_numpys(key):
    array, tensor = pair()
    for same in (key, as_torch(key)):
        assert tensor[same].tolist() == array[key].tolist()
        assert tuple(tensor[same].shape) == array[key].shape


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_writing_is_numpys(key):
    array, tensor = pair()
    array[key] = -7
    tensor[as_torch(key)] = -7
    assert tensor.tolist() == array.tolist()
    values = np.arange(array[key].size).reshape(array[key].shape)
    array[key] = values
    tensor[key] = torch.from_numpy(values)
    assert tensor.tolist() == array.tolist()


def test_masks():
    array, tensor = pair()
    assert tensor[tensor > 20].tolist() == array[array > 20].tolist()
    array[array > 20] = 0
    tensor[tensor > 20] = 0
    assert tensor.tolist() == array.tolist()


def test_augmented_assignment():
    array, tensor = pair()
    array[1:, ::2] += 100
    tensor[1:, ::2] += 100
    array[[0, 1]] *= 2
    tensor[[0, 1]] *= 2
    assert tensor.tolist() == array.tolist()


def test_basic_subscripts_are_views():
    _, tensor = pair()
    for key in (0, slice(1, None), (Ellipsis, 0), None, (slice(None), slice(None, None, 2))):
        assert tensor[key].untyped_storage() == tensor.untyped_storage()


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (3, IndexError),
        ((0, 0, 0, 0), IndexError),
        (1.0, IndexError),
        ({}, IndexError),
        ("a", TypeError),
        (slice(None, None, -1), ValueError),
        (slice(None, None, 0), ValueError),
        ([0, 3], IndexError),
        (2**70, ValueError),
    ],
)
def test_bad_subscripts(key, error):
    tensor = pair()[1]
    with pytest.raises(error):
        tensor[key]
    with pytest.raises(error):
        tensor[key] = 0


@pytest.mark.parametrize("value", [[1, 2], np.ones(5), "a", None])
def test_only_tensors_and_numbers_are_assigned(value):
    with pytest.raises(TypeError, match="can't assign a"):
        torch.ones(5)[:] = value


def test_assigned_numbers_must_fit():
    with pytest.raises(RuntimeError):
        torch.zeros(2, dtype=torch.uint8)[0] = 300
    with pytest.raises(RuntimeError):
        torch.zeros(2)[0] = 1j
    with pytest.raises(RuntimeError):
        torch.zeros(2, 3)[0] = torch.ones(2)


item = st.one_of(
    st.integers(-3, 2),
    st.builds(slice, st.none() | st.integers(-4, 4), st.none() | st.integers(-4, 4), st.none() | st.integers(1, 3)),
    st.none(),
    st.just(Ellipsis),
)


@given(st.lists(item, max_size=4).map(tuple).filter(lambda key: sum(k is Ellipsis for k in key) < 2))
def test_any_basic_subscript_is_numpys(key):
    array, tensor = pair()
    try:
        want = array[key]
    except IndexError:
        with pytest.raises(IndexError):
            tensor[key]
    else:
        assert tensor[key].tolist() == want.tolist()
