"""NumPy arrays in and out: shared memory, lifetimes, PyTorch's errors."""

import gc
import warnings

import numpy as np
import pytest

import rtensor as torch

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_is_shared_both_ways(name):
    array = np.array([0, 1, 1], dtype=name)
    tensor = torch.from_numpy(array)
    assert tensor.dtype is getattr(torch, name)
    back = tensor.numpy()
    assert back.dtype == array.dtype and np.shares_memory(back, array)
    array[0] = 1
    assert tensor.tolist() == array.tolist()


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[1:, ::2],
        lambda a: a[:, 1],
        lambda a: a[:0],
        lambda a: a[2, 3],
        lambda a: np.broadcast_to(a[0], (3, 5)),
    ],
)
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_strides_are_kept(view):
    array = np.asarray(view(np.arange(20.0).reshape(4, 5)))
    tensor = torch.from_numpy(array)
    assert tuple(tensor.shape) == array.shape
    if array.size:
        assert tensor.stride() == tuple(s // 8 for s in array.strides)
        assert tensor.data_ptr() == array.__array_interface__["data"][0]
    assert tensor.tolist() == array.tolist()
    assert np.array_equal(tensor.numpy(), array)


def test_the_array_lives_as_long_as_the_tensor():
    tensor = torch.from_numpy(np.arange(1000.0))
    gc.collect()
    junk = [np.zeros(1000) for _ in range(10)]
    assert tensor.tolist() == list(range(1000))
    del junk


def test_the_tensor_lives_as_long_as_the_array():
    array = torch.tensor([float(i) for i in range(1000)]).numpy()
    gc.collect()
    junk = [torch.tensor([0.0] * 1000) for _ in range(10)]
    assert array.tolist() == list(range(1000))
    del junk


def test_memory_in_numpy_hands_is_not_moved():
    tensor = torch.tensor([1.0, 2.0])
    array = tensor.numpy()
    with pytest.raises(RuntimeError, match="not resizable"):
        tensor.resize_(1000)
    assert array.tolist() == [1.0, 2.0] and tensor.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.array(["a"]), TypeError, "can't convert np.ndarray of type numpy.str_"),
        (np.array([object()]), TypeError, "can't convert np.ndarray of type numpy.object_"),
        (np.ones(3, "longdouble"), TypeError, "The only supported types are"),
        (np.ones(3)[::-1], ValueError, "stride in the given numpy array is negative"),
        (np.ones(3, ">f8"), ValueError, "byte order"),
        (np.ones(3, [("a", "f4"), ("b", "i1")])["a"], ValueError, "not a multiple of the element byte size"),
        ([1.0], TypeError, "expected np.ndarray"),
        (3, TypeError, "expected np.ndarray"),
    ],
)
def test_arrays_that_cannot_be_shared(array, error, text):
    with pytest.raises(error, match=text):
        torch.from_numpy(array)


def test_read_only_arrays_warn_and_are_not_written():
    array = np.ones(3)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor = torch.from_numpy(array)
    with pytest.raises(RuntimeError):
        tensor.add_(1)
    assert array.tolist() == [1.0] * 3 and not tensor.numpy().flags.writeable


def test_unaligned_arrays_are_copied():
    raw = np.zeros(17, np.uint8)
    array = raw[1:].view("f8")
    assert torch.from_numpy(array).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: torch.tensor([1.0], requires_grad=True), RuntimeError, "Use tensor.detach"),
        (lambda: torch.tensor([1j]).conj(), RuntimeError, "resolve_conj"),
        (lambda: torch.tensor([1j]).conj().imag, RuntimeError, "resolve_neg"),
    ],
)
def test_tensors_that_cannot_be_shared(make, error, text):
    with pytest.raises(error, match=text):
        make().numpy()
    assert make().numpy(force=True).size == 1


def test_bfloat16_goes_through_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = torch.tensor([1.0, 2.5], dtype=torch.bfloat16).numpy()
    assert array.dtype == ml_dtypes.bfloat16
    assert torch.from_numpy(array).dtype is torch.bfloat16


def test_array_protocol():
    tensor = torch.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(tensor), tensor.numpy())
    assert not np.shares_memory(np.array(tensor), tensor.numpy())
    assert np.asarray(tensor, dtype="float64").dtype == np.float64
    assert isinstance(np.sin(tensor), (np.ndarray, torch.Tensor))
    assert (tensor * np.ones(2)).dtype is torch.float64


def test_as_tensor_and_asarray_share_where_they_can():
    array = np.ones(3)
    assert torch.as_tensor(array).data_ptr() == torch.asarray(array).data_ptr() == torch.from_numpy(array).data_ptr()
    tensor = torch.ones(3)
    assert torch.as_tensor(tensor) is tensor
    assert torch.as_tensor(array, dtype=torch.float32).dtype is torch.float32
    assert torch.asarray(array, copy=True).data_ptr() != torch.from_numpy(array).data_ptr()
    with pytest.raises(ValueError, match="can't alias"):
        torch.asarray([1.0], copy=False)
    assert torch.asarray(b"ab", dtype=torch.uint8).tolist() == [97, 98]


def test_frombuffer():
    buffer = bytearray(b"abcdefgh")
    tensor = torch.frombuffer(buffer, dtype=torch.int16)
    assert tensor.tolist() == np.frombuffer(buffer, "i2").tolist()
    tensor[0] = 0
    assert buffer[:2] == b"\0\0"
    assert (
        torch.frombuffer(buffer, dtype=torch.int16, count=2, offset=1).tolist()
        == np.frombuffer(buffer[1:5], "i2").tolist()
    )


@pytest.mark.parametrize(
    ("buffer", "options", "text"),
    [
        (b"", {}, "must not be 0"),
        (b"abc", {}, "must be a multiple of element size"),
        (b"abc", {"offset": 8}, "no greater than buffer length"),
        (b"abcd", {"count": 5}, "must not be greater than actual buffer length"),
        (3, {}, "does not implement Python buffer protocol"),
    ],
)
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_frombuffer_errors(buffer, options, text):
    with pytest.raises(ValueError, match=text):
        torch.frombuffer(buffer, dtype=torch.int16, **options)


def test_dlpack_both_ways():
    tensor = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).t()
    array = np.from_dlpack(tensor)
    assert array.tolist() == tensor.tolist()
    array = np.arange(6.0).reshape(2, 3)
    shared = torch.from_dlpack(array)
    shared[0, 0] = 9
    assert array[0, 0] == 9 and shared.stride() == (3, 1)
    capsule = torch.to_dlpack(tensor)
    assert torch.from_dlpack(capsule).tolist() == tensor.tolist()
    with pytest.raises(RuntimeError, match="consumed only once"):
        torch.from_dlpack(capsule)
    with pytest.raises(BufferError):
        torch.tensor([1.0], requires_grad=True).__dlpack__()
