"""Scaling of gradients, on the device of the generic tests."""

import pytest
import samples

import rtensor as torch


@pytest.fixture
def device():
    return samples.DEVICE


def make(device, **options):
    x = torch.ones(3, device=device, requires_grad=True)
    return x, torch.optim.SGD([x], lr=0.5), torch.amp.GradScaler(device, **options)


def test_steps_are_those_of_unscaled_losses(device):
    x, optimizer, scaler = make(device, init_scale=8.0)
    scaler.scale((x * torch.arange(3.0, device=device)).sum()).backward()
    assert x.grad.tolist() == [0, 8, 16]
    scaler.step(optimizer)
    scaler.update()
    assert x.tolist() == [1, 0.5, 0] and x.grad.tolist() == [0, 1, 2]
    assert scaler.get_scale() == 8


def test_overflow_leaves_a_step_out(device):
    x, optimizer, scaler = make(device, init_scale=8.0)
    for wrong in (float("inf"), float("nan")):
        before = scaler.get_scale()
        optimizer.zero_grad()
        scaler.scale((x * torch.tensor([1.0, wrong, 1.0], device=device)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert x.tolist() == [1, 1, 1] and scaler.get_scale() == before / 2


def test_the_factor_grows(device):
    x, optimizer, scaler = make(device, init_scale=8.0, growth_interval=2, growth_factor=4.0)
    scales = []
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(x.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [8, 32, 32, 128]
    scaler.update(3.0)
    assert scaler.get_scale() == 3


def test_gradients_are_unscaled_once(device):
    x, optimizer, scaler = make(device)
    with pytest.raises(AssertionError, match="_scale is None"):
        scaler.step(optimizer)
    scaler.scale(x.sum()).backward()
    scaler.unscale_(optimizer)
    assert x.grad.tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert x.tolist() == [0.5, 0.5, 0.5]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update()
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()


def test_many_gradients_of_all_layouts(device):
    params = [torch.ones(2 + k % 3, 4, device=device).requires_grad_() for k in range(60)]
    params.append(torch.ones(4, 3, device=device).t().requires_grad_())
    optimizer, scaler = torch.optim.SGD(params, lr=1.0), torch.amp.GradScaler(device)
    scaler.scale(sum(p.sum() for p in params)).backward()
    params[-1].grad = torch.full((4, 3), 65536.0, device=device).t()
    scaler.unscale_(optimizer)
    assert all(p.grad.eq(1).all().item() for p in params)


def test_states_and_switches(device):
    x, optimizer, scaler = make(device, init_scale=8.0)
    scaler.scale(x.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    other = torch.amp.GradScaler(device)
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() and other.get_scale() == 8
    off = torch.amp.GradScaler(device, enabled=False)
    assert off.scale(x) is x and off.state_dict() == {} and not off.is_enabled() and off.get_scale() == 1
    off.step(optimizer)
    off.update()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_nothing_is_scaled():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not torch.cuda.amp.GradScaler().is_enabled()
