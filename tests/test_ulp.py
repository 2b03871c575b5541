"""Math functions against correctly rounded results, over the whole range of floats."""

import pytest
from ulp import FUNCTIONS, worst_of_floats

import rtensor as torch


@pytest.mark.parametrize("name", FUNCTIONS)
def test_floats_are_within_their_bound(name):
    function = FUNCTIONS[name]
    worst, at = worst_of_floats(function, stride=4099)
    assert worst <= function.float32, f"{name}({at!r}): {worst} ulp"


def test_saturation():
    x = torch.tensor([100.0, 1e30, float("inf")])
    for large in (torch.tanh(x), torch.erf(x), torch.sigmoid(x), torch.special.ndtr(x)):
        assert large.tolist() == [1.0, 1.0, 1.0]
    assert torch.tanh(-x).tolist() == [-1.0, -1.0, -1.0]
    assert torch.erfc(x).tolist() == torch.special.ndtr(-x).tolist() == [0.0, 0.0, 0.0]
    assert torch.sigmoid(-x[1:]).tolist() == [0.0, 0.0]


def test_signs_of_zero():
    zero = torch.tensor([-0.0])
    for function in (torch.tanh, torch.erf, torch.erfinv, torch.expm1, torch.nn.functional.gelu):
        assert torch.signbit(function(zero)).item(), function
