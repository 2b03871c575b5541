#!/usr/bin/env python3
"""All checks in one go: the tests, the linters, and the conformance suites where they lie beside the checkout.

The suites' numbers of passing cases are floors (`.ci/floors.json`): fewer is a failure, and
``--raise`` writes more down. The last line is ``N passed, M failed``; the exit code is 0 if M is.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ROOT / ".ci" / "floors.json"
SHARED = ROOT.parent / "shared" / "conformance"
PYTHON = ROOT / ".venv" / "bin" / "python"


def run(title, command):
    """Run a command, show and return its output and whether it succeeded."""
    print(f"\n== {title}: {' '.join(map(str, command))}", flush=True)
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines), process.returncode == 0


def test_counts(output):
    """Passed and failed tests by the summaries of pytest and cargo."""
    passed = failed = 0
    for line in output.splitlines():
        is_summary = line.startswith("test result:") or re.fullmatch(r"=*\s*(\d+ \w+,? ?)+ in [\d.]+s.*", line.strip())
        if is_summary:
            passed += sum(map(int, re.findall(r"(\d+) passed", line)))
            failed += sum(map(int, re.findall(r"(\d+) (?:failed|error)", line)))
    return passed, failed


def suite_passes(name, output):
    """The number of passing cases that a conformance suite reports."""
    if name == "ops":
        found = re.search(r"^total\s+\d+\s+(\d+)", output, re.M)
    else:
        found = re.search(r"^(\d+) passed, \d+ failed", output, re.M)
    return int(found[1]) if found else 0


def conformance(floors):
    """Yield name, passing cases and floor of each suite."""
    for name in ("seeds", "api", "ops"):
        script = SHARED / name / "run.py"
        if script.exists():
            output, _ = run(f"conformance: {name}", [PYTHON, script, "--module", "rtensor"])
            yield name, suite_passes(name, output), floors.get(name, 0)


def main():
    """Run everything and print the totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raise", dest="rise", action="store_true", help="write higher numbers down as new floors")
    options = parser.parse_args()

    output, succeeded = run("tests", ["make", "test"])
    passed, failed = test_counts(output)
    failed += not succeeded and failed == 0
    _, succeeded = run("lint", ["make", "lint"])
    passed, failed = passed + succeeded, failed + (not succeeded)

    floors = json.loads(FLOORS.read_text())
    for name, count, floor in conformance(floors):
        good = count >= floor
        print(f"conformance {name}: {count} cases pass, the floor is {floor}{'' if good else ': TOO FEW'}")
        passed, failed = passed + good, failed + (not good)
        if options.rise:
            floors[name] = max(count, floor)
    if options.rise:
        FLOORS.write_text(json.dumps(floors, indent=2) + "\n")
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
