"""The base class of modules: registration, walking, state, hooks, print."""

import copy
import pickle
from collections import OrderedDict

import pytest

import rtensor as torch
from rtensor import nn

pytestmark = pytest.mark.any_device


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.second(self.first(x)) * self.scale


NAMES = ["scale", "first.weight", "first.bias", "second.weight", "second.bias"]


def test_registration_by_assignment():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_buffers()] == ["count", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "second"]
    assert list(net.children()) == [net.first, net.second]
    del net.scale
    assert "scale" not in dict(net.named_parameters()) and not hasattr(net, "scale")


def test_shared_parameters_are_listed_once():
    net = Net()
    net.third = net.second
    assert len(list(net.parameters())) == 5
    assert len(list(net.named_parameters(remove_duplicate=False))) == 7


def test_print():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (second): Linear(in_features=4, out_features=2, bias=True)\n"
        ")"
    )
    assert repr(nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Sequential()))) == (
        "Sequential(\n  (a): ReLU()\n  (b): Sequential()\n)"
    )
    assert (
        repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    )


def test_parameter_prints_as_in_pytorch():
    assert (
        repr(nn.Parameter(torch.ones(2, device="cpu"))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    )


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (lambda n: setattr(n, "scale", 3), TypeError, "cannot assign 'int' as parameter 'scale'"),
        (lambda n: setattr(n, "first", 3), TypeError, "cannot assign 'int' as child module 'first'"),
        (lambda n: setattr(n, "count", 3), TypeError, "cannot assign 'int' as buffer 'count'"),
        (lambda n: n.register_buffer("first", None), KeyError, "attribute 'first' already exists"),
        (lambda n: n.register_parameter("a.b", None), KeyError, "parameter name can"),
        (lambda n: n.add_module("", nn.ReLU()), KeyError, "module name can"),
        (lambda n: n.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (lambda n: n.missing, AttributeError, "'Net' object has no attribute 'missing'"),
        (lambda n: n.get_submodule("first.weight"), AttributeError, "`weight` is not an nn.Module"),
        (lambda n: n.get_parameter("first"), AttributeError, "`first` is not an nn.Parameter"),
        (lambda n: n.train(3), ValueError, "training mode is expected to be boolean"),
        (lambda n: n.to(torch.int64), TypeError, "only accepts floating point or complex dtypes"),
        (lambda n: nn.Module()(1), NotImplementedError, 'missing the required "forward" function'),
        (lambda n: nn.Module(1), TypeError, "takes 1 positional argument but 2 were given"),
    ],
)
def test_misuse_raises_as_in_pytorch(change, kind, text):
    with pytest.raises(kind) as caught:
        change(Net())
    assert text in str(caught.value)


def test_assignment_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match="cannot assign parameters before"):
        Early()


def test_state_dict_round_trip():
    source, target = Net(), Net()
    state = source.state_dict()
    assert list(state) == ["scale", "count", "first.weight", "first.bias", "second.weight", "second.bias"]
    assert str(target.load_state_dict(state)) == "<All keys matched successfully>"
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    assert not any(t.requires_grad for t in state.values())


def test_load_state_dict_reports_everything():
    net = Net()
    state = net.state_dict()
    del state["scale"]
    state["extra"] = torch.ones(1)
    state["first.weight"] = torch.ones(2, 2)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "scale". \n'
        '\tUnexpected key(s) in state_dict: "extra". \n'
        "\tsize mismatch for first.weight: copying a param with shape torch.Size([2, 2]) from checkpoint, "
        "the shape in current model is torch.Size([4, 3])."
    )


def test_load_without_strict_and_by_assignment():
    net = Net()
    value = torch.full((2,), 7.0)
    keys = net.load_state_dict({"scale": value, "other": value}, strict=False)
    assert keys.unexpected_keys == ["other"] and "first.weight" in keys.missing_keys
    assert net.scale.tolist() == [7.0, 7.0] and net.scale is not value
    net.load_state_dict({"scale": value}, strict=False, assign=True)
    assert isinstance(net.scale, nn.Parameter) and net.scale.data_ptr() == value.data_ptr()


def test_modes_and_gradients():
    net = Net()
    assert net.training and not net.eval().first.training and net.train().first.training
    net(torch.ones(3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and p.grad.abs().sum() == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


def test_conversion_keeps_parameters():
    net = Net()
    weight = net.first.weight
    net(torch.ones(3)).sum().backward()
    net.double()
    assert net.first.weight is weight and weight.dtype == torch.float64 == weight.grad.dtype
    assert net.to(torch.float32).count.dtype == torch.float32
    assert net.to("cpu") is net


def test_copies():
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert isinstance(twin.scale, nn.Parameter) and twin.scale is not net.scale
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))
        assert torch.equal(twin(torch.ones(3)), net(torch.ones(3)))


