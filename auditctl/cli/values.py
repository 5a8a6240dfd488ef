"""Turn the texts of options into values; a text of the wrong form is a usage error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from auditctl import durations
from auditctl.errors import UsageError
from auditctl.operations.change_model import ALLOWED_CHECKS, NoDowntime


def duration(option: str, text: str) -> float:
    """Return the seconds of a Go duration.

    Raises:
        UsageError: the text is none.
    """
    try:
        return durations.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error} (write it as Go does: 90s, 5m, 1m30s)") from error


def allowed_checks(names: Sequence[str] | None) -> frozenset[str]:
    """Return the checks that ``--allow`` names.

    Raises:
        UsageError: there is no check of that name.
    """
    for name in names or ():
        if name not in ALLOWED_CHECKS:
            raise UsageError(f"--allow {name}: not one of {', '.join(ALLOWED_CHECKS)}")
    return frozenset(names or ())


def no_downtime(text: str, *, is_waited_for: bool) -> NoDowntime:
    """Return what ``--no-downtime`` asks for; without a value it is required.

    Raises:
        UsageError: the value is neither of its two, or nobody waits for the restart that the standby is for.
    """
    choices = {"": NoDowntime.OFF, "false": NoDowntime.OFF, "auto": NoDowntime.AUTO, "true": NoDowntime.REQUIRED}
    if text not in choices:
        raise UsageError(f"--no-downtime={text}: use --no-downtime, or --no-downtime=auto")
    if choices[text] is NoDowntime.REQUIRED and not is_waited_for:
        raise UsageError("--no-downtime and --no-wait exclude each other")
    return choices[text]


def flag_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Return ``audit-...=VALUE`` texts as a mapping from plain flag names.

    Raises:
        UsageError: a text is not of that form.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.lstrip("-").startswith("audit"):
            raise UsageError(f"--set {text}: not of the form audit-...=VALUE")
        pairs[plain_name(name)] = value
    return pairs


def plain_name(name: str) -> str:
    """Return a flag's name as the table of flags has it: no dashes before it, no underscores."""
    return name.lstrip("-").replace("_", "-")
