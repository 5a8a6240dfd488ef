"""Clients of every kind that work on, while the API server is changed: what each of them loses.

    python tests/realnode/load.py FILE        until standard input ends; then FILE has one JSON object of `Load.counted`

New connections for reads and for writes, one connection that is kept, one watch (list, watch, list anew when it breaks, as
an informer does) and, where kubectl is installed, kubectl in a loop. Every request has an Audit-ID of its own.
"""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traffic import ADMIN, FOLDER

from auditctl.node.apiserver.credentials import read

READS_EVERY, WRITES_EVERY, KEPT_EVERY, KUBECTL_EVERY = 0.06, 0.12, 0.06, 0.5
MAPS = "/api/v1/namespaces/default/configmaps"
_SECONDS = 10.0


@dataclass
class Client:
    """One kind of client. ``gaps``: seconds between two answers, the longest; ``ids`` of what was answered."""

    name: str
    sent: int = 0
    failed: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    longest: float = 0.0
    retried_in_vain: int = 0
    _last: float = field(default_factory=time.monotonic)

    def ended(self, reason: str, audit_id: str = "") -> None:
        """Count one request that has ended."""
        self.sent += 1
        now = time.monotonic()
        if reason:
            self.failed.append(reason)
            return
        self.longest, self._last = max(self.longest, now - self._last), now
        if audit_id:
            self.ids.append(audit_id)

    def row(self) -> dict[str, Any]:
        """The record for JSON."""
        kinds = {reason: self.failed.count(reason) for reason in set(self.failed)}
        return {"sent": self.sent, "failed": len(self.failed), "reasons": kinds, "longest": round(self.longest, 2),
                "retriedInVain": self.retried_in_vain, "ids": self.ids}  # fmt: skip


class Load:
    """All of them, until `stop`."""

    def __init__(self) -> None:
        self._context = ssl.create_default_context(cafile=str(FOLDER / "pki/ca.crt"))
        read(FOLDER / f"{ADMIN}.conf").load_into(self._context)
        self._stop = threading.Event()
        self.clients = {name: Client(name) for name in ("reads", "writes", "kept", "watch", "kubectl")}
        self.written: list[str] = []
        self.watched: set[str] = set()
        self._kept: http.client.HTTPSConnection | None = None

    def run(self, until: Callable[[], object]) -> dict[str, Any]:
        """Work until ``until`` returns; what each client lost."""
        jobs = [(self._read, READS_EVERY), (self._write, WRITES_EVERY), (self._keep, KEPT_EVERY)]
        if shutil.which("kubectl"):
            jobs.append((self._kubectl, KUBECTL_EVERY))
        threads = [threading.Thread(target=self._repeat, args=job, daemon=True) for job in jobs]
        threads.append(threading.Thread(target=self._watch, daemon=True))
        for thread in threads:
            thread.start()
        until()
        self._stop.set()
        for thread in threads[:-1]:
            thread.join(timeout=_SECONDS)
        end = time.monotonic() + _SECONDS  # the watch gets the last events
        while set(self.written) - self.watched and time.monotonic() < end:
            time.sleep(0.1)
        rows = {name: client.row() for name, client in self.clients.items()}
        return {**rows, "notWatched": len(set(self.written) - self.watched), "written": len(self.written)}

    def _repeat(self, job: Callable[[], object], every: float) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            job()
            due = max(due + every, time.monotonic())
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _connection(self, seconds: float = _SECONDS) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", 6443, timeout=seconds, context=self._context)

    def _once(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: Any = None
    ) -> tuple[str, str]:
        """Why one request failed, empty if it did not, and its Audit-ID."""
        audit_id = str(uuid.uuid4())
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Audit-ID": audit_id, "Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read(4096).decode(errors="replace")
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__} at {time.time():.1f}", audit_id
        return "" if answer.status < 400 else f"HTTP {answer.status} at {time.time():.1f}: {said[-300:]}", audit_id

    def _new(self, name: str, method: str, path: str, body: Any = None) -> bool:
        connection = self._connection()
        try:
            reason, audit_id = self._once(connection, method, path, body)
        finally:
            connection.close()
        self.clients[name].ended(reason, audit_id)
        return not reason

    def _read(self) -> None:
        if not self._new("reads", "GET", f"{MAPS}?limit=1"):
            connection = self._connection()
            self.clients["reads"].retried_in_vain += bool(self._once(connection, "GET", f"{MAPS}?limit=1")[0])
            connection.close()

    def _write(self) -> None:
        name = f"load-{uuid.uuid4()}"
        if self._new("writes", "POST", MAPS, {"metadata": {"name": name, "labels": {"load": "yes"}}}):
            self.written.append(name)

    def _keep(self) -> None:
        if self._kept is None:
            self._kept = self._connection()
        reason, audit_id = self._once(self._kept, "GET", "/version")
        self.clients["kept"].ended(reason, audit_id)
        if reason:
            self._kept.close()
            self._kept = self._connection()
            self.clients["kept"].retried_in_vain += bool(self._once(self._kept, "GET", "/version")[0])

    def _kubectl(self) -> None:
        command = ["kubectl", "--kubeconfig", str(FOLDER / f"{ADMIN}.conf"), "get", "--raw", f"{MAPS}?limit=1"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.clients["kubectl"].ended("" if ran.returncode == 0 else ran.stderr.strip()[-80:])

    def _watch(self) -> None:
        """List, then watch from there; a watch that ends is begun anew where it was, or with a list where that is gone."""
        version = ""
        while True:
            connection = self._connection(2.0)
            try:
                if not version:
                    version = self._listed(connection)
                path = f"{MAPS}?watch=1&labelSelector=load%3Dyes&resourceVersion={version}&allowWatchBookmarks=true"
                connection.request("GET", path)
                answer = connection.getresponse()
                self.clients["watch"].ended("" if answer.status == 200 else f"HTTP {answer.status}")
                if answer.status != 200:
                    version = ""
                    continue
                for line in answer:
                    version = self._event(json.loads(line), version)
            except TimeoutError:
                pass  # nothing to see for a while; it is begun again where it was
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.clients["watch"].ended(type(error).__name__)
            finally:
                connection.close()
            if self._stop.is_set() and not set(self.written) - self.watched:
                return

    def _listed(self, connection: http.client.HTTPSConnection) -> str:
        connection.request("GET", f"{MAPS}?labelSelector=load%3Dyes")
        answer = connection.getresponse()
        found = json.loads(answer.read())
        self.watched |= {item["metadata"]["name"] for item in found.get("items", [])}
        return str(found["metadata"]["resourceVersion"])

    def _event(self, event: dict[str, Any], version: str) -> str:
        if event["type"] == "ERROR":  # the version is too old: list anew
            return ""
        metadata = event["object"]["metadata"]
        if event["type"] == "ADDED":
            self.watched.add(metadata["name"])
        return str(metadata.get("resourceVersion") or version)


def main(into: Path) -> None:
    """Work until the caller closes our standard input."""
    load = Load()
    counted = load.run(sys.stdin.read)
    into.write_text(json.dumps(counted))
    with suppress(OSError, http.client.HTTPException):
        connection = load._connection(60.0)
        connection.request("DELETE", f"{MAPS}?labelSelector=load%3Dyes")
        connection.getresponse().read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
