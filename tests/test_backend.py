"""A backend registered from Python, here on NumPy: the ops reach it, its exceptions pass through."""

import numpy as np
import pytest

import rtensor as torch
from rtensor.backend import Backend, register, strided_array

KERNELS = {
    "add": lambda a, b, alpha: a + alpha * b,
    "mul": np.multiply,
    "neg": np.negative,
    "exp": np.exp,
    "mm": np.matmul,
    "fill/Scalar": lambda a, value: np.full_like(a, value),
    "ones_like": lambda a, *_: np.ones_like(a),
}


class NumpyBackend(Backend):
    """A device whose memory is NumPy arrays of bytes."""

    def __init__(self):
        self.calls = []

    def alloc(self, nbytes, index, zeroed):
        return np.zeros(max(nbytes, 1), np.uint8)

    def address(self, block):
        return block.__array_interface__["data"][0]

    def copy(self, target, source):
        sides = [t.numpy() if t.device.type == "cpu" else strided_array(t, np) for t in (target, source)]
        np.copyto(*sides, casting="unsafe")

    def run(self, name, args, outs):
        self.calls.append(name)
        if name not in KERNELS:
            raise NotImplementedError(f"no kernel for {name}")
        arrays = [strided_array(a, np) if isinstance(a, torch.Tensor) and a.device.type != "cpu" else a for a in args]
        arrays = [a.numpy() if isinstance(a, torch.Tensor) else a for a in arrays]
        strided_array(outs[0], np)[...] = KERNELS[name](*arrays)


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


def test_a_device_without_backend():
    with pytest.raises((RuntimeError, AssertionError)):
        torch.ones(2, device="cuda")
    assert torch.cuda.is_available() is False and torch.cuda.device_count() == 0
