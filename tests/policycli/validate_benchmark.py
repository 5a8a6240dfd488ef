"""CPU time of `policy validate FILE` against a script that imports typer and ruamel.yaml and composes the same file.

The two are interleaved, so that a busy machine is fair to both. Not a test: times are not asserted in CI.

    python tests/policycli/validate_benchmark.py [FILE]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

RUNS = 20
FILE = Path(__file__).parents[2] / "templates/policies/forensic.yaml"
BASE = """
import sys, typer
from ruamel.yaml import YAML
YAML(typ="safe", pure=True).compose(open(sys.argv[1]).read())
"""


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print medians and their ratio."""
    file = sys.argv[1] if len(sys.argv) > 1 else str(FILE)
    base = [sys.executable, "-c", BASE, file]
    ours = [str(Path(sys.executable).with_name("auditctl")), "policy", "validate", file]
    for command in (base, ours):
        cpu_seconds(command)  # byte code is compiled once
    pairs = [(cpu_seconds(base), cpu_seconds(ours)) for _ in range(RUNS)]
    one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"imports and compose {one:.3f} s, policy validate {other:.3f} s: {other / one:.2f} times")


if __name__ == "__main__":
    main()
