"""Random generators of GPUs: a seed and an offset into its Philox stream; captured graphs read both on the device."""

import struct
from typing import Any

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda import _devices

#: What kernels get: a seed, an offset and a place, which, if not null, holds a seed and what to add to the offset.
_ARGUMENT = struct.Struct("<QQQ")
_DEFAULT_SEED = 67280421310721
_WORD = (1 << 64) - 1


class Philox:
    """The generator of a GPU: PyTorch's ``Generator`` with its state of 16 bytes.

    Parameters
    ----------
    device : device
        The GPU.
    """

    def __init__(self, device: Any):
        self.device = device
        self._seed, self._offset = _DEFAULT_SEED, 0
        self._recording: Recording | None = None

    def manual_seed(self, seed: int) -> "Philox":
        """Start the stream that belongs to a seed."""
        self._seed, self._offset = int(seed) & _WORD, 0
        return self

    def seed(self) -> int:
        """Seed with an unforeseeable number, and return it."""
        self.manual_seed(_C.Generator().seed())
        return self._seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_offset(self) -> int:
        """How far the stream has been used."""
        return self._offset

    def set_offset(self, offset: int) -> None:
        """Go on from another place of the stream."""
        if offset % 4:
            raise RuntimeError("offset must be a multiple of 4")
        self._offset = offset & _WORD

    def get_state(self) -> Tensor:
        """The state as a tensor of bytes on the CPU."""
        return _C.tensor(list(struct.pack("<QQ", self._seed, self._offset)), dtype=_C.uint8, device="cpu")

    def set_state(self, new_state: Tensor) -> "Philox":
        """Go on from a state that `get_state` gave."""
        if new_state.dtype != _C.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if new_state.numel() not in (8, 16):
            raise RuntimeError("RNG state is wrong size")
        state = bytes(new_state.tolist()).ljust(16, b"\0")
        self._seed, self._offset = struct.unpack("<QQ", state)
        return self

    def clone_state(self) -> "Philox":
        """Another generator that goes on from the same state."""
        return Philox(self.device).set_state(self.get_state())

    def draw(self, count: int) -> bytes:
        """A kernel's argument for using `count` numbers of each of its subsequences (threads)."""
        used = (count + 3) // 4 * 4
        if self._recording is not None:
            return self._recording.draw(used)
        argument = _ARGUMENT.pack(self._seed, self._offset, 0)
        self._offset = (self._offset + used) & _WORD
        return argument


class Recording:
    """What a graph in capture draws: offsets relative to where the generator stands at each replay."""

    def __init__(self, generator: Philox):
        self.generator = generator
        self.used = 0
        # Seed and offset, written before each replay; not part of the graph's own memory.
        self.place = _C.empty(2, dtype=_C.int64, device=generator.device)

    def begin(self) -> None:
        """Let draws be recorded."""
        self.generator._recording = self

    def end(self) -> None:
        """Draw as before."""
        self.generator._recording = None

    def draw(self, used: int) -> bytes:
        """A kernel's argument that refers to the device."""
        argument = _ARGUMENT.pack(0, self.used, self.place.data_ptr())
        self.used += used
        return argument

    def replay(self) -> None:
        """Give the graph the generator's state, and advance that by what the graph uses."""
        if self.used == 0:
            return
        *state, _ = struct.unpack("<qqq", self.generator.draw(self.used))
        for at, word in enumerate(state):
            self.place[at].fill_(word)


_generators: list[Philox] = []


def _default(index: int) -> Philox:
    while len(_generators) <= index:
        # What `torch.manual_seed` set before the GPU was used, or else a number that nobody can foresee.
        first = _C.default_generator.initial_seed()
        _generators.append(Philox(_C.device("cuda", len(_generators))).manual_seed(first))
    return _generators[index]


def generator_of(device: Any, generator: Any = None) -> Any:
    """The generator that a kernel on a device draws from: the given one, or the device's own."""
    if generator is None:
        return _default(device.index or 0)
    if generator.device.type != "cuda":
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found '{generator.device.type}'")
    return generator


def manual_seed(seed: int) -> None:
    """Seed the generator of the current GPU; nothing without one."""
    if _devices.is_available():
        _default(_devices.current_device()).manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs; nothing without one."""
    for index in range(_devices.device_count()):
        _default(index).manual_seed(seed)


def seed() -> None:
    """Seed the generator of the current GPU with an unforeseeable number."""
    if _devices.is_available():
        _default(_devices.current_device()).seed()


def seed_all() -> None:
    """Seed the generators of all GPUs with one unforeseeable number."""
    manual_seed_all(_C.Generator().seed())


def initial_seed() -> int:
    """The seed of the current GPU's generator."""
    return _default(_devices.current_device()).initial_seed()


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of a GPU's generator, as bytes on the CPU."""
    return _default(_devices.index_of(device)).get_state()


def get_rng_state_all() -> list[Tensor]:
    """The states of all GPUs' generators."""
    return [get_rng_state(index) for index in range(_devices.device_count())]


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Let a GPU's generator go on from a state."""
    _default(_devices.index_of(device)).set_state(new_state)


def set_rng_state_all(new_states: Any) -> None:
    """Let the generators of all GPUs go on from states."""
    for index, state in enumerate(new_states):
        set_rng_state(state, index)


def default_generators() -> tuple[Philox, ...]:
    """The generators of all GPUs."""
    return tuple(_default(index) for index in range(_devices.device_count()))
