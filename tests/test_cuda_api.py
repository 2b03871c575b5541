"""torch.cuda beyond moving tensors: devices, streams, memory, generators, graphs, fused optimisers."""

import gc
import weakref

import numpy as np
import pytest
import samples

import rtensor as torch

pytestmark = pytest.mark.skipif(samples.DEVICE != "cuda", reason="needs --device cuda")


def two_gpus():
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")


# --- devices


def test_the_device_of_a_block():
    two_gpus()
    assert torch.cuda.current_device() == 0
    with torch.cuda.device(1):
        assert torch.cuda.current_device() == 1 and torch.empty(1, device="cuda").device.index == 1
        with torch.cuda.device(None), torch.cuda.device(-1):
            assert torch.cuda.current_device() == 1
    assert torch.cuda.current_device() == 0
    with torch.cuda.device_of(torch.empty(1, device="cuda:1")):
        assert torch.cuda.current_device() == 1
    with torch.cuda.device_of(torch.empty(1)):
        assert torch.cuda.current_device() == 0


def test_set_device():
    two_gpus()
    torch.cuda.set_device(1)
    assert torch.zeros(2).cuda().device == torch.device("cuda:1")
    torch.cuda.set_device("cuda:0")
    torch.cuda.set_device(-1)
    assert torch.cuda.current_device() == 0
    with pytest.raises(ValueError, match="Expected a cuda device"):
        torch.cuda.set_device("cpu")


def test_properties():
    properties = torch.cuda.get_device_properties(0)
    assert torch.cuda.get_device_name() == properties.name and properties.total_memory > 1 << 20
    assert torch.cuda.get_device_capability("cuda:0") == (properties.major, properties.minor)
    assert f"name='{properties.name}'" in repr(properties)
    with pytest.raises(AssertionError, match="Invalid device id"):
        torch.cuda.get_device_properties(99)
    free, total = torch.cuda.mem_get_info()
    assert 0 < free <= total


# --- streams and events


def test_streams_of_blocks_are_nested():
    outer, inner = torch.cuda.Stream(), torch.cuda.Stream()
    with torch.cuda.stream(outer):
        with torch.cuda.stream(inner), torch.cuda.stream(None):
            assert torch.cuda.current_stream() == inner
        assert torch.cuda.current_stream() == outer
        with inner:
            assert torch.cuda.current_stream() == inner
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert repr(torch.cuda.default_stream()) == "<torch.cuda.Stream device=cuda:0 cuda_stream=0x0>"


def test_a_stream_brings_its_device():
    two_gpus()
    stream = torch.cuda.Stream(device=1)
    with torch.cuda.stream(stream):
        assert torch.cuda.current_device() == 1 and torch.cuda.current_stream() == stream
    assert torch.cuda.current_device() == 0
    assert torch.cuda.current_stream(1) == torch.cuda.default_stream(1)


def test_external_streams_are_equal_to_their_own():
    stream = torch.cuda.Stream()
    assert torch.cuda.ExternalStream(stream.cuda_stream) == stream and hash(stream) == hash(stream)
    assert stream.__cuda_stream__() == (0, stream.cuda_stream)


def test_events_tell_what_is_missing():
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event()
    assert start.query() and start.cuda_event == 0 and repr(start) == "<torch.cuda.Event uninitialized>"
    start.synchronize()
    with pytest.raises(ValueError, match="must be recorded"):
        start.elapsed_time(end)
    start.record()
    end.record()
    with pytest.raises(ValueError, match="enable_timing=True"):
        start.elapsed_time(end)


# --- memory


def test_peaks():
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    x = torch.empty(1 << 20, dtype=torch.uint8, device="cuda")
    del x
    assert torch.cuda.max_memory_allocated() >= before + (1 << 20) > torch.cuda.memory_allocated()
    stats = torch.cuda.memory_stats()
    assert stats["allocated_bytes.all.peak"] == torch.cuda.max_memory_allocated()
    assert stats["reserved_bytes.all.current"] == torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == torch.cuda.memory_allocated()
    assert "allocated_bytes.all.current" in torch.cuda.memory_summary()


