"""Recurrent networks: cells, and layers of them over sequences."""

import math
import warnings
from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import _ops, init
from rtensor.nn.functional.dropout import dropout
from rtensor.nn.modules.module import Module
from rtensor.nn.parameter import Parameter
from rtensor.nn.utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

# The state of a step: hidden, and the memory of LSTMs.
State = tuple[Tensor, ...]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def _steps(
    mode: str,
    data: Tensor,
    first: State,
    weights: list[Parameter],
    biases: tuple[Any, Any],
    sizes: list[int],
    reverse: bool = False,
    projection: Any = None,
) -> tuple[Tensor, State]:
    """One layer over steps that lie one after the other: the outputs, and the last state."""
    bias_ih, bias_hh = biases
    if mode != "GRU" and bias_ih is not None:
        bias_ih, bias_hh = bias_ih + bias_hh, None
    # The inputs of all steps are multiplied at once.
    inputs = _ops.linear(data, weights[0], bias_ih)
    hidden, memory = first if mode == "LSTM" else (*first, None)
    output, *last = _ops._rnn_layer(inputs, weights[1], bias_hh, hidden, memory, sizes, mode, reverse, projection)
    return output, tuple(last[: len(first)])


class RNNBase(Module):
    """Layers of cells over sequences.

    Parameters
    ----------
    mode
        ``RNN_TANH``, ``RNN_RELU``, ``LSTM`` or ``GRU``.
    input_size, hidden_size
        Number of features of input and state.
    num_layers
        Layers; each has the output of the one before as its input.
    bias
        Whether the layers have biases.
    batch_first
        Whether tensors are ``(batch, length, features)`` instead of ``(length, batch, features)``.
    dropout
        Probability of a zero between layers, in training.
    bidirectional
        Whether each layer runs backwards as well.
    proj_size
        Size to which LSTMs project their hidden state; 0 for none.
    device, dtype
        Of the parameters.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._check()
        gates, state = _GATES[mode] * hidden_size, proj_size or hidden_size
        directions = 2 if bidirectional else 1
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            features = input_size if layer == 0 else state * directions
            for suffix in ("", "_reverse")[:directions]:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, features), "weight_hh": (gates, state)}
                if bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = [f"{name}_l{layer}{suffix}" for name in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, name, Parameter(rtensor.empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(names)
        self.reset_parameters()

    def _check(self) -> None:
        if not 0 <= self.dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={self.dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: parameters need not lie in one block."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def extra_repr(self) -> str:
        """Sizes, and what differs from the default."""
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0}
        for name, default in (defaults | {"bidirectional": False}).items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return the outputs of all steps and the last state.

        Parameters
        ----------
        input
            A tensor, without the batch dimension if wished, or a `PackedSequence`.
        hx
            The first state, for LSTMs hidden and memory; zeros by default.
        """
        if isinstance(input, PackedSequence):
            return self._packed_forward(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D tensor instead")
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        state = self._as_states(hx)
        if not batched:
            input = input.unsqueeze(batch_dim)
            state = None if state is None else tuple(s.unsqueeze(1) for s in state)
        steps = input.transpose(0, 1) if self.batch_first else input
        if state is None:
            state = self._zero_states(steps, steps.size(1))
        self._check_forward(steps, state, steps.size(1))
        outputs, last = self._run(steps.flatten(0, 1), [steps.size(1)] * steps.size(0), state)
        output = outputs.view(steps.size(0), steps.size(1), -1)
        output = output.transpose(0, 1) if self.batch_first else output
        if not batched:
            output, last = output.squeeze(batch_dim), tuple(s.squeeze(1) for s in last)
        return output, self._from_states(last)

    def _packed_forward(self, packed: PackedSequence, hx: Any) -> tuple[Any, Any]:
        data, batch_sizes, order, back = packed
        sizes = batch_sizes.tolist()
        state = self._as_states(hx)
        if state is None:
            state = self._zero_states(data, sizes[0])
        elif order is not None:
            state = tuple(s.index_select(1, order) for s in state)
        self._check_forward(data, state, sizes[0])
        output, last = self._run(data, sizes, state)
        if back is not None:
            last = tuple(s.index_select(1, back) for s in last)
        return PackedSequence(output, batch_sizes, order, back), self._from_states(last)

    def _as_states(self, hx: Any) -> State | None:
        return hx if hx is None or self.mode == "LSTM" else (hx,)

    def _from_states(self, states: State) -> Any:
        return states if self.mode == "LSTM" else states[0]

    def _state_sizes(self) -> list[int]:
        sizes = [self.proj_size or self.hidden_size]
        return [*sizes, self.hidden_size] if self.mode == "LSTM" else sizes

    def _zero_states(self, like: Tensor, batch: int) -> State:
        rows = self.num_layers * (2 if self.bidirectional else 1)
        return tuple(like.new_zeros(rows, batch, size) for size in self._state_sizes())

    def _check_forward(self, data: Tensor, states: State, batch: int) -> None:
        weight = self.weight_ih_l0
        if data.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({data.dtype}) does not match weight dtype ({weight.dtype}). Convert input: "
                f"input.to({weight.dtype}), or convert model: model.to({data.dtype})"
            )
        if data.size(-1) != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {data.size(-1)}"
            )
        rows = self.num_layers * (2 if self.bidirectional else 1)
        for i, (state, size) in enumerate(zip(states, self._state_sizes(), strict=True)):
            name = f"hidden[{i}]" if self.mode == "LSTM" else "hidden"
            if tuple(state.size()) != (rows, batch, size):
                raise RuntimeError(f"Expected {name} size {(rows, batch, size)}, got {list(state.size())}")

    def _run(self, data: Tensor, sizes: list[int], states: State) -> tuple[Tensor, State]:
        """All layers over steps that lie one after the other, the `t`th with ``sizes[t]`` sequences."""
        directions = 2 if self.bidirectional else 1
        finals: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                row = layer * directions + direction
                first = tuple(s[row] for s in states)
                output, last = self._run_layer(data, sizes, first, self.all_weights[row], reverse=direction == 1)
                outputs.append(output)
                finals.append(last)
            data = outputs[0] if directions == 1 else rtensor.cat(outputs, -1)
            if self.dropout > 0 and layer < self.num_layers - 1:
                data = dropout(data, self.dropout, self.training)
        return data, tuple(rtensor.stack(rows) for rows in zip(*finals, strict=True))

    def _run_layer(
        self, data: Tensor, sizes: list[int], first: State, weights: list[Parameter], reverse: bool
    ) -> tuple[Tensor, State]:
        projection = weights[-1] if self.proj_size else None
        bias_ih, bias_hh = weights[2:4] if self.bias else (None, None)
        return _steps(self.mode, data, first, weights[:2], (bias_ih, bias_hh), sizes, reverse, projection)


