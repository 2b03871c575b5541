"""Recurrent networks, packed sequences, attention and transformers."""

import numpy as np
import pytest

import rtensor as torch
from rtensor import nn
from rtensor.nn.utils.rnn import pack_sequence, pad_packed_sequence, pad_sequence

pytestmark = pytest.mark.any_device

LAYERS = [(nn.RNN, nn.RNNCell), (nn.LSTM, nn.LSTMCell), (nn.GRU, nn.GRUCell)]


def near(a, b, tol=1e-5):
    np.testing.assert_allclose(a.numpy(force=True), b.numpy(force=True), rtol=tol, atol=tol)


def hidden(state):
    return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize(("layer", "cell"), LAYERS)
def test_a_layer_is_its_cell_step_by_step(layer, cell):
    whole, one = layer(3, 4), cell(3, 4)
    one.load_state_dict({name.removesuffix("_l0"): value for name, value in whole.state_dict().items()})
    x, state = torch.randn(5, 2, 3), None
    outputs, last = whole(x)
    for t in range(5):
        state = one(x[t], state)
        near(outputs[t], hidden(state))
    near(hidden(last)[0], hidden(state))
    batch_first = layer(3, 4, batch_first=True)
    batch_first.load_state_dict(whole.state_dict())
    near(batch_first(x.transpose(0, 1))[0], outputs.transpose(0, 1))
    near(whole(x[:, 0])[0], outputs[:, 0])


@pytest.mark.parametrize("layer", [layer for layer, _ in LAYERS])
def test_packed_sequences_end_where_they_end(layer):
    network = layer(3, 4, num_layers=2, bidirectional=True)
    sequences = [torch.randn(length, 3) for length in (2, 5, 3)]
    outputs, last = network(pack_sequence(sequences, enforce_sorted=False))
    padded, lengths = pad_packed_sequence(outputs)
    assert lengths.tolist() == [2, 5, 3] and padded.shape == (5, 3, 8)
    for i, sequence in enumerate(sequences):
        alone, end = network(sequence)
        near(padded[: len(sequence), i], alone)
        near(hidden(last)[:, i], hidden(end))


def test_recurrent_gradients_and_errors():
    network = nn.LSTM(3, 4, proj_size=2)
    outputs, (h, c) = network(torch.randn(2, 1, 3))
    assert outputs.shape == (2, 1, 2) and h.shape == (1, 1, 2) and c.shape == (1, 1, 4)
    outputs.sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    with pytest.raises(RuntimeError, match="Expected 3, got 4"):
        network(torch.randn(2, 1, 4))
    with pytest.raises(ValueError, match="hidden_size must be greater than zero"):
        nn.GRU(3, 0)


def test_padding():
    sequences = [torch.ones(1), torch.ones(3)]
    assert pad_sequence(sequences, batch_first=True, padding_value=9).tolist() == [[1, 9, 9], [1, 1, 1]]
    assert pad_sequence(sequences, padding_side="left").tolist() == [[0, 1], [0, 1], [1, 1]]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        pack_sequence(sequences)


@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_respects_masks(need_weights):
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(2, 4, 8)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    out, weights = attention(x, x, x, attn_mask=causal, need_weights=need_weights)
    near(out[:, :2], attention(x[:, :2], x[:, :2], x[:, :2], attn_mask=causal[:2, :2], need_weights=need_weights)[0])
    padding = torch.tensor([[False, False, False, True]] * 2)
    near(
        attention(x, x, x, key_padding_mask=padding, need_weights=need_weights)[0],
        attention(x, x[:, :3], x[:, :3], need_weights=need_weights)[0],
    )
    if need_weights:
        near(weights.sum(-1), torch.ones(2, 4))


def test_transformer():
    torch.manual_seed(0)
    network = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0)
    source, target = torch.randn(3, 2, 8), torch.randn(4, 2, 8)
    mask = network.generate_square_subsequent_mask(4)
    out = network(source, target, tgt_mask=mask)
    near(out[:2], network(source, target[:2], tgt_mask=mask[:2, :2]))
    out.sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, activation="gelu")
    assert nn.TransformerEncoder(layer, 2)(source).shape == (3, 2, 8)


@pytest.mark.parametrize(("layer", "cell"), LAYERS)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_a_layer_are_those_of_its_cell(layer, cell, reverse):
    whole = layer(3, 4, bidirectional=True).double()
    suffix = "_l0_reverse" if reverse else "_l0"
    one = cell(3, 4).double()
    one.load_state_dict({n.removesuffix(suffix): v for n, v in whole.state_dict().items() if n.endswith(suffix)})
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    outputs = whole(x)[0][:, :, 4:] if reverse else whole(x)[0][:, :, :4]
    first = torch.autograd.grad(outputs.sin().sum(), x, create_graph=True)[0]
    state, rows = None, [None] * 5
    for t in reversed(range(5)) if reverse else range(5):
        state = one(x[t], state)
        rows[t] = hidden(state)
    stepwise = torch.autograd.grad(torch.stack(rows).sin().sum(), x, create_graph=True)[0]
    plain = torch.autograd.grad(whole(x)[0].narrow(2, 4 if reverse else 0, 4).sin().sum(), x)[0]
    near(first, stepwise, 1e-12)
    near(plain, stepwise, 1e-12)
    near(*(torch.autograd.grad(g.square().sum(), x)[0] for g in (first, stepwise)), 1e-10)


def attention_by_hand(q, k, v, mask, scale):
    scores = q @ k.transpose(-1, -2) * scale + mask
    return scores.softmax(-1).nan_to_num(0.0) @ v


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("queries", "keys", "heads"), [(1, 1, 4), (50, 130, 4), (130, 50, 2), (97, 97, 1)])
@pytest.mark.parametrize("kind", ["none", "causal", "bool", "float"])
def test_attention_is_its_formula(dtype, queries, keys, heads, kind):
    def drawn(*shape):
        return torch.randn(*shape, dtype=dtype, requires_grad=True)

    q, k, v = drawn(2, 4, queries, 8), drawn(2, heads, keys, 8), drawn(2, heads, keys, 6)
    mask, added = None, torch.zeros((), dtype=dtype)
    if kind == "causal":
        added = torch.zeros(queries, keys, dtype=dtype).masked_fill(~torch.ones(queries, keys).bool().tril(), -np.inf)
    elif kind == "bool":
        mask = torch.rand(queries, keys) < 0.5
        added = torch.zeros(queries, keys, dtype=dtype).masked_fill(~mask, -np.inf)
    elif kind == "float":
        mask = added = drawn(2, 1, queries, keys)
    options = {"attn_mask": mask, "is_causal": kind == "causal", "scale": 0.3, "enable_gqa": heads < 4}
    out = nn.functional.scaled_dot_product_attention(q, k, v, **options)
    wide = [t.repeat_interleave(4 // heads, 1) for t in (k, v)]
    expected = attention_by_hand(q, *wide, added, 0.3)
    tol = 1e-4 if dtype == torch.float32 else 1e-10
    near(out, expected, tol)
    if kind != "bool":  # the formula's gradients of rows that see nothing are NaN
        wanted = [q, k, v] + ([mask] if kind == "float" else [])
        grads = [torch.autograd.grad(y.sin().sum(), wanted) for y in (out, expected)]
        for ours, theirs in zip(*grads, strict=True):
            near(ours, theirs, tol)