def test_a_bound_on_memory():
    for wrong, kind in ((1, TypeError), (2.0, ValueError)):
        with pytest.raises(kind):
            torch.cuda.set_per_process_memory_fraction(wrong)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.5)
    try:
        assert torch.cuda.get_per_process_memory_fraction() == pytest.approx(0.5)
        with pytest.raises(torch.cuda.OutOfMemoryError, match="Tried to allocate"):
            torch.empty(int(torch.cuda.mem_get_info()[1] * 0.6), dtype=torch.uint8, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(0.0)


def test_memory_used_on_another_stream_is_kept():
    from rtensor.cuda import _memory

    _memory.release_lent()
    x = torch.empty(1000, device="cuda")
    x.record_stream(torch.cuda.Stream())
    _memory.release_lent()
    assert len(_memory._lent) == 1
    del x
    _memory.release_lent()
    _memory.release_lent()
    assert not _memory._lent
    with pytest.raises(NotImplementedError):
        torch.ones(2).record_stream(torch.cuda.current_stream())


# --- generators


def test_states_of_generators():
    torch.cuda.manual_seed(5)
    assert torch.cuda.initial_seed() == 5
    states = torch.cuda.get_rng_state_all()
    assert len(states) == torch.cuda.device_count() and states[0].numel() == 16 and states[0].device.type == "cpu"
    generator = torch.cuda.default_generators[0]
    generator.draw(3)
    assert generator.get_offset() == 4 and not torch.equal(torch.cuda.get_rng_state(), states[0])
    torch.cuda.set_rng_state_all(states)
    assert generator.get_offset() == 0
    with pytest.raises(RuntimeError, match="wrong size"):
        torch.cuda.set_rng_state(torch.zeros(3, dtype=torch.uint8))
    with torch.random.fork_rng():
        generator.draw(8)
    assert torch.equal(torch.cuda.get_rng_state(), states[0])


# --- graphs


def test_graphs_tell_what_is_wrong():
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        graph.replay()
    with pytest.raises(RuntimeError, match="non-default stream"):
        graph.capture_begin()
    with pytest.raises(RuntimeError, match="capture_begin"):
        graph.capture_end()
    with torch.cuda.graph(graph):
        assert torch.cuda.is_current_stream_capturing()
    assert not torch.cuda.is_current_stream_capturing()
    with pytest.raises(RuntimeError, match="already owns"), torch.cuda.graph(graph):
        pass
    graph.reset()
    with torch.cuda.graph(graph):
        pass


def test_memory_of_graphs_is_their_own():
    gc.collect()
    torch.cuda.empty_cache()
    x = torch.ones(1 << 16, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x * 2 + 1
    # What the graph used between its kernels may not be handed out while it can be replayed.
    others = [torch.zeros(1 << 16, device="cuda") for _ in range(4)]
    graph.replay()
    assert y[:2].tolist() == [3, 3] and all(other[:2].tolist() == [0, 0] for other in others)
    second = torch.cuda.CUDAGraph()
    with torch.cuda.graph(second, pool=graph.pool()):
        z = y + 1
    graph.replay()
    second.replay()
    assert z[0].item() == 4
    from rtensor.cuda import _memory

    del graph, second
    gc.collect()
    assert _memory._retired
    del y, z
    gc.collect()
    torch.cuda.empty_cache()
    assert not _memory._retired and not _memory._private


def test_graphs_draw_fresh_numbers():
    torch.cuda.manual_seed(1)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x = torch.empty(100, device="cuda").uniform_()
    torch.cuda.manual_seed(1)
    draws = []
    for _ in range(2):
        graph.replay()
        draws.append(x.cpu())
    eager = torch.empty(100, device="cuda")
    torch.cuda.manual_seed(1)
    assert torch.equal(eager.uniform_().cpu(), draws[0]) and torch.equal(eager.uniform_().cpu(), draws[1])
    assert not torch.equal(*draws)


def test_a_captured_function():
    net = torch.nn.Linear(3, 2).cuda()
    sample = torch.ones(4, 3, device="cuda")
    graphed = torch.cuda.make_graphed_callables(net, (sample,))
    x = torch.arange(12.0).view(4, 3).cuda()
    plain = torch.nn.functional.linear(x, net.weight, net.bias)
    np.testing.assert_allclose(graphed(x).tolist(), plain.tolist(), rtol=1e-6)
    graphed(x).sum().backward()
    np.testing.assert_allclose(net.bias.grad.tolist(), [4.0, 4.0])


# --- optimisers

STEPS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.1),
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, maximize=True),
    "adam": lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, amsgrad=True),
    "capturable": lambda p: torch.optim.Adam(p, 0.1, capturable=True),
}


