"""Inputs that must not crash: each raises, and leaves everything as it was."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import rtensor as torch


@pytest.mark.parametrize("make", [torch.empty, torch.zeros, torch.ones, torch.rand])
def test_memory_that_cannot_be_had(make):
    with pytest.raises(RuntimeError):
        make(10**15)
    with pytest.raises(RuntimeError):
        make(2**40, 2**40)
    with pytest.raises(RuntimeError):
        make(-1)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.as_strided((2, 2), (10**12, 1)),
        lambda x: x.as_strided((2, 2), (2**62, 2**62)),
        lambda x: x.as_strided((2,), (-1,)),
        lambda x: x.as_strided((2,), (1,), -1),
        lambda x: x.as_strided((2,), (1,), 2**62),
        lambda x: x.as_strided((2, 2), (1,)),
        lambda x: x.view(-1, -1),
        lambda x: x.view(2**62, 4),
        lambda x: x.reshape(5),
        lambda x: x.expand(3, 3),
        lambda x: x.narrow(0, 3, 2),
        lambda x: x.transpose(0, 7),
        lambda x: x.resize_(-1),
        lambda x: x.resize_(2**62),
        lambda x: x.expand(3, 4).add_(1),
        lambda x: torch.add(x, torch.ones(3)),
        lambda x: torch.index_select(x, 0, torch.tensor([7])),
        lambda x: torch.gather(x, 0, torch.tensor([-9])),
        lambda x: x[torch.tensor([2**40])],
        lambda x: torch.full((2,), 1.0, dtype=torch.float32, device="nowhere"),
        lambda x: torch.arange(0, 10**18),
        lambda x: torch.arange(0, 1, 1e-300),
        lambda x: torch.linspace(0, 1, -1),
        lambda x: torch.eye(-1),
        lambda x: torch.randperm(-1),
        lambda x: x.repeat(10**10, 10**10),
        lambda x: torch.cat([]),
        lambda x: torch.stack([x, torch.ones(3)]),
        lambda x: x.unfold(0, 9, 1),
        lambda x: x.unfold(0, 1, 0),
    ],
)
def test_bad_arguments_raise_and_change_nothing(call):
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    with pytest.raises((RuntimeError, IndexError, ValueError, TypeError)):
        call(x)
    assert x.tolist() == [1.0, 2.0, 3.0, 4.0] and x.stride() == (1,)


@pytest.mark.parametrize("bad", [None, "a", object(), {}, lambda: 0, [torch.ones(1)]])
@pytest.mark.parametrize("name", ["add", "sum", "mm", "cat", "reshape", "exp", "where", "index_select", "zeros"])
def test_wrong_types(name, bad):
    with pytest.raises((TypeError, RuntimeError, ValueError, IndexError)):
        getattr(torch, name)(bad, bad, bad)


def test_overlapping_writes():
    x = torch.arange(6.0)
    x[1:].copy_(x[:-1].clone())
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    y = torch.arange(6.0)
    with pytest.raises(RuntimeError, match="single memory location"):
        y[1:].copy_(y[:-1])
    assert y.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def run(code: str, timeout: float = 60) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=timeout, env=os.environ
    )


def test_fork_after_use():
    done = run(
        """
        import os, rtensor as torch
        x = torch.rand(1000, 1000); (x + x).sum(); x @ x
        pid = os.fork()
        if pid == 0:
            (x + x).sum(); x @ x
            os._exit(0)
        raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert done.returncode == 0, done.stderr


def test_interrupts_get_through():
    code = """
    import rtensor as torch
    print("ready", flush=True)
    try:
        while True:
            torch.ones(10) + 1
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "interrupted\n" and process.returncode == 0


def test_threads_compute_side_by_side():
    x, results = torch.rand(300, 300), []

    def work():
        results.extend(bool(((x + 1) - 1).allclose(x, atol=1e-5)) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80 and all(results)


def test_freed_memory_is_kept_until_it_is_asked_back():
    torch.empty_cache()
    before = torch.memory_stats()
    large = torch.empty(1 << 22)
    taken = torch.memory_stats()["reserved"] - before["reserved"]
    assert taken >= 4 << 22
    del large
    kept = torch.memory_stats()
    assert kept["cached"] >= before["cached"] + taken
    torch.empty_cache()
    assert torch.memory_stats() == before


def test_settings_are_checked():
    with pytest.raises(RuntimeError):
        torch.set_num_threads(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
    with pytest.raises(RuntimeError):
        torch.set_float32_matmul_precision("fast")
    with pytest.raises(RuntimeError, match="expects a str, but got int"):
        torch.set_float32_matmul_precision(1)
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("precision, error", [("high", 1e-6), ("medium", 2**-7)])
def test_products_are_as_precise_as_asked_for(precision, error):
    # Where there is a matrix unit, it takes products of this size.
    a, b, bias = torch.randn(200, 300), torch.randn(300, 250), torch.randn(250)
    size = a.double().abs() @ b.double().abs() + bias.abs()
    exact = a.double() @ b.double() + bias
    torch.set_float32_matmul_precision(precision)
    try:
        assert torch.get_float32_matmul_precision() == precision
        found = torch.addmm(bias, a, b)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert ((found - exact).abs() <= error * size).all()


def test_import_is_fast():
    done = run(
        """
        import time, numpy
        start = time.perf_counter()
        import rtensor
        print(time.perf_counter() - start)
        """
    )
    assert float(done.stdout) < 1.0, done.stderr
