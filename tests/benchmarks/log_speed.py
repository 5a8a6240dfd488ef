"""Replay of a big log beside msgspec's bare decoding of it, on one core and on all, and `log tail --verb delete` beside jq.

CPU seconds, as ratios in one run, the best of several; wall time too, which other work on the machine spoils. Not a test.

    python tests/benchmarks/log_corpus.py /tmp/big.log 1000
    python tests/benchmarks/log_speed.py /tmp/big.log [RUNS]
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

BARE = """
import sys
from auditctl.log.readers import reader
lines = reader().lines
with open(sys.argv[1], "rb", buffering=0) as file:
    rest = b""
    while chunk := file.read(1 << 18):
        whole, _, rest = (rest + chunk).rpartition(b"\\n")
        lines(whole)
"""


class Cost(NamedTuple):
    """CPU and wall seconds, and the highest memory of one process."""

    cpu_seconds: float
    wall_seconds: float
    megabytes: float


def cost(command: list[str]) -> Cost:
    """One run; its output goes nowhere."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = "import resource, subprocess, sys; c = subprocess.run(sys.argv[1:], stdout=-3, stderr=-3).returncode; print(c, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    ran = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    status, kilobytes = ran.stdout.split()
    if status != "0":
        raise SystemExit(f"{command} ended with {status}")
    return Cost(cpu, time.monotonic() - begun, int(kilobytes) / 1024)


def main() -> None:
    """Interleaved, so that a busy machine is fair to all."""
    log, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with open(log, "rb") as file:
        megabytes = file.seek(0, 2) / 1e6
    ours = [sys.executable, "-m", "auditctl", "--rootfs", "/nonexistent"]
    replay = [*ours, "policy", "replay", "baseline", "--log", log, "-o", "json", "--processes"]
    commands = {
        "bare decoding": [sys.executable, "-c", BARE, log],
        "replay, one process": [*replay, "1"],
        "replay, two processes": [*replay, "2"],
        "tail --verb delete": [*ours, "log", "tail", "-o", "json", "--verb", "delete", log],
    }
    if shutil.which("jq"):
        commands["jq"] = ["jq", "-c", 'select(.verb=="delete")', log]
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            found[name].append(cost(command))
    best = {name: Cost(*(min(column) for column in zip(*costs, strict=True))) for name, costs in found.items()}
    for name, (cpu, wall, memory) in best.items():
        print(
            f"{name:22} {megabytes / cpu:6.0f} MB/s of CPU {megabytes / wall:6.0f} MB/s of wall time {memory:5.0f} MB at most"
        )
    if "jq" in best:
        print(f"tail beside jq: {best['jq'].cpu_seconds / best['tail --verb delete'].cpu_seconds:.1f} times (CPU), "
              f"{best['jq'].wall_seconds / best['tail --verb delete'].wall_seconds:.1f} times (wall)")  # fmt: skip


if __name__ == "__main__":
    main()
