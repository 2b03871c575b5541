"""Checkpointed functions give the gradients that they give without."""

import pytest

import rtensor as torch
from rtensor.utils.checkpoint import checkpoint, checkpoint_sequential

pytestmark = pytest.mark.any_device


def net():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers)


def gradients(run):
    model, x = net(), torch.linspace(-1, 1, 12).reshape(3, 4).clone().requires_grad_()
    torch.manual_seed(1)
    run(model, x).sum().backward()
    return [p.grad for p in model.parameters()] + [x.grad]


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize(
    "run",
    [
        lambda model, x, **options: checkpoint(model, x, **options),
        lambda model, x, **options: checkpoint_sequential(model, 2, x, **options),
    ],
)
def test_same_gradients(run, use_reentrant):
    expected = gradients(lambda model, x: model(x))
    got = gradients(lambda model, x: run(model, x, use_reentrant=use_reentrant))
    assert all(torch.allclose(a, b) for a, b in zip(got, expected, strict=True))


def test_function_runs_twice():
    calls = []

    def f(x):
        calls.append(torch.is_grad_enabled())
        return x.exp()

    x = torch.ones(2, requires_grad=True)
    y = checkpoint(f, x, use_reentrant=False)
    assert len(calls) == 1
    y.sum().backward()
    assert calls == [True, True] and torch.allclose(x.grad, x.exp())
