"""Requirements on the running server and on its log: it is ready, a new request is recorded, an event is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.findings import Check, Status, Verification
from auditctl.lab.grading.fields import Fields
from auditctl.lab.grading.requirement_kind import RequestSpec, Requirement, ServerRequirement, request_and_level
from auditctl.log.events import FullEvent
from auditctl.log.readers import reader
from auditctl.node.apiserver.client import Readiness
from auditctl.node.change import files
from auditctl.node.preflight import node_checks
from auditctl.operations.evidence.running_server import Running
from auditctl.policy.types import Attributes, Level
from auditctl.settings import LOG_FLAG

_TAIL_BYTES = 32 << 20  # the log of a lab is hardly ever longer; older events do not count


@dataclass(frozen=True, slots=True)
class Serving(Requirement):
    """An API server that runs with the manifest's command line and is ready."""

    kinds = ("serving",)

    def judge(self, running: Running) -> Check:
        if running.process is None:
            return self.failed("no API server of this machine listens on the port of the manifest")
        if not running.is_of_manifest:
            return self.failed("the running API server was started with another command line than the manifest's")
        plane = running.plane
        readiness = plane.endpoint(running.manifest).readiness(plane.credentials())
        if readiness is Readiness.READY:
            return self.passed("the API server runs as the manifest says, and is ready")
        text = f"/readyz of the API server: {readiness.value}"
        return self.unknown(text) if readiness is Readiness.UNKNOWN else self.failed(text)


@dataclass(frozen=True, slots=True)
class ReceiptRequirement(Requirement):
    """A request that is sent now and is recorded."""

    kinds = ("receipt",)

    def judge(self, running: Running) -> Check:
        """Send a request and look for its event; the first condition that does not hold is the answer."""
        for check in running.state():
            if check.status is not Status.PASSED:
                return self.failed(check.detail)
        checks = running.prove().checks
        if wrong := [check for check in checks if check.status is Status.FAILED]:
            return self.failed(f"{wrong[0].name}: {wrong[0].detail}")
        if Verification(checks).holds:
            return self.passed("a request that was sent now is recorded")
        return self.unknown(
            next((check.detail for check in checks if check.status is Status.UNKNOWN), "nothing was sent")
        )


@dataclass(frozen=True, slots=True)
class Recorded(ServerRequirement):
    """An event in the log; ``audit_id_in`` names a file with the Audit-ID that it must have."""

    kinds = ("recorded",)
    subject = "request"
    fields = ("event", "audit-id-in")
    request: RequestSpec
    level: Level
    audit_id_in: str | None = None

    @classmethod
    def parse(cls, given: Fields) -> Recorded:
        if given.is_mapping:
            return cls(*request_and_level(given, given.text("event")), given.path("audit-id-in"))
        return cls(*request_and_level(given, given.whole_text()))

    def judge_running(self, running: Running) -> Check:
        root, audit_id = running.plane.root, None
        if self.audit_id_in is not None:
            audit_id = _first_word(root.followed(self.audit_id_in))
            if not audit_id:
                return self.failed(f"there is no Audit-ID in {self.audit_id_in}")
        log = node_checks.host_of(root, running.manifest, LOG_FLAG)
        if log is None:
            return self.failed("the API server writes no log to a file of this host")
        try:
            events = list(_events(log))
        except OSError as error:
            return self.failed(f"the log cannot be read: {(error.strerror or str(error)).lower()}")
        if audit_id is not None:
            events = [event for event in events if event.audit_id == audit_id]
            if not events:
                return self.failed(f"no event in the log has the Audit-ID that {self.audit_id_in} names")
        by_user = " by " in self.request.words
        levels = {event.level for event in events if _is_of(event, self.request.attributes, by_user=by_user)}
        if self.level.value in levels:
            return self.passed("such an event is in the log")
        return self.failed(
            "such requests are in the log, at another level" if levels else "no such request is in the log"
        )


def _first_word(path: Path) -> str:
    try:
        words = files.read_following(path, "answer").decode(errors="replace").split()
    except RefusedError:
        return ""
    return words[0].strip("\"'") if words else ""


def _events(path: Path) -> Iterator[FullEvent]:
    """Yield the events at the end of the log; a line that is no event is passed over (torn by a crash)."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        parse = reader().whole
        for line in file:
            try:
                yield parse(line)
            except ValueError:
                continue


def _is_of(event: FullEvent, request: Attributes, *, by_user: bool) -> bool:
    """Return whether an event is of that request; a name that the request leaves out is any name."""
    if by_user and (request.user is None or event.user.username != request.user.name):
        return False
    if event.verb != request.verb:
        return False
    about = event.object_ref
    if not request.is_resource_request or about is None:
        return not request.is_resource_request and about is None and event.request_uri.partition("?")[0] == request.path
    target = (request.api_group, request.resource, request.subresource)
    same = (about.api_group, about.resource, about.subresource) == target
    return same and about.namespace == request.namespace and request.name in ("", about.name)
