"""User-defined functions."""

import pytest

import rtensor as torch
from rtensor.autograd import Function
from rtensor.autograd.function import once_differentiable

pytestmark = pytest.mark.any_device


def leaf(*values, dtype=None):
    return torch.tensor(values or (1.0, 2.0, 3.0), dtype=dtype, requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx, x, scale=1):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x**3 * scale

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad * ctx.scale, None


def with_methods(**methods):
    return type("Custom", (Function,), {name: staticmethod(f) for name, f in methods.items()})


def test_a_function_is_one_node():
    x = leaf()
    y = Cube.apply(x, 2)
    assert type(y.grad_fn).__name__ == y.grad_fn.name() == "CubeBackward"
    assert y.grad_fn.next_functions[0][0].variable is x and y.grad_fn.scale == 2
    assert y.grad_fn.needs_input_grad == (True, False) and y.grad_fn.saved_tensors[0] is x
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 24.0, 54.0]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.grad_fn.saved_tensors


def test_functions_differentiate_twice():
    x = leaf(dtype=torch.double)
    assert torch.autograd.gradcheck(lambda x: Cube.apply(x, 2), (x,))
    assert torch.autograd.gradgradcheck(lambda x: Cube.apply(x, 2), (x,))


def test_saved_output_keeps_its_history():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            result = x.exp()
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    x = leaf(dtype=torch.double)
    assert torch.autograd.gradgradcheck(Exp.apply, (x,))


def test_setup_context_and_keywords():
    class Scale(Function):
        @staticmethod
        def forward(x, factor=2.0):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.factor, None

    x = leaf()
    Scale.apply(x, factor=5.0).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0, 5.0]


def test_vjp_is_another_name_of_backward():
    double = with_methods(forward=lambda ctx, x: x * 2, vjp=lambda ctx, g: g * 2)
    x = leaf()
    double.apply(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_missing_gradients_are_zeros_or_none():
    seen = []

    def backward(ctx, a, b):
        seen.append(b)
        return a

    pair = with_methods(forward=lambda ctx, x: (x * 1, x * 2), backward=backward)

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 1, x * 2

    bare = with_methods(forward=forward, backward=backward)
    x = leaf()
    pair.apply(x)[0].sum().backward()
    bare.apply(x)[0].sum().backward()
    assert seen[0].tolist() == [0.0, 0.0, 0.0] and seen[1] is None


def test_outputs_that_are_no_tensors_and_not_differentiable():
    def forward(ctx, x):
        indices = (x > 1).long()
        mask = x * 0
        ctx.mark_non_differentiable(mask)
        return "text", x * 2, indices, mask

    f = with_methods(forward=forward, backward=lambda ctx, *g: g[1] * 2)
    x = leaf()
    text, y, indices, mask = f.apply(x)
    assert text == "text" and y.requires_grad and not indices.requires_grad and not mask.requires_grad
    assert y.output_nr == 1
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_input_written_in_place():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    double_ = with_methods(forward=forward, backward=lambda ctx, g: g * 2)
    x = leaf()
    y = x * 1
    z = double_.apply(y)
    assert z is y and type(y.grad_fn).__name__ == "CustomBackward"
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used in an in-place operation"):
        double_.apply(x)
    base = leaf() * 1
    view = base[:2]
    assert double_.apply(view) is view and type(base.grad_fn).__name__ == "CopySlices"


def test_input_returned_as_it_is():
    same = with_methods(forward=lambda ctx, x: x, backward=lambda ctx, g: g * 3)
    x = leaf()
    y = same.apply(x)
    assert y is not x and y.data_ptr() == x.data_ptr() and not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]
    with pytest.raises(RuntimeError, match="This view was created inside a custom Function"):
        same.apply(x).mul_(2)


def test_nothing_is_recorded_without_need():
    plain = torch.ones(2)
    assert Cube.apply(plain).grad_fn is None
    with torch.no_grad():
        assert not Cube.apply(leaf()).requires_grad


@pytest.mark.parametrize(
    ("backward", "error", "message"),
    [
        (lambda ctx, g: (g, g), RuntimeError, "returned an incorrect number of gradients \\(expected 1, got 2\\)"),
        (lambda ctx, g: 3, RuntimeError, "expected Variable or None \\(got int\\)"),
        (
            lambda ctx, g: torch.ones(7),
            RuntimeError,
            "returned an invalid gradient at index 0 - got \\[7\\] but",
        ),
    ],
)
def test_wrong_gradients(backward, error, message):
    f = with_methods(forward=lambda ctx, x: x * 1, backward=backward)
    with pytest.raises(error, match=message):
        f.apply(leaf()).sum().backward()


def test_trailing_nones_and_gradients_of_constants():
    f = with_methods(forward=lambda ctx, x: x * 1, backward=lambda ctx, g: (g, None, None))
    f.apply(leaf()).sum().backward()
    g = with_methods(forward=lambda ctx, x, n: x * n, backward=lambda ctx, g: (g, g))
    with pytest.raises(RuntimeError, match="a gradient different than None at position 2"):
        g.apply(leaf(), 2).sum().backward()


def test_wrong_definitions():
    with pytest.raises(NotImplementedError, match="You must implement the forward function"):
        Function.apply(leaf())
    f = with_methods(forward=lambda ctx, x: x * 1)
    with pytest.raises(NotImplementedError, match="You must implement either the backward or vjp method"):
        f.apply(leaf()).sum().backward()
    save_number = with_methods(forward=lambda ctx, x: ctx.save_for_backward(3) or x * 1)
    with pytest.raises(TypeError, match="save_for_backward can only save variables, but argument 0 is of type int"):
        save_number.apply(leaf())


def test_once_differentiable():
    f = with_methods(forward=lambda ctx, x: x * x, backward=once_differentiable(lambda ctx, g: g * 2))
    x = leaf()
    f.apply(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    y = f.apply(x)
    (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was marked with"):
        g.sum().backward()


def test_backward_may_run_a_backward_pass():
    class Inner(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            with torch.enable_grad():
                ctx.x = x.detach().requires_grad_()
                ctx.y = ctx.x**2
            return ctx.y.detach()

        @staticmethod
        def backward(ctx, grad):
            ctx.y.backward(grad)
            return ctx.x.grad

    x = leaf()
    Inner.apply(x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_hooks_on_the_node_of_a_function():
    x = leaf()
    y = Cube.apply(x)
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 0,))
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
