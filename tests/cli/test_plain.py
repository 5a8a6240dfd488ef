"""A plain `enable` line is read without typer, and says exactly what typer would have said."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from auditctl.cli import node_commands, plain
from auditctl.cli.application import build
from auditctl.cli.asked import Enable
from auditctl.cli.context import Globals
from auditctl.cli.hoist import hoist


def test_the_tables_are_typers_own_options() -> None:
    """Every option of the command, with its default; the record has the same."""
    signature = {
        name: field.default
        for name, field in inspect.signature(node_commands.enable).parameters.items()
        if name != "context"
    }

    assert signature == Enable()._asdict()
    assert {*plain.TEXTS, *plain.NUMBERS, *plain.LISTS.values(), *plain.SWITCHES, "webhook_config"} == set(
        Enable._fields
    )


@pytest.mark.parametrize(
    "line",
    [
        "enable",
        "enable --policy p.yaml --dry-run -o json",
        "--rootfs /x -q enable --log-path - --log-maxage 7 --log-maxbackup=3 --log-maxsize 5 --strict",
        "enable --rootfs=/x -ojson -v --set audit-log-mode=batch --set audit-log-compress=true --unset audit-log-maxage",
        "enable --allow no-receipt --allow stray-manifests --no-wait --no-rollback --timeout 90s --drain 0",
        "enable --webhook-config w.yaml --no-log --policy-path /a/b --readers adm --kubeconfig k --manifest /m --state-dir /s",
        "enable --no-webhook --persist",
    ],
)
def test_both_readers_agree(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same global options, the same record."""
    hoisted = hoist(line.split())
    told: list[Any] = []
    monkeypatch.setattr(node_commands, "enabling", lambda asked: asked)
    monkeypatch.setattr(node_commands, "finish", lambda context, command, asked: told.append((context.obj, asked)))
    build(hoisted.rest)(args=hoisted.words, standalone_mode=False)

    read = plain.read(hoisted)

    assert read is not None
    lists = {name: list(getattr(told[0][1], name) or []) or None for name in plain.LISTS.values()}
    assert read == (told[0][0], told[0][1]._replace(**lists))


@pytest.mark.parametrize(
    "line",
    [
        "status", "enable --help", "enable -h", "enable --version", "enable --polcy p", "enable p.yaml", "enable --policy", "enable --policy --dry-run",
        "enable --log-maxage -1", "enable --log-maxage ten", "enable -o xml", "enable --manifest relative", "enable --dry-run=true", "--nonsense enable",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_typer(line: str) -> None:
    """It has the words for it."""
    assert plain.read(hoist(line.split())) is None


def test_the_defaults_of_the_global_options_are_the_callbacks() -> None:
    """Two readers, one set of defaults."""
    from auditctl.cli.application import root

    defaults = {
        name: field.default for name, field in inspect.signature(root).parameters.items() if name in Globals._fields
    }

    assert defaults == Globals()._asdict()
    assert isinstance(defaults["rootfs"], Path)
