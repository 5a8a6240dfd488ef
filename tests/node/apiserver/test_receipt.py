"""The receipt: only the event with our nonce counts, at the level and the stages that the policy says, in the file that the process holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditctl.errors import InterruptionError
from auditctl.findings import Status
from auditctl.node.apiserver.credentials import ANONYMOUS, NOBODY
from auditctl.node.apiserver.probe import Callers, choose
from auditctl.node.apiserver.process import Process
from auditctl.node.apiserver.receipt import ReceiptQuery, ReceiptResult, obtain
from auditctl.node.clock import Clock
from auditctl.policy.load import load
from auditctl.transport import HttpAnswer

NONCE = "auditctl-5f2c"
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"


def event(level: str = "Metadata", stage: str = "ResponseComplete", nonce: str = NONCE) -> bytes:
    return (
        json.dumps(
            {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": level, "auditID": nonce, "stage": stage},
            separators=(",", ":"),
        ).encode()
        + b"\n"
    )


class Server:
    """Stands for the API server: answers, and writes these bytes into the log."""

    def __init__(self, log: Path, status: int, written: bytes) -> None:
        self.log, self.status, self.written = log, status, written

    def request(self, method: str, path: str, **options: Any) -> HttpAnswer:
        with self.log.open("ab") as file:
            file.write(self.written)
        return HttpAnswer(self.status)


def ask(
    tmp_path: Path, written: bytes, *, status: int = 200, rules: str = "- level: Metadata\n", hold: bool = True
) -> ReceiptResult:
    """One receipt from a log of two lines, with what the server writes when asked."""
    log = tmp_path / "audit.log"
    log.write_bytes(b"one\ntwo\n")
    policy = load((HEAD + rules).encode()).policy
    assert policy is not None
    probe = choose(policy, None, Callers(ANONYMOUS, None), NONCE)
    assert probe is not None
    sought = ReceiptQuery(
        probe=probe, policy=policy, log=log, endpoint=Server(log, status, written), credentials=NOBODY, seconds=0.2
    )  # type: ignore[arg-type]
    code = "import sys; held = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(log if hold else os.devnull)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        return obtain(sought, Process(server.pid, 0.0, ("kube-apiserver",)), Clock(), NONCE)


def sought_in(log: Path, **fields: Any) -> ReceiptQuery:
    """A request that is sent, and whose event is not written."""
    policy = load((HEAD + "- level: Metadata\n").encode()).policy
    assert policy is not None
    probe = choose(policy, None, Callers(ANONYMOUS, None), NONCE)
    assert probe is not None
    return replace(
        ReceiptQuery(
            probe=probe, policy=policy, log=log, endpoint=Server(log, 200, b""), credentials=NOBODY, seconds=0.2
        ),
        **fields,
    )  # type: ignore[arg-type]


def test_an_event_that_may_come_later_than_anyone_waits_is_unknown_and_not_failed(tmp_path: Path) -> None:
    """A batch of an hour: nothing is proved, and nothing failed."""
    log = tmp_path / "audit.log"

    found = obtain(sought_in(log, later="events are written up to 1h later"), None, Clock(), NONCE)

    assert [check.status for check in found.checks] == [Status.UNKNOWN]
    assert "up to 1h later" in found.checks[0].detail
    assert failed(obtain(sought_in(log), None, Clock(), NONCE)) == ["receipt"]


def test_who_is_told_to_stop_looks_no_longer(tmp_path: Path) -> None:
    """Not until the end of the batch's wait."""
    sought = sought_in(tmp_path / "audit.log", seconds=60.0, interrupted=lambda: True)
    with pytest.raises(InterruptionError, match="waiting for the event"):
        obtain(sought, None, Clock(), NONCE)


def failed(found: ReceiptResult) -> list[str]:
    return [check.name for check in found.checks if check.status is Status.FAILED]


