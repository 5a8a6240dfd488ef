"""Bodies as rows: what is shown of them, and what never is."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

import pytest

from auditctl.log.redaction import REDACTED, fields, redacted_text, redacted_uri, shown

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


def rows(body: Any, *, is_secret: bool = False) -> dict[str, str]:
    return {path: shown(path, value, is_secret=is_secret) for path, value in fields(body).items()}


def test_the_items_of_a_list_are_named_so_that_an_insertion_moves_nothing() -> None:
    body = {"spec": {"containers": [{"name": "web", "image": "a"}, {"name": "log", "image": "b"}], "args": ["x", "y"]}}

    assert rows(body) == {
        "spec.containers[web].name": "web",
        "spec.containers[web].image": "a",
        "spec.containers[log].name": "log",
        "spec.containers[log].image": "b",
        "spec.args[0]": "x",
        "spec.args[1]": "y",
    }


def test_fields_of_the_server_are_left_out_and_keys_with_dots_stand_in_brackets() -> None:
    metadata = {"name": "n", "managedFields": [{"manager": "m"}], "resourceVersion": "7", "labels": {"a.b/c": "d"}}

    assert rows({"metadata": metadata}) == {"metadata.name": "n", "metadata.labels[a.b/c]": "d"}


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "Secret", "data": {"p": "HIDDEN"}},
        {"kind": "Secret", "stringData": {"p": "HIDDEN"}},
        [{"op": "replace", "path": "/data/p", "value": "HIDDEN"}],
        [{"op": "add", "path": "/stringData", "value": {"p": "HIDDEN"}}],
        {"kind": "SecretList", "items": [{"metadata": {"name": "a"}, "data": {"p": "HIDDEN"}}]},
    ],
)
def test_of_a_secret_only_names_are_shown(body: Any) -> None:
    texts = rows(body, is_secret=True)

    assert REDACTED in texts.values()
    assert "HIDDEN" not in str(texts)


@pytest.mark.parametrize(
    "body",
    [
        {"status": {"token": "HIDDEN"}},
        {"spec": {"password": "HIDDEN", "clientSecret": "HIDDEN", "apiKey": "HIDDEN"}},
        {"containers": [{"name": "c", "env": [{"name": "DB_PASSWORD", "value": "HIDDEN"}]}]},
        [{"op": "replace", "path": "/spec/containers/0/env/0/value", "value": "HIDDEN"}],
        {"args": ["--token=HIDDEN", "--db=postgres://me:HIDDEN@db/x", "Authorization: Bearer HIDDEN"]},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"p":"HIDDEN"}}'}}},
        {"script": "export PASSWORD=HIDDEN; run"},
        {"key": "-----BEGIN RSA PRIVATE KEY-----\nHIDDEN\nHIDDEN\n-----END RSA PRIVATE KEY-----"},
        {"spec": {"tokens": ["HIDDEN"]}},
        {"command": ["curl", "https://HIDDEN@host/x", "curl -u me:HIDDEN y", "ftp://me:HIDDEN/with@slash@host"]},
        {"env": [{"name": "HTTPS_PROXY", "value": "me:HIDDEN@proxy:3128"}]},
        {"users": [{"name": "a", "user": {"client-key-data": "HIDDEN"}}]},
    ],
)
def test_passwords_and_tokens_of_other_objects_are_hidden(body: Any) -> None:
    assert "HIDDEN" not in str(rows(body))


def test_what_only_names_a_secret_is_shown() -> None:
    body = {
        "volumes": [{"name": "v", "secret": {"secretName": "db"}}],
        "automountServiceAccountToken": False,
        "env": [{"name": "MODE", "value": "fast"}],
        "replicas": 3,
    }

    assert rows(body) == {
        "volumes[v].name": "v",
        "volumes[v].secret.secretName": "db",
        "automountServiceAccountToken": "false",
        "env[MODE].name": "MODE",
        "env[MODE].value": "fast",
        "replicas": "3",
    }


def test_a_token_is_hidden_wherever_it_stands() -> None:
    assert redacted_text(f"curl -H 'x: {TOKEN}' y") == f"curl -H 'x: {REDACTED}' y"


def test_a_long_text_is_cut_and_a_deep_body_ends() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = {"a": deep}

    assert shown("a", "x" * 300, is_secret=False) == "x" * 200 + "... (300 characters)"
    assert list(fields(deep).values()) == ["(nested too deeply to be shown)"]


@pytest.mark.parametrize("flag", ["--token", "-password", "--db-pass", "--client-secret", "--API-KEY"])
def test_a_word_behind_an_option_for_a_secret_is_hidden(flag: str) -> None:
    body = {"spec": {"args": ["--verbose", flag, "HIDDEN", "last"]}}

    assert rows(body) == {
        "spec.args[0]": "--verbose",
        "spec.args[1]": flag,
        f"spec.args[2 {flag}]": REDACTED,
        "spec.args[3]": "last",
    }


@pytest.mark.parametrize(
    "command",
    [
        "mysql -u root -pHIDDEN shop",
        "mysqldump --host h -pHIDDEN",
        "mongosh -u a -p HIDDEN",
        "sshpass -p HIDDEN ssh h",
        "redis-cli -h h -a HIDDEN ping",
        "curl -H Authorization: Bearer HIDDEN https://h",
        "curl -u alice:HIDDEN https://h",
        "kubectl create secret generic s --from-literal=k=HIDDEN",
        "openssl rsa -passin pass:HIDDEN",
        "MYSQL_PWD=HIDDEN mysql",
        "psql postgres://u:HIDDEN@h/db",
    ],
)
def test_a_password_in_a_command_is_hidden_in_the_text_and_in_the_url(command: str) -> None:
    """The URL of an exec has each word of the command as a parameter of its own."""
    query = "&".join(f"command={quote_plus(word)}" for word in command.split())
    uri = redacted_uri(f"/api/v1/namespaces/n/pods/p/exec?{query}&container=c&stdin=true")

    assert "HIDDEN" not in redacted_text(command)
    assert REDACTED in redacted_text(command)
    assert "HIDDEN" not in uri
    assert uri.endswith("&container=c&stdin=true")


@pytest.mark.parametrize("command", ["mysql -u root -p", "cat /etc/passwd", "ps -p 12", "ls -a /", "sh -c date"])
def test_a_command_without_a_secret_is_shown(command: str) -> None:
    query = "&".join(f"command={quote_plus(word)}" for word in command.split())

    assert redacted_text(command) == command
    assert redacted_uri(f"/exec?{query}") == f"/exec?{query}"


def test_a_secret_in_another_parameter_is_hidden_there_alone() -> None:
    assert redacted_uri("/login?token=HIDDEN&user=a&q=password%3DHIDDEN") == (
        f"/login?token={REDACTED}&user=a&q={REDACTED}"
    )
