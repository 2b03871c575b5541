"""Layers of recurrent cells: for each step one product on cuBLAS and one launch for all gates."""

import itertools
from dataclasses import dataclass

from rtensor.backends import cudnn
from rtensor.cuda._arrays import dense
from rtensor.cuda._blas import PLAIN, TRANSPOSED, multiply
from rtensor.cuda._registry import kernel
from rtensor.cuda._source import Source, blocks
from rtensor.cuda._windows import THREADS

RECURRENT = Source("recurrent.cu")
CELLS = {"RNN_TANH": 0, "RNN_RELU": 1, "LSTM": 2, "GRU": 3}
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


@dataclass(frozen=True)
class Part:
    """Sequences of one step whose state lies side by side: in the rows of an earlier step, or in the first state."""

    row: int
    sequence: int
    size: int
    row_before: int | None


def _parts(sizes, reverse):
    """The steps in the order of their computation, as the sequences that carry on and those that begin."""
    rows = [0, *itertools.accumulate(sizes)]
    order = range(len(sizes))[::-1] if reverse else range(len(sizes))
    earlier = None
    for step in order:
        carried = 0 if earlier is None else min(sizes[step], sizes[earlier])
        if earlier is not None and carried:
            yield Part(rows[step], 0, carried, rows[earlier])
        if carried < sizes[step]:
            yield Part(rows[step] + carried, carried, sizes[step] - carried, None)
        earlier = step


class Matrix:
    """Rows of a dense matrix by address; one without rows, or none at all, has the address 0."""

    def __init__(self, tensor, columns):
        self.tensor = None if tensor is None or tensor.numel() == 0 else dense(tensor)
        self.address = 0 if self.tensor is None else self.tensor.data_ptr()
        self.step = 0 if self.tensor is None else columns * self.tensor.itemsize

    def at(self, row):
        """The address of a row."""
        return self.address + row * self.step


class Layer:
    """The operands that forward and backward passes have in common."""

    def __init__(self, args):
        inputs, weight, _, hidden, memory, sizes, self.mode, reverse = args[:8]
        self.hidden, self.dtype = hidden.shape[1], inputs.dtype
        self.width = GATES[self.mode] * self.hidden
        self.weight = dense(weight)
        self.first, self.first_memory = Matrix(hidden, self.hidden), Matrix(memory, self.hidden)
        self.parts = list(_parts(sizes, reverse))

    def before(self, part, output, kept):
        """Where the state and the memory before a step are."""
        if part.row_before is None:
            return self.first.at(part.sequence), self.first_memory.at(part.sequence)
        return output.at(part.row_before), kept.at(part.row_before)

    def product(self, by_state, size, left, out, beta):
        """``out = left @ weight.T + beta * out`` from states to gates, or without ``.T`` from gates to states."""
        columns, inner = (self.width, self.hidden) if by_state else (self.hidden, self.width)
        sizes = columns, size, inner, self.hidden, 0, inner, 0, columns, 0, 1
        multiply(
            (TRANSPOSED if by_state else PLAIN, PLAIN, *sizes),
            (self.weight.data_ptr(), left, out),
            (1, beta),
            (self.dtype, self.dtype),
            cudnn.allow_tf32,
        )

    def launch(self, name, part, *addresses):
        """Run a kernel for the features of some sequences."""
        settings = {"T": self.dtype, "CELL": CELLS[self.mode]}
        grid = blocks(part.size * self.hidden, THREADS)
        RECURRENT.launch(name, settings, grid, THREADS, *addresses, part.size, self.hidden)


@kernel("_rnn_steps")
def steps(args, outs):
    layer, inputs, bias = Layer(args), args[0], args[2]
    output, last, last_memory, gates, kept = outs
    h, width = layer.hidden, layer.width
    start = inputs if layer.mode != "GRU" else bias
    if start is not None:
        gates.copy_(start)
    inputs, gates = Matrix(inputs, width), Matrix(gates, width)
    output, last, last_memory, kept = (Matrix(t, h) for t in (output, last, last_memory, kept))
    for part in layer.parts:
        state, memory = layer.before(part, output, kept)
        layer.product(True, part.size, state, gates.at(part.row), int(start is not None))
        own = kept.at(part.row), output.at(part.row), last.at(part.sequence), last_memory.at(part.sequence)
        layer.launch("advance", part, inputs.at(part.row), gates.at(part.row), state, memory, *own)


@kernel("_rnn_steps_backward")
def steps_gradient(args, outs):
    layer = Layer(args)
    output, gates, kept, grad, last, last_memory = args[8:14]
    for target, given in ((outs[3], last), (outs[4], last_memory)):
        target.zero_() if given is None else target.copy_(given)
    h, width = layer.hidden, layer.width
    gates, of_inputs, of_states = (Matrix(t, width) for t in (gates, outs[0], outs[1]))
    output, kept, grad, before, carry, carried = (Matrix(t, h) for t in (output, kept, grad, *outs[2:]))
    gru = layer.mode == "GRU"
    for part in reversed(layer.parts):
        row, sequence = part.row, part.sequence
        state, memory = layer.before(part, output, kept)
        read = grad.at(row), gates.at(row), output.at(row), kept.at(row), state, memory
        written = carry.at(sequence), carried.at(sequence), before.at(row), of_inputs.at(row), of_states.at(row)
        layer.launch("go_back", part, *read, *written)
        raw = of_states if gru else of_inputs
        layer.product(False, part.size, raw.at(row), carry.at(sequence), int(gru))
