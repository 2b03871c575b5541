"""Memory of GPUs shared with other libraries, and page-locked memory of the host."""

import numpy as np
import pytest
import samples

import rtensor as torch

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")


class Described:
    """An object that tells of another one's memory, with changes."""

    def __init__(self, owner, **changes):
        self.owner = owner
        self.__cuda_array_interface__ = {**owner.__cuda_array_interface__, **changes}


# --- __cuda_array_interface__


def test_what_a_tensor_tells():
    x = torch.arange(6, dtype=torch.int32, device="cuda").view(2, 3)
    told = x.__cuda_array_interface__
    assert told["version"] == 3 and told["shape"] == (2, 3) and told["typestr"] == "<i4"
    assert told["data"] == (x.data_ptr(), False) and told["strides"] is None and told["stream"] == 1
    assert x.t().__cuda_array_interface__["strides"] == (4, 12)
    assert x[:0].__cuda_array_interface__["data"][0] == 0
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        assert x.__cuda_array_interface__["stream"] == stream.cuda_stream


def test_what_has_no_interface():
    assert not hasattr(torch.ones(2), "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="requires grad"):
        _ = torch.ones(2, device="cuda", requires_grad=True).__cuda_array_interface__
    with pytest.raises(RuntimeError, match="conjugate"):
        _ = torch.ones(2, dtype=torch.complex64, device="cuda").conj().__cuda_array_interface__
    with pytest.raises(TypeError, match="bfloat16"):
        _ = torch.ones(2, dtype=torch.bfloat16, device="cuda").__cuda_array_interface__


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64", "complex64"])
def test_arrays_become_tensors_on_their_memory(dtype):
    import cupy

    array = cupy.asarray(np.arange(6).reshape(2, 3).astype(dtype))
    x = torch.asarray(array)
    assert x.data_ptr() == array.data.ptr and str(x.dtype) == f"torch.{dtype}"
    assert torch.equal(x.cpu(), torch.from_numpy(cupy.asnumpy(array)))
    turned = torch.asarray(array.T)
    assert turned.stride() == (1, 3) and turned.data_ptr() == array.data.ptr
    kept = x.cpu()
    del array
    assert torch.equal(x.cpu(), kept)


def test_streams_of_producers_are_waited_for():
    x = torch.arange(4.0, device="cuda")
    stream = torch.cuda.Stream()
    for number in (None, 1, stream.cuda_stream):
        assert torch.asarray(Described(x, stream=number)).tolist() == [0, 1, 2, 3]


def test_interfaces_that_cannot_be_shared():
    x = torch.arange(4.0, device="cuda")
    for changes in ({"strides": (-4,)}, {"strides": (3,)}, {"mask": x}):
        with pytest.raises(ValueError):
            torch.asarray(Described(x, **changes))


def test_libraries_compute_on_borrowed_memory():
    import cupy

    array = cupy.asarray(np.eye(3) * 4)
    for x in (torch.asarray(array), torch.from_dlpack(array)):
        np.testing.assert_allclose(torch.linalg.svdvals(x).tolist(), [4, 4, 4])
        assert torch.fft.fft(x)[0, 0].item() == 4
        x.record_stream(torch.cuda.Stream())


# --- DLPack


def test_capsules_of_tensors():
    import cupy

    x = torch.arange(6.0, device="cuda").view(2, 3)
    assert x.__dlpack_device__() == (2, 0)
    array = cupy.from_dlpack(x.t())
    assert array.shape == (3, 2) and array.data.ptr == x.data_ptr()
    back = torch.from_dlpack(array)
    assert back.data_ptr() == x.data_ptr() and torch.equal(back, x.t())
    own = torch.from_dlpack(x)
    own.zero_()
    assert x.sum().item() == 0


def test_streams_of_consumers():
    x = torch.ones(3, device="cuda")
    stream = torch.cuda.Stream()
    for number in (None, -1, 1, stream.cuda_stream):
        assert torch.from_dlpack(x.__dlpack__(stream=number)).tolist() == [1, 1, 1]
    with pytest.raises(BufferError, match="per-thread"):
        x.__dlpack__(stream=2)
    with pytest.raises(AssertionError, match="unsupported stream"):
        x.__dlpack__(stream=0)


def test_dlpack_copies_where_asked():
    x = torch.ones(3, device="cuda")
    on_host = torch.from_dlpack(x.__dlpack__(dl_device=(1, 0)))
    assert on_host.device.type == "cpu" and on_host.tolist() == [1, 1, 1]
    assert torch.from_dlpack(x, device="cpu").device.type == "cpu"
    assert torch.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(ValueError):
        x.__dlpack__(dl_device=(1, 0), copy=False)


# --- page-locked memory


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_pinned_copies(dtype):
    x = torch.ones(3, 4).to(dtype)
    pinned = x.t().pin_memory()
    assert pinned.is_pinned() and pinned[1:].is_pinned() and not x.is_pinned()
    assert pinned.dtype == dtype and torch.equal(pinned, x.t()) and pinned.pin_memory() is pinned
    assert torch.equal(pinned.to("cuda", non_blocking=True).cpu(), x.t())


def test_pinned_memory_outlives_its_copies():
    from rtensor.cuda import _exchange

    x = torch.arange(4.0).pin_memory().to("cuda", non_blocking=True)
    assert len(_exchange._in_flight) == 1
    back = torch.empty(4).pin_memory()
    back.copy_(x, non_blocking=True)
    torch.cuda.synchronize()
    assert back.tolist() == [0, 1, 2, 3]
    x.copy_(torch.ones(4), non_blocking=True)
    assert x.tolist() == [1, 1, 1, 1]
    torch.ones(1).pin_memory().to("cuda", non_blocking=True)
    assert len(_exchange._in_flight) == 1
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.copy_(back, non_blocking=True)
    back.fill_(7)
    graph.replay()
    assert x.tolist() == [7, 7, 7, 7]


def test_what_cannot_be_pinned():
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        torch.ones(2, device="cuda").pin_memory()


def test_loaders_pin_their_batches():
    data = torch.utils.data.TensorDataset(torch.arange(4.0), torch.arange(4))
    for images, labels in torch.utils.data.DataLoader(data, batch_size=2, pin_memory=True):
        assert images.is_pinned() and labels.is_pinned()


# --- old-style types


def test_types_of_gpus():
    x = torch.ones(2)
    assert x.type("torch.cuda.FloatTensor").is_cuda and x.cuda().type("torch.DoubleTensor").device.type == "cpu"
    assert x.cuda().type() == "torch.cuda.FloatTensor"
    y = torch.cuda.LongTensor([1, 2])
    assert y.is_cuda and isinstance(y, torch.cuda.LongTensor) and not isinstance(y, torch.LongTensor)
    assert repr(torch.cuda.LongTensor) == "<class 'torch.cuda.LongTensor'>"
