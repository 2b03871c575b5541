"""Stochastic gradient descent."""

from collections.abc import Callable
from typing import Any

import rtensor
from rtensor import _C, Tensor
from rtensor.optim.optimizer import Optimizer, check_modes, check_range, evaluate

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    Parameters
    ----------
    params
        Tensors or groups of them; see `Optimizer`.
    lr
        Learning rate.
    momentum
        Share of the previous step that is kept.
    dampening
        Share of the gradient that the momentum leaves out.
    weight_decay
        Factor of the parameter that is added to its gradient.
    nesterov
        Look ahead by the momentum.
    maximize
        Ascend instead of descending.
    foreach, fused
        Accepted for compatibility: all steps are fused over the list of parameters.
    differentiable
        Record the step, so that gradients flow through it.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        check_range("learning rate", lr)
        check_range("momentum value", momentum)
        check_range("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_modes(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once; see `Optimizer.step`."""
        loss = evaluate(closure)
        for group in self.param_groups:
            step = _recorded_step if group["differentiable"] else _fused_step
            step(group, self.state)
        return loss


def _fused_step(group: dict[str, Any], state: dict[Any, dict[str, Any]]) -> None:
    params = [p for p in group["params"] if p.grad is not None]
    if not params:
        return
    momentum = group["momentum"]
    fresh: list[Tensor] = []
    known: list[Tensor] = []
    for p in params:
        # The first step starts the momentum at the gradient itself, undampened.
        has_buffer = momentum != 0 and state[p].get("momentum_buffer") is not None
        (known if has_buffer or momentum == 0 else fresh).append(p)
    for chosen, is_first in ((known, False), (fresh, True)):
        if not chosen:
            continue
        if is_first:
            for p in chosen:
                state[p]["momentum_buffer"] = rtensor.empty_like(p, memory_format=rtensor.preserve_format).detach()
        _C._fused_sgd_(
            chosen,
            [p.grad for p in chosen],
            [state[p]["momentum_buffer"] for p in chosen] if momentum != 0 else [],
            weight_decay=float(group["weight_decay"]),
            momentum=float(momentum),
            lr=float(group["lr"]),
            dampening=float(group["dampening"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=is_first,
        )


def _recorded_step(group: dict[str, Any], state: dict[Any, dict[str, Any]]) -> None:
    """The same step as operators that the tape records."""
    for p in group["params"]:
        if p.grad is None:
            continue
        gradient = -p.grad if group["maximize"] else p.grad
        if group["weight_decay"] != 0:
            gradient = gradient.add(p, alpha=group["weight_decay"])
        if group["momentum"] != 0:
            buffer = state[p].get("momentum_buffer")
            if buffer is None:
                buffer = gradient.detach().clone()
            else:
                buffer.mul_(group["momentum"]).add_(gradient, alpha=1 - group["dampening"])
            state[p]["momentum_buffer"] = buffer
            gradient = gradient.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer
        p.addcmul_(gradient, rtensor.as_tensor(group["lr"], dtype=p.dtype), value=-1)
