"""Derivatives of functions, and the checks against finite differences."""

import pytest

import rtensor as torch
from rtensor.autograd import functional, gradcheck, gradgradcheck

pytestmark = pytest.mark.any_device


def vector():
    return torch.tensor([0.5, 1.0, 2.0], dtype=torch.double)


def close(got, expected):
    return torch.allclose(got, torch.as_tensor(expected, dtype=got.dtype))


def test_jacobian():
    x = vector()
    assert close(functional.jacobian(torch.exp, x), torch.diag(x.exp()))
    (a, b), (c, d) = functional.jacobian(lambda x, y: (x * y, y.sum()), (x, x))
    assert close(a, torch.diag(x)) and close(b, torch.diag(x)) and close(c, [0, 0, 0]) and close(d, [1, 1, 1])


def test_hessian():
    x = vector()
    assert close(functional.hessian(lambda x: (x**3).sum(), x), torch.diag(6 * x))
    blocks = functional.hessian(lambda x, y: (x * y).sum(), (x, x))
    assert close(blocks[0][1], torch.eye(3)) and close(blocks[0][0], torch.zeros(3, 3))


def test_products_agree_with_the_matrices():
    x, v = vector(), torch.tensor([1.0, -1.0, 3.0], dtype=torch.double)

    def f(x):
        return x.sin() * x.sum()

    def g(x):
        return (x.sin() * x.sum()).sum()

    jacobian, hessian = functional.jacobian(f, x), functional.hessian(g, x)
    assert close(functional.vjp(f, x, v)[1], v @ jacobian) and close(functional.jvp(f, x, v)[1], jacobian @ v)
    assert close(functional.vhp(g, x, v)[1], v @ hessian) and close(functional.hvp(g, x, v)[1], hessian @ v)
    assert close(functional.vjp(g, x)[0], g(x)) and close(functional.vjp(g, x)[1], functional.jacobian(g, x))


def test_create_graph():
    x = vector().requires_grad_()
    functional.jacobian(lambda x: x**3, x, create_graph=True).sum().backward()
    assert close(x.grad, 6 * x.detach())
    assert not functional.jacobian(lambda x: x**3, x).requires_grad


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (
            lambda x: functional.jacobian(lambda x: 3, x),
            TypeError,
            "The outputs of the user-provided function given",
        ),
        (lambda x: functional.jacobian(torch.exp, 3), TypeError, "The inputs given to jacobian must be either"),
        (lambda x: functional.hessian(torch.exp, x), RuntimeError, "given to hessian should contain a single element"),
        (lambda x: functional.vjp(torch.exp, x), RuntimeError, "The vector v can only be None if"),
        (lambda x: functional.vjp(torch.exp, x, x[:2]), RuntimeError, "v has invalid size: should be"),
        (
            lambda x: functional.jacobian(lambda x: torch.ones(2), x, strict=True),
            RuntimeError,
            "Output 0 of the user-provided function does not require gradients",
        ),
    ],
)
def test_wrong_calls(run, error, message):
    with pytest.raises(error, match=message):
        run(vector())


def test_gradcheck_finds_wrong_gradients():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * 3

    x = vector().requires_grad_()
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, (x,))
    assert not gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(torch.exp, (x.detach(),))
    with pytest.raises(RuntimeError, match="expected to be zero"):
        gradcheck(lambda x: x.detach(), (x,))


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x * y,
        lambda x, y: x / y,
        lambda x, y: (x @ y.t()).tanh(),
        lambda x, y: torch.stack([x, y]).prod(0),
        lambda x, y: torch.cat([x, y.exp()])[1:, ::2],
        lambda x, y: torch.where(x > y, x * 2, y * 3),
        lambda x, y: (x.softmax(1), y.cumsum(0)),
        lambda x, y: x.expand(2, 3, 3).sum((0, 2)) + y[0],
        lambda x, y: x.permute(1, 0).reshape(-1)[torch.tensor([0, 0, 3])] * y.max(),
    ],
)
def test_first_and_second_derivatives(f):
    torch.manual_seed(0)
    inputs = [torch.rand(3, 3, dtype=torch.double, requires_grad=True) for _ in range(2)]
    assert gradcheck(f, inputs) and gradgradcheck(f, inputs)


def test_complex_gradients():
    torch.manual_seed(0)
    z = torch.randn(3, dtype=torch.complex128, requires_grad=True)
    for f in (lambda z: z * z.conj(), torch.exp, lambda z: z.abs(), lambda z: torch.view_as_real(z).prod(1)):
        assert gradcheck(f, (z,))
