"""Layers: their results against NumPy, their shapes, their print and their initial values."""

import math

import numpy as np
import pytest

import rtensor as torch
from rtensor import nn
from rtensor.nn import functional as F
from rtensor.nn import init

pytestmark = pytest.mark.any_device


def near(tensor, expected, tol=1e-5):
    np.testing.assert_allclose(tensor.numpy(force=True), expected, rtol=tol, atol=tol)


# The layers that PyTorch 2.13 makes after manual_seed(0).
SEEDED = {
    "Linear(3, 2)": (
        lambda: nn.Linear(3, 2),
        [-0.0043225177, 0.3097158372, -0.4751853347, -0.4248946011, -0.2223689705, 0.1548207253],
        [-0.0114391446, 0.4577749372],
    ),
    "Conv2d(1, 1, 2)": (
        lambda: nn.Conv2d(1, 1, 2),
        [-0.0037434101, 0.2682217956, -0.4115225673, -0.3679695129],
        [-0.1925771832],
    ),
    "Embedding(2, 3)": (
        lambda: nn.Embedding(2, 3),
        [1.5409960747, -0.2934288979, -2.1787893772, 0.5684312582, -1.0845223665, -1.3985954523],
        None,
    ),
}


@pytest.mark.parametrize("name", SEEDED)
def test_initial_values_are_pytorchs(name):
    make, weight, bias = SEEDED[name]
    torch.manual_seed(0)
    with torch.device("cpu"):
        layer = make()
    near(layer.weight.flatten(), weight, 1e-7)
    if bias is not None:
        near(layer.bias, bias, 1e-7)


INITIALISERS = {
    "xavier_uniform_": [-0.0082014007, 0.5876445174, -0.9016007781, -0.8061808348, -0.4219154716, 0.2937516868],
    "xavier_normal_": [0.9746115208, -0.1855807304, -1.3779873848, 0.3595075011, -0.6859121323, -0.8845493793],
    "kaiming_normal_": [1.2582180500, -0.2395837009, -1.7789740562, 0.4641222060, -0.8855087757, -1.1419483423],
    "trunc_normal_": [1.5409960747, -0.2934288979, -0.7192575932, 0.5684312582, -1.0845223665, -1.3985954523],
}


@pytest.mark.parametrize("name", INITIALISERS)
def test_initialisers_draw_as_pytorch(name):
    torch.manual_seed(0)
    near(getattr(init, name)(torch.empty(2, 3, device="cpu")).flatten(), INITIALISERS[name], 1e-6)


def test_initialisers_without_chance():
    assert init.eye_(torch.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.constant_(torch.empty(2), 3).tolist() == [3, 3]
    kernel = init.dirac_(torch.empty(2, 2, 3, 3))
    image = torch.randn(1, 2, 5, 5)
    near(F.conv2d(image, kernel, padding=1), image.numpy(force=True))
    q = init.orthogonal_(torch.empty(3, 5))
    near(q @ q.t(), np.eye(3))
    assert init.calculate_gain("leaky_relu", 1) == 1 and init.calculate_gain("tanh") == 5 / 3
    with pytest.raises(ValueError, match="Unsupported nonlinearity nope"):
        init.calculate_gain("nope")
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        init.xavier_uniform_(torch.empty(3))


REPRS = {
    "Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False)": lambda: nn.Conv2d(
        4, 6, 3, stride=2, padding=1, groups=2, bias=False
    ),
    "Conv1d(1, 2, kernel_size=(3,), stride=(1,), padding=same)": lambda: nn.Conv1d(1, 2, 3, padding="same"),
    "ConvTranspose2d(2, 3, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))": lambda: nn.ConvTranspose2d(
        2, 3, 3, stride=2, output_padding=1
    ),
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)": lambda: nn.MaxPool2d(2),
    "AvgPool2d(kernel_size=3, stride=2, padding=1)": lambda: nn.AvgPool2d(3, 2, 1),
    "BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)": lambda: nn.BatchNorm2d(4),
    "LayerNorm((4,), eps=1e-05, elementwise_affine=True)": lambda: nn.LayerNorm(4),
    "GroupNorm(2, 4, eps=1e-05, affine=True)": lambda: nn.GroupNorm(2, 4),
    "Embedding(10, 3, padding_idx=9)": lambda: nn.Embedding(10, 3, padding_idx=-1),
    "Dropout(p=0.5, inplace=False)": lambda: nn.Dropout(),
    "LeakyReLU(negative_slope=0.01, inplace=True)": lambda: nn.LeakyReLU(inplace=True),
    "GELU(approximate='tanh')": lambda: nn.GELU("tanh"),
    "Softmax(dim=1)": lambda: nn.Softmax(dim=1),
    "Flatten(start_dim=1, end_dim=-1)": lambda: nn.Flatten(),
    "Upsample(scale_factor=2.0, mode='nearest')": lambda: nn.Upsample(scale_factor=2),
    "CrossEntropyLoss()": lambda: nn.CrossEntropyLoss(),
    "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)": lambda: nn.Bilinear(2, 3, 4),
    "ZeroPad2d((1, 1, 1, 1))": lambda: nn.ZeroPad2d(1),
}


@pytest.mark.parametrize("text", REPRS)
def test_print(text):
    assert repr(REPRS[text]()) == text


