"""Optimisers against their formulas, their state, their errors, and schedules of the rate."""

import copy
import math
import pickle

import numpy as np
import pytest

import rtensor as torch
from rtensor import nn, optim
from rtensor.optim import lr_scheduler

pytestmark = pytest.mark.any_device


def run(optimizer_class, steps=5, dtype=torch.float64, **options):
    """Minimise a quadratic; return the path of the parameter."""
    w = nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=dtype))
    optimizer = optimizer_class([w], **options)
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        (w * w * torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=dtype)).sum().backward()
        optimizer.step()
        path.append(w.detach().double().numpy(force=True).copy())
    return np.array(path)


def gradient(w):
    return 2 * w * np.array([[1.0, 2.0], [3.0, 4.0]])


def sgd(steps=5, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
    w, buffer, path = np.array([[1.0, -2.0], [3.0, 0.5]]), None, []
    for _ in range(steps):
        g = -gradient(w) if maximize else gradient(w)
        g = g + weight_decay * w
        if momentum:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        w = w - lr * g
        path.append(w)
    return np.array(path)


def adam(
    steps=5, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, maximize=False, decoupled=False
):
    w = np.array([[1.0, -2.0], [3.0, 0.5]])
    mean, square, largest, path = 0, 0, 0, []
    for t in range(1, steps + 1):
        g = -gradient(w) if maximize else gradient(w)
        if decoupled:
            w = w * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * w
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g * g
        largest = np.maximum(largest, square)
        scale = np.sqrt(largest if amsgrad else square) / math.sqrt(1 - betas[1] ** t) + eps
        w = w - lr / (1 - betas[0] ** t) * mean / scale
        path.append(w)
    return np.array(path)


SGD_OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"lr": 0.01, "maximize": True},
]
ADAM_OPTIONS = [{}, {"lr": 0.1, "betas": (0.8, 0.9)}, {"weight_decay": 0.1}, {"amsgrad": True}, {"maximize": True}]


@pytest.mark.parametrize("options", SGD_OPTIONS, ids=str)
def test_sgd_follows_its_formula(options):
    np.testing.assert_allclose(run(optim.SGD, **options), sgd(**options), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(run(optim.SGD, differentiable=False, **options), run(optim.SGD, **options))


@pytest.mark.parametrize("options", ADAM_OPTIONS, ids=str)
def test_adam_follows_its_formula(options):
    np.testing.assert_allclose(run(optim.Adam, **options), adam(**options), rtol=1e-12)
    np.testing.assert_allclose(
        run(optim.AdamW, **options), adam(**{"weight_decay": 0.01} | options, decoupled=True), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_steps_in_other_dtypes(dtype):
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    np.testing.assert_allclose(
        run(optim.SGD, dtype=dtype, lr=0.05, momentum=0.9), sgd(lr=0.05, momentum=0.9), atol=tolerance
    )
    np.testing.assert_allclose(run(optim.Adam, dtype=dtype, lr=0.1), adam(lr=0.1), atol=tolerance)


@pytest.mark.parametrize("optimizer_class", [optim.SGD, optim.Adam])
def test_strided_parameters(optimizer_class):
    values = torch.randn(300, 70, dtype=torch.float64)
    gradients = torch.randn(300, 70, dtype=torch.float64)
    plain, strided = nn.Parameter(values.clone()), nn.Parameter(values.t().contiguous().t())
    assert not strided.is_contiguous()
    for p in (plain, strided):
        p.grad = gradients.clone()
        optimizer = optimizer_class([p], lr=0.1)
        optimizer.step()
        optimizer.step()
    assert torch.equal(plain, strided)


def test_parameters_without_gradient_stay():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    a.grad = torch.ones(2)
    optimizer = optim.Adam([a, b], lr=0.5)
    optimizer.step()
    assert b.tolist() == [1, 1] and a.tolist() != [1, 1] and b not in optimizer.state


def test_step_counts_as_a_write():
    w = nn.Parameter(torch.ones(2))
    y = w * w
    w.grad = torch.ones(2)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_groups_and_print():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    a.grad = b.grad = torch.ones(1)
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item()], [0.9, 0.5], rtol=1e-6)
    assert repr(optim.SGD([a], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None\n"
        "    lr: 0.1\n    maximize: False\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)"
    )


def test_state_dict_continues_the_run():
    def start():
        torch.manual_seed(1)
        net = nn.Linear(3, 2)
        return net, optim.Adam(net.parameters(), lr=0.1)

    def step(net, optimizer):
        optimizer.zero_grad()
        net(torch.ones(3)).pow(2).sum().backward()
        optimizer.step()

    net, optimizer = start()
    step(net, optimizer)
    saved = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    step(net, optimizer)
    resumed, other = start()
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    assert sorted(saved[1]["state"][0]) == ["exp_avg", "exp_avg_sq", "step"]
    step(resumed, other)
    assert torch.equal(net.weight, resumed.weight)
    assert len(pickle.loads(pickle.dumps(other)).param_groups) == 1


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda w: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
        (lambda w: optim.SGD(w), TypeError, "should be an iterable of Tensors or dicts"),
        (lambda w: optim.SGD([3]), TypeError, "one of the params is int"),
        (lambda w: optim.SGD([w * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda w: optim.SGD([w], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda w: optim.SGD([w], nesterov=True), ValueError, "Nesterov momentum requires"),
        (lambda w: optim.Adam([w], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda w: optim.SGD([{"params": [w]}, {"params": [w]}]), ValueError, "more than one parameter group"),
        (lambda w: optim.SGD([w]).load_state_dict({"state": {}, "param_groups": []}), ValueError, "different number"),
    ],
)
def test_misuse(make, kind, text):
    with pytest.raises(kind) as caught:
        make(nn.Parameter(torch.ones(2)))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: a | {"grads": []}, "lists of one length"),
        (lambda a: a | {"grads": [torch.ones(3)]}, "tensors of one size"),
        (lambda a: a | {"grads": [torch.ones(2, dtype=torch.float64)]}, "of one dtype"),
        (lambda a: a | {"self": [torch.ones(2, dtype=torch.int64)]}, "floating-point"),
        (lambda a: a | {"momentum": 0.5}, "lists of one length"),
    ],
)
def test_fused_step_checks_its_lists(change, text):
    arguments = {"self": [torch.ones(2)], "grads": [torch.ones(2)], "momentum_buffer_list": []}
    options = {"weight_decay": 0.0, "momentum": 0.0, "lr": 0.1, "dampening": 0.0}
    flags = {"nesterov": False, "maximize": False, "is_first_step": False}
    arguments = change(arguments | options | flags)
    lists = [arguments.pop(name) for name in ("self", "grads", "momentum_buffer_list")]
    with pytest.raises(RuntimeError, match=text):
        torch._C._fused_sgd_(*lists, **arguments)


