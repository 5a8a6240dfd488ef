"""Delivery is proved through our own receiver, alone and beside the log; of a foreign one nothing is claimed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nodes import METADATA, Node

from auditctl.lab.node.process import until
from auditctl.lab.tools import receiver as receivers
from auditctl.lab.tools.receiver import Behaviour, Receiver, open_receiver

pytestmark = pytest.mark.lab
QUICKLY = ("--set", "audit-webhook-batch-max-wait=200ms")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = open_receiver(tmp_path / "receiver")
    made.start()
    yield made
    made.stop()


def checks(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["status"], check["detail"]) for check in report["verification"]["checks"]}


def ids(path: Path) -> set[str]:
    return {json.loads(line)["auditID"] for line in path.read_text().splitlines()}


def test_log_and_webhook_together_are_both_proved_with_one_request(node: Node, receiver: Receiver) -> None:
    ran = node.enable(METADATA, "--webhook-config", receiver.config, *QUICKLY)
    assert ran.code == 0, ran
    found = checks(ran.report)
    assert (found["receipt"][0], found["delivery"][0]) == ("passed", "passed")
    assert ran.report["receipt"]["auditID"] in ids(receiver.events) & ids(node.log)
    verified = node.run("verify")
    assert (verified.code, verified.report["verification"]["holds"]) == (0, True)


def test_a_webhook_alone_is_proved_by_its_receiver(node: Node, receiver: Receiver) -> None:
    ran = node.enable(METADATA, "--no-log", "--webhook-config", receiver.config, *QUICKLY)
    assert (ran.code, checks(ran.report)["delivery"][0]) == (0, "passed")
    assert ran.report["verification"]["holds"] is True
    assert not node.log.exists()


def test_a_receiver_that_does_not_name_itself_is_foreign_and_proves_nothing(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "RECEIVER", "nginx")
    ran = node.enable(METADATA, "--no-log", "--webhook-config", receiver.config, *QUICKLY)
    assert ran.code == 0
    words = "events go to a webhook only; a foreign receiver proves nothing to us"
    assert checks(ran.report)["delivery"] == ("unknown", words)
    verified = node.run("verify")
    assert (verified.code, verified.report["summary"]) == (0, f"not proved: {words}")


def test_a_receiver_that_takes_nothing_any_more_is_told_by_verify(node: Node, receiver: Receiver) -> None:
    assert node.enable(METADATA, "--webhook-config", receiver.config, *QUICKLY).code == 0
    receiver.behaviour = Behaviour(failures=-1)
    ran = node.run("verify")
    assert (ran.code, checks(ran.report)["receipt"][0], checks(ran.report)["delivery"][0]) == (1, "passed", "failed")
    receiver.behaviour = Behaviour()
    assert until(lambda: node.run("verify").code == 0, 60)


def test_a_receiver_that_is_slow_has_it_later_and_within_the_batchs_wait(node: Node, receiver: Receiver) -> None:
    receiver.behaviour = Behaviour(delay_seconds=1.5)
    ran = node.enable(METADATA, "--webhook-config", receiver.config, *QUICKLY)
    assert (ran.code, checks(ran.report)["delivery"][0]) == (0, "passed")


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (("certificate-authority-data: ", "certificate-authority-data: {other} # "), "webhook-reachable"),
        (("current-context: receiver", "current-context: reciever"), "webhook-config"),
    ],
    ids=["of-another-authority", "without-its-context"],
)
def test_a_configuration_that_would_not_deliver_is_refused_beforehand(
    node: Node, receiver: Receiver, tmp_path: Path, change: tuple[str, str], check: str
) -> None:
    other = open_receiver(tmp_path / "other")
    other.server.server_close()
    authority = other.config.read_text().split("certificate-authority-data: ")[1].split("\n")[0]
    receiver.config.write_text(receiver.config.read_text().replace(change[0], change[1].format(other=authority)))
    before = node.manifest.read_bytes()
    ran = node.enable(METADATA, "--webhook-config", receiver.config)
    assert (ran.code, node.manifest.read_bytes()) == (3, before)
    assert check in {finding["check"] for finding in ran.report["findings"]} | {ran.report.get("check")}, ran.report


def test_blocking_needs_to_be_allowed(node: Node, receiver: Receiver) -> None:
    words = ("--webhook-config", receiver.config, "--set", "audit-webhook-mode=blocking")
    refused = node.enable(METADATA, *words)
    assert (refused.code, "every request waits for the receiver" in refused.report["summary"]) == (3, True)
    ran = node.enable(METADATA, *words, "--allow", "webhook-blocking")
    assert (ran.code, checks(ran.report)["delivery"][0]) == (0, "passed")


def test_a_receiver_allowed_to_be_down_is_not_proved_and_nothing_is_rolled_back(
    node: Node, receiver: Receiver, tmp_path: Path
) -> None:
    other = open_receiver(tmp_path / "other")
    other.server.server_close()
    ran = node.enable(METADATA, "--webhook-config", other.config, *QUICKLY, "--allow", "webhook-reachable")
    assert (ran.code, checks(ran.report)["delivery"][0]) == (0, "unknown")
    assert "does not answer" in checks(ran.report)["delivery"][1]
    assert node.run("verify").code == 1
