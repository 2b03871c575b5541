"""Writes in place: what is forbidden, what is recorded, and what views and their bases learn of it."""

import pytest

import rtensor as torch

pytestmark = pytest.mark.any_device


def leaf(*values):
    return torch.tensor(values or (1.0, 2.0, 3.0), requires_grad=True)


LEAF = "a leaf Variable that requires grad is being used in an in-place operation"
VIEW_OF_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation"
NO_GRAD_VIEW = "A view was created in no_grad mode and is being modified inplace with grad mode enabled"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda x: x.mul_(2), LEAF),
        (lambda x: x.__setitem__(0, 1.0), "a view of a leaf|a leaf Variable"),
        (lambda x: x[0].mul_(2), VIEW_OF_LEAF),
        (lambda x: x.view(-1).zero_(), VIEW_OF_LEAF),
        (lambda x: (x * 1).unbind()[0].mul_(2), "Output 0 of Unbind.* is a view and is being modified inplace"),
        (lambda x: (x * 1).chunk(3)[1].mul_(2), "returns multiple views"),
    ],
)
def test_forbidden_writes(write, message):
    x = leaf()
    with pytest.raises(RuntimeError, match=message):
        write(x)
    assert x.tolist() == [1.0, 2.0, 3.0] and x._version == 0


def test_view_made_without_grad_may_not_be_written_with_it():
    x = leaf()
    base = x * 1
    with torch.no_grad():
        view = base.view(-1)
        view.mul_(2)
    with pytest.raises(RuntimeError, match=NO_GRAD_VIEW):
        view.mul_(2)


def test_leaf_is_written_freely_without_grad():
    x = leaf()
    with torch.no_grad():
        x.mul_(2)
        x[0] = 7.0
    assert x.tolist() == [7.0, 4.0, 6.0] and x.is_leaf and x.requires_grad


def test_write_through_a_view_rebases_the_base():
    x = leaf()
    base = x * 1
    before = base.grad_fn
    view = base[1:]
    view.mul_(10)
    assert type(base.grad_fn).__name__ == "CopySlices" and base.grad_fn is not before
    assert type(view.grad_fn).__name__ == "AsStridedBackward0"
    assert base.grad_fn.next_functions[0][0] is before
    base.sum().backward()
    assert x.grad.tolist() == [1.0, 10.0, 10.0]


def test_write_to_the_base_reaches_its_views():
    x = leaf()
    base = x * 1
    view = base[:2]
    base.mul_(5)
    assert type(view.grad_fn).__name__ == "AsStridedBackward0"
    view.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0, 0.0]


