"""The demo, run as users run it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "examples" / "digits.py"
for needed in ("sklearn", "matplotlib", "tqdm", "graphviz"):
    pytest.importorskip(needed)


def run(*arguments):
    return subprocess.run([sys.executable, DEMO, *arguments], capture_output=True, text=True, timeout=600, check=False)


def test_it_learns_and_writes_its_files(tmp_path):
    done = run("--out", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    accuracy = float(re.search(r"held-out images: ([\d.]+)%", done.stdout)[1])
    assert accuracy >= 97
    assert "the reloaded network predicts the same" in done.stdout
    assert {path.stem for path in tmp_path.iterdir()} == {"loss", "graph", "weights"}
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_cuda_without_a_gpu():
    import rtensor as torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device is present")
    done = run("--device", "cuda")
    assert done.returncode != 0 and "no CUDA device is available" in done.stderr
    assert "Traceback" not in done.stderr
