"""Tensors on a GPU, or on the emulated one: `pytest --device cuda`."""

import copy
import gc
import pickle

import numpy as np
import pytest
import samples

import rtensor as torch

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")
CUDA = torch.device("cuda:0")


def several():
    return pytest.mark.skipif(samples.DEVICE != "cuda" or torch.cuda.device_count() < 2, reason="needs two GPUs")


# --- devices and moves


def test_factories_and_moves():
    x = torch.arange(6, device="cuda").view(2, 3)
    assert x.is_cuda and x.device == CUDA and x.get_device() == 0 and torch.device("cuda") != CUDA
    assert x.cpu().tolist() == [[0, 1, 2], [3, 4, 5]] and x.cpu().device.type == "cpu"
    assert x.to("cuda") is x and x.cuda() is x
    assert x.to("cpu", torch.float64).dtype is torch.float64
    assert torch.ones_like(x).device == CUDA and x.new_zeros(2).device == CUDA
    assert torch.tensor([1.5, 2.5], device="cuda").tolist() == [1.5, 2.5]
    assert torch.tensor(7, device="cuda").item() == 7 and bool(torch.tensor(True, device="cuda"))
    y = torch.ones(2, 3).to(device="cuda", dtype=torch.int64, non_blocking=True)
    assert (x + y).cpu().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_moves_of_views_and_empties():
    x = torch.arange(24.0).view(2, 3, 4)
    for view in (x.transpose(0, 2), x[:, ::2], x[1:1], x[..., -1], x.flip(0), x.expand(2, 2, 3, 4)):
        assert torch.equal(view.cuda().cpu(), view)
        assert torch.equal(x.cuda().cpu(), x)
    moved = x.transpose(0, 2).cuda()
    assert moved.stride() == x.transpose(0, 2).stride()
    there = x.cuda().transpose(0, 1)[:, 1]
    assert torch.equal(there.cpu(), x.transpose(0, 1)[:, 1])


def test_copies_convert_in_both_directions():
    x = torch.tensor([1.7, -2.3, 0.0])
    y = torch.zeros(3, dtype=torch.int32, device="cuda")
    assert y.copy_(x).cpu().tolist() == [1, -2, 0]
    z = torch.zeros(3, 2, dtype=torch.float16)
    z[:, 1].copy_(y)
    assert z.tolist() == [[0, 1], [0, -2], [0, 0]]


def test_prints():
    assert repr(torch.tensor([1, 2], device="cuda")) == "tensor([1, 2], device='cuda:0')"
    assert repr(torch.zeros(0, device="cuda")) == "tensor([], device='cuda:0')"
    x = torch.ones(2, device="cuda", requires_grad=True)
    assert repr(x) == "tensor([1., 1.], device='cuda:0', requires_grad=True)"


def test_devices_do_not_mix():
    x, y = torch.ones(3, device="cuda"), torch.ones(3)
    for wrong in (lambda: x + y, lambda: torch.cat([x, y]), lambda: x.where(y > 0, x), lambda: x.add_(y)):
        with pytest.raises(RuntimeError, match="same device"):
            wrong()
    assert (x + torch.tensor(2.0)).tolist() == [3, 3, 3] and (torch.tensor(2.0) * x).device == CUDA
    assert torch.where(x > 0, x, torch.tensor(0.0)).tolist() == [1, 1, 1]
    with pytest.raises((RuntimeError, TypeError)):
        x.numpy()
    assert x.numpy(force=True).tolist() == [1, 1, 1]
    with pytest.raises(TypeError):
        np.asarray(x)


@several()
def test_two_gpus():
    x, y = torch.ones(3, device="cuda:0"), torch.ones(3, device="cuda:1")
    assert y.device.index == 1 and (y + 1).device.index == 1 and (y + 1).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="same device"):
        x + y
    assert (x + y.to(x.device)).tolist() == [2, 2, 2]
    with torch.cuda.device(1):
        assert torch.cuda.current_device() == 1 and torch.ones(2, device="cuda").device.index == 1
        assert (x * 2).tolist() == [2, 2, 2]
    assert torch.cuda.current_device() == 0
    with torch.device("cuda:1"):
        assert torch.zeros(2).device.index == 1