def test_base_without_grad_gets_it_through_a_view():
    x = leaf()
    base = torch.zeros(3)
    first, other = base[0], base[1:]
    first.add_(x[2])
    assert base.requires_grad and other.requires_grad and not other.is_leaf
    (base * torch.tensor([2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize(
    "view_of",
    [
        lambda b: b.t(),
        lambda b: b[1],
        lambda b: b[:, ::2],
        lambda b: b.view(-1)[2:5],
        lambda b: b.unsqueeze(0)[0, 1:, 1:],
        lambda b: b.transpose(0, 1)[1:],
    ],
)
def test_writes_through_views_have_the_right_gradient(view_of):
    x = torch.arange(6.0, dtype=torch.double).reshape(2, 3).requires_grad_()
    w = torch.linspace(1, 2, 6, dtype=torch.double).reshape(2, 3)

    def through_view(x):
        base = x * 1
        view_of(base).mul_(3).add_(x.sum())
        return (base * base * w).sum()

    assert torch.autograd.gradcheck(through_view, (x,))
    assert torch.autograd.gradgradcheck(through_view, (x,))


def test_chain_of_writes_to_different_views():
    x = torch.ones(4, dtype=torch.double, requires_grad=True)

    def f(x):
        base = x * 2
        base[0].mul_(2)
        base[1:3] = base[:2].clone() * x[0]
        base[3:].pow_(2)
        return base * x

    assert torch.autograd.gradcheck(f, (x,))


def test_saved_tensor_that_was_written_is_an_error():
    x = leaf()
    y = x.exp()
    y.add_(1)
    message = (
        r"one of the variables needed for gradient computation has been modified by an inplace operation: "
        r"\[torch.(cuda.)?FloatTensor \[3\]\], which is output 0 of Exp.*, "
        r"is at version 1; expected version 0 instead. Hint:"
    )
    with pytest.raises(RuntimeError, match=message):
        y.sum().backward()


def test_writing_what_nobody_saved_is_fine():
    x = leaf()
    y = x + 1
    y.mul_(2)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_operand_that_is_the_target_counts_as_written():
    y = leaf() * 1
    y.mul_(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_versions_are_shared_by_aliases_but_not_by_data():
    x = torch.zeros(4)
    view, detached, data = x[1:], x.detach(), x.data
    view.add_(1)
    detached.mul_(2)
    data.add_(5)
    assert (x._version, view._version, detached._version, data._version) == (2, 2, 2, 1)


def test_write_to_data_is_not_noticed():
    x = leaf()
    y = x * x
    x.data.mul_(2)
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 8.0, 12.0]


def test_set_data():
    x = leaf()
    x.data = torch.ones(2, dtype=torch.double)
    assert x.shape == (2,) and x.dtype == torch.double and x.requires_grad and x.is_leaf
    (x * 3).sum().backward()
    assert x.grad.dtype == torch.double and x.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="must be floating point or complex"):
        x.data = torch.ones(2, dtype=torch.int64)
    with pytest.raises(TypeError, match="Variable data has to be a tensor"):
        x.data = 3


def test_detach_in_place():
    x = leaf()
    y = x * 2
    assert y.detach_() is y and not y.requires_grad and y.grad_fn is None and y.is_leaf
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        (x * 2)[:1].detach_()


def test_bases_and_views():
    x = leaf()
    view = x[:2][1:]
    assert view._base is x and view._is_view() and not x._is_view()
    assert x.detach()._base is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y.requires_grad_(False), "you can only change requires_grad flags of leaf variables. If you want"),
        (lambda y: setattr(y, "requires_grad", False), "you can only change requires_grad flags of leaf variables. If"),
        (lambda y: setattr(y, "requires_grad", True), "you can only change requires_grad flags of leaf variables."),
        (lambda y: torch.ones(2, dtype=torch.int64).requires_grad_(), "only Tensors of floating point dtype can"),
    ],
)
def test_requires_grad_rules(change, message):
    with pytest.raises(RuntimeError, match=message):
        change(leaf() * 2)


def test_retained_gradient_follows_a_write():
    x = leaf()
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    assert y.grad.tolist() == [1.0, 1.0, 1.0] and x.grad.tolist() == [6.0, 6.0, 6.0]


def test_complex_views_write_through():
    x = torch.tensor([1 + 2j, 3 - 1j], dtype=torch.complex128, requires_grad=True)

    def f(x):
        base = x * 1
        torch.view_as_real(base)[0].mul_(2)
        return (base * base.conj()).real.sum()

    assert torch.autograd.gradcheck(f, (x,))


@pytest.mark.parametrize(
    "product",
    [
        lambda x, w: x @ w,
        lambda x, w: (x.expand(3, 2, 4) @ w.expand(3, 4, 5)).sum(0),
        lambda x, w: x[0] @ w[:, 0],
        lambda x, w: x @ w[:, 0],
        lambda x, w: torch.addmm(torch.zeros(5), x, w),
        lambda x, w: torch.nn.functional.linear(x, w.T, torch.zeros(5)),
        lambda x, w: torch.nn.functional.conv1d(x.T[None], w.T[:, :, None]),
    ],
)
def test_a_factor_that_needs_no_gradient_lets_the_other_change(product):
    x, w = torch.rand(2, 4), torch.rand(4, 5, requires_grad=True)
    y = product(x, w).sum()
    y.backward(retain_graph=True)
    first = w.grad.clone()
    with torch.no_grad():
        w.mul_(3)
    y.backward(retain_graph=True)
    assert torch.equal(w.grad, 2 * first)
    with torch.no_grad():
        x.mul_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
