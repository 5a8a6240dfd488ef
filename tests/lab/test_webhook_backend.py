"""Events on their way: batches, a webhook that takes, is slow, or fails; the counters that say so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from labroom import AUDIT_FLAGS, Node, eventually, with_auditing

from auditctl.lab.apiserver.audit_backends import BackendCounters, Batched, Fields, LogBackend, legacy
from auditctl.lab.apiserver.container_files import FileSystem
from auditctl.lab.apiserver.log_rotation import LogFileError
from auditctl.lab.apiserver.webhook_backend import WebhookBackend, WebhookError, check
from auditctl.lab.node.process import until
from auditctl.lab.node.volumes import Bind
from auditctl.lab.tools.receiver import Behaviour, Receiver, open_receiver


def event(number: int = 0) -> Fields:
    return {
        "level": "Metadata",
        "auditID": f"id-{number}",
        "stage": "RequestReceived",
        "requestURI": "/readyz",
        "verb": "get",
        "user": {"username": "system:anonymous", "groups": ["system:unauthenticated"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "curl/7.88.1",
        "requestReceivedTimestamp": "2026-11-25T00:58:44.710900Z",
    }


class Kept:
    """A backend that keeps its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def process(self, events: Sequence[Fields]) -> bool:
        self.batches.append([each["auditID"] for each in events])
        return True

    def shut_down(self) -> None:
        """Nothing is held."""


class FullDisk:
    def write(self, line: bytes) -> None:
        raise LogFileError("write /log/audit.log: no space left on device")


def batched(size: int, wait_seconds: float, buffered: int = 100) -> tuple[Batched, Kept, BackendCounters]:
    kept, counters = Kept(), BackendCounters()
    return (
        Batched(
            inner=kept,
            counters=counters,
            max_size=size,
            max_wait_seconds=wait_seconds,
            buffer_size=buffered,
            concurrent=False,
        ),
        kept,
        counters,
    )


def test_a_full_batch_goes_at_once_and_the_rest_at_the_end() -> None:
    batch, kept, _ = batched(2, 3600)
    batch.process([event(1), event(2), event(3)])
    assert until(lambda: kept.batches == [["id-1", "id-2"]], 5)
    batch.shut_down()
    assert kept.batches == [["id-1", "id-2"], ["id-3"]]


def test_a_batch_that_does_not_fill_goes_after_its_wait() -> None:
    batch, kept, _ = batched(400, 0.2)
    batch.process([event(1)])
    assert until(lambda: kept.batches == [["id-1"]], 5)
    batch.shut_down()


