"""Fused steps of optimisers: one launch for dozens of parameters, with their addresses in the launch's arguments."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import cupy
import numpy

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source

_SOURCE = Source("optim.cu")
_CHUNK, _THREADS = 4096, 256
# A launch takes 4 KiB of arguments: the table of tensors, and the numbers of the rule.
_ENTRY = numpy.dtype(
    [
        ("at", numpy.uint64, 5),
        ("step", numpy.uint64),
        ("count", numpy.float64),
        ("size", numpy.int64),
        ("first_block", numpy.int64),
    ]
)
_LENGTH = 54
_LIMITS = {"LENGTH": _LENGTH, "CHUNK": _CHUNK}
_TABLE = numpy.dtype([("tensors", numpy.int64), ("entries", _ENTRY, _LENGTH)])
_SGD = numpy.dtype([(name, numpy.float64) for name in ("weight_decay", "momentum", "lr", "dampening")]
                   + [(name, numpy.int64) for name in ("nesterov", "maximize", "is_first")])  # fmt: skip
_ADAM = numpy.dtype([(name, numpy.float64) for name in ("lr", "beta1", "beta2", "weight_decay", "eps")]
                    + [(name, numpy.int64) for name in ("maximize", "decoupled")])  # fmt: skip


# The tensors of one parameter, in the order of the kernels; the address of its step count or 0; else the count.
_Row = tuple[list[Tensor], int, float]


def _tables(rows: list[_Row]) -> Iterator[tuple[numpy.ndarray, int]]:
    """Tables of as many rows as a launch takes, and how many blocks each needs."""
    for start in range(0, len(rows), _LENGTH):
        part = rows[start : start + _LENGTH]
        length, operands = len(part), len(part[0][0])
        table = numpy.zeros((), _TABLE)
        entries = table["entries"]
        sizes = [tensors[0].numel() for tensors, _, _ in part]
        ends = list(accumulate(-(-size // _CHUNK) for size in sizes))
        table["tensors"] = length
        entries["at"][:length, :operands] = [[t.data_ptr() for t in tensors] for tensors, _, _ in part]
        entries["step"][:length] = [step for _, step, _ in part]
        entries["count"][:length] = [count for _, _, count in part]
        entries["size"][:length] = sizes
        entries["first_block"][:length] = [0, *ends[:-1]]
        yield table, ends[-1]


def _is_packed(tensor: Tensor) -> bool:
    """Whether the elements fill their memory, in any order of dimensions."""
    step = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def _rows_in_memory(tensors: list[Tensor]) -> list[Tensor]:
    """The tensors, or copies of them, whose elements correspond by their place in memory."""
    strides = tensors[0].stride()
    if all(t.stride() == strides for t in tensors) and (tensors[0].is_contiguous() or _is_packed(tensors[0])):
        return tensors
    return [t.contiguous() for t in tensors]


def _update(lists: list[list[Tensor]], launch: Callable[[Any, list[list[Tensor]], list[int]], None]) -> None:
    """Launch for the parameters of each dtype, and count the writes. The second list, gradients, is only read."""
    chosen: dict[Any, list[int]] = defaultdict(list)
    for i, param in enumerate(lists[0]):
        if param.numel():
            chosen[param.dtype].append(i)
        else:
            for tensors in lists[:1] + lists[2:]:
                _C._bump_version(tensors[i])
    for dtype, positions in chosen.items():
        rows = [[tensors[i] for tensors in lists] for i in positions]
        used = [_rows_in_memory(row) for row in rows]
        launch(dtype, used, positions)
        for row, written in zip(rows, used, strict=True):
            for k, tensor in enumerate(row):
                if k != 1 and written[k] is not tensor:
                    tensor.copy_(written[k])
                elif k != 1:
                    _C._bump_version(tensor)


@kernel("_fused_sgd_")
def fused_sgd(args: tuple) -> list[Tensor]:
    """One step of stochastic gradient descent."""
    params, grads, buffers, weight_decay, momentum, lr, dampening, nesterov, maximize, is_first = args
    settings = numpy.array((weight_decay, momentum, lr, dampening, nesterov, maximize, is_first), _SGD)
    lists = [list(params), list(grads)]
    if momentum != 0:
        lists.append(list(buffers))

    def launch(dtype: Any, rows: list[list[Tensor]], positions: list[int]) -> None:
        macros = {"T": dtype, **_LIMITS, "MOMENTUM": int(momentum != 0), "AMSGRAD": 0}
        for table, blocks in _tables([(row, 0, 0.0) for row in rows]):
            _SOURCE.launch("sgd", macros, blocks, _THREADS, table, settings)

    _update(lists, launch)
    return []


def _counts(steps: list[Tensor]) -> list[tuple[int, float]]:
    """Counts a step where the counts lie on the host; where they lie on the device, their addresses."""
    if all(step.is_cuda and step.dtype == _C.float32 for step in steps):
        return [(step.data_ptr(), 0.0) for step in steps]
    if cupy.cuda.get_current_stream().is_capturing():
        raise RuntimeError(
            "Attempting CUDA graph capture of step() for an optimizer whose step counts lie on the CPU: its "
            "param_groups' capturable is False"
        )
    return [(0, step.add_(1).item()) for step in steps]


@kernel("_fused_adam_")
def fused_adam(args: tuple) -> list[Tensor]:
    """One step of Adam; counts the steps."""
    params, grads, means, squares, largest, steps = args[:6]
    lr, beta1, beta2, weight_decay, eps, amsgrad, maximize, decoupled = args[6:]
    settings = numpy.array((lr, beta1, beta2, weight_decay, eps, maximize, decoupled), _ADAM)
    lists = [list(params), list(grads), list(means), list(squares)]
    if amsgrad:
        lists.append(list(largest))
    counts = _counts(steps)

    def launch(dtype: Any, rows: list[list[Tensor]], positions: list[int]) -> None:
        macros = {"T": dtype, **_LIMITS, "MOMENTUM": 0, "AMSGRAD": int(amsgrad)}
        for table, blocks in _tables([(row, *counts[i]) for row, i in zip(rows, positions, strict=True)]):
            if table["entries"]["step"][0]:
                _SOURCE.launch("count_steps", macros, 1, _THREADS, table)
            _SOURCE.launch("adam", macros, blocks, _THREADS, table, settings)

    _update(lists, launch)
    return []
