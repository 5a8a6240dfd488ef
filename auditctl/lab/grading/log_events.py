"""Grading of the log: a receipt taken now, and events that are there already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.findings import Check, Status, Verification
from auditctl.lab.grading.flags import NOT_RUNNING
from auditctl.lab.grading.kinds import Recorded
from auditctl.log.events import FullEvent
from auditctl.log.readers import reader
from auditctl.node.change import files
from auditctl.node.preflight import node_checks
from auditctl.operations.evidence.running_server import Running
from auditctl.policy.types import Attributes
from auditctl.settings import LOG_FLAG

_TAIL_BYTES = 32 << 20  # what a lab's log hardly ever exceeds: older events do not count


def receipt(running: Running) -> Check:
    """Send a request now and find its event; the first thing that does not hold is the answer."""
    for check in running.state():
        if check.status is not Status.PASSED:
            return Check("receipt", Status.FAILED, check.detail)
    done = running.prove()
    verification = Verification(done.checks)
    wrong = [check for check in done.checks if check.status is Status.FAILED]
    if wrong:
        return Check("receipt", Status.FAILED, f"{wrong[0].name}: {wrong[0].detail}")
    if verification.holds:
        return Check("receipt", Status.PASSED, "a request that was sent now is recorded")
    unknown = next((check.detail for check in done.checks if check.status is Status.UNKNOWN), "nothing could be asked")
    return Check("receipt", Status.UNKNOWN, unknown)


def recorded(running: Running, name: str, want: Recorded) -> Check:
    """Is such an event in the log that the running server writes?"""
    if not running.is_of_manifest:
        return Check(name, Status.FAILED, NOT_RUNNING)
    root = running.plane.root
    audit_id = None
    if want.audit_id_in is not None:
        audit_id = _first_word(root.host(want.audit_id_in))
        if not audit_id:
            return Check(name, Status.FAILED, f"there is no Audit-ID in {want.audit_id_in}")
    log = node_checks.host_of(root, running.manifest, LOG_FLAG)
    if log is None:
        return Check(name, Status.FAILED, "the API server writes no log to a file of this host")
    try:
        events = list(_events(log))
    except OSError as error:
        return Check(name, Status.FAILED, f"the log cannot be read: {(error.strerror or str(error)).lower()}")
    if audit_id is not None:
        events = [event for event in events if event.audit_id == audit_id]
        if not events:
            return Check(name, Status.FAILED, f"no event in the log has the Audit-ID that {want.audit_id_in} names")
    of_kind = [event for event in events if _is(event, want.asked.attributes, by_user=" by " in want.asked.words)]
    if any(event.level == want.level.value for event in of_kind):
        return Check(name, Status.PASSED, "such an event is in the log")
    text = "no such request is in the log" if not of_kind else "such requests are in the log, at another level"
    return Check(name, Status.FAILED, text)


def _first_word(path: Path) -> str:
    try:
        words = files.read_following(path, "answer").decode(errors="replace").split()
    except RefusedError:
        return ""
    return words[0].strip("\"'") if words else ""


def _events(path: Path) -> Iterator[FullEvent]:
    """The events of the log's end; what is no event is passed over (a torn line after a crash)."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        parse = reader().whole
        for line in file:
            try:
                yield parse(line)
            except ValueError:
                continue


def _is(event: FullEvent, asked: Attributes, *, by_user: bool) -> bool:
    """Is it of that request? A name that the request does not say is any."""
    if by_user and (asked.user is None or event.user.username != asked.user.name):
        return False
    if event.verb != asked.verb:
        return False
    about = event.object_ref
    if not asked.is_resource_request or about is None:
        return not asked.is_resource_request and about is None and event.request_uri.partition("?")[0] == asked.path
    same = (about.api_group, about.resource, about.subresource) == (asked.api_group, asked.resource, asked.subresource)
    return same and about.namespace == asked.namespace and asked.name in ("", about.name)
