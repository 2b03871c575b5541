"""A backend registered from Python, here on NumPy: the ops reach it, its exceptions pass through."""

import ctypes

import numpy as np
import pytest
import samples

import rtensor as torch
from rtensor.backend import Backend, Launch, Place, register, strided_array

FUNCTIONS = {"add": np.add, "mul": np.multiply, "neg": np.negative, "exp": np.exp}


class NumpyBackend(Backend):
    """A device whose memory is NumPy arrays of bytes."""

    def __init__(self):
        self.calls = []

    def alloc(self, nbytes, zeroed):
        block = np.zeros(max(nbytes, 1), np.uint8)
        return block, block.ctypes.data

    def transfer(self, target, source, non_blocking=False):
        ctypes.memmove(target.data_ptr(), source.data_ptr(), target.numel() * target.itemsize)

    def map(self, formula, signature, words, count):
        launch = Launch.read(signature, words)
        inputs = [self.array(x, launch.shape) if isinstance(x, Place) else x for x in launch.inputs]
        values = []
        for name, *operands in formula.nodes:
            self.calls.append(name)
            if name == "input":
                values.append(inputs[operands[0]])
            else:
                values.append(FUNCTIONS[name](*(values[e] if isinstance(e, int) else e for e in operands)))
        self.array(launch.target, launch.shape)[...] = values[formula.root]

    def kernel(self, name):
        if name != "mm":
            raise NotImplementedError(f"no kernel for {name}")
        return lambda args, outs: np.matmul(*(strided_array(a, np) for a in args), out=strided_array(outs[0], np))

    @staticmethod
    def array(place, shape):
        dtype = np.dtype(place.dtype)
        reach = 1 + sum((size - 1) * step for size, step in zip(shape, place.strides, strict=True))
        memory = (ctypes.c_uint8 * (reach * dtype.itemsize)).from_address(place.address)
        strides = [step * dtype.itemsize for step in place.strides]
        return np.lib.stride_tricks.as_strided(np.frombuffer(memory, dtype), shape, strides)


@pytest.fixture(scope="module")
def backend():
    made = NumpyBackend()
    register("privateuseone", made)
    return made


def test_results_lie_on_the_device(backend):
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device="privateuseone")
    y = x.t() + x
    assert y.device.type == "privateuseone" and "add" in backend.calls
    assert y.cpu().tolist() == [[2.0, 5.0], [5.0, 8.0]]
    assert (x * 2).cpu().tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_formulas_are_one_launch(backend):
    x = torch.tensor([0.0, 1.0], device="privateuseone", requires_grad=True)
    before = len(backend.calls)
    x.exp().backward(x.detach())
    assert x.grad.cpu().tolist() == pytest.approx([0.0, np.e])
    assert backend.calls[before:].count("exp") == 1


def test_products_reach_their_kernel(backend):
    x = torch.tensor([[1.0, 2.0]], device="privateuseone")
    assert torch.mm(x, x.t()).item() == 5.0


def test_views_need_no_kernel(backend):
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device="privateuseone")
    before = len(backend.calls)
    assert x[1:].t().cpu().tolist() == [[3.0], [4.0]]
    assert len(backend.calls) == before


def test_exceptions_pass_through(backend):
    x = torch.tensor([1.0], device="privateuseone")
    with pytest.raises(NotImplementedError, match="no kernel for"):
        x.cumsum(0)


def test_devices_do_not_mix(backend):
    x = torch.ones(3).to("privateuseone")
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(3)


def test_the_cpu_cannot_be_replaced(backend):
    with pytest.raises(ValueError, match="cannot be replaced"):
        register("cpu", backend)


@pytest.mark.skipif(samples.DEVICE == "cuda", reason="the device has a backend")
def test_a_device_without_backend():
    with pytest.raises((RuntimeError, AssertionError)):
        torch.ones(2, device="cuda")
    assert torch.cuda.is_available() is False and torch.cuda.device_count() == 0
