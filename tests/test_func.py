"""Derivatives and batches of functions, as functions."""

import pytest

import rtensor as torch
from rtensor import func

pytestmark = pytest.mark.any_device


def vector():
    return torch.tensor([0.5, 1.0, 2.0], dtype=torch.double)


def test_gradients_nest():
    def cube(x):
        return (x**3).sum()

    x = vector()
    assert torch.allclose(func.grad(cube)(x), 3 * x**2)
    assert torch.allclose(func.grad(lambda x: func.grad(cube)(x).sum())(x), 6 * x)
    gradient, value = func.grad_and_value(cube)(x)
    assert torch.allclose(value, cube(x)) and not gradient.requires_grad


def test_gradients_of_several_arguments_and_trees():
    x = vector()
    gx, gy = func.grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(x, 2 * x)
    assert torch.allclose(gx, 2 * x) and torch.allclose(gy, x)
    params = func.grad(lambda p: (p["w"] * x).sum() + p["b"])({"w": x, "b": torch.tensor(1.0, dtype=torch.double)})
    assert torch.allclose(params["w"], x) and params["b"].item() == 1.0
    gradient, aux = func.grad(lambda x: (x.sum(), x * 2), has_aux=True)(x)
    assert torch.allclose(aux, 2 * x) and gradient.tolist() == [1.0, 1.0, 1.0]


def test_gradients_keep_an_outer_graph():
    x = vector().requires_grad_()
    func.grad(lambda x: (x**3).sum())(x).sum().backward()
    assert torch.allclose(x.grad, 6 * x.detach())


def test_products_and_jacobians():
    x, v = vector(), torch.tensor([1.0, -1.0, 3.0], dtype=torch.double)

    def f(x):
        return x.sin() * x.sum()

    jacobian = torch.autograd.functional.jacobian(f, x)
    assert torch.allclose(func.jacrev(f)(x), jacobian) and torch.allclose(func.jacfwd(f)(x), jacobian)
    outputs, pull = func.vjp(f, x)
    assert torch.allclose(outputs, f(x)) and torch.allclose(pull(v)[0], v @ jacobian)
    assert torch.allclose(func.jvp(f, (x,), (v,))[1], jacobian @ v)
    assert torch.allclose(func.linearize(f, x)[1](v), jacobian @ v)
    assert torch.allclose(func.hessian(lambda x: (x**3).sum())(x), torch.diag(6 * x))


def test_vmap():
    x, y = torch.arange(6.0).reshape(3, 2), torch.arange(2.0)
    assert torch.equal(func.vmap(torch.dot, in_dims=(0, None))(x, y), x @ y)
    assert torch.equal(torch.vmap(lambda a: a * 2, in_dims=1, out_dims=1)(x), x * 2)
    assert torch.equal(func.vmap(func.grad(lambda a: (a**2).sum()))(x), 2 * x)
    with pytest.raises(ValueError, match="Expected all tensors to have the same size"):
        func.vmap(torch.add)(x, y)


def test_scalar_result_is_wanted():
    with pytest.raises(RuntimeError, match=r"Expected f\(\*args\) to return a scalar tensor, got tensor with 1 dims"):
        func.grad(lambda x: x * 2)(vector())


def test_functional_call_and_stacked_modules():
    nets = [torch.nn.Linear(3, 2) for _ in range(2)]
    params, buffers = func.stack_module_state(nets)
    x = torch.ones(3)

    def call(params, buffers):
        return func.functional_call(nets[0], (params, buffers), (x,))

    results = func.vmap(call)(params, buffers)
    assert torch.allclose(results, torch.stack([net(x) for net in nets]))
    assert nets[0].weight.is_leaf and params["weight"].requires_grad
