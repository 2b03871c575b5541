"""Recurrent networks, packed sequences, attention and transformers."""

import numpy as np
import pytest

import rtensor as torch
from rtensor import nn
from rtensor.nn.utils.rnn import pack_sequence, pad_packed_sequence, pad_sequence

LAYERS = [(nn.RNN, nn.RNNCell), (nn.LSTM, nn.LSTMCell), (nn.GRU, nn.GRUCell)]


def near(a, b, tol=1e-5):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tol, atol=tol)


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
