"""The options that every changing command takes, and how their texts become values."""

from collections.abc import Iterable
from typing import Annotated

import typer

from auditctl import durations
from auditctl.operations.work import ALLOWED_CHECKS, How


def duration(text: str) -> float:
    """Seconds of a Go duration; a wrong one is a usage error."""
    try:
        return durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error} (write it as Go does: 90s, 5m, 1m30s)") from error


def _flag_setting(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not equals or not name.lstrip("-").startswith("audit"):
        raise typer.BadParameter(f"{text!r} is not of the form audit-...=VALUE")
    return text


def _allowed(text: str) -> str:
    if text not in ALLOWED_CHECKS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(ALLOWED_CHECKS)}")
    return text


DryRun = Annotated[bool, typer.Option("--dry-run", help="Print diff, plan and expected outage; touch nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Write and return; nothing is proved.")]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="DURATION", help="For restart and receipt; an undo gets the same again.")
]
Drain = Annotated[
    str | None,
    typer.Option(
        "--drain",
        metavar="DURATION",
        help="How long the old process may linger once it has stopped listening; 0 leaves it to the kubelet. Default 5s; 0 with a webhook, "
        "a batch mode or another control plane.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CHECK", help=f"Go on although CHECK fails: {', '.join(ALLOWED_CHECKS)}."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings refuse too.")]
NoRollback = Annotated[bool, typer.Option("--no-rollback", help="Leave a failed change as it is (exit 5).")]


def how_of(
    dry_run: bool,
    no_wait: bool,
    timeout: str,
    drain: str | None,
    allow: list[str] | None,
    strict: bool,
    no_rollback: bool,
) -> How:
    """The options as a value; wrong texts are usage errors."""
    seconds = duration(timeout)
    if seconds <= 0:
        raise typer.BadParameter("--timeout 0 leaves the API server no time to start", param_hint="--timeout")
    return How(
        seconds,
        None if drain is None else duration(drain),
        not no_wait,
        not no_rollback,
        dry_run,
        strict,
        frozenset(_allowed(check) for check in allow or ()),
    )


def flag_pairs(texts: Iterable[str]) -> dict[str, str]:
    """``audit-...=VALUE`` texts as a mapping."""
    return {plain_name(name): value for name, _, value in (text.partition("=") for text in map(_flag_setting, texts))}


def plain_name(name: str) -> str:
    """A flag's name as the table has it: no dashes before it, none underscored."""
    return name.lstrip("-").replace("_", "-")
