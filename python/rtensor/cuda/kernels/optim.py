"""Fused steps of optimisers: one launch for dozens of parameters, with their addresses in the launch's arguments."""

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cupy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source

_SOURCE = Source("optim.cu")
_CHUNK, _THREADS = 4096, 256
# A launch takes 4 KiB of arguments: the table of parameters, and the numbers of the rule.
_LENGTH, _OPERANDS, _ENTRY = 54, 5, "6Qd2q"
_LIMITS = {"LENGTH": _LENGTH, "CHUNK": _CHUNK}
_NO_COUNT = (0, 0.0)


class _Parameter(NamedTuple):
    """A parameter, its gradient and its states: as they are, and so that elements correspond by their place in memory.

    Its steps are the address of their count on the device, or 0 and the count.
    """

    tensors: tuple[Tensor, ...]
    used: Sequence[Tensor]
    size: int
    steps: tuple[int, float]


@functools.cache
def _packer(length: int) -> struct.Struct:
    """Writes a table of so many parameters, of the size of a full one."""
    unused = (_LENGTH - length) * struct.calcsize(_ENTRY)
    return struct.Struct(f"q{_ENTRY * length}{unused}x")


def _table(parameters: list[_Parameter]) -> tuple[bytes, int]:
    """The table of a launch, and how many blocks it needs."""
    words: list[float] = [len(parameters)]
    padding = [0] * (_OPERANDS - len(parameters[0].used))
    blocks = 0
    for parameter in parameters:
        words += [t.data_ptr() for t in parameter.used]
        words += padding
        words += (*parameter.steps, parameter.size, blocks)
        blocks += -(-parameter.size // _CHUNK)
    return _packer(len(parameters)).pack(*words), blocks


def _is_packed(tensor: Tensor) -> bool:
    """Whether the elements fill their memory, in any order of dimensions."""
    step = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def _in_memory(tensors: tuple[Tensor, ...]) -> Sequence[Tensor]:
    """The tensors, or copies of them, whose elements correspond by their place in memory."""
    for tensor in tensors:
        if not tensor.is_contiguous():
            break
    else:
        return tensors
    strides = tensors[0].stride()
    if _is_packed(tensors[0]) and all(t.stride() == strides for t in tensors):
        return tensors
    return [t.contiguous() for t in tensors]


def _write_back(parameter: _Parameter) -> None:
    for k, (tensor, used) in enumerate(zip(parameter.tensors, parameter.used, strict=True)):
        # The second is the gradient.
        if k != 1 and used is not tensor:
            tensor.copy_(used)


def _update(
    lists: Sequence[Sequence[Tensor]],
    counts: Sequence[tuple[int, float]],
    launch: Callable[[dict[str, Any], bytes, int], None],
) -> None:
    """Launch for the parameters of each dtype; the second of the lists are gradients, which are only read."""
    by_dtype: dict[Any, list[_Parameter]] = {}
    parameters = []
    for tensors, count in zip(zip(*lists, strict=True), counts, strict=True):
        parameter = _Parameter(tensors, _in_memory(tensors), tensors[0].numel(), count)
        parameters.append(parameter)
        if parameter.size:
            by_dtype.setdefault(tensors[0].dtype, []).append(parameter)
    for dtype, group in by_dtype.items():
        settings = {"T": dtype, **_LIMITS}
        for start in range(0, len(group), _LENGTH):
            launch(settings, *_table(group[start : start + _LENGTH]))
    for parameter in parameters:
        _write_back(parameter)


@kernel("_fused_sgd_")
def fused_sgd(args: tuple, outs: tuple) -> None:
    """One step of stochastic gradient descent."""
    params, grads, buffers, weight_decay, momentum, lr, dampening, nesterov, maximize, is_first = args
    numbers = struct.pack("4d3q", weight_decay, momentum, lr, dampening, nesterov, maximize, is_first)
    has_momentum = momentum != 0

    def launch(settings: dict[str, Any], table: bytes, blocks: int) -> None:
        macros = {**settings, "MOMENTUM": int(has_momentum), "AMSGRAD": 0}
        _SOURCE.launch("sgd", macros, blocks, _THREADS, table, numbers)

    _update((params, grads, buffers) if has_momentum else (params, grads), [_NO_COUNT] * len(params), launch)


def _on_device(steps: Sequence[Tensor]) -> bool:
    return all(step.is_cuda and step.dtype == _C.float32 for step in steps)


def _counted(steps: Sequence[Tensor]) -> list[tuple[int, float]]:
    """Count a step on the host."""
    if cupy.cuda.get_current_stream().is_capturing():
        raise RuntimeError(
            "Attempting CUDA graph capture of step() for an optimizer whose step counts lie on the CPU: its "
            "param_groups' capturable is False"
        )
    return [(0, step.add_(1).item()) for step in steps]


@kernel("_fused_adam_")
def fused_adam(args: tuple, outs: tuple) -> None:
    """One step of Adam; counts the steps."""
    params, grads, means, squares, largest, steps = args[:6]
    lr, beta1, beta2, weight_decay, eps, amsgrad, maximize, decoupled = args[6:]
    numbers = struct.pack("5d2q", lr, beta1, beta2, weight_decay, eps, maximize, decoupled)
    on_device = _on_device(steps)
    counts = [(step.data_ptr(), 0.0) for step in steps] if on_device else _counted(steps)

    def launch(settings: dict[str, Any], table: bytes, blocks: int) -> None:
        macros = {**settings, "MOMENTUM": 0, "AMSGRAD": int(amsgrad)}
        if on_device:
            _SOURCE.launch("count_steps", macros, 1, _THREADS, table)
        _SOURCE.launch("adam", macros, blocks, _THREADS, table, numbers)

    lists = (params, grads, means, squares)
    _update((*lists, largest) if amsgrad else lists, counts, launch)


def unscale(gradients: Sequence[Tensor], inverse: Tensor) -> Tensor:
    """Multiply gradients of one dtype in place; 1 where an element is not finite, 0 else, on the device."""
    found = _C.zeros((), device=inverse.device)
    used = [t if _is_packed(t) else t.contiguous() for t in gradients]
    parameters = [_Parameter((t,), (t,), t.numel(), _NO_COUNT) for t in used if t.numel()]
    settings = {"T": gradients[0].dtype, **_LIMITS, "MOMENTUM": 0, "AMSGRAD": 0}
    for start in range(0, len(parameters), _LENGTH):
        table, blocks = _table(parameters[start : start + _LENGTH])
        _SOURCE.launch("unscale", settings, blocks, _THREADS, table, inverse, found)
    for gradient, written in zip(gradients, used, strict=True):
        if written is gradient:
            _C._bump_version(gradient)
        else:
            gradient.copy_(written)
    return found
