"""Optimisers: they change parameters by their gradients."""

from typing import Any

from rtensor.optim.adam import Adam, AdamW
from rtensor.optim.adaptive import Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop
from rtensor.optim.averaged import ASGD, Rprop
from rtensor.optim.optimizer import Optimizer
from rtensor.optim.sgd import SGD

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]


def __getattr__(name: str) -> Any:
    if name == "lr_scheduler":
        import rtensor.optim.lr_scheduler as lr_scheduler

        return lr_scheduler
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