def test_both_stages_of_our_event_are_the_receipt(tmp_path: Path) -> None:
    """Line, level, stages, bytes; everything passed."""
    written = event(stage="RequestReceived") + event()

    found = ask(tmp_path, written)

    assert found.receipt is not None
    assert (found.receipt.line, found.receipt.level, found.receipt.stage) == (4, "Metadata", "ResponseComplete")
    assert found.receipt.stages == ("RequestReceived", "ResponseComplete")
    assert found.receipt.grew_bytes == len(written)
    assert [check.status for check in found.checks] == [Status.PASSED] * 3


def test_somebody_elses_event_is_no_receipt(tmp_path: Path) -> None:
    """Not even one that names our nonce in its body."""
    other = event(nonce="another").replace(b'"level"', b'"note":"' + NONCE.encode() + b'","level"')

    found = ask(tmp_path, other)

    assert found.receipt is None
    assert failed(found) == ["receipt"]
    assert f"grew {len(other)} bytes" in found.checks[0].detail


def test_another_level_means_that_another_policy_is_loaded(tmp_path: Path) -> None:
    """Found, and yet not what the policy says."""
    assert failed(ask(tmp_path, event(level="Request", stage="RequestReceived") + event(level="Request"))) == [
        "policy-loaded"
    ]


def test_a_stage_that_the_policy_omits_means_the_same(tmp_path: Path) -> None:
    """RequestReceived was to be left out."""
    rules = "- level: Metadata\n  omitStages: [RequestReceived]\n"

    assert failed(ask(tmp_path, event(stage="RequestReceived") + event(), rules=rules)) == ["policy-loaded"]
    assert failed(ask(tmp_path, event(), rules=rules)) == []


def test_a_401_is_judged_without_a_user_and_by_its_one_stage(tmp_path: Path) -> None:
    """As the server does; where it is not recorded, nothing is proved and nothing failed."""
    assert failed(ask(tmp_path, event(stage="ResponseStarted"), status=401)) == []

    only_users = "- level: Metadata\n  users: [system:anonymous]\n"
    found = ask(tmp_path, b"", status=401, rules=only_users)
    assert found.turned_away
    assert [check.status for check in found.checks] == [Status.UNKNOWN]


def test_the_process_must_hold_the_very_file(tmp_path: Path) -> None:
    """Another inode: what is written there would not be found here."""
    written = event(stage="RequestReceived") + event()

    assert failed(ask(tmp_path, written, hold=False)) == ["log-open"]


def test_half_an_event_before_ours_in_the_line_is_passed_over(tmp_path: Path) -> None:
    """After a full disk."""
    torn = event(nonce="torn")[:40]

    found = ask(tmp_path, torn + event(stage="RequestReceived") + event())

    assert found.receipt is not None
    assert found.receipt.stages == ("RequestReceived", "ResponseComplete")


def test_an_unreachable_server_is_a_failure(tmp_path: Path) -> None:
    """Not an unknown: we were about to prove it."""
    assert failed(ask(tmp_path, b"", status=0)) == ["receipt"]


def test_a_line_of_the_legacy_format_is_a_receipt_without_a_level(tmp_path: Path) -> None:
    """B08: the line with our Audit-ID is there; that it has no level is no reason to say that nothing was recorded."""
    line = (
        f'2026-11-30T21:00:00.5Z AUDIT: id="{NONCE}" stage="ResponseComplete" ip="127.0.0.1" method="get" user="a" groups="b" '
        'as="<self>" asgroups="<lookup>" user-agent="u" namespace="<none>" uri="/version" response="200"\n'
    )
    found = ask(tmp_path, line.encode())

    assert found.receipt is not None
    assert (found.receipt.line, found.receipt.stage, found.receipt.level) == (3, "ResponseComplete", "unknown level")
    assert {check.status for check in found.checks} == {Status.PASSED}

    assert ask(tmp_path, line.replace(NONCE, "other").encode()).receipt is None
    received = ask(tmp_path, line.replace("ResponseComplete", "Panic").encode())
    assert Status.FAILED in {check.status for check in received.checks}
