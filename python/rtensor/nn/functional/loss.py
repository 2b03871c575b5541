"""Losses of regression, classification and density estimation."""

import math
import warnings
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import _ops
from rtensor.nn.functional._reduction import number, reduced, resolve

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


def _warn_of_sizes(input: Tensor, target: Tensor) -> None:
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def _paired(input: Tensor, target: Tensor) -> Any:
    """Input and target at one size; untouched where they have one already."""
    return (input, target) if target.size() == input.size() else rtensor.broadcast_tensors(input, target)


def _weighted(loss: Tensor, weight: Tensor, input: Tensor, reduction: str, divisor: Tensor | None) -> Tensor:
    """Weigh the loss of each element; a mean divides by `divisor`, or by their count."""
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")
    loss = loss * weight
    if reduction == "mean" and divisor is not None:
        return loss.sum() / divisor
    return reduced(loss, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared difference."""
    _warn_of_sizes(input, target)
    reduction = resolve(reduction, size_average, reduce)
    input, target = _paired(input, target)
    if weight is not None:
        return _weighted((input - target) ** 2, weight, input, reduction, weight.sum())
    return _ops.mse_loss(input, target, number(reduction))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute difference."""
    _warn_of_sizes(input, target)
    reduction = resolve(reduction, size_average, reduce)
    input, target = _paired(input, target)
    if weight is not None:
        return _weighted((input - target).abs(), weight, input, reduction, weight.sum())
    return _ops.l1_loss(input, target, number(reduction))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Absolute difference, rounded to a parabola within `beta`."""
    _warn_of_sizes(input, target)
    reduction = resolve(reduction, size_average, reduce)
    input, target = _paired(input, target)
    if beta == 0.0:
        return _ops.l1_loss(input, target, number(reduction))
    return _ops.smooth_l1_loss(input, target, number(reduction), beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Half the square within `delta`, a line beyond."""
    _warn_of_sizes(input, target)
    input, target = _paired(input, target)
    if weight is not None:
        return _weighted(_ops.huber_loss(input, target, 0, delta), weight, input, reduction, None)
    return _ops.huber_loss(input, target, number(reduction), delta)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Negative log-likelihood of classes (or class probabilities) under the softmax of `input`."""
    reduction = resolve(reduction, size_average, reduce)
    return _ops.cross_entropy_loss(input, target, weight, number(reduction), ignore_index, label_smoothing)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """`cross_entropy` of a linear layer's output."""
    classes, *out_features, in_features = linear_weight.shape
    if input.shape[-1] != in_features:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {in_features}, respectively"
        )
    logits_shape = (*input.shape[:-1], classes, *out_features)
    if ignore_index is not None and tuple(target.shape) == logits_shape:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = _ops.linear(input, linear_weight.reshape(-1, in_features), bias).reshape(logits_shape)
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, ignore_index=ignored, reduction=reduction, label_smoothing=label_smoothing
    )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative of the log-probabilities `input` at the classes `target`."""
    reduction = resolve(reduction, size_average, reduce)
    return _ops.nll_loss_nd(input, target, weight, number(reduction), ignore_index)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy between the probabilities `target` and `input`."""
    reduction = resolve(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. Please ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(rtensor.broadcast_shapes(target.size(), weight.size()))
    return _ops.binary_cross_entropy(input, target, weight, number(reduction))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of the sigmoid of `input`, computed stably."""
    reduction = resolve(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    return _ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, number(reduction))


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of the log-probabilities `input` from `target`."""
    old = size_average is not None or reduce is not None
    reduction = resolve(reduction, size_average, reduce)
    if reduction == "mean" and not old:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides "
            "only by the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the "
            "same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    batchmean = reduction == "batchmean"
    loss = _ops.kl_div(input, target, number("sum" if batchmean else reduction), log_target=log_target)
    return loss / input.size(0) if batchmean and input.dim() > 0 else loss


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts under a Poisson distribution."""
    reduction = resolve(reduction, size_average, reduce)
    return _ops.poisson_nll_loss(input, target, log_input, full, eps, number(reduction))


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood under normal distributions of mean `input` and variance `var`."""
    if isinstance(var, (int, float)):
        var = var * rtensor.ones_like(input)
    if rtensor.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or not _one_size_is_1(input, var):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with rtensor.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (rtensor.log(var) + (input - target) ** 2 / var)
    if full:
        loss += 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def _one_size_is_1(input: Tensor, var: Tensor) -> bool:
    """Whether `var` differs from the input in one dimension, where it has size 1."""
    return sum(v for n, v in zip(input.size(), var.size(), strict=True) if n != v) == 1


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: likelihood of label sequences over all alignments."""
    return _ops.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, number(reduction), zero_infinity)
