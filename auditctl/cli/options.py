"""Options as records: each option is declared once, as an annotated field, and typer reads the records.

No ``from __future__ import annotations`` here: typer wants the annotations themselves.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from auditctl import durations
from auditctl.errors import UsageError
from auditctl.operations.change_model import ALLOWED_CHECKS, ChangeOptions, NoDowntime


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
            near = get_close_matches(name, ALLOWED_CHECKS, n=1)
            fix = f"did you mean {near[0]}?" if near else ""
            raise UsageError(f"--allow {name}: not one of {', '.join(ALLOWED_CHECKS)}", fix=fix)
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


Record = TypeVar("Record")

UnknownResources = Annotated[
    bool, typer.Option("--unknown-resources", help="Let resources through that the API has not of its own (CRDs).")
]
Timeout = Annotated[
    str,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="Time limit for restart and proof. If it must be undone, the undo gets the same time.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="CHECK", help=f"Continue even if CHECK fails (repeatable): {', '.join(ALLOWED_CHECKS)}."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the diff, the plan and the expected outage; change nothing.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")]
Discovery = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="What the cluster serves, CRDs included: `kubectl api-resources -o wide`, or aggregated discovery as JSON; "
        "`live` asks this node's API server, elsewhere kubectl.",
    ),
]
Persist = Annotated[
    bool,
    typer.Option(
        "--persist",
        help="Also save the settings in the ConfigMap kubeadm-config (kept at `kubeadm upgrade`), after the node is healthy.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeArguments:
    """The options of every changing command, texts as they were typed."""

    dry_run: DryRun = False
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Write the files and return; nothing is proved.")] = False
    timeout: Timeout = "5m"
    drain: Annotated[
        str | None,
        typer.Option(
            "--drain",
            metavar="DURATION",
            help="Wait this long after the old process has stopped listening, then end it; 0 leaves it to the kubelet. "
            "Default: 5s, or 1s where 19 of 20 requests are answered within a second; 0 with a webhook, a batch mode or "
            "another control plane.",
        ),
    ] = None
    allow: Allow = None
    strict: Strict = False
    no_rollback: Annotated[
        bool, typer.Option("--no-rollback", help="Do not undo a change that failed (exit code 5).")
    ] = False
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask before a restart (asked only on a terminal, on the node itself)."),
    ] = False
    no_downtime: Annotated[
        str,
        typer.Option(
            "--no-downtime",
            metavar="[=auto]",
            help="Let a standby server answer while the API server restarts. Refused where that is not possible; with "
            "=auto the change is then made without it.",
        ),
    ] = ""

    wait_for_turn: Annotated[
        str,
        typer.Option(
            "--wait-for-turn",
            metavar="DURATION",
            help="In a cluster one control plane is changed at a time. Wait this long while another one is being changed, "
            "or does not serve, before the change is refused (exit code 3).",
        ),
    ] = "0"

    @property
    def changes_node(self) -> bool:
        """Return whether the node is changed: a dry run only reads."""
        return not self.dry_run

    def change_options(self, *, persist: bool = False) -> ChangeOptions:
        """Return the options as values.

        Raises:
            UsageError: a text is not of its option's form, or two options exclude each other.
        """
        seconds = duration("--timeout", self.timeout)
        if seconds <= 0:
            raise UsageError("--timeout 0 leaves the API server no time to start")
        if persist and self.no_wait:
            raise UsageError(
                "--persist and --no-wait exclude each other: the record is written once the node has proved healthy"
            )
        return ChangeOptions(
            timeout_seconds=seconds,
            drain_seconds=None if self.drain is None else duration("--drain", self.drain),
            wait=not self.no_wait,
            rollback=not self.no_rollback,
            dry_run=self.dry_run,
            strict=self.strict,
            allow=allowed_checks(self.allow),
            persist=persist,
            assume_yes=self.yes,
            no_downtime=no_downtime(self.no_downtime, is_waited_for=not self.no_wait),
            turn_seconds=duration("--wait-for-turn", self.wait_for_turn),
        )


def takes(record: type[Record]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator for a command with a parameter ``options``: typer sees the record's fields in its place.

    The fields of the record itself come before those that it inherits, for a reader looks for the command's own first.
    """
    hints = get_type_hints(record, include_extras=True)
    own = inspect.get_annotations(record)
    declared = sorted(fields(record), key=lambda field: field.name not in own)  # type: ignore[arg-type]  # a dataclass
    names = [field.name for field in declared]
    parameters = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in declared
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        others = [one for name, one in signature.parameters.items() if name != "options"]

        def read(**values: Any) -> None:
            command(options=record(**{name: values.pop(name) for name in names}), **values)

        ordered = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in others] + parameters
        read.__name__, read.__doc__ = command.__name__, command.__doc__
        read.__signature__ = signature.replace(parameters=ordered)  # type: ignore[attr-defined]  # `inspect` reads it
        read.__annotations__ = {one.name: one.annotation for one in ordered}
        return read

    return decorate
