"""Stubs and reference are those of the table, and mypy takes a user's script."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("script", ["stubs.py", "reference.py"])
def test_generated_files_are_fresh(script):
    done = subprocess.run([sys.executable, ROOT / "tools" / script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_accepts_a_users_script():
    pytest.importorskip("mypy")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--no-incremental",
            "--follow-imports=silent",
            str(ROOT / "tests" / "typing" / "user.py"),
        ],
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(ROOT / "python"), "PATH": ""},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
