"""A real API server delivers to our receiver: what came, what was written and what was counted are one set; and faults."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditctl.lab.tools.receiver import Behaviour, Receiver, open_receiver
from auditctl.node.apiserver.probe import new_nonce
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import counters

MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
LOG = Path("/var/log/kubernetes/audit/audit.log")
# nobody but us asks for /version without credentials, so that the counter counts our requests alone
ANONYMOUS_VERSION = (
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n"
    "- level: Metadata\n  users: ['system:anonymous']\n  nonResourceURLs: [/version]\n- level: None\n"
)
REQUESTS = 40
# k8s.io/apiserver pkg/util/webhook: 10 s, then 1.5 times as long, five attempts; each pause up to 20 % longer
GIVEN_UP_SECONDS = (75.0, 130.0)
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    made = open_receiver(tmp_path_factory.mktemp("receiver"))
    made.start()
    yield made
    made.stop()


def status_of(report: dict[str, Any], name: str) -> str:
    return next(str(one["status"]) for one in report["verification"]["checks"] if one["name"] == name)


def ask(number: int) -> list[str]:
    """So many requests, each under an Audit-ID of its own."""
    plane = ControlPlane()
    endpoint = plane.endpoint(plane.read_manifest()[1])
    nonces = [new_nonce() for _ in range(number)]
    for nonce in nonces:
        assert endpoint.request("GET", "/version", headers={"Audit-ID": nonce}).status == 200
    return nonces


def counted() -> counters.Counters:
    plane = ControlPlane(kubeconfig=Path("/etc/kubernetes/super-admin.conf"))  # /metrics is not for everybody
    found = counters.read(plane, plane.read_manifest()[1])
    assert found is not None
    return found


def ids(path: Path) -> list[str]:
    return [json.loads(line)["auditID"] for line in path.read_text().splitlines()] if path.exists() else []


def within(seconds: float, holds: Callable[[], bool]) -> float:
    """Wait until it holds; the seconds that it took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.2)
    return time.monotonic() - begun


def test_log_webhook_and_counter_have_the_same_events_and_faults_are_told(
    tmp_path: Path, run: Run, receiver: Receiver
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(ANONYMOUS_VERSION)
    _refused_beforehand(run, policy, receiver, tmp_path)

    words = ("--webhook-config", receiver.config, "--set", "audit-webhook-batch-max-wait=1s")
    code, report = run("enable", "--policy", policy, *words)
    assert (code, status_of(report, "receipt"), status_of(report, "delivery")) == (0, "passed", "passed")

    before = counted().events
    nonces = ask(REQUESTS)
    within(30, lambda: set(nonces) <= set(ids(receiver.events)))
    came = [one for one in ids(receiver.events) if one in set(nonces)]
    assert sorted(came) == sorted(nonces) == sorted(one for one in ids(LOG) if one in set(nonces))
    assert counted().events - before == REQUESTS

    _slow(run, receiver)
    _failing_and_back(run, receiver)
    assert run("disable", "--purge")[0] == 0


def _refused_beforehand(run: Run, policy: Path, receiver: Receiver, folder: Path) -> None:
    """A certificate of another authority, and a context that is not there."""
    before, text = MANIFEST.read_bytes(), receiver.config.read_text()
    other = open_receiver(folder / "other")
    other.server.server_close()
    wrong = folder / "wrong.yaml"
    for content, said in (
        (other.config.read_text().replace(other.url, receiver.url), "certificate"),
        (text.replace("current-context: receiver", "current-context: gone"), "context was not found"),
    ):
        wrong.write_text(content)
        code, report = run("enable", "--policy", policy, "--webhook-config", wrong)
        assert (code, said in report["summary"], MANIFEST.read_bytes()) == (3, True, before)


def _slow(run: Run, receiver: Receiver) -> None:
    receiver.behaviour = Behaviour(delay_seconds=3)
    code, report = run("verify")
    assert (code, status_of(report, "delivery")) == (0, "passed")
    receiver.behaviour = Behaviour()


def _failing_and_back(run: Run, receiver: Receiver) -> None:
    """Nothing is counted as lost until the server has given up; the log has it all the while."""
    receiver.behaviour = Behaviour(failures=-1)
    [lost] = ask(1)
    begun = time.monotonic()
    within(30, lambda: receiver.counts.refused > 0)
    assert counted().errors.get("webhook", 0) == 0
    code, report = run("verify")
    assert (code, status_of(report, "receipt"), status_of(report, "delivery")) == (1, "passed", "failed")
    assert counted().errors.get("webhook", 0) == 0
    within(GIVEN_UP_SECONDS[1], lambda: counted().errors.get("webhook", 0) > 0)
    seconds = time.monotonic() - begun
    print(f"given up and counted after {seconds:.1f} s and {receiver.counts.refused} refused batches")
    assert GIVEN_UP_SECONDS[0] < seconds < GIVEN_UP_SECONDS[1]
    assert (lost in ids(LOG), lost in ids(receiver.events)) == (True, False)
    receiver.behaviour = Behaviour()
    code, report = run("verify")
    assert (code, status_of(report, "delivery")) == (0, "passed")
