"""The receiver tells what came: that is how `verify` proves delivery."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditctl.lab.tools import receiver as receivers
from auditctl.lab.tools.receiver import Receiver, open_receiver
from auditctl.node.path_trust import UntrustedPathError
from auditctl.node.preflight.webhook_config import WebhookConfig, parse
from auditctl.operations.evidence.webhook_delivery import NotOursError, ask


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


def status_of(receiver: Receiver, method: str, path: str, body: bytes | None = None, **headers: str) -> int:
    """The answer to one request on a connection of its own."""
    context = ssl.create_default_context(cadata=config_of(receiver).authority.decode())
    connection = http.client.HTTPSConnection(*receiver.server.server_address[:2], timeout=10, context=context)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


def secret_of(receiver: Receiver) -> str:
    return f"Bearer {config_of(receiver).token}"


def test_a_get_without_an_audit_id_is_not_answered_with_anything(receiver: Receiver) -> None:
    assert status_of(receiver, "GET", "/audit?auditid=a", Authorization=secret_of(receiver)) == 405


def test_without_the_secret_nothing_is_stored_and_nothing_told(receiver: Receiver) -> None:
    """Every local user reaches the port, and what is stored is the sender's own text."""
    receiver.take(batch(event("a", "Panic")))
    before = receiver.events.read_bytes()
    secret = secret_of(receiver)
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": secret[:-1]}, {"Authorization": f"{secret}x"},
                    {"Authorization": secret.removeprefix("Bearer ")}, {"Authorization": "Bearer \xff"}):  # fmt: skip
        assert status_of(receiver, "POST", "/audit", batch(event("b", "Panic")), **headers) == 401
        assert status_of(receiver, "GET", "/audit?auditID=a", **headers) == 401
    assert (receiver.events.read_bytes(), receiver.counts.events) == (before, 1)
    assert status_of(receiver, "POST", "/audit", batch(event("b", "Panic")), Authorization=secret) == 200
    assert receiver.events.read_bytes() != before


def test_every_receiver_has_another_secret_in_a_file_of_its_own(receiver: Receiver, tmp_path: Path) -> None:
    other = open_receiver(tmp_path / "other")
    other.server.server_close()

    assert len(config_of(receiver).token) >= 32
    assert config_of(receiver).token != config_of(other).token
    assert stat.S_IMODE(receiver.config.stat().st_mode) == 0o600
    assert repr(receiver).count(config_of(receiver).token) == 0


@pytest.mark.parametrize(("length", "status"), [(str((64 << 20) + 1), 413), ("1" * 16, 411), ("-1", 411), ("x", 411)])
def test_a_request_that_is_too_large_or_of_no_length_is_not_read(receiver: Receiver, length: str, status: int) -> None:
    headers = {"Authorization": secret_of(receiver), "Content-Length": length}
    assert status_of(receiver, "POST", "/audit", b"", **headers) == status


def test_a_foreign_receiver_is_not_sent_the_secret(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers 401, too, but does not say that it is ours."""
    shown: list[str] = []
    knows = Receiver.knows

    def noting(self: Receiver, authorization: str) -> bool:
        shown.append(authorization)
        return knows(self, authorization)

    monkeypatch.setattr(Receiver, "knows", noting)
    monkeypatch.setattr(receivers, "RECEIVER", "nginx")

    with pytest.raises(NotOursError):
        ask(config_of(receiver), "a")

    assert shown == [""]


@pytest.mark.parametrize("name", ["webhook.yaml", "events.jsonl"])
@pytest.mark.parametrize("kind", ["link", "open-to-all", "second-name"])
def test_a_file_that_leads_elsewhere_is_not_written(tmp_path: Path, name: str, kind: str) -> None:
    folder, precious = tmp_path / "receiver", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("precious")
    if kind == "link":
        (folder / name).symlink_to(precious)
    elif kind == "second-name":
        (folder / name).hardlink_to(precious)
    else:
        (folder / name).write_text("")
        (folder / name).chmod(0o666)

    if kind == "second-name":  # seen where it is written: a configuration is put there by a rename
        made = open_receiver(folder)
        made.server.server_close()
        assert made.take(batch(event("a", "Panic"))) == (500 if name == "events.jsonl" else 200)
    else:
        with pytest.raises(UntrustedPathError, match=name):
            open_receiver(folder)

    assert precious.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("name", ["", "webhook.yaml", "events.jsonl"])
def test_a_folder_or_file_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "receiver"
    folder.mkdir()
    for file in ("webhook.yaml", "events.jsonl"):
        (folder / file).write_text("")
    os.chown(folder / name, 4242, 4242)

    with pytest.raises(UntrustedPathError, match="belongs to somebody else"):
        open_receiver(folder)


def test_files_that_are_exchanged_for_links_later_are_not_written_through(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    receiver.events.symlink_to(tmp_path / "precious")

    assert receiver.take(batch(event("a", "Panic"))) == 500

    assert (receiver.counts.events, (tmp_path / "precious").read_text()) == (0, "precious")


def test_under_umask_000_its_files_are_its_own(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = open_receiver(tmp_path / "receiver")
        made.server.server_close()
        made.take(batch(event("a", "Panic")))
    finally:
        os.umask(before)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (made.folder, made.config, made.events)]
    assert modes == [0o700, 0o600, 0o600]


def test_it_remembers_the_newest_audit_ids_alone(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "REMEMBERED_IDS", 2)
    receiver.take(batch(event("a", "Panic"), event("b", "Panic"), event("c", "Panic")))
    assert [receiver.events_of(one)["events"] for one in "abc"] == [0, 1, 1]


def test_a_list_of_anything_is_stored_and_remembered_where_it_is_an_event(receiver: Receiver) -> None:
    assert receiver.take(batch(1, event("a", "Panic"))) == 200
    assert receiver.events_of("a")["events"] == 1
