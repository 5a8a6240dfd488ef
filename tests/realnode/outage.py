"""Outage side by side, in one run: the edit by hand, `enable`, a changed policy alone. Prints seconds and ratios.

    python tests/realnode/outage.py        on a real node that is up (root); it leaves the node as it found it

Outage: from the first `/readyz` that is not answered with 200 to the next that is, asked every 50 ms by a process of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: {}\n"
ASKED_EVERY_SECONDS = 0.05
SETTLED_SECONDS = 5.0
LONGEST_SECONDS = 150.0


def is_ready() -> bool:
    """Does `/readyz` answer 200 now?"""
    context = ssl._create_unverified_context()  # this machine's own server; nothing secret is sent
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, timeout=1, context=context)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


class Sampling:
    """What `/readyz` said, and when (monotonic seconds)."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, bool]] = [(time.monotonic(), is_ready())]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(ASKED_EVERY_SECONDS):
            ready = is_ready()
            if ready != self.changes[-1][1]:
                self.changes.append((time.monotonic(), ready))

    def settle(self) -> None:
        """Until it has been dark and then serves for a while."""
        end = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < end:
            at, ready = self.changes[-1]
            if len(self.changes) > 1 and ready and time.monotonic() - at > SETTLED_SECONDS:
                return
            time.sleep(0.1)

    @property
    def outage(self) -> float:
        """Seconds without 200."""
        pairs = zip(self.changes, self.changes[1:], strict=False)
        return sum(later - at for (at, ready), (later, _) in pairs if not ready)


@contextlib.contextmanager
def sampling() -> Iterator[Sampling]:
    """Ask all along."""
    until_the_kubelet_watches()
    seen = Sampling()
    seen._thread.start()
    try:
        yield seen
    finally:
        seen.settle()
        seen._stop.set()
        seen._thread.join()


def auditctl(*words: str | Path) -> tuple[dict[str, Any], float]:
    """Run it; its report, and when it had printed it."""
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", *map(str, words), "-o", "json"], capture_output=True, text=True, check=False
    )
    printed_at = time.monotonic()
    report = json.loads(ran.stdout)
    if ran.returncode:
        sys.exit(f"auditctl {words}: {ran.returncode}: {report['summary']}")
    return report, printed_at


def until_the_kubelet_watches() -> None:
    """An old server lingers for its open connections, so that each way has to meet the same: the kubelet's are back."""
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        command = ["ss", "-Htnp", "state", "established", "dport = :6443"]
        if "kubelet" in subprocess.run(command, capture_output=True, text=True, check=False).stdout:
            return
        time.sleep(0.5)


def by_hand() -> float:
    """Somebody adds an annotation with an editor that renames."""
    text = MANIFEST.read_text()
    with sampling() as seen:
        hidden = MANIFEST.with_name(".by-hand")
        hidden.write_text(text.replace("  labels:\n", "  labels:\n    by-hand: 'yes'\n", 1))
        hidden.rename(MANIFEST)
    return seen.outage


def by_us(*words: str | Path) -> tuple[float, float, str]:
    """Outage, seconds from 200 to the printed report, and the way that was taken."""
    with sampling() as seen:
        report, printed_at = auditctl(*words)
    ready_at = next(at for at, ready in reversed(seen.changes) if ready)
    ways = [finding["message"] for finding in report["findings"] if finding["check"] == "policy-reload"]
    return seen.outage, printed_at - ready_at, (ways or ["the manifest changes"])[0]


def measure(folder: Path) -> dict[str, Any]:
    """All of it; `hand` and `runs` (name, outage, ratio to the edit by hand, 200 to printed, way)."""
    rows: list[dict[str, Any]] = []

    def run(name: str, *words: str | Path) -> None:
        outage, printed, way = by_us(*words)
        rows.append({"name": name, "outage": outage, "ratio": outage / hand, "printedAfter": printed, "way": way})
        print(f"{name:32} {outage:5.1f} s  {outage / hand:.2f} of by hand  printed {printed:.2f} s after 200  {way}")

    policy = folder / "p.yaml"
    hand = by_hand()
    print(f"{'edit by hand':32} {hand:5.1f} s")
    policy.write_text(POLICY.format("Metadata"))
    run("enable", "enable", "--policy", policy)
    for number, level in enumerate(("RequestResponse", "Request", "Metadata", "RequestResponse"), start=1):
        policy.write_text(POLICY.format(level))
        run(f"policy changed, {number} in ten minutes", "enable", "--policy", policy)
    return {"hand": hand, "runs": rows}


def main(job: Callable[[Path], dict[str, Any]] = measure) -> None:
    """Measure on the node of this machine."""
    import tempfile

    if os.geteuid() or not MANIFEST.exists():
        sys.exit("needs root and a real node (see shared/realnode/node)")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(job(Path(folder))))


if __name__ == "__main__":
    main()