def test_what_does_not_fit_into_the_buffer_is_lost_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    batch, _, counters = batched(400, 3600, buffered=1)
    batch.process([event(number) for number in range(500)])
    assert counters.errors["buffered"] > 0
    assert (
        "Error in audit plugin 'buffered' affecting 1 audit events: audit buffer queue blocked"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(("strict", "goes_on"), [(False, True), (True, False)])
def test_a_lost_event_is_shown_whole_and_stops_the_request_only_in_blocking_strict_mode(
    capsys: pytest.CaptureFixture[str], *, strict: bool, goes_on: bool
) -> None:
    counters = BackendCounters()
    assert LogBackend(FullDisk(), counters, strict=strict).process([event()]) is goes_on
    assert counters.errors == {"log": 1}
    words = capsys.readouterr().err.splitlines()
    assert words[0].endswith(
        "metrics.go:110] Error in audit plugin 'log' affecting 1 audit events: "
        "write /log/audit.log: no space left on device"
    )
    assert words[1:] == ["Impacted events:", legacy(event())]


def test_the_legacy_line_is_a_real_servers() -> None:
    """As kube-apiserver 1.36.3 wrote it, the auditID and the time apart."""
    assert legacy(event()) == (
        '2026-11-25T00:58:44.7109Z AUDIT: id="id-0" stage="RequestReceived" ip="127.0.0.1" method="get" '
        'user="system:anonymous" groups="\\"system:unauthenticated\\"" as="<self>" asgroups="<lookup>" '
        'user-agent="curl/7.88.1" namespace="<none>" uri="/readyz" response="<deferred>"'
    )


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = open_receiver(tmp_path / "receiver")
    made.start()
    yield made
    made.stop()


def delivering(receiver: Receiver) -> tuple[WebhookBackend, BackendCounters]:
    """A backend that reads the receiver's own file, as the API server does."""
    files = FileSystem([Bind("/hook", str(receiver.folder), read_only=True)], receiver.folder)
    counters = BackendCounters()
    return WebhookBackend(check(files, "/hook/webhook.yaml"), counters, 0.01), counters


def received(receiver: Receiver) -> list[str]:
    return [json.loads(line)["auditID"] for line in receiver.events.read_text().splitlines()]


def test_the_receivers_own_file_leads_to_it(receiver: Receiver) -> None:
    backend, counters = delivering(receiver)
    backend.process([event(1), event(2)])
    assert received(receiver) == ["id-1", "id-2"]
    assert (receiver.counts.batches, receiver.counts.events, dict(counters.errors)) == (1, 2, {})
    assert receiver.config.stat().st_mode & 0o777 == 0o600


def test_a_receiver_that_fails_four_times_gets_the_batch_all_the_same(receiver: Receiver) -> None:
    receiver.behaviour = Behaviour(failures=4)
    backend, counters = delivering(receiver)
    backend.process([event(1)])
    assert (received(receiver), receiver.counts.refused, dict(counters.errors)) == (["id-1"], 4, {})


def test_the_fifth_failure_drops_the_batch(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    receiver.behaviour = Behaviour(failures=-1)
    backend, counters = delivering(receiver)
    backend.process([event(1), event(2)])
    assert (receiver.counts.refused, dict(counters.errors)) == (5, {"webhook": 2})
    assert "Error in audit plugin 'webhook' affecting 2 audit events: an error on the server" in capsys.readouterr().err


def test_a_receiver_that_is_gone_is_named_in_the_real_servers_words(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    backend, _ = delivering(receiver)
    receiver.stop()
    backend.process([event(1)])
    place = receiver.url.removeprefix("https://").removesuffix("/audit")
    words = f'Post "{receiver.url}?timeout=30s": dial tcp {place}: connect: connection refused\n'
    assert f"affecting 1 audit events: {words}" in capsys.readouterr().err
    receiver.server.server_close = lambda: None  # type: ignore[method-assign]  # the fixture stops it again


def test_a_receiver_of_another_authority_gets_nothing(
    receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = open_receiver(tmp_path / "other")
    text = receiver.config.read_text()
    receiver.config.write_text(other.config.read_text().replace(other.url, receiver.url))
    other.server.server_close()
    assert receiver.config.read_text() != text
    backend, counters = delivering(receiver)
    backend.process([event(1)])
    assert counters.errors == {"webhook": 1}
    assert "tls: failed to verify certificate" in capsys.readouterr().err


def test_a_missing_authority_file_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9/a?b=c', certificate-authority: nope.crt}}]\n"
    )
    files = FileSystem([Bind("/hook", str(tmp_path), read_only=True)], tmp_path)
    with pytest.raises(WebhookError, match=r"unable to read certificate-authority /hook/nope\.crt for c due to open"):
        check(files, "/hook/w.yaml")
    (tmp_path / "nope.crt").touch()
    assert check(files, "/hook/w.yaml").server == "https://127.0.0.1:9/a"


def test_anything_but_a_list_of_events_is_not_taken(receiver: Receiver) -> None:
    assert receiver.take(b"no json") == 400
    assert receiver.counts.events == 0


@pytest.mark.lab
def test_a_lab_node_delivers_in_batches_and_writes_its_log_beside(node: Node, receiver: Receiver) -> None:
    folder = node.layout.host("/etc/kubernetes/audit")
    folder.mkdir()
    (folder / "policy.yaml").write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n")
    (folder / "webhook.yaml").write_bytes(receiver.config.read_bytes())
    flags = (
        *AUDIT_FLAGS,
        "--audit-webhook-config-file=/etc/kubernetes/audit/webhook.yaml",
        "--audit-webhook-batch-max-wait=200ms",
    )
    text = with_auditing(node.manifest.read_text(), flags)
    node.write_manifest(
        text.replace("/etc/kubernetes/audit/policy.yaml\n      ", "/etc/kubernetes/audit\n      ").replace(
            "type: File\n", "type: Directory\n"
        )
    )

    def delivered() -> bool:
        try:
            node.request("GET", "/version", Audit_ID="seen-in-both")
        except OSError:  # the old server goes, or the new one is not there yet
            return False
        return receiver.events.exists() and "seen-in-both" in received(receiver)

    eventually(delivered, 30)
    assert "seen-in-both" in {each["auditID"] for each in node.events()}
    assert 0 < receiver.counts.batches < receiver.counts.events


@pytest.mark.lab
def test_lab_receiver_is_a_command_that_ends_at_a_signal_and_counts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "auditctl", "lab", "receiver", str(tmp_path / "r"), "-o", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    assert "listens at https://127.0.0.1:" in process.stderr.readline()
    assert "server: https://127.0.0.1:" in (tmp_path / "r/webhook.yaml").read_text()
    os.kill(process.pid, signal.SIGTERM)
    stdout, _ = process.communicate(timeout=20)
    report: dict[str, Any] = json.loads(stdout)
    assert (process.returncode, report["receiver"]) == (0, {"events": 0, "batches": 0, "refused": 0})
