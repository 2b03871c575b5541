"""Base of the optimisers whose steps are composed of operators, one parameter after the other."""

from collections.abc import Callable
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.optim.optimizer import Optimizer, check_range, evaluate

_SPOKEN = {"lr": "learning rate", "eps": "epsilon value"}


class ComposedOptimizer(Optimizer):
    """An optimiser that defines the state of a parameter and its update.

    Parameters
    ----------
    params
        Tensors or groups of them; see `Optimizer`.
    options
        The options of groups, by name; the numbers among them are checked.
    """

    def __init__(self, params: Any, options: dict[str, Any]):
        options = {name: value for name, value in options.items() if name not in ("self", "params", "__class__")}
        if isinstance(options["lr"], Tensor) and options["lr"].numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name, value in options.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                check_range(_SPOKEN.get(name, f"{name} value"), value)
        for i, beta in enumerate(options.get("betas", ())):
            check_range(f"beta parameter at index {i}", beta, 1.0)
        super().__init__(params, options)

    def _start(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter before its first step, without the step count."""
        raise NotImplementedError(f"{type(self).__name__} does not define its state")

    def _update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any], step: float) -> None:
        """Change a parameter and its state in place; `step` counts from 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define its update")

    @rtensor.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once; see `Optimizer.step`."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.is_cuda and rtensor.cuda.is_current_stream_capturing():
                    # A graph would repeat the step's number, which is known to the host alone.
                    raise RuntimeError(
                        f"Attempting CUDA graph capture of step() for an instance of {type(self).__name__}, which is "
                        "not capturable; SGD, Adam and AdamW are"
                    )
                state = self.state[p]
                if not state:
                    state["step"] = rtensor.tensor(0.0)
                    state.update(self._start(p, group))
                state["step"] += 1
                self._update(p, self._gradient(p, group), state, group, state["step"].item())
        return loss

    def _gradient(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        """The gradient, turned for ascent, with the weight decay that is not decoupled."""
        gradient = -p.grad if group["maximize"] else p.grad
        decay = group.get("weight_decay", 0)
        if decay == 0:
            return gradient
        if group.get("decoupled_weight_decay", False):
            p.mul_(1 - float(group["lr"]) * decay)
            return gradient
        return gradient.add(p, alpha=decay)


def zeros(p: Tensor) -> Tensor:
    """Zeros like a parameter, in its memory format."""
    return rtensor.zeros_like(p, memory_format=rtensor.preserve_format)