def descended(device, make, dtype=torch.float32, count=1):
    """Parameters after three steps with known gradients."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(5,), (100, 130), (3, 4), (0,), ()] * count
    params = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    params.append(torch.randn(6, 5, generator=generator).to(dtype).t())
    gradients = [torch.randn(p.shape, generator=generator).to(dtype).to(device) for p in params]
    params = [p.to(device).requires_grad_() for p in params]
    optimizer = make(params)
    for step in range(1, 4):
        for p, gradient in zip(params, gradients, strict=True):
            p.grad = gradient * step
        optimizer.step()
    return params


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)
def test_fused_steps_are_the_cpus(make, dtype):
    for ours, theirs in zip(descended("cuda", make, dtype), descended("cpu", make, dtype), strict=True):
        assert ours.is_cuda and ours._version >= theirs._version > 0
        torch.testing.assert_close(ours.detach().cpu(), theirs.detach())


def test_more_parameters_than_a_launch_takes():
    make = STEPS["adamw"]
    for ours, theirs in zip(descended("cuda", make, count=30), descended("cpu", make, count=30), strict=True):
        torch.testing.assert_close(ours.detach().cpu(), theirs.detach())


def test_captured_steps_count_on_the_device():
    x = torch.ones(3, device="cuda", requires_grad=True)
    x.grad = torch.ones(3, device="cuda")
    optimizer = torch.optim.Adam([x], 0.1, capturable=True)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        optimizer.step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    for _ in range(2):
        graph.replay()
    assert optimizer.state[x]["step"].item() == 3
    np.testing.assert_allclose(x.tolist(), [0.7] * 3, rtol=1e-5)


def test_counts_on_the_cpu_cannot_be_captured():
    x = torch.ones(3, device="cuda", requires_grad=True)
    x.grad = torch.ones(3, device="cuda")
    optimizer = torch.optim.Adam([x], 0.1)
    optimizer.step()
    with pytest.raises(RuntimeError, match="capturable"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        optimizer.step()


def test_other_steps_cannot_be_captured():
    x = torch.ones(3, device="cuda", requires_grad=True)
    x.grad = torch.ones(3, device="cuda")
    optimizer = torch.optim.NAdam([x], 0.1)
    optimizer.step()
    with pytest.raises(RuntimeError, match="NAdam"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        optimizer.step()


def test_state_of_optimizers_moves_with_the_parameters():
    source = torch.ones(3, device="cuda", requires_grad=True)
    source.grad = torch.ones(3, device="cuda")
    optimizer = torch.optim.Adam([source])
    optimizer.step()
    target = torch.ones(3, requires_grad=True)
    other = torch.optim.Adam([target])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[target]["exp_avg"].device.type == "cpu"
    optimizer.load_state_dict(other.state_dict())
    assert optimizer.state[source]["exp_avg"].is_cuda and not optimizer.state[source]["step"].is_cuda


def test_modules_give_their_memory_back():
    net = torch.nn.Linear(3, 3).cuda()
    dies = weakref.ref(net.weight)
    del net
    gc.collect()
    assert dies() is None
