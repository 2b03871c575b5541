"""Grad modes, inference mode, anomaly mode, and hooks on what is saved."""

import warnings

import pytest

import rtensor as torch
from rtensor.autograd import graph

pytestmark = pytest.mark.any_device


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def test_modes_nest_and_end_on_error():
    x = leaf()
    with torch.no_grad():
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
        assert not torch.is_grad_enabled()
    with pytest.raises(ValueError), torch.no_grad():
        raise ValueError
    assert torch.is_grad_enabled() and (x * 2).requires_grad


def test_set_grad_enabled_acts_at_once_and_as_a_block():
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    with torch.set_grad_enabled(False):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("decorate", [torch.no_grad(), torch.no_grad, torch.set_grad_enabled(True)(torch.no_grad())])
def test_decorators(decorate):
    @decorate
    def double(x):
        """Documented."""
        return x * 2

    assert not double(leaf()).requires_grad and double.__doc__ == "Documented." and torch.is_grad_enabled()


def test_modes_take_a_function_by_name_and_nothing_else():
    assert not torch.no_grad(orig_func=lambda x: x * 2)(leaf()).requires_grad
    with torch.no_grad(None):
        assert torch.enable_grad(lambda x: x * 2)(leaf()).requires_grad
    for wrong in ({"mode": True}, {"orig_func": None, "other": 1}):
        with pytest.raises(TypeError):
            torch.no_grad(**wrong)
    with pytest.raises(TypeError):
        torch.enable_grad(None, None)


def test_modes_can_be_inherited_from_and_entered_again():
    class Quiet(torch.no_grad):
        def __enter__(self):
            super().__enter__()
            return self

    with Quiet() as outer:
        with outer.clone():
            assert isinstance(outer, torch.no_grad) and not torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_decorated_generators_switch_only_while_they_run():
    log = []

    @torch.no_grad()
    def numbers():
        try:
            log.append(torch.is_grad_enabled())
            got = yield 1
            log.append((torch.is_grad_enabled(), got))
            yield 2
        except KeyError:
            log.append(torch.is_grad_enabled())
            yield 3

    generator = numbers()
    assert next(generator) == 1 and torch.is_grad_enabled()
    assert generator.send("sent") == 2 and generator.throw(KeyError()) == 3
    assert log == [False, (False, "sent"), False] and torch.is_grad_enabled()


def test_leaves_made_without_grad_mode():
    with torch.no_grad():
        x = torch.ones(2, requires_grad=True)
    assert x.requires_grad and x.is_leaf and (x * 2).requires_grad


def test_inference_mode():
    x = leaf()
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
        made = torch.ones(3)
        made.add_(1)
        product = x * 2
        view = x.view(-1)
    assert made.is_inference() and product.is_inference() and not product.requires_grad
    assert not view.is_inference() and made[0].is_inference() and not (made + 1).is_inference()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode is not allowed"):
        made.add_(1)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        made * x
    with pytest.raises(RuntimeError, match="Inference tensors do not track version counter"):
        made._version
    with pytest.raises(RuntimeError, match="Setting requires_grad=True on inference tensor outside InferenceMode"):
        made.requires_grad_()
    assert (made.clone() * x).requires_grad
    with torch.inference_mode(False):
        assert (x * 2).requires_grad


def test_inference_mode_decorates():
    assert torch.inference_mode()(torch.is_inference_mode_enabled)()
    assert torch.inference_mode(torch.is_inference_mode_enabled)()
    assert not torch.is_inference_mode_enabled()


def test_anomaly_mode_names_the_node_that_gives_nan():
    x = torch.zeros(2, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        y = (x * 0).sqrt().sum() * 0
        with (
            pytest.warns(UserWarning, match="(?s)Error detected in .*Backward0. Traceback of forward.*test_autograd"),
            pytest.raises(RuntimeError, match=r"Function '.*Backward0' returned nan values in its 0th output."),
        ):
            y.backward()
    assert not torch.is_anomaly_enabled()


def test_anomaly_mode_shows_the_forward_call_of_an_error():
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        mode = torch.autograd.detect_anomaly(check_nan=False)
    with mode:
        y = leaf().exp()
        y.mul_(2)
        with (
            pytest.warns(UserWarning, match="Error detected in ExpBackward0"),
            pytest.raises(RuntimeError, match="the backtrace further above shows the operation that failed"),
        ):
            y.sum().backward()


def test_saved_tensors_go_through_hooks():
    log = []

    def pack(tensor):
        log.append("pack")
        return tensor.tolist()

    def unpack(packed):
        log.append("unpack")
        return torch.tensor(packed)

    x = leaf()
    with graph.saved_tensors_hooks(pack, unpack):
        y = (x * x).exp()
    (y * 2).sum().backward()
    assert log == ["pack"] * 3 + ["unpack"] * 3
    expected = leaf()
    (expected * expected).exp().mul(2).sum().backward()
    assert torch.allclose(x.grad, expected.grad)


def test_saved_tensor_hooks_keep_double_backward():
    x = torch.tensor([1.0, 2.0], dtype=torch.double, requires_grad=True)
    with graph.save_on_cpu():
        assert torch.autograd.gradgradcheck(lambda x: x.exp() * x, (x,))


def test_saved_tensor_hooks_are_checked():
    x = leaf()
    with graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t), pytest.raises(RuntimeError, match="pack hook is"):
        y = x * 1
        y.exp().sum()
    with graph.saved_tensors_hooks(lambda t: 0, lambda t: 0):
        y = x.exp().sum()
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor"):
        y.backward()
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        graph.save_on_cpu().__enter__()


def test_increment_version():
    x = leaf()
    y = x * x
    graph.increment_version(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_set_multithreading_is_accepted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.autograd.set_multithreading_enabled(False):
            (leaf() * 2).sum().backward()
