"""Adam, with decoupled weight decay as AdamW."""

from collections.abc import Callable
from typing import Any

import rtensor
from rtensor import _C, Tensor
from rtensor.optim.optimizer import Optimizer, check_modes, check_range, evaluate

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: steps scaled by running averages of the gradient and of its square.

    Parameters
    ----------
    params
        Tensors or groups of them; see `Optimizer`.
    lr
        Learning rate.
    betas
        Decay of the two averages.
    eps
        Added to the denominator.
    weight_decay
        Factor of the parameter that is added to its gradient.
    amsgrad
        Divide by the largest average of the square so far.
    maximize
        Ascend instead of descending.
    foreach, fused, capturable
        Accepted for compatibility: all steps are fused over the list of parameters.
    differentiable
        Record the step, so that gradients flow through it.
    decoupled_weight_decay
        Shrink the parameter by ``lr * weight_decay`` instead of changing its gradient.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        check_range("learning rate", lr)
        check_range("epsilon value", eps)
        check_range("beta parameter at index 0", betas[0], 1.0)
        check_range("beta parameter at index 1", betas[1], 1.0)
        check_range("weight_decay value", weight_decay)
        check_modes(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # Early versions of PyTorch counted steps in a plain number.
        for p in self._parameters():
            step = self.state.get(p, {}).get("step")
            if step is not None and not isinstance(step, Tensor):
                self.state[p]["step"] = rtensor.tensor(float(step))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once; see `Optimizer.step`."""
        loss = evaluate(closure)
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                states = [self._state_of(p, group["amsgrad"]) for p in params]
                step = _recorded_step if group["differentiable"] else _fused_step
                step(group, params, states)
        return loss

    def _state_of(self, p: Tensor, amsgrad: bool) -> dict[str, Any]:
        state = self.state[p]
        if not state:
            # Counts on the device let a graph hold the step; on the CPU they cost no wait.
            state["step"] = rtensor.tensor(0.0, device=p.device if self.defaults["capturable"] else "cpu")
            for name in ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if amsgrad else ())):
                state[name] = rtensor.zeros_like(p, memory_format=rtensor.preserve_format).detach()
        return state


def _real(tensors: list[Tensor]) -> list[Tensor]:
    """Complex tensors as pairs of real numbers."""
    return [rtensor.view_as_real(t) if t.is_complex() else t for t in tensors]


def _fused_step(group: dict[str, Any], params: list[Tensor], states: list[dict[str, Any]]) -> None:
    beta1, beta2 = group["betas"]
    amsgrad = group["amsgrad"]
    with rtensor.no_grad():
        _C._fused_adam_(
            _real(params),
            _real([p.grad for p in params]),
            _real([s["exp_avg"] for s in states]),
            _real([s["exp_avg_sq"] for s in states]),
            _real([s["max_exp_avg_sq"] for s in states]) if amsgrad else [],
            [s["step"] for s in states],
            lr=float(group["lr"]),
            beta1=float(beta1),
            beta2=float(beta2),
            weight_decay=float(group["weight_decay"]),
            eps=float(group["eps"]),
            amsgrad=amsgrad,
            maximize=group["maximize"],
            decoupled_weight_decay=group["decoupled_weight_decay"],
        )


def _recorded_step(group: dict[str, Any], params: list[Tensor], states: list[dict[str, Any]]) -> None:
    """The same step as operators that the tape records."""
    beta1, beta2 = group["betas"]
    lr, eps, weight_decay = group["lr"], group["eps"], group["weight_decay"]
    for p, state in zip(params, states, strict=True):
        gradient = -p.grad if group["maximize"] else p.grad
        state["step"] += 1
        step = state["step"].item()
        if weight_decay != 0 and group["decoupled_weight_decay"]:
            p.mul_(1 - lr * weight_decay)
        elif weight_decay != 0:
            gradient = gradient.add(p, alpha=weight_decay)
        average = state["exp_avg"] = state["exp_avg"].lerp(gradient, 1 - beta1)
        square = state["exp_avg_sq"] = (state["exp_avg_sq"] * beta2).addcmul(gradient, gradient, value=1 - beta2)
        if group["amsgrad"]:
            square = state["max_exp_avg_sq"] = rtensor.maximum(state["max_exp_avg_sq"], square)
        denominator = (square.sqrt() / (1 - beta2**step) ** 0.5).add(eps)
        p.sub_(lr / (1 - beta1**step) * average / denominator)


class AdamW(Adam):
    """`Adam` with decoupled weight decay; parameters as there."""

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