def test_wrong_devices():
    with pytest.raises(RuntimeError):
        torch.ones(2, device="cuda:99")
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        torch.cuda.set_device(99)
    with pytest.raises(RuntimeError):
        torch.device("cuda:-2")


def test_what_the_module_says():
    assert torch.cuda.is_available() and torch.cuda.device_count() >= 1
    properties = torch.cuda.get_device_properties(0)
    assert properties.name == torch.cuda.get_device_name() and properties.total_memory > 0
    assert torch.cuda.get_device_capability() == (properties.major, properties.minor)
    torch.cuda.synchronize()
    assert torch.cuda.is_initialized()


def test_default_device():
    torch.set_default_device("cuda")
    try:
        assert torch.ones(2).device == CUDA and torch.tensor([1.0]).device == CUDA
    finally:
        torch.set_default_device("cpu")
    with torch.device("cuda"):
        assert torch.zeros(2).is_cuda
    assert not torch.zeros(2).is_cuda


def test_pickles_and_deep_copies():
    x = torch.randn(3, 4).cuda().t().requires_grad_()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.device == CUDA and twin.requires_grad and torch.equal(twin.detach().cpu(), x.detach().cpu())


def test_files_keep_and_map_devices(tmp_path):
    x = torch.arange(5.0, device="cuda")
    torch.save({"x": x, "y": x[2:]}, tmp_path / "x.pt")
    loaded = torch.load(tmp_path / "x.pt")
    assert loaded["x"].device == CUDA and loaded["y"].tolist() == [2, 3, 4]
    loaded["x"][2] = 9
    assert loaded["y"][0].item() == 9
    assert torch.load(tmp_path / "x.pt", map_location="cpu")["x"].device.type == "cpu"


def test_pinned_memory():
    x = torch.arange(4.0).pin_memory()
    assert x.is_pinned() and x.device.type == "cpu" and not torch.ones(2).is_pinned()
    assert x.to("cuda", non_blocking=True).cpu().tolist() == [0, 1, 2, 3]


def test_modules_move():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.BatchNorm1d(4)).cuda()
    assert all(t.is_cuda for t in [*net.parameters(), *net.buffers()])
    assert all(not t.is_cuda for t in net.cpu().parameters())
    net.to("cuda", torch.float64)
    assert net[0].weight.dtype is torch.float64 and net[0].weight.is_cuda


# --- autograd


def test_gradients_lie_on_the_device():
    x = torch.randn(3, 4, device="cuda", requires_grad=True)
    y = ((x * 2).exp() + x.t().sigmoid().t()).sum()
    y.backward()
    assert x.grad.device == CUDA and x.grad_fn is None
    host = x.detach().cpu().requires_grad_()
    ((host * 2).exp() + host.sigmoid()).sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), host.grad.numpy(), rtol=1e-5)


def test_gradients_cross_devices():
    x = torch.ones(3, requires_grad=True)
    (x.cuda() * torch.tensor([1.0, 2.0, 3.0], device="cuda")).sum().backward()
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [1, 2, 3]


