"""`log tail -f` behind a server that writes 20,000 events a second and rotates: is every event shown, how long after its write,
and at what share of a core. Not a test: times are not asserted in CI.

    python tests/benchmarks/follow_speed.py [SECONDS] [EVENTS_A_SECOND] [text|json]
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROTATED_EVERY_SECONDS = 2.0
TICK_SECONDS = 0.001
EVENT = {
    "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "@", "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/prod/pods/@", "verb": "get",
    "user": {"username": "system:serviceaccount:prod:web", "groups": ["system:serviceaccounts", "system:authenticated"]},
    "sourceIPs": ["10.0.0.7"], "userAgent": "kubectl/v1.36.2 (linux/amd64) kubernetes/0000000",
    "objectRef": {"resource": "pods", "namespace": "prod", "name": "@", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": "2026-11-21T20:29:55.927083Z",
    "stageTimestamp": "2026-11-21T20:29:55.942278Z",
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding"},
}  # fmt: skip


def write(log: Path, seconds: float, a_second: int) -> None:
    """One write an event, as the server does; the time of each stands in it. What is late is made up for."""
    text = json.dumps(EVENT, separators=(",", ":")) + "\n"
    descriptor, rotated, written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 0, 0
    begun = time.monotonic()
    while (now := time.monotonic()) - begun < seconds:
        for _ in range(int((now - begun) * a_second) - written):
            os.write(descriptor, text.replace("@", f"w{time.monotonic_ns()}").encode())
            written += 1
        if now - begun > (rotated + 1) * ROTATED_EVERY_SECONDS:
            rotated += 1
            os.close(descriptor)
            log.rename(log.with_name(f"audit-2026-11-21T20-45-{rotated:02}.643.log"))
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
        time.sleep(TICK_SECONDS)
    print(written)


def main() -> None:
    """Follow a writer; print what was seen of it."""
    seconds, a_second = float((*sys.argv, "10")[1] if len(sys.argv) > 1 else 10), 20_000
    a_second = int(sys.argv[2]) if len(sys.argv) > 2 else a_second
    form = sys.argv[3] if len(sys.argv) > 3 else "text"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "audit.log"
        log.touch()
        words = [sys.executable, "-m", "auditctl", "log", "tail", "-f", "-o", form, str(log)]
        follower = subprocess.Popen(words, stdout=subprocess.PIPE)
        time.sleep(2)  # it has begun: only what comes from now on counts
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; "
        code += f"from follow_speed import write; write(Path({str(log)!r}), {seconds}, {a_second})"
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        late = latencies(follower, writer)
        follower.terminate()
        follower.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told, _ = writer.communicate()
    late.sort()
    half, most = late[len(late) // 2], late[int(len(late) * 0.999)]
    print(f"{len(late)} of {told.strip()} events, {len(late) / seconds:.0f} a second ({form}); shown after {half * 1e3:.0f} ms "
          f"(half), {most * 1e3:.0f} ms (99.9 %), {late[-1] * 1e3:.0f} ms (all); memory {used.ru_maxrss / 1024:.0f} MB")  # fmt: skip


def latencies(follower: subprocess.Popen[bytes], writer: subprocess.Popen[str]) -> list[float]:
    """Seconds from the write of each event to its line."""
    assert follower.stdout is not None
    found: list[float] = []
    os.set_blocking(follower.stdout.fileno(), False)
    rest, quiet = b"", 0
    while writer.poll() is None or quiet < 50:
        chunk = follower.stdout.read(1 << 20) or b""
        if not chunk:
            quiet += writer.poll() is not None
            time.sleep(0.005)
            continue
        now = time.monotonic_ns()
        whole, _, rest = (rest + chunk).rpartition(b"\n")
        lines = (re.search(rb"w(\d{6,})", line) for line in whole.splitlines())
        found += [(now - int(each[1])) / 1e9 for each in lines if each]
    return found


if __name__ == "__main__":
    main()
