"""The receipt: send one request under our own Audit-ID, and find that very event in the log on the host.

The echoed Audit-ID header proves nothing (the server echoes it always), a log that grows proves little (it may be the
old process): only the event with our nonce does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.errors import InterruptionError
from auditctl.findings import Check, Receipt, Status
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.credentials import NOBODY, Credentials
from auditctl.node.apiserver.log_tail import Tail
from auditctl.node.apiserver.probe import Probe, predict
from auditctl.node.apiserver.process import Process
from auditctl.node.clock import Clock
from auditctl.patterns import lazily
from auditctl.policy.types import Decision, Policy, Stage
from auditctl.transport import HttpAnswer

# a line of --audit-log-format=legacy (apiserver/pkg/audit/format.go EventString): it has no level
_LEGACY = lazily(rb' AUDIT: id="(?P<id>[^"]*)" stage="(?P<stage>[^"]*)"')
_NO_LEVEL = "unknown level"
_POLL_SECONDS = 0.02
_FURTHER_STAGES_SECONDS = 1.0  # the last event of a request is written right after its answer (mode blocking)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptQuery:
    """What to ask, where it must appear, and for how long to look.

    ``later`` says why the event may be written only after ``seconds``, empty where it may not.
    """

    probe: Probe
    policy: Policy
    log: Path | None
    endpoint: Endpoint
    credentials: Credentials
    seconds: float
    later: str = ""
    interrupted: Callable[[], bool] = lambda: False


class ReceiptResult(NamedTuple):
    """The receipt, or none, and the checks that tell what was seen. ``turned_away``: a 401 that is not recorded.

    ``level`` and ``stages`` are what the policy says of the request as the server saw it; empty where it was not asked.
    """

    receipt: Receipt | None
    checks: tuple[Check, ...]
    turned_away: bool = False
    level: str = ""
    stages: tuple[str, ...] = ()


def obtain(sought: ReceiptQuery, process: Process | None, clock: Clock, nonce: str) -> ReceiptResult:
    """Send the request and look for its events in the log; where there is none, it is sent, and no more.

    Raises:
        InterruptionError: the user asked to stop.
    """
    tail = Tail.at_end(sought.log) if sought.log is not None else None
    try:
        begun = clock.monotonic()
        credentials = sought.credentials if sought.probe.with_credentials else NOBODY
        answer = sought.endpoint.request(
            sought.probe.method, sought.probe.url, credentials=credentials, headers={"Audit-ID": nonce}
        )
        if answer.status == 0:
            check = Check("receipt", Status.FAILED, f"{sought.probe} at {sought.endpoint}: {answer.reason}")
            return ReceiptResult(None, (check,))
        decision, stages = _expected(sought, answer)
        if answer.status == 401 and not stages:
            check = Check("receipt", Status.UNKNOWN, f"{sought.probe}: HTTP 401, which this policy does not record")
            return ReceiptResult(None, (check,), turned_away=True)
        result = ReceiptResult(None, ())
        if tail is not None:
            events = _look(tail, nonce, stages, begun + sought.seconds, clock, sought.interrupted)
            result = judge(sought, answer, decision, stages, events, tail, process, clock.monotonic() - begun)
        return result._replace(level=decision.level.value, stages=tuple(stage.value for stage in stages))
    finally:
        if tail is not None:
            tail.close()


class LoggedEvent(NamedTuple):
    """One event of ours: its line in the file, level and stage. The legacy format has no level: it is "" then."""

    line: int
    level: str
    stage: str
    audit_id: str


def judge(
    sought: ReceiptQuery,
    answer: HttpAnswer,
    decision: Decision,
    stages_due: tuple[Stage, ...],
    events: list[LoggedEvent],
    tail: Tail,
    process: Process | None,
    seconds: float,
) -> ReceiptResult:
    """Decide from what was seen. An event at another level than the policy's means that another policy is loaded."""
    request = f"{sought.probe} (HTTP {answer.status})"
    if not events:
        grew = f"the log grew {tail.grew_bytes} bytes meanwhile" if tail.grew_bytes else "the log did not grow"
        text = f"no event of {request} in {sought.log} after {seconds:.1f} s; {sought.later or grew}"
        return ReceiptResult(None, (Check("receipt", Status.UNKNOWN if sought.later else Status.FAILED, text),))
    last = events[-1]
    receipt = Receipt(
        audit_id=last.audit_id,
        file=str(sought.log),
        line=last.line,
        level=last.level,
        stage=last.stage,
        rule=decision.rule,
        seconds=round(seconds, 3),
        grew_bytes=tail.grew_bytes,
        request=str(sought.probe),
        stages=tuple(event.stage for event in events),
        distinguishes=sought.probe.distinguishes,
    )
    logged = Check(
        "receipt",
        Status.PASSED,
        f"{request}: {last.level or 'recorded'}, {last.stage}, line {last.line} of {sought.log}",
    )
    return ReceiptResult(receipt, (logged, _decision_check(decision, stages_due, events), _inode_check(tail, process)))


