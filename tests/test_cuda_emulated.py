"""A part of the tests of GPUs, also where plain `pytest` runs: in a process of its own, on the emulated device."""

import subprocess
import sys
from pathlib import Path

import emulation
import pytest
import samples

TESTS = Path(__file__).parent
# Every operator once beside the CPU; what is not tied to one operator; gradients that formulas fuse.
CHOSEN = "test_cuda or (test_devices_agree and float32) or (test_gradients and (sigmoid or atan2 or addcmul or clamp))"


@pytest.mark.skipif(samples.DEVICE != "cpu", reason="the same tests run in this process")
@pytest.mark.skipif(emulation.native.compiler() is None, reason="the emulation needs a C++ compiler")
def test_operators_on_the_emulated_device():
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--device", "cuda"]
    files = [TESTS / "test_cuda.py", TESTS / "test_ops.py"]
    done = subprocess.run([*command, *files, "-k", CHOSEN], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
