"""`help`, `version`, groups and examples: what somebody reads who has only the program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from test_completion import commands
from typer.main import get_command

from auditctl import __main__ as front
from auditctl.cli.app import run
from auditctl.cli.application import COMMAND_WORDS, build
from auditctl.cli.command_line import hoist
from auditctl.cli.examples import EXAMPLES
from auditctl.cli.help_command import PANELS, pages, topics


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["auditctl", *words]) == 0
    return capsys.readouterr().out


def test_every_command_has_examples_and_every_example_has_a_command() -> None:
    """Groups without an action of their own have none."""
    leaves = {path for path, command in commands() if not hasattr(command, "commands")}

    assert leaves - set(EXAMPLES) == {"history show"}  # shown with `history`
    assert set(EXAMPLES) - leaves == {"", "history"}


@pytest.mark.parametrize("words", [words for rows in EXAMPLES.values() for words, _ in rows])
def test_every_example_is_a_line_that_typer_takes(words: str) -> None:
    import shlex

    hoisted = hoist(shlex.split(words))
    command: Any = get_command(build(hoisted.rest))
    context = command.make_context("auditctl", list(hoisted.words))
    rest = list(hoisted.rest)
    while hasattr(command, "commands") and rest:
        command = command.commands[rest.pop(0)]
        context = command.make_context(command.name, list(rest), parent=context)
    assert not hasattr(command, "commands") or words == "history"


def test_help_shows_groups_whole_summaries_and_recover(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")

    assert [line for line in text.splitlines() if line.removesuffix(":") in PANELS] == [f"{name}:" for name in PANELS]
    assert "  recover " in text
    assert "..." not in text.replace("[ARGS]...", "")
    assert "auditctl enable --policy p.yaml --dry-run" in text


def test_help_explains_a_command_a_topic_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "help", "policy", "explain").startswith("Usage: auditctl policy explain")
    assert "Undo the last change" in printed(capsys, "help", "rollback")
    assert "put back" not in printed(capsys, "help", "exit-codes")
    assert all(name in printed(capsys, "help") for name in topics())
    assert run(["auditctl", "help", "exit-code"]) == 2
    assert "did you mean 'exit-codes'?" in capsys.readouterr().err


def test_help_prints_a_page_of_the_documentation_by_either_name(capsys: pytest.CaptureFixture[str]) -> None:
    """As it is in the file; a command of the same name wins."""
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "how-to/webhook.md").read_text()

    assert printed(capsys, "help", "how-to/webhook") == page
    assert printed(capsys, "help", "webhook.md") == page
    assert all(name in printed(capsys, "help") for name in pages())
    assert printed(capsys, "help", "policy").startswith("Usage:")
    assert {f"{name}.md" for name in pages()} == {
        str(path.relative_to(docs)) for path in docs.rglob("*.md") if not {"contributing", "ja", "ko"} & set(path.parts)
    }
    assert run(["auditctl", "help", "webhok"]) == 2
    assert "did you mean 'how-to/webhook'?" in capsys.readouterr().err


def test_version_is_said_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert "not auditd" in printed(capsys, "version")
    assert json.loads(printed(capsys, "version", "-o", "json"))["kind"] == "Version"


def test_auditds_hand_over_knows_all_of_our_words() -> None:
    """A word that is missing there would go to auditd's program, under its name."""
    assert set(COMMAND_WORDS) == set(front._OUR_WORDS)
    assert set(COMMAND_WORDS) == set(get_command(build([])).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [
        ("AUDITCTL_ROOTFS", "/n", "rootfs"),
        ("AUDITCTL_KUBECONFIG", "/k", "kubeconfig"),
        ("AUDITCTL_OUTPUT", "json", "output"),
    ],
)
def test_the_environment_stands_for_the_option(
    variable: str, value: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the option wins over it."""
    monkeypatch.setenv(variable, value)
    assert str(read(["status"])[option]) == value
    assert str(read([f"--{option}", "yaml", "status"])[option]) == "yaml"


def read(words: list[str]) -> dict[str, Any]:
    command: Any = get_command(build(words))
    context: typer.Context = command.make_context("auditctl", list(words))
    return context.params


@pytest.mark.parametrize("words", [["-o", "xml", "status"], ["-o", "wide", "status"], ["policy", "list", "-o", "xml"]])
def test_a_format_that_a_command_does_not_have_is_a_usage_error(words: list[str], tmp_path: Path) -> None:
    assert run(["auditctl", "--rootfs", str(tmp_path), *words]) == 2
