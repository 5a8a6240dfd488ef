"""A plain ``enable`` line, read without typer: its import alone takes as much CPU as all the rest of a dry run.

Only what is plain: every word a known option with its value. Anything else (help, a typo, a wrong number) is typer's,
which has the words for it. ``tests/cli/test_plain.py`` holds both to the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auditctl.cli.context import Globals
from auditctl.cli.enable_options import EnableOptions
from auditctl.cli.global_options import CommandLine
from auditctl.cli.plain_words import apart, globals_of

TEXTS = ("policy", "policy_path", "log_path", "readers", "timeout", "drain")
NUMBERS = ("log_maxage", "log_maxbackup", "log_maxsize")
LISTS = {"--set": "set_flags", "--unset": "unset", "--allow": "allow"}
SWITCHES = ("no_log", "no_webhook", "embed_certs", "persist", "dry_run", "no_wait", "strict", "no_rollback", "yes")


def read(hoisted: CommandLine) -> tuple[Globals, EnableOptions] | None:
    """The global options and what was asked; None where the line is not a plain ``enable``."""
    if hoisted.rest[:1] != ["enable"]:
        return None
    said = globals_of(hoisted.front)
    asked = _enable(hoisted.rest[1:])
    return (said, asked) if said is not None and asked is not None else None


def option(name: str) -> str:
    """``log_path`` as it is typed."""
    return "--" + name.replace("_", "-")


def _enable(words: Sequence[str]) -> EnableOptions | None:
    found: dict[str, Any] = {}
    texts, numbers, switches = ({option(name): name for name in names} for names in (TEXTS, NUMBERS, SWITCHES))
    stream = apart(words)
    for word in stream:
        if word in switches:
            found[switches[word]] = True
            continue
        value = next(stream, None)
        if value is None or (value.startswith("-") and value != "-"):
            return None
        if word in texts:
            found[texts[word]] = value
        elif word in numbers and value.isascii() and value.isdecimal():
            found[numbers[word]] = int(value)
        elif word in LISTS:
            found.setdefault(LISTS[word], []).append(value)
        elif word == "--webhook-config":
            found["webhook_config"] = Path(value)
        else:
            return None
    return EnableOptions(**found)