class RNN(RNNBase):
    """``h = tanh(W x + U h + b)``, or with ``relu``; parameters as of its base class.

    `nonlinearity` is the fourth positional argument, or given by keyword.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        nonlinearity = args[3] if len(args) > 3 else kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", *args[:3], *args[4:], **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory; parameters as of its base class."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units; parameters as of its base class."""

    def __init__(self, *args: Any, **kwargs: Any):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """One step of a recurrent network.

    Parameters
    ----------
    input_size, hidden_size
        Number of features of input and state.
    bias
        Whether there are biases.
    num_chunks
        Number of gates.
    device, dtype
        Of the parameters.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates = num_chunks * hidden_size
        for name, shape in {"weight_ih": (gates, input_size), "weight_hh": (gates, hidden_size)}.items():
            setattr(self, name, Parameter(rtensor.empty(shape, device=device, dtype=dtype)))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(rtensor.empty(gates, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        """Sizes, and what differs from the default."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _advance(self, mode: str, input: Tensor, states: State | None) -> State:
        if input.dim() not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        batched = input.dim() == 2
        input = input if batched else input.unsqueeze(0)
        if states is None:
            states = (input.new_zeros(input.size(0), self.hidden_size),) * (2 if mode == "LSTM" else 1)
        elif not batched:
            states = tuple(s.unsqueeze(0) for s in states)
        weights, biases = [self.weight_ih, self.weight_hh], (self.bias_ih, self.bias_hh)
        _, states = _steps(mode, input, states, weights, biases, [input.size(0)])
        return states if batched else tuple(s.squeeze(0) for s in states)


class RNNCell(RNNCellBase):
    """``tanh(W x + U h + b)``, or with ``relu``; parameters as of its base class."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next state."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        mode = f"RNN_{self.nonlinearity.upper()}"
        return self._advance(mode, input, None if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """One step of long short-term memory; parameters as of its base class."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: State | None = None) -> State:
        """Return the next hidden state and memory."""
        return self._advance("LSTM", input, hx)


class GRUCell(RNNCellBase):
    """One step of gated recurrent units; parameters as of its base class."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next state."""
        return self._advance("GRU", input, None if hx is None else (hx,))[0]
