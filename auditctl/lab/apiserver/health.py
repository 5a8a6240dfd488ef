"""The stand-in's own health: which checks of /readyz pass, and the slow and failing starts of `faults`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from auditctl.lab.apiserver.audit_setup import StartError
from auditctl.lab.node import klog
from auditctl.lab.node.injected_faults import Faults
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.layout import Layout

CHECKS = (
    "ping",
    "log",
    "etcd",
    "etcd-readiness",
    "informer-sync",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/rbac/bootstrap-roles",
    "shutdown",
)
LAST = "poststarthook/rbac/bootstrap-roles"  # usually the last one that passes
UNREADY_SECONDS = 0.2  # it answers before it is ready
ETCD_RETRY_SECONDS = 0.5
_ETCD = "127.0.0.1:2379"


@dataclass(frozen=True, slots=True)
class StandInHealth:
    """``answers_at`` and ``dies_at`` are in seconds of the monotonic clock."""

    layout: Layout
    arguments: Sequence[str]
    answers_at: float
    dies_at: float

    @classmethod
    def begin(cls, layout: Layout, arguments: Sequence[str], start_seconds: float) -> StandInHealth:
        """Return the health of a server started now, ready after ``start_seconds``."""
        now, faults = time.monotonic(), _faults(layout, arguments)
        lives = float("inf") if faults.dies_after_seconds is None else faults.dies_after_seconds
        return cls(layout, arguments, now + start_seconds + faults.start_seconds, now + lives)

    def failing(self) -> frozenset[str]:
        """Return the checks of /readyz that fail now."""
        faults = _faults(self.layout, self.arguments)
        early = faults.never_ready or time.monotonic() < self.answers_at + UNREADY_SECONDS
        return frozenset(faults.failing_checks) | ({LAST} if early else frozenset())

    def disk_full(self) -> bool:
        """Tell whether the audit log cannot be written now."""
        return _faults(self.layout, self.arguments).disk_full

    def forbidden(self) -> tuple[str, ...]:
        """Return the resources that nobody has rights for now."""
        return _faults(self.layout, self.arguments).forbidden_resources

    def storage_hangs(self) -> bool:
        """Tell whether requests to storage get no answer although /readyz is ok: the etcd member is gone."""
        return _faults(self.layout, self.arguments).storage_hangs

    def wait_for_etcd(self, seconds: float) -> None:
        """Wait while etcd refuses; raise StartError in the server's words after that many seconds."""
        deadline = time.monotonic() + seconds
        while _faults(self.layout, self.arguments).etcd_refused:
            if time.monotonic() >= deadline:
                raise StartError("context deadline exceeded")
            words = f'Err: connection error: desc = "transport: Error while dialing: dial tcp {_ETCD}: connect: connection refused"'
            place = f'{{Addr: "{_ETCD}", ServerName: "{_ETCD}", }}'
            text = f"[core] [Channel #1 SubChannel #3] grpc: addrConn.createTransport failed to connect to {place}. {words}"
            klog.write(klog.line(KlogSeverity.WARNING, "logging.go:55", text, 1))
            time.sleep(ETCD_RETRY_SECONDS)

    def die_in_time(self) -> None:
        """End the process, if its time has come: a hook has failed."""
        if time.monotonic() < self.dies_at:
            return
        words = f'PostStartHook "{LAST.partition("/")[2]}" failed: unable to initialize roles: timed out waiting for the condition'
        klog.write(klog.line(KlogSeverity.FATAL, "hooks.go:204", words, 1))
        os._exit(255)


def _faults(layout: Layout, arguments: Sequence[str]) -> Faults:
    """Return the injected faults that concern this server."""
    faults = Faults.load(layout)
    return faults if faults.concern(arguments) else Faults()
