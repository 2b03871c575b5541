"""Optimisers after the sign of the gradient, and with averaged parameters."""

from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.optim.composed import ComposedOptimizer, zeros

__all__ = ["ASGD", "Rprop"]


class ASGD(ComposedOptimizer):
    """Stochastic gradient descent that also averages the parameters, under ``ax`` in the state."""

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ):
        super().__init__(params, locals())

    def _start(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"eta": rtensor.tensor(float(group["lr"])), "mu": rtensor.ones(()), "ax": zeros(p)}

    def _update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any], step: float) -> None:
        rate, share, lambd, lr = state["eta"].item(), state["mu"].item(), group["lambd"], float(group["lr"])
        p.mul_(1 - lambd * rate).add_(gradient, alpha=-rate)
        state["ax"].add_(p.sub(state["ax"]).mul_(share))
        state["eta"].fill_(lr / (1 + lambd * lr * step) ** group["alpha"])
        state["mu"].fill_(1 / max(1, step - group["t0"]))


class Rprop(ComposedOptimizer):
    """Steps after the sign of the gradient, longer while it stays and shorter when it changes."""

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, locals())

    def _start(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"prev": zeros(p), "step_size": rtensor.full_like(p, float(group["lr"]))}

    def _update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any], step: float) -> None:
        shorter, longer = group["etas"]
        sign = gradient.mul(state["prev"]).sign()
        factor = rtensor.where(sign > 0, longer, rtensor.where(sign < 0, shorter, 1.0))
        sizes = state["step_size"].mul_(factor).clamp_(*group["step_sizes"])
        # Where the sign has changed, this step is left out, and the next one starts afresh.
        gradient = rtensor.where(sign < 0, 0.0, gradient)
        p.addcmul_(gradient.sign(), sizes, value=-1)
        state["prev"].copy_(gradient)
