"""Replay, tally, top and filter of a big log beside msgspec's bare decoding of it, jq, DuckDB and the server's evaluator.

CPU seconds, the median of interleaved runs, and as ratios to the bare decoding of the same run: other work on the machine
slows all of them alike. Wall time too, which other work spoils. Not a test.

    python tests/benchmarks/log_corpus.py /tmp/big.log 1000
    [AUDIT_EVALUATOR=PROGRAM] python tests/benchmarks/log_speed.py /tmp/big.log [RUNS]

DuckDB takes part where its Python package is installed, jq where it is on the PATH; AUDIT_EVALUATOR is a program that takes
a policy file and a log and decides each event with `k8s.io/apiserver/pkg/audit/policy`.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import statistics
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

DUCKDB = """
import duckdb, sys
duckdb.execute("set threads to 1")
query = "select level, verb, objectRef.resource, count(*) from read_json(?, format='newline_delimited', ignore_errors=true) group by all"
duckdb.execute(query, [sys.argv[1]]).fetchall()
"""
POLICY = "templates/policies/baseline.yaml"
SMALL = "tests/golden/logs/request-response-1.36.jsonl"


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


def commands_on(log: str) -> dict[str, list[str]]:
    """All that take part; the first is what the others are measured by."""
    ours = [sys.executable, "-m", "auditctl", "--rootfs", "/nonexistent"]
    replay = [*ours, "policy", "replay", POLICY, "--log", log, "-o", "json", "--processes"]
    tally = [*ours, "log", "tally", log, "--to", os.devnull, "--processes"]
    commands = {
        "bare decoding": [sys.executable, "-c", BARE, log],
        "replay, one process": [*replay, "1"],
        "replay, two processes": [*replay, "2"],
        "tally, one process": [*tally, "1"],
        "tally, two processes": [*tally, "2"],
        "top, one process": [*ours, "log", "top", log, "-o", "json", "--processes", "1"],
        "filter --policy": [*ours, "log", "filter", "--policy", POLICY, log],
        "tail --verb delete": [*ours, "log", "tail", "-o", "json", "--verb", "delete", log],
        "start alone": [*ours, "policy", "replay", POLICY, "--log", SMALL],
    }
    if shutil.which("jq"):
        commands["jq"] = ["jq", "-c", 'select(.verb=="delete")', log]
    if importlib.util.find_spec("duckdb"):
        commands["DuckDB, one thread"] = [sys.executable, "-c", DUCKDB, log]
    if program := os.environ.get("AUDIT_EVALUATOR"):
        commands["server's evaluator"] = [program, POLICY, log]
    return commands


def main() -> None:
    """Interleaved, so that a busy machine is fair to all."""
    log, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with open(log, "rb") as file:
        megabytes = file.seek(0, 2) / 1e6
    commands = commands_on(log)
    met: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            met[name].append(cost(command))
    middle = {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in met.items()}
    start, bare = middle["start alone"].cpu_seconds, middle["bare decoding"].cpu_seconds
    print(
        f"{megabytes:.0f} MB, the median of {runs} runs; a start takes {start:.2f} s of CPU, and is left out in brackets"
    )
    for name, (cpu, wall, memory) in middle.items():
        ours = "-m" in commands[name] and name != "start alone"
        alone = f"({megabytes / (cpu - start):4.0f})" if ours else ""
        print(f"{name:22} {megabytes / cpu:6.0f} {alone:6} MB/s of CPU {megabytes / wall:6.0f} MB/s of wall time "
              f"{memory:5.0f} MB at most {cpu / bare:6.2f} times the bare decoding")  # fmt: skip


if __name__ == "__main__":
    main()
