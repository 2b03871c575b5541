"""The random state: seeding, saving and restoring it."""

import contextlib
import sys
from typing import Any

from rtensor._C import default_generator

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


def _cuda():
    """The CUDA module if it is in use."""
    cuda = sys.modules.get("rtensor.cuda")
    return cuda if cuda is not None and cuda.is_available() else None


def manual_seed(seed):
    """Seed the random number generators of all devices.

    Parameters
    ----------
    seed : int
        From -2**63 to 2**64 - 1; negative seeds count back from 2**64.

    Returns
    -------
    Generator
        The default generator.
    """
    seed = int(seed)
    cuda = _cuda()
    if cuda is not None:
        cuda.manual_seed_all(seed)
    return default_generator.manual_seed(seed)


def seed():
    """Seed the random number generators with an unforeseeable number.

    Returns
    -------
    int
        The seed, of 64 bits.
    """
    chosen = default_generator.seed()
    cuda = _cuda()
    if cuda is not None:
        cuda.manual_seed_all(chosen)
    return chosen


def initial_seed():
    """Return the seed of the default generator.

    Returns
    -------
    int
        What the generator was last seeded with.
    """
    return default_generator.initial_seed()


def get_rng_state():
    """Return the state of the default generator.

    Returns
    -------
    Tensor
        5056 bytes, in PyTorch's layout.
    """
    return default_generator.get_state()


def set_rng_state(new_state):
    """Let the default generator go on from a state.

    Parameters
    ----------
    new_state : Tensor
        What `get_rng_state` returned.
    """
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True, device_type="cuda"):
    """Restore the random state at the end of a ``with`` block.

    Parameters
    ----------
    devices : iterable of int, optional
        CUDA devices whose generators are restored too; all by default.
    enabled : bool
        Whether to restore anything.
    device_type : str
        Kind of the devices.
    """
    if not enabled:
        yield
        return
    cuda: Any = _cuda() if device_type == "cuda" else None
    devices = [] if cuda is None else list(range(cuda.device_count()) if devices is None else devices)
    state = get_rng_state()
    device_states = [cuda.get_rng_state(device) for device in devices]
    try:
        yield
    finally:
        set_rng_state(state)
        for device, device_state in zip(devices, device_states, strict=True):
            cuda.set_rng_state(device_state, device)