def test_hooks_and_closure():
    seen = []
    w = nn.Parameter(torch.ones(1))
    optimizer = optim.SGD([w], lr=0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))

    def closure():
        optimizer.zero_grad()
        loss = (w * 3).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert seen == ["before", "after"] and math.isclose(w.item(), 0.7, rel_tol=1e-6)


def test_differentiable_step():
    rate = torch.tensor(0.1, requires_grad=True)
    w = nn.Parameter(torch.ones(1))
    moved = w.clone()
    moved.retain_grad()
    moved.grad = torch.full((1,), 2.0)
    optim.SGD([moved], lr=rate, differentiable=True).step()
    moved.sum().backward()
    assert rate.grad.item() == -2.0


SCHEDULES = {
    "LambdaLR": (lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.5**t), lambda t: 0.5**t),
    "StepLR": (lambda o: lr_scheduler.StepLR(o, 3), lambda t: 0.1 ** (t // 3)),
    "MultiStepLR": (lambda o: lr_scheduler.MultiStepLR(o, [2, 5]), lambda t: 0.1 ** ((t >= 2) + (t >= 5))),
    "ExponentialLR": (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "LinearLR": (lambda o: lr_scheduler.LinearLR(o, 0.5, 1.0, 4), lambda t: 0.5 + 0.5 * min(t, 4) / 4),
    "CosineAnnealingLR": (
        lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
        lambda t: (1 + math.cos(math.pi * t / 10)) / 2,
    ),
    "PolynomialLR": (lambda o: lr_scheduler.PolynomialLR(o, 10, 2.0), lambda t: (1 - t / 10) ** 2),
    "CosineAnnealingWarmRestarts": (
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
        lambda t: (1 + math.cos(math.pi * (t % 4) / 4)) / 2,
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    make, expected = SCHEDULES[name]
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = make(optimizer)
    for t in range(9):
        assert math.isclose(schedule.get_last_lr()[0], expected(t), rel_tol=1e-9, abs_tol=1e-12), t
        optimizer.step()
        schedule.step()


def test_plateau_and_order():
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    for loss in (1.0, 0.5, 0.5, 0.5, 0.4):
        schedule.step(loss)
    assert optimizer.param_groups[0]["lr"] == 0.1
    step = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step"):
        step.step()


OTHERS = [optim.RMSprop, optim.Adagrad, optim.Adadelta, optim.Adamax, optim.NAdam, optim.RAdam, optim.ASGD, optim.Rprop]


@pytest.mark.parametrize("optimizer_class", OTHERS)
def test_every_optimiser_descends(optimizer_class):
    path = run(optimizer_class, steps=20)
    sizes = np.abs(path).sum((1, 2))
    assert np.all(np.diff(sizes) < 0)
    saved = optimizer_class([nn.Parameter(torch.ones(1))]).state_dict()
    optimizer_class([nn.Parameter(torch.ones(1))]).load_state_dict(saved)


def test_rmsprop_follows_its_formula():
    w, mean = np.array([[1.0, -2.0], [3.0, 0.5]]), 0.0
    for step in run(optim.RMSprop, lr=0.1, alpha=0.9):
        mean = 0.9 * mean + 0.1 * gradient(w) ** 2
        w = w - 0.1 * gradient(w) / (np.sqrt(mean) + 1e-8)
        np.testing.assert_allclose(step, w, rtol=1e-12)
