"""The kubeconfig of a webhook is refused in the words of the real server, and nothing secret of it is ever shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditctl.node.preflight.webhook_config import FileReference, WebhookConfig, WebhookConfigError, parse, resolved

PATH = "/etc/kubernetes/audit/webhook.yaml"
ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "golden/webhook/rows.jsonl").read_text().splitlines()]
WITH_FILES = """\
clusters:
- name: c
  cluster: {server: https://receiver.example:8443/audit, certificate-authority: ca.crt, tls-server-name: other}
users:
- name: u
  user: {client-certificate: /etc/kubernetes/pki/c.crt, client-key: c.key, tokenFile: token}
contexts:
- name: x
  context: {cluster: c, user: u}
current-context: x
"""


@pytest.mark.parametrize("row", ROWS, ids=[row["case"] for row in ROWS])
def test_the_words_are_those_of_the_real_server(row: dict[str, Any]) -> None:
    if row["words"] is None:
        assert isinstance(parse(row["text"].encode(), PATH), WebhookConfig)
        return
    with pytest.raises(WebhookConfigError) as caught:
        parse(row["text"].encode(), PATH)
    assert caught.value.message == f"the API server would not start: {row['words']}"


def test_files_are_named_as_the_container_sees_them_and_read_through_the_caller() -> None:
    config = parse(WITH_FILES.encode(), PATH)
    assert set(config.references) == {
        FileReference("certificate-authority", "/etc/kubernetes/audit/ca.crt"),
        FileReference("client-certificate", "/etc/kubernetes/pki/c.crt"),
        FileReference("client-key", "/etc/kubernetes/audit/c.key"),
        FileReference("tokenFile", "/etc/kubernetes/audit/token"),
    }
    full = resolved(config, lambda reference: reference.field.encode() + b"\n")
    assert (full.authority, full.certificate, full.token) == (
        b"certificate-authority\n",
        b"client-certificate\n",
        "tokenFile",
    )
    assert full.server_name == "other"


def test_nothing_secret_shows_in_a_configuration_that_is_printed() -> None:
    text = WITH_FILES.replace("tokenFile: token", "token: s3cr3t")
    assert "s3cr3t" not in repr(parse(text.encode(), PATH))
