"""Where events go: the log, a webhook, in the modes that kube-apiserver has for both (apiserver/plugin/pkg/audit).

Sources: staging/src/k8s.io/apiserver/pkg/audit/metrics.go HandlePluginError, format.go EventString, union.go;
plugin/pkg/audit/{log,buffered}. The throttle of a batch mode is not played.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from auditctl.errors import AuditctlError
from auditctl.lab.node import klog
from auditctl.lab.node.klog import KlogSeverity

_GO_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}  # encoding/json's default
_IDLE_SECONDS = 0.05  # a batch without max-wait burns a core in the real server; here it looks 20 times a second

Fields = dict[str, Any]


class Sink(Protocol):
    """Where lines go; raises an AuditctlError for one that is lost."""

    def write(self, line: bytes) -> None: ...


class Backend(Protocol):
    """Takes events. ``process`` is False where a request must not go on (blocking-strict, and its event is lost)."""

    def process(self, events: Sequence[Fields]) -> bool: ...

    def shut_down(self) -> None:
        """Hand on what is still held. Nothing comes after it."""


@dataclass(slots=True, kw_only=True)
class BackendCounters:
    """The `apiserver_audit_*` metrics (pkg/audit/metrics.go), and requests by their labels."""

    events: int = 0
    rejected: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    requests: Counter[tuple[tuple[str, str], ...]] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, labels: tuple[tuple[str, str], ...]) -> None:
        """Count one more request with these labels."""
        with self.lock:
            self.requests[labels] += 1

    def lost(self, plugin: str, events: Sequence[Fields], reason: str) -> None:
        """Count them, and say so with every one of them, as the server does."""
        with self.lock:
            self.errors[plugin] += len(events)
        words = f"Error in audit plugin '{plugin}' affecting {len(events)} audit events: {reason}"
        lines = [klog.line(KlogSeverity.ERROR, "metrics.go:110", words, 1), "Impacted events:", *map(legacy, events)]
        klog.write("\n".join(lines))


@dataclass(slots=True)
class LogBackend:
    """One line an event, one after the other."""

    sink: Sink
    counters: BackendCounters
    form: str = "json"
    strict: bool = False  # blocking-strict
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def process(self, events: Sequence[Fields]) -> bool:
        lost = [event for event in events if not self._wrote(event)]
        return not (lost and self.strict)

    def shut_down(self) -> None:
        """Do nothing: no event is held."""

    def _wrote(self, event: Fields) -> bool:
        line = legacy(event).encode() + b"\n" if self.form == "legacy" else encode(event)
        try:
            with self._lock:
                self.sink.write(line)
        except AuditctlError as error:
            self.counters.lost("log", [event], error.message)
            return False
        return True


@dataclass(slots=True, kw_only=True)
class Batched:
    """Batch mode: events wait until there are ``max_size`` of them or ``max_wait_seconds`` are over.

    With ``concurrent`` (webhooks) a batch does not wait for the one before it.
    """

    inner: Backend
    counters: BackendCounters
    max_size: int
    max_wait_seconds: float
    buffer_size: int
    concurrent: bool
    _buffer: queue.Queue[Fields | None] = field(init=False)
    _collector: threading.Thread = field(init=False)
    _sending: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._buffer = queue.Queue(self.buffer_size)
        self._collector = threading.Thread(target=self._run, daemon=True)
        self._collector.start()

    def process(self, events: Sequence[Fields]) -> bool:
        for event in events:
            try:
                self._buffer.put_nowait(event)
            except queue.Full:
                self.counters.lost("buffered", [event], "audit buffer queue blocked")
        return True

    def shut_down(self) -> None:
        self._buffer.put(None)
        self._collector.join()
        for sending in self._sending:
            sending.join()
        self.inner.shut_down()

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._collect()
            if batch:
                self._hand_on(batch)

    def _collect(self) -> tuple[list[Fields], bool]:
        """Return the next batch, and whether there can be another."""
        wait = max(self.max_wait_seconds, _IDLE_SECONDS) if self.max_size > 1 else None
        batch: list[Fields] = []
        ends = None if wait is None else time.monotonic() + wait
        while len(batch) < self.max_size:
            try:
                event = self._buffer.get(timeout=None if ends is None else max(0.0, ends - time.monotonic()))
            except queue.Empty:
                break
            if event is None:
                return batch, False
            batch.append(event)
        return batch, True

    def _hand_on(self, batch: list[Fields]) -> None:
        if not self.concurrent:
            self.inner.process(batch)
            return
        sending = threading.Thread(target=self.inner.process, args=(batch,), daemon=True)
        sending.start()
        self._sending = [thread for thread in self._sending if thread.is_alive()] + [sending]


def encode(made: Fields) -> bytes:
    """Return one line, as Go's encoding/json writes it."""
    text = json.dumps(made, separators=(",", ":"), ensure_ascii=False).translate(_GO_ESCAPES)
    return text.encode(errors="replace") + b"\n"


def legacy(event: Fields) -> str:
    """Return one line in the form of `--audit-log-format=legacy`, in which a lost event is logged, too."""
    user, other, groups = event.get("user", {}), event.get("impersonatedUser", {}), "<none>"
    if user.get("groups"):
        groups = ",".join(klog.quote(group) for group in user["groups"])
    as_groups = ",".join(klog.quote(group) for group in other.get("groups", ())) or "<lookup>"
    received = event["requestReceivedTimestamp"].removesuffix("Z").rstrip("0").rstrip(".")
    shown = {
        "id": event["auditID"],
        "stage": event["stage"],
        "ip": event.get("sourceIPs", ["<unknown>"])[0],
        "method": event["verb"],
        "user": user.get("username", "<none>"),
        "groups": groups,
        "as": other.get("username", "<self>"),
        "asgroups": as_groups,
        "user-agent": event.get("userAgent", ""),
        "namespace": event.get("objectRef", {}).get("namespace", "<none>"),
        "uri": event["requestURI"],
        "response": str(event.get("responseStatus", {}).get("code", "<deferred>")),
    }
    return f"{received}Z AUDIT: " + " ".join(f"{name}={klog.quote(value)}" for name, value in shown.items())