def _decision_check(decision: Decision, stages_due: tuple[Stage, ...], events: list[LoggedEvent]) -> Check:
    levels, stages = {event.level for event in events}, {event.stage for event in events}
    expected = {stage.value for stage in stages_due}
    if levels == {_NO_LEVEL} and stages <= expected:
        text = f"{', '.join(sorted(stages))}, as the policy says; --audit-log-format=legacy does not show the level"
        return Check("policy-loaded", Status.PASSED, text)
    recorded = f"{'/'.join(sorted(levels))} at {', '.join(sorted(stages))}"
    if levels != {decision.level.value} or not stages <= expected:
        text = f"recorded {recorded}, but the policy says {decision.level.value} at {', '.join(sorted(expected))}"
        return Check("policy-loaded", Status.FAILED, text + ": the server runs another policy")
    return Check("policy-loaded", Status.PASSED, f"{recorded}, as rules[{decision.rule}] of the policy says")


def _inode_check(tail: Tail, process: Process | None) -> Check:
    if process is None or tail.identity is None:
        return Check("log-open", Status.UNKNOWN, "the process that holds the log is not visible")
    held = process.open_inodes()
    if tail.identity in held or _identity(tail.path) in held:  # the log may have been rotated meanwhile
        return Check("log-open", Status.PASSED, f"process {process.pid} holds this very file open")
    return Check("log-open", Status.FAILED, f"process {process.pid} holds another file open than {tail.path}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _expected(sought: ReceiptQuery, answer: HttpAnswer) -> tuple[Decision, tuple[Stage, ...]]:
    """Return what the policy says of the request as the server saw it: a 401 has no user, and one stage."""
    if answer.status == 401:
        return predict(sought.policy, None, sought.probe.method, sought.probe.url)
    return sought.probe.decision, sought.probe.stages


def _look(
    tail: Tail,
    nonce: str,
    stages_due: tuple[Stage, ...],
    deadline: float,
    clock: Clock,
    interrupted: Callable[[], bool],
) -> list[LoggedEvent]:
    """Poll until every wanted stage is there, or the deadline, or a moment after the first; look once at least."""
    events: list[LoggedEvent] = []
    needle = nonce.encode()
    while True:
        if interrupted():
            raise InterruptionError("interrupted while waiting for the event")
        is_last = clock.monotonic() >= deadline
        events += [event for number, line in tail.lines() if needle in line and (event := _event(number, line, nonce))]
        if is_last or (events and {event.stage for event in events} >= {stage.value for stage in stages_due}):
            break
        if events:
            deadline = min(deadline, clock.monotonic() + _FURTHER_STAGES_SECONDS)
        clock.sleep(_POLL_SECONDS)
    return events


def _event(number: int, line: bytes, nonce: str) -> LoggedEvent | None:
    """Return our event in a line, in the JSON or the legacy format.

    After a full disk a line may hold half an event before ours: resynchronise on its start.
    """
    if (legacy := _LEGACY.search(line)) is not None:
        is_ours = legacy["id"].decode(errors="replace") == nonce
        return LoggedEvent(number, _NO_LEVEL, legacy["stage"].decode(errors="replace"), nonce) if is_ours else None
    event = _json(line) or _json(line[max(line.rfind(b'{"kind":"Event","apiVersion":"audit.k8s.io'), 0) :])
    if event is None or event.get("auditID") != nonce:
        return None
    return LoggedEvent(number, str(event.get("level")), str(event.get("stage")), nonce)


def _json(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
