"""Multi-head attention over projected queries, keys and values."""

import math
import warnings
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import _ops
from rtensor.nn.functional.dropout import dropout

__all__ = [
    "multi_head_attention_forward",
]


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Project, attend in `num_heads` heads, and project back.

    Tensors are ``(length, batch, features)``, or without the batch. Returns the output and, with
    `need_weights`, the attention weights, averaged over the heads unless told otherwise.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, features = query.shape
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    key_padding_mask = _additive(key_padding_mask, "key_padding_mask", query.dtype, attn_mask)
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        attn_mask = _additive(attn_mask, "attn_mask", query.dtype)
        is_causal = is_causal and key_padding_mask is None
    _check_features(features, embed_dim_to_check, num_heads)
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _project_separately(query, key, value, weights, in_proj_bias)
    else:
        q, k, v = _project_packed(query, key, value, in_proj_weight, in_proj_bias)
    attn_mask = _expanded_mask(attn_mask, length, key.shape[0], batch * num_heads)
    if bias_k is not None and bias_v is not None:
        k, v = rtensor.cat([k, bias_k.repeat(1, batch, 1)]), rtensor.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, key_padding_mask = _one_more_key(attn_mask), _one_more_key(key_padding_mask)
    heads = batch * num_heads
    q = q.view(length, heads, features // num_heads).transpose(0, 1)
    k = k.view(k.shape[0], heads, features // num_heads).transpose(0, 1) if static_k is None else static_k
    v = v.view(v.shape[0], heads, features // num_heads).transpose(0, 1) if static_v is None else static_v
    if add_zero_attn:
        k, v = (rtensor.cat([t, t.new_zeros(heads, 1, features // num_heads)], dim=1) for t in (k, v))
        attn_mask, key_padding_mask = _one_more_key(attn_mask), _one_more_key(key_padding_mask)
    attn_mask = _merged_masks(attn_mask, key_padding_mask, batch, num_heads, k.size(1))
    attended, attention = _attend(
        q, k, v, attn_mask, dropout_p if training else 0.0, batch, num_heads, need_weights, is_causal
    )
    output = _ops.linear(attended.reshape(length * batch, features), out_proj_weight, out_proj_bias)
    output = output.view(length, batch, -1)
    if attention is not None and average_attn_weights:
        attention = attention.mean(dim=1)
    if not batched:
        output = output.squeeze(1)
        attention = None if attention is None else attention.squeeze(0)
    return output, attention


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    batch: int,
    num_heads: int,
    need_weights: bool,
    is_causal: bool,
) -> tuple[Tensor, Tensor | None]:
    """Attention of ``(batch * heads, length, size)``: the output, length first, and the weights."""
    length, size = q.shape[1:]
    keys = k.size(1)
    if not need_weights:
        if mask is not None:
            mask = mask.unsqueeze(0) if mask.size(0) == 1 else mask.view(batch, num_heads, -1, keys)
        split = (t.view(batch, num_heads, -1, size) for t in (q, k, v))
        out = _ops.scaled_dot_product_attention(*split, mask, dropout_p, is_causal)
        return out.permute(2, 0, 1, 3), None
    scaled = q * math.sqrt(1.0 / size)
    scores = (
        rtensor.bmm(scaled, k.transpose(-2, -1)) if mask is None else rtensor.baddbmm(mask, scaled, k.transpose(-2, -1))
    )
    weights = _ops.softmax(scores, -1)
    if dropout_p > 0.0:
        weights = dropout(weights, p=dropout_p)
    return rtensor.bmm(weights, v).transpose(0, 1), weights.view(batch, num_heads, length, keys)


def _check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Whether there is a batch dimension, after checking that all tensors agree on it."""
    dims = query.dim()
    if dims not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor")
    kind = "batched (3-D)" if dims == 3 else "unbatched (2-D)"
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {dims}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dims - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
                f"{attn_mask.dim()}-D tensor instead"
            )
        expected = (num_heads, query.shape[0], key.shape[0])
        if dims == 2 and attn_mask.dim() == 3 and tuple(attn_mask.shape) != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return dims == 3


def _check_features(features: int, expected: int, num_heads: int) -> None:
    if features != expected:
        raise AssertionError(f"was expecting embedding dimension of {expected}, but got {features}")
    if features % num_heads:
        raise AssertionError(f"embed_dim {features} not divisible by num_heads {num_heads}")


def _additive(mask: Tensor | None, name: str, dtype: Any, other: Tensor | None = None) -> Tensor | None:
    """A mask to add to the scores: minus infinity where a boolean mask is true."""
    if mask is None or mask.is_floating_point():
        return mask
    if mask.dtype != rtensor.bool:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and other.dtype != mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and attn_mask is deprecated. Use same type for both instead.", stacklevel=3
        )
    return rtensor.zeros_like(mask, dtype=dtype).masked_fill_(mask, float("-inf"))


def _expanded_mask(mask: Tensor | None, length: int, keys: int, heads: int) -> Tensor | None:
    if mask is None:
        return None
    expected = (length, keys) if mask.dim() == 2 else (heads, length, keys)
    if tuple(mask.shape) != expected:
        raise RuntimeError(f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {expected}.")
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _one_more_key(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else _ops.pad(mask, (0, 1))


def _merged_masks(mask: Tensor | None, padding: Tensor | None, batch: int, num_heads: int, keys: int) -> Tensor | None:
    if padding is None:
        return mask
    if tuple(padding.shape) != (batch, keys):
        raise AssertionError(f"Expected key_padding_mask of shape {(batch, keys)}, but got {tuple(padding.shape)}")
    padding = padding.view(batch, 1, 1, keys).expand(-1, num_heads, -1, -1).reshape(batch * num_heads, 1, keys)
    return padding if mask is None else mask + padding


def _project_packed(q: Tensor, k: Tensor, v: Tensor, weight: Tensor | None, bias: Tensor | None) -> Any:
    """Three projections whose weights are stacked in one matrix; as few products as the inputs allow."""
    if weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    if k.shape != v.shape:
        raise AssertionError(f"key shape {k.shape} does not match value shape {v.shape}")
    if q is k and k is v:
        return _split(_ops.linear(q, weight, bias), 3)
    size = q.size(-1)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    if k is v:
        both_bias = None if bias is None else bias[size:]
        k, v = _split(_ops.linear(k, weight[size:], both_bias), 2)
        return _ops.linear(q, weight[:size], biases[0]), k, v
    return tuple(_ops.linear(t, w, b) for t, w, b in zip((q, k, v), weight.chunk(3), biases, strict=True))


def _split(projected: Tensor, count: int) -> Any:
    """Equal parts of the last dimension, each contiguous."""
    parts = projected.unflatten(-1, (count, projected.size(-1) // count))
    return parts.unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous().unbind(0)


def _project_separately(
    query: Tensor, key: Tensor, value: Tensor, weights: tuple[Tensor | None, ...], bias: Tensor | None
) -> Any:
    if key.shape[:2] != value.shape[:2]:
        raise AssertionError(f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    projected = []
    for name, tensor, weight, b in zip(("query", "key", "value"), (query, key, value), weights, biases, strict=True):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name[0]}_proj_weight is None")
        expected = (query.size(-1), tensor.size(-1))
        if tuple(weight.shape) != expected:
            raise AssertionError(f"expecting {name} weights shape of {expected}, but got {weight.shape}")
        projected.append(_ops.linear(tensor, weight, b))
    return projected
