"""The receiver tells what came: that is how `verify` proves delivery."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditctl.lab.tools import receiver as receivers
from auditctl.lab.tools.receiver import Receiver, open_receiver
from auditctl.node.preflight.webhook_config import WebhookConfig, parse
from auditctl.operations.evidence.webhook_delivery import ask


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = open_receiver(tmp_path / "receiver")
    made.start()
    yield made
    made.stop()


def config_of(receiver: Receiver) -> WebhookConfig:
    return parse(receiver.config.read_bytes(), "/webhook.yaml")


def batch(*events: Any) -> bytes:
    return json.dumps({"kind": "EventList", "items": events}).encode()


def event(audit_id: str, stage: str) -> dict[str, str]:
    return {"auditID": audit_id, "level": "Metadata", "stage": stage}


def test_it_tells_how_many_events_of_an_audit_id_came_and_at_which_levels_and_stages(receiver: Receiver) -> None:
    receiver.take(batch(event("a", "RequestReceived"), event("b", "RequestReceived")))
    receiver.take(batch(event("a", "ResponseComplete")))
    wanted = {"events": 2, "levels": ["Metadata"], "stages": ["RequestReceived", "ResponseComplete"]}
    assert ask(config_of(receiver), "a") == wanted
    assert ask(config_of(receiver), "a&b c") == {"events": 0, "levels": [], "stages": []}


def test_a_get_without_an_audit_id_is_not_answered_with_anything(receiver: Receiver) -> None:
    context = ssl.create_default_context(cadata=config_of(receiver).authority.decode())
    connection = http.client.HTTPSConnection(*receiver.server.server_address[:2], context=context)
    connection.request("GET", "/audit?auditid=a")
    assert connection.getresponse().status == 405
    connection.close()


def test_it_remembers_the_newest_audit_ids_alone(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "REMEMBERED_IDS", 2)
    receiver.take(batch(event("a", "Panic"), event("b", "Panic"), event("c", "Panic")))
    assert [receiver.told_of(one)["events"] for one in "abc"] == [0, 1, 1]


def test_a_list_of_anything_is_stored_and_remembered_where_it_is_an_event(receiver: Receiver) -> None:
    assert receiver.take(batch(1, event("a", "Panic"))) == 200
    assert receiver.told_of("a")["events"] == 1