def test_apply_visits_children_first():
    seen = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Linear", "Net"]


# --- hooks


def doubling():
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2) * 2)
    return layer


def test_forward_hooks_see_and_replace():
    layer, seen = doubling(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append(args[0].tolist()))
    layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,), prepend=True)
    layer.register_forward_hook(lambda m, args, kwargs, out: seen.append((kwargs, out.tolist())), with_kwargs=True)
    handle = layer.register_forward_hook(lambda m, args, out: out * 10)
    assert layer(torch.ones(2)).tolist() == [40.0, 40.0]
    assert seen == [[2.0, 2.0], ({}, [4.0, 4.0])]
    handle.remove()
    handle.remove()
    assert layer(torch.zeros(2)).tolist() == [2.0, 2.0]


def test_hook_that_is_always_called():
    class Fails(nn.Module):
        def forward(self, x):
            raise KeyError("boom")

    module, seen = Fails(), []
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(KeyError, match="boom"):
        module(1)
    assert seen == [None]


def test_backward_hooks_see_and_replace():
    layer, seen = doubling(), []
    layer.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 3,))
    layer.register_full_backward_hook(lambda m, gin, gout: seen.append((gin[0].tolist(), gout[0].tolist())))
    layer.register_full_backward_hook(lambda m, gin, gout: (gin[0] * 10,))
    x = torch.ones(2, requires_grad=True)
    layer(x).sum().backward()
    assert seen == [([6.0, 6.0], [3.0, 3.0])]
    assert x.grad.tolist() == [60.0, 60.0]
    assert layer.weight.grad.tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_backward_hook_without_differentiable_input():
    layer, seen = doubling(), []
    layer.register_full_backward_hook(lambda m, gin, gout: seen.append((gin, gout[0].tolist())))
    layer(torch.ones(2)).sum().backward()
    assert seen == [((None,), [1.0, 1.0])]


def test_global_hooks():
    from rtensor.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

    seen = []
    with (
        register_module_forward_pre_hook(lambda m, args: seen.append("before")),
        register_module_forward_hook(lambda m, args, out: seen.append("after")),
    ):
        nn.ReLU()(torch.ones(1))
    nn.ReLU()(torch.ones(1))
    assert seen == ["before", "after"]


def test_state_dict_hooks():
    layer, seen = doubling(), []
    layer.register_state_dict_pre_hook(lambda m, prefix, keep_vars: seen.append(prefix))
    layer.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update({prefix + "more": 1}))
    layer.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    assert list(layer.state_dict(prefix="p.")) == ["p.weight", "p.more"] and seen == ["p."]
    assert layer.load_state_dict({}).missing_keys == []


# --- containers


def test_sequential():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(net) == 3 and isinstance(net[-1], nn.Linear) and len(net[:2]) == 2
    net.insert(1, nn.Tanh())
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "ReLU", "Linear"]
    assert list(net._modules) == ["0", "1", "2", "3"]
    del net[1]
    assert len(net + net) == 6 and len(net * 2) == 6
    with pytest.raises(IndexError, match="index 7 is out of range"):
        net[7]
    assert net(torch.ones(4, 2)).shape == (4, 1)


def test_lists_and_dictionaries():
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    layers += [nn.ReLU()]
    assert len(layers) == 4 and len(list(layers.parameters())) == 6 and isinstance(layers[-1], nn.ReLU)
    named = nn.ModuleDict({"a": nn.ReLU()})
    named["b"] = nn.Tanh()
    assert list(named.keys()) == ["a", "b"] and "b" in named and isinstance(named.pop("a"), nn.ReLU)
    weights = nn.ParameterList([torch.ones(1), torch.zeros(2)])
    assert all(isinstance(p, nn.Parameter) for p in weights) and len(list(weights.parameters())) == 2
    table = nn.ParameterDict({"w": torch.ones(2)}) | nn.ParameterDict({"v": torch.ones(1)})
    assert list(table) == ["w", "v"] and isinstance(table["w"], nn.Parameter)


def test_lazy_modules():
    layer = nn.LazyLinear(3)
    assert layer.has_uninitialized_params()
    with pytest.raises(RuntimeError, match="uninitialized parameter"):
        layer.weight.shape
    assert layer(torch.ones(2, 5)).shape == (2, 3)
    assert type(layer) is nn.Linear and layer.weight.shape == (3, 5)
    fresh = nn.LazyLinear(3)
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh.weight, layer.weight)
