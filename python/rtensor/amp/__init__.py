"""Mixed precision: scaling of gradients that would vanish in 16 bits."""

from rtensor.amp.grad_scaler import GradScaler

__all__ = ["GradScaler"]
