"""How tensors print: what PyTorch prints, character for character."""

import math

import pytest

import rtensor as torch

T = torch.tensor


@pytest.fixture(autouse=True)
def options():
    """Every test starts from the default options."""
    torch.set_printoptions(profile="default")
    yield
    torch.set_printoptions(profile="default")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: T(3.0), "tensor(3.)"),
        (lambda: T([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: T([1.0, -20.0]), "tensor([  1., -20.])"),
        (lambda: T([1e-10, 1e10]), "tensor([1.0000e-10, 1.0000e+10])"),
        (lambda: T([1.0, math.inf, math.nan]), "tensor([1., inf, nan])"),
        (lambda: T([0.5, -math.inf]), "tensor([0.5000,   -inf])"),
        (lambda: T([True, False]), "tensor([ True, False])"),
        (lambda: T([1, -20], dtype=torch.int32), "tensor([  1, -20], dtype=torch.int32)"),
        (lambda: T([1 + 2j, 3.5 - 1j]), "tensor([1.0000+2.j, 3.5000-1.j])"),
        (lambda: T([1.0], dtype=torch.bfloat16), "tensor([1.], dtype=torch.bfloat16)"),
        (lambda: torch.zeros(0), "tensor([])"),
        (lambda: torch.zeros(0, 3), "tensor([], size=(0, 3))"),
        (lambda: torch.zeros(0, dtype=torch.int64), "tensor([], dtype=torch.int64)"),
        (lambda: torch.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
        (lambda: torch.ones(2, requires_grad=True) * 2, "tensor([2., 2.], grad_fn=<MulBackward0>)"),
        (lambda: torch.ones(1, 2, 2), "tensor([[[1., 1.],\n         [1., 1.]]])"),
    ],
)
def test_tensors_print_as_in_pytorch(make, text):
    assert repr(make()) == text


def test_large_tensors_are_summarized():
    assert repr(torch.arange(1001)) == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    rows = repr(torch.zeros(40, 40)).splitlines()
    assert rows[0] == "tensor([[0., 0., 0.,  ..., 0., 0., 0.],"
    assert rows[3] == "        ...,"
    assert len(rows) == 7


def test_long_lines_are_broken():
    assert repr(torch.arange(30)).splitlines()[1].startswith("        18, 19")
    tracked = torch.arange(14.0, requires_grad=True)
    assert repr(tracked).splitlines()[-1] == "       requires_grad=True)"


def test_options_change_and_come_back():
    torch.set_printoptions(precision=2, sci_mode=False)
    assert repr(T([1.23456, 1e-9])) == "tensor([1.23, 0.00])"
    torch.set_printoptions(profile="short", threshold=5)
    assert repr(torch.arange(10)) == "tensor([0, 1,  ..., 8, 9])"
    with torch._tensor_str.printoptions(edgeitems=1):
        assert repr(torch.arange(10)) == "tensor([0,  ..., 9])"
    assert torch._tensor_str.get_printoptions()["edgeitems"] == 2


def test_only_scalars_take_a_format():
    assert f"{T(2.5):.3f} {T(7):>3}" == "2.500   7"
    assert f"{T([1, 2])}" == "tensor([1, 2])"
    with pytest.raises(TypeError):
        f"{T([1.0]):.2f}"


def test_parameters_and_subclasses_name_themselves():
    class Named(torch.Tensor):
        pass

    assert repr(torch.nn.Parameter(T([1.0]))) == "Parameter containing:\ntensor([1.], requires_grad=True)"
    assert repr(T([1.0]).as_subclass(Named)) == "Named([1.])"
