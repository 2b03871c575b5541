"""Everything that can only be shown on a GPU, in one run and one table.

    python tools/gpu.py --wheel rtensor-*.whl [--seeds ../shared/conformance/seeds] [--out gpu] [--only tests bench]

Needs a GPU, CuPy, pytest and PyTorch, and no network: the wheel (abi3, built anywhere) is installed into the output
folder. Runs the tests, the checks of seeds where the folder is there, the demo and the benches, each in a process of
its own, writes their logs to the output folder, and prints the table.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("tests", "seeds", "demo", "bench")


def install(wheel, folder):
    """Install the wheel into a folder of its own; return the environment in which it is imported."""
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--upgrade"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    return {**os.environ, "PYTHONPATH": str(site)}


def command(step, options):
    """What a step runs."""
    python = [sys.executable]
    if step == "tests":
        return [*python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--device", "cuda", *options.pytest, "tests"]
    if step == "seeds":
        return [*python, str(options.seeds / "run.py"), "--module", "rtensor", "-k", "cuda"]
    if step == "demo":
        return [*python, "examples/digits.py", "--device", "cuda", "--out", str(options.out / "digits")]
    return [*python, "benches/cuda.py", "--json", str(options.out / "bench.json")]


def run(step, options, environment):
    """Run a step with its log; return what the table says of it."""
    if step == "seeds" and not (options.seeds / "run.py").is_file():
        return f"left out: no {options.seeds}"
    log = options.out / f"{step}.log"
    started = time.perf_counter()
    with log.open("w") as file:
        try:
            streams = {"stdout": file, "stderr": subprocess.STDOUT}
            limits = {"timeout": options.timeout, "check": False}
            code = subprocess.run(command(step, options), cwd=ROOT, env=environment, **streams, **limits).returncode
        except subprocess.TimeoutExpired:
            code = f"stopped after {options.timeout} s"
    seconds = time.perf_counter() - started
    verdict = "ok" if code == 0 else f"FAILED ({code})"
    return f"{verdict}, {seconds:.0f} s: {essence(step, log.read_text())}"


def essence(step, text):
    """The line of a log that says how it went."""
    lines = [line.strip(" =") for line in text.splitlines() if line.strip(" =")]
    wanted = {"tests": r"\d+ (passed|failed)", "seeds": r"\d+ passed|passed \d+|\d+/\d+", "demo": r"accuracy"}
    for line in reversed(lines):
        if re.search(wanted.get(step, "."), line):
            return line
    return lines[-1] if lines else "no output"


def card():
    """The GPU's name and its driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"unknown ({error})"


def figures(path):
    """The benches' rows of the table."""
    for row in json.loads(path.read_text()) if path.is_file() else []:
        times = [f"{t * 1e6:.1f}" if isinstance(t, float) else str(t)[:60] for t in (row["rtensor"], row["torch"])]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        yield f"| {row['case']} | {times[0]} | {times[1]} | {ratio} |"


def parse_arguments():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the wheel; without it, rtensor as it is installed")
    parser.add_argument(
        "--seeds", type=Path, default=ROOT.parent / "shared/conformance/seeds", help="the seeds' folder"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out/gpu", help="output folder")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS, help="steps to run")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one step")
    parser.add_argument("--pytest", nargs="*", default=[], help="more options of pytest")
    return parser.parse_args()


def main():
    """Run the steps and print the table."""
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    options.out = options.out.resolve()
    environment = install(options.wheel, options.out) if options.wheel else dict(os.environ)
    results = {step: run(step, options, environment) for step in options.only}
    print(f"\n{card()}\n\n| step | result |\n|---|---|")
    for step, result in results.items():
        print(f"| {step} | {result} |")
    if "bench" in results:
        print("\n| case | rtensor, us | PyTorch, us | ratio |\n|---|---|---|---|")
        print("\n".join(figures(options.out / "bench.json")))
    return 0 if all(result.startswith(("ok", "left out")) for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
