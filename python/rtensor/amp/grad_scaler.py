"""Scaling of losses, so that small gradients survive in 16 bits; steps with gradients that overflowed are left out."""

import warnings
from collections.abc import Iterable
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.optim import Optimizer

_READY, _UNSCALED, _STEPPED = range(3)


def _non_finite(gradients: list[Tensor], inverse: Tensor) -> Tensor:
    """Multiply gradients in place; tell whether any of their elements is not finite, as a number on their device."""
    if gradients[0].is_cuda:
        from rtensor.cuda.kernels.optim import unscale

        return unscale(gradients, inverse)
    for gradient in gradients:
        gradient.mul_(inverse.to(gradient.dtype))
    return rtensor.stack([~gradient.isfinite().all() for gradient in gradients]).any().float()


class _Progress:
    """What was done with an optimiser since the last update."""

    def __init__(self) -> None:
        self.stage = _READY
        self.found: list[Tensor] = []

    def overflowed(self) -> bool:
        """Whether a gradient was not finite. Waits for the GPU."""
        return any(found.item() for found in self.found)


class GradScaler:
    """Scales losses by a factor that grows until gradients overflow.

    Parameters
    ----------
    device : str, default "cuda"
        Where the factor lies.
    init_scale : float, default 2**16
        The factor at first.
    growth_factor, backoff_factor : float, default 2 and 0.5
        What it is multiplied by after steps without overflow, and after one with it.
    growth_interval : int, default 2000
        After how many steps without overflow it grows.
    enabled : bool, default True
        Otherwise losses and steps are passed on as they are.

    Examples
    --------
    >>> import rtensor as torch
    >>> net = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> scaler = torch.amp.GradScaler("cpu")
    >>> scaler.scale(net(torch.ones(1, 2)).sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> scaler.get_scale()
    65536.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if enabled and device == "cuda" and not rtensor.cuda.is_available():
            warnings.warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2)
            enabled = False
        if enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._device, self._enabled = device, enabled
        self._init_scale, self._init_growth_tracker = init_scale, 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self._scale: Tensor | None = None
        self._growth_tracker: Tensor | None = None
        self._progress: dict[int, _Progress] = {}

    def _numbers(self, what: str) -> tuple[Tensor, Tensor]:
        """The factor and the number of steps since it changed."""
        if self._scale is None or self._growth_tracker is None:
            raise AssertionError(
                f"Attempted {what} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )
        return self._scale, self._growth_tracker

    def _of(self, optimizer: Optimizer) -> _Progress:
        return self._progress.setdefault(id(optimizer), _Progress())

    def scale(self, outputs: Any) -> Any:
        """A tensor, or the tensors of an iterable, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = rtensor.full((), self._init_scale, dtype=rtensor.float32, device=outputs.device)
                self._growth_tracker = rtensor.full(
                    (), self._init_growth_tracker, dtype=rtensor.int32, device=outputs.device
                )
            return outputs * self._scale.to(device=outputs.device)
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _unscale(self, optimizer: Optimizer, *, allow_half: bool) -> list[Tensor]:
        scale, _ = self._numbers("unscale_")
        inverse = scale.double().reciprocal().float()
        groups: dict[Any, list[Tensor]] = {}
        for group in optimizer.param_groups:
            for gradient in (p.grad for p in group["params"] if p.grad is not None):
                if not allow_half and gradient.dtype == rtensor.float16:
                    raise ValueError("Attempting to unscale FP16 gradients.")
                groups.setdefault((gradient.device, gradient.dtype), []).append(gradient)
        with rtensor.no_grad():
            return [_non_finite(found, inverse.to(device)) for (device, _), found in groups.items()]

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimiser's parameters by the factor, before they are looked at or clipped."""
        if not self._enabled:
            return
        progress = self._of(optimizer)
        if progress.stage == _UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if progress.stage == _STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        progress.found = self._unscale(optimizer, allow_half=False)
        progress.stage = _UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """The optimiser's step with unscaled gradients; nothing where one of them is not finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._numbers("step")
        progress = self._of(optimizer)
        if progress.stage == _STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if progress.stage == _READY:
            self.unscale_(optimizer)
        if not progress.found:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None if progress.overflowed() else optimizer.step(*args, **kwargs)
        progress.stage = _STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Let the factor grow or shrink, as the steps since the last update went; or set it."""
        if not self._enabled:
            return
        scale, tracker = self._numbers("update")
        if new_scale is not None:
            scale.fill_(new_scale) if isinstance(new_scale, float) else scale.copy_(new_scale)
        else:
            found = [f.to(scale.device) for progress in self._progress.values() for f in progress.found]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            self._adapt(scale, tracker, rtensor.stack(found).any())
        self._progress = {}

    def _adapt(self, scale: Tensor, tracker: Tensor, overflowed: Tensor) -> None:
        """Change the factor on its device, without waiting for it."""
        grows = tracker + 1 >= self._growth_interval
        grown = scale * self._growth_factor
        grown = rtensor.where(grown.isfinite() & grows, grown, scale)
        scale.copy_(rtensor.where(overflowed, scale * self._backoff_factor, grown))
        tracker.copy_(rtensor.where(overflowed | grows, rtensor.zeros_like(tracker), tracker + 1))

    def get_scale(self) -> float:
        """The factor. Waits for the GPU."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """What the factor is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Change what the factor is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the factor is multiplied by after an overflow."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Change what the factor is multiplied by after an overflow."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many steps without overflow the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Change after how many steps without overflow the factor grows."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The factor and what changes it; empty where nothing is scaled."""
        if not self._enabled:
            return {}
        tracker = self._init_growth_tracker if self._growth_tracker is None else self._growth_tracker.item()
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale, self._init_growth_tracker = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        if self._scale is not None and self._growth_tracker is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)
