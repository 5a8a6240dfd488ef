"""What the tests of faults on a real node share: to act right after the rename, and to read what was said, and when."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

NODE = Path(__file__).parents[3] / "shared/realnode/node"
STATE = Path("/var/lib/realnode")
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
POLICY = Path("/etc/kubernetes/audit/policy.yaml")
LOG = Path("/var/log/kubernetes/audit/audit.log")
METADATA = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
PORT = 6443
_POLL_SECONDS = 0.01


class Said(NamedTuple):
    """How a run ended; ``lines`` are those of its stderr with the time (Unix seconds) at which each came."""

    code: int
    report: dict[str, Any]
    lines: list[tuple[float, str]]

    @property
    def summary(self) -> str:
        return str(self.report["summary"])


def until(is_so: Callable[[], Any], seconds: float, every: float = _POLL_SECONDS) -> Any:
    """Poll with a deadline; the answer, or the last empty one."""
    end = time.monotonic() + seconds
    while not (found := is_so()) and time.monotonic() < end:
        time.sleep(every)
    return found


def raced(act: Callable[[], object], *words: str | Path, told: Callable[[str], object] = lambda line: None) -> Said:
    """Run auditctl; ``act`` once the manifest is another than it was; ``told`` gets each line as it comes."""
    before = MANIFEST.read_bytes()
    command = [sys.executable, "-m", "auditctl", *map(str, words), "-o", "json"]
    lines: list[tuple[float, str]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:

        def watch() -> None:
            if until(lambda: process.poll() is not None or MANIFEST.read_bytes() != before, 120, 0.002):
                act()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        assert process.stderr
        assert process.stdout
        for line in process.stderr:
            lines.append((time.time(), line))
            told(line)
        stdout = process.stdout.read()
        code = process.wait(timeout=60)
    thread.join(timeout=60)
    errors = "".join(line for _, line in lines)
    assert "Traceback" not in errors, errors
    report = json.loads(stdout)
    print(words, code, report["summary"], report["timings"])
    return Said(code, report, lines)


def servers() -> list[int]:
    """The pids of every kube-apiserver of the node."""
    ran = subprocess.run(["pgrep", "-f", "^kube-apiserver --"], capture_output=True, text=True, check=False)
    return [int(word) for word in ran.stdout.split()]


def serves() -> None:
    """Wait until it does."""
    subprocess.run(["bash", NODE, "wait", "180"], check=True)


def put(text: str) -> None:
    """Replace the manifest by hand, as a careful person does."""
    hidden = MANIFEST.with_name(".by-hand")
    hidden.write_text(text)
    hidden.rename(MANIFEST)


def logs() -> frozenset[Path]:
    """Of every start of the API server's container that the kubelet still keeps."""
    return frozenset(Path("/var/log/pods").glob("kube-system_kube-apiserver-*/kube-apiserver/*.log"))


def said_by_the_server(pattern: str, since: float, known: frozenset[Path] = frozenset()) -> float | None:
    """When a container of the API server, not of the ``known`` logs, first said so, by the log's own time (Unix seconds)."""
    for log in sorted(logs() - known):
        with contextlib.suppress(OSError):
            for line in log.read_text(errors="replace").splitlines():
                stamp, _, text = line.partition(" ")
                at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", stamp)).timestamp()
                if at > since and re.search(pattern, text):
                    return at
    return None


class Port:
    """Hold the server's port from the moment when the old one lets it go."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def take(self) -> None:
        taken = until(self._bind, 60)
        assert taken, "the port never got free"

    def _bind(self) -> bool:
        one = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("::", PORT))
            one.listen()
        except OSError:
            one.close()
            return False
        self._socket = one
        return True

    def release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Etcd:
    """The node's etcd, that can be ended and started again."""

    def __init__(self) -> None:
        self._pid = int((STATE / "etcd.pid").read_text())
        self._argv = Path(f"/proc/{self._pid}/cmdline").read_text().split("\0")[:-1]
        self._is_back = False

    def end(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def start(self) -> None:
        """As the node script does."""
        if not self._is_back:
            self._is_back = True
            script = 'setsid nohup "$@" >>"$0.log" 2>&1 </dev/null & echo $! >"$0.pid"'
            subprocess.run(["bash", "-c", script, STATE / "etcd", *self._argv], check=True)


@contextlib.contextmanager
def no_kubelet() -> Iterator[None]:
    """The kubelet looks away: what is put in place and taken back meanwhile restarts nothing."""
    pid = int((STATE / "kubelet.pid").read_text())
    subprocess.run(["kill", "-STOP", str(pid)], check=True)
    try:
        yield
    finally:
        subprocess.run(["kill", "-CONT", str(pid)], check=True)
