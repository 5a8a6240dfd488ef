"""CPU time and memory of `enable --dry-run` against a script that only imports typer, ruamel.yaml and jsonpatch and composes
the same manifest; as a ratio in one run; at most 1.5 are enough. Not a test: times are not asserted in CI. Byte code is written and used, as on a node.

    python tests/benchmarks/light_start.py [MANIFEST]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 15
BAR = 1.5
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
MANIFEST = Path(__file__).parents[1] / "golden/kubeadm/v1.36.2/plain.yaml"
BASE = """
import sys, typer, jsonpatch
from ruamel.yaml import YAML
YAML(typ="safe", pure=True).compose(open(sys.argv[1]).read())
"""
MEMORY = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=-3); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Interleave the two, so that a busy machine is fair to both; print medians and the ratio."""
    manifest = Path(sys.argv[1]) if len(sys.argv) > 1 else MANIFEST
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        target = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
        target.parent.mkdir(parents=True)
        target.write_bytes(manifest.read_bytes())
        base = [sys.executable, "-c", BASE, str(target)]
        ours = [str(Path(sys.executable).with_name("auditctl")), "enable", "--dry-run", "--rootfs", folder]
        for command in (base, ours):
            cpu_seconds(command)  # byte code is compiled once
        pairs = [(cpu_seconds(base), cpu_seconds(ours)) for _ in range(RUNS)]
        one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        kilobytes = int(
            subprocess.run([sys.executable, "-c", MEMORY, *ours], capture_output=True, text=True, check=True).stdout
        )
    print(
        f"imports and compose {one:.3f} s, enable --dry-run {other:.3f} s: {other / one:.2f} times (bar: {BAR}); peak memory {kilobytes / 1024:.1f} MB"
    )


if __name__ == "__main__":
    main()
