"""Texts of options to values. No typer here: a plain line is read without it (`plain`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from auditctl import durations
from auditctl.errors import UsageError
from auditctl.operations.change_model import ALLOWED_CHECKS, ChangeOptions


def duration(option: str, text: str) -> float:
    """Seconds of a Go duration; a wrong one is a usage error."""
    try:
        return durations.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error} (write it as Go does: 90s, 5m, 1m30s)") from error


def _flag_setting(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not equals or not name.lstrip("-").startswith("audit"):
        raise UsageError(f"--set {text}: not of the form audit-...=VALUE")
    return text


def _allowed(text: str) -> str:
    if text not in ALLOWED_CHECKS:
        raise UsageError(f"--allow {text}: not one of {', '.join(ALLOWED_CHECKS)}")
    return text


def how_of(
    dry_run: bool,
    no_wait: bool,
    timeout: str,
    drain: str | None,
    allow: Sequence[str] | None,
    strict: bool,
    no_rollback: bool,
    yes: bool = False,
) -> ChangeOptions:
    """The options as a value; wrong texts are usage errors."""
    seconds = duration("--timeout", timeout)
    if seconds <= 0:
        raise UsageError("--timeout 0 leaves the API server no time to start")
    return ChangeOptions(
        timeout_seconds=seconds,
        drain_seconds=None if drain is None else duration("--drain", drain),
        wait=not no_wait,
        rollback=not no_rollback,
        dry_run=dry_run,
        strict=strict,
        allow=frozenset(_allowed(check) for check in allow or ()),
        assume_yes=yes,
    )


def persisting(how: ChangeOptions, asked: bool) -> ChangeOptions:
    """With ``--persist``: only a node that has proved healthy may write the record that other nodes start from."""
    if asked and not how.wait:
        raise UsageError(
            "--persist and --no-wait exclude each other: the record is written once the node has proved healthy"
        )
    return replace(how, persist=asked)


def flag_pairs(texts: Iterable[str]) -> dict[str, str]:
    """``audit-...=VALUE`` texts as a mapping."""
    return {plain_name(name): value for name, _, value in (text.partition("=") for text in map(_flag_setting, texts))}


def plain_name(name: str) -> str:
    """A flag's name as the table has it: no dashes before it, none underscored."""
    return name.lstrip("-").replace("_", "-")
