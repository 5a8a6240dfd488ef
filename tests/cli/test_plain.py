"""A plain `enable` line is read without typer, and says exactly what typer would have said."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from auditctl.cli import node_commands, plain
from auditctl.cli.application import build
from auditctl.cli.context import Globals
from auditctl.cli.enable_options import EnableOptions
from auditctl.cli.global_options import hoist


def test_the_tables_are_typers_own_options() -> None:
    """Every option of the command, with its default; the record has the same."""
    signature = {
        name: field.default
        for name, field in inspect.signature(node_commands.enable).parameters.items()
        if name != "context"
    }

    assert signature == EnableOptions()._asdict()
    assert {*plain.TEXTS, *plain.NUMBERS, *plain.LISTS.values(), *plain.SWITCHES, "webhook_config"} == set(
        EnableOptions._fields
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
def test_both_readers_agree(line: str) -> None:
    """The same global options, the same record, as typer's own parser reads them."""
    hoisted = hoist(line.split())
    group: Any = get_command(build(hoisted.rest))
    context = group.make_context("auditctl", list(hoisted.words))
    enable = group.commands["enable"].make_context("enable", list(hoisted.rest[1:]), parent=context)

    read = plain.read(hoisted)

    assert read is not None
    assert as_typed(read[0]) == {name: as_text(context.params[name]) for name in Globals._fields}
    assert as_typed(read[1]) == {name: as_text(enable.params[name]) for name in EnableOptions._fields}


def as_typed(record: Globals | EnableOptions) -> dict[str, Any]:
    return {name: as_text(value) for name, value in record._asdict().items()}


def as_text(value: Any) -> Any:
    """Paths as the texts that they were, lists as lists, nothing as None."""
    if isinstance(value, Path):
        return str(value)
    return (list(value) if isinstance(value, tuple) else value) or None


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