def test_double_backward_hooks_and_in_place():
    x = torch.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    seen = []
    y = x * x
    y.register_hook(lambda g: seen.append(g.device) or g * 2)
    (first,) = torch.autograd.grad((y * x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert seen[0] == CUDA and second.device == CUDA
    z = x.clone()
    z.mul_(3)[0] = 5
    z.sum().backward()
    assert x.grad.tolist() == [0, 3]


def test_saved_tensors_are_guarded():
    x = torch.ones(2, device="cuda", requires_grad=True)
    y = x.exp()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# --- missing kernels


def test_a_missing_kernel_names_op_and_device(monkeypatch):
    from rtensor.cuda import _registry

    with pytest.raises(NotImplementedError, match=r"no_such_op.*cuda"):
        _registry.find("no_such_op")


# --- streams, events, memory


def test_streams_and_events():
    side = torch.cuda.Stream()
    assert torch.cuda.current_stream() == torch.cuda.default_stream() != side
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    x = torch.ones(1000, device="cuda")
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        assert torch.cuda.current_stream() == side
        start.record()
        y = x * 2
        end.record()
    torch.cuda.current_stream().wait_stream(side)
    end.synchronize()
    assert end.query() and side.query() and start.elapsed_time(end) >= 0
    assert y.sum().item() == 2000


def test_memory_is_counted_and_given_back():
    gc.collect()
    before = torch.cuda.memory_allocated()
    x = torch.empty(1 << 20, dtype=torch.uint8, device="cuda")
    assert torch.cuda.memory_allocated() - before == 1 << 20
    assert torch.cuda.max_memory_allocated() >= before + (1 << 20)
    assert torch.cuda.memory_reserved() >= torch.cuda.memory_allocated()
    view = x[5:]
    del x
    assert torch.cuda.memory_allocated() > before
    del view
    assert torch.cuda.memory_allocated() == before
    torch.cuda.empty_cache()


def test_out_of_memory():
    with pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"):
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
    assert issubclass(torch.cuda.OutOfMemoryError, RuntimeError)


# --- graphs


def test_graphs_replay_on_the_same_memory():
    x = torch.zeros(4, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        (x + 1) * 2
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = (x + 1) * 2
    x.copy_(torch.arange(4.0))
    graph.replay()
    assert y.tolist() == [2, 4, 6, 8]
    x.add_(1)
    graph.replay()
    assert y.tolist() == [4, 6, 8, 10]


def test_a_training_step_is_captured():
    torch.manual_seed(0)
    nets = [torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).cuda() for _ in "ab"]
    nets[1].load_state_dict(nets[0].state_dict())
    images, labels = torch.randn(5, 3).cuda(), torch.tensor([0, 1, 1, 0, 1]).cuda()

    def stepper(net):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            return loss

        return step

    eager, step = (stepper(net) for net in nets)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(2):
            step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    for _ in range(3):
        graph.replay()
    for _ in range(5):
        want = eager()
    np.testing.assert_allclose(loss.item(), want.item(), rtol=1e-5)


def test_waiting_is_an_error_while_recording():
    x = torch.ones(2, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError), torch.cuda.graph(graph):
        x.sum().item()


# --- other libraries


def test_cuda_array_interface_and_dlpack():
    import cupy

    x = torch.arange(6.0, device="cuda").view(2, 3)
    for theirs in (cupy.asarray(x.t()), cupy.from_dlpack(x.t())):
        assert theirs.shape == (3, 2) and cupy.asnumpy(theirs).tolist() == x.t().tolist()
        theirs[0, 0] = 9.0
        assert x[0, 0].item() == 9
        x[0, 0] = 0
    array = cupy.arange(4, dtype=np.float32)
    for mine in (torch.as_tensor(array, device="cuda"), torch.from_dlpack(array)):
        assert mine.device == CUDA and mine.tolist() == [0, 1, 2, 3]
        mine[1] = 5
        assert cupy.asnumpy(array)[1] == 5
        mine[1] = 1


def test_random_numbers_follow_their_seed():
    torch.cuda.manual_seed(7)
    x = torch.randn(1000, device="cuda")
    torch.manual_seed(7)
    y = torch.randn(1000, device="cuda")
    assert torch.equal(x, y) and abs(x.mean().item()) < 0.2 and abs(x.std().item() - 1) < 0.1
    generator = torch.Generator(device="cuda").manual_seed(3)
    u = torch.rand(1000, device="cuda", generator=generator)
    assert u.min().item() >= 0 and u.max().item() < 1
    state = torch.cuda.get_rng_state()
    a = torch.rand(5, device="cuda")
    torch.cuda.set_rng_state(state)
    assert torch.equal(a, torch.rand(5, device="cuda"))