def test_linear():
    layer = nn.Linear(4, 3)
    x = torch.randn(2, 5, 4)
    near(layer(x), x.numpy(force=True) @ layer.weight.numpy(force=True).T + layer.bias.numpy(force=True))
    assert type(layer(torch.randn(2, 4)).grad_fn).__name__ == "AddmmBackward0"
    with pytest.raises(RuntimeError):
        layer(torch.tensor([1, 2, 3, 4]))


def correlate(image, kernel):
    """Plain two-dimensional convolution without padding."""
    k = kernel.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(image, (k, k), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, kernel)


def test_conv2d_and_padding_modes():
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")
    image = torch.randn(2, 2, 6, 6)
    padded = np.pad(image.numpy(force=True), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    expected = correlate(padded, layer.weight.numpy(force=True)) + layer.bias.numpy(force=True).reshape(1, -1, 1, 1)
    near(layer(image), expected, 1e-4)
    assert nn.Conv2d(2, 3, 3, padding="same")(image).shape == (2, 3, 6, 6)
    assert nn.Conv2d(2, 3, 3)(image[0]).shape == (3, 4, 4)
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.Conv2d(3, 4, 1, groups=2)


def test_max_pool_with_indices():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    values, indices = nn.MaxPool2d(2, return_indices=True)(image)
    assert values.flatten().tolist() == [5, 7, 13, 15] == indices.flatten().tolist()


def test_layer_norm():
    x = torch.randn(3, 4)
    array = x.numpy(force=True)
    expected = (array - array.mean(1, keepdims=True)) / np.sqrt(array.var(1, keepdims=True) + 1e-5)
    near(nn.LayerNorm(4)(x), expected)


def test_embedding():
    table = nn.Embedding(4, 3, padding_idx=0)
    assert table.weight[0].tolist() == [0, 0, 0]
    out = table(torch.tensor([[1, 0], [2, 1]]))
    assert out.shape == (2, 2, 3) and torch.equal(out[0, 0], table.weight[1])
    out.sum().backward()
    assert table.weight.grad.sum(1).tolist() == [0, 6, 3, 0]
    frozen = nn.Embedding.from_pretrained(torch.ones(2, 2))
    assert not frozen.weight.requires_grad


def test_dropout():
    x = torch.ones(1000)
    layer = nn.Dropout(0.25)
    kept = layer(x)
    assert set(kept.tolist()) == {0.0, float(np.float32(1 / 0.75))} and abs(kept.mean().item() - 1) < 0.1
    assert layer.eval()(x) is x or torch.equal(layer.eval()(x), x)
    with pytest.raises(ValueError, match="between 0 and 1, but got 2"):
        nn.Dropout(2)


ACTIVATIONS = {
    nn.ReLU: lambda x: np.maximum(x, 0),
    nn.Sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    nn.Tanh: np.tanh,
    nn.GELU: lambda x: np.vectorize(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2)(x),
}


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda layer: layer.__name__)
def test_activations(layer):
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    near(layer()(x), ACTIVATIONS[layer](x.numpy(force=True)), 1e-12)


def test_softmax_wants_a_dimension():
    x = torch.randn(2, 3)
    array = np.exp(x.numpy(force=True))
    near(F.softmax(x, 1), array / array.sum(1, keepdims=True))
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        near(F.softmax(x), F.softmax(x, 1).numpy(force=True))


# --- losses


def test_mse_loss():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])
    assert nn.MSELoss()(a, b).item() == 6.5
    assert nn.MSELoss(reduction="sum")(a, b).item() == 13
    assert nn.MSELoss(reduction="none")(a, b).tolist() == [4, 9]
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(a, torch.ones(1))
    with pytest.raises(ValueError, match="nope is not a valid value for reduction"):
        F.mse_loss(a, b, reduction="nope")
    with pytest.warns(UserWarning, match="reduction='sum' instead"):
        assert F.mse_loss(a, b, size_average=False).item() == 13


def test_cross_entropy():
    scores = torch.randn(5, 3, requires_grad=True)
    labels = torch.tensor([0, 2, 1, 1, 0])
    logits = scores.numpy(force=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -log_probabilities[np.arange(5), labels.numpy(force=True)]
    near(F.cross_entropy(scores, labels, reduction="none"), expected)
    loss = nn.CrossEntropyLoss()(scores, labels)
    near(loss, expected.mean())
    loss.backward()
    gradient = (np.exp(log_probabilities) - np.eye(3)[labels.numpy(force=True)]) / 5
    near(scores.grad, gradient)
    near(F.nll_loss(F.log_softmax(scores, 1), labels), expected.mean())


def test_clip_gradients():
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert nn.utils.clip_grad_norm_(weights, 1.0).item() == 5.0
    near(torch.cat([w.grad for w in weights]), [0.6, 0, 0.8])
    nn.utils.clip_grad_value_(weights, 0.5)
    near(torch.cat([w.grad for w in weights]), [0.5, 0, 0.5])


def test_parameters_as_vector():
    layer = nn.Linear(2, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (6,)
    nn.utils.vector_to_parameters(torch.arange(6.0), layer.parameters())
    assert layer.weight.tolist() == [[0, 1], [2, 3]] and layer.bias.tolist() == [4, 5]
