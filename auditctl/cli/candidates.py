"""The values that an option or an argument may take, for shell completion; each is read where it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.patterns import lazily

_OLDEST_MINOR = 19  # of the tables of flags and resources


class Candidate(NamedTuple):
    """A word that may be completed, and a short description."""

    value: str
    description: str = ""


Source = Callable[[Mapping[str, Any]], Iterable[Candidate]]


def of_words(*words: str) -> Source:
    """Return a source of fixed words."""
    return lambda _: map(Candidate, words)


def shipped_policies(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the policies that ship, each with its purpose."""
    from auditctl.operations.policy.validate import shipped

    return [Candidate(row["name"], row["what"]) for row in shipped().document["policies"]]


def allowed_checks(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the checks of a change that may fail."""
    from auditctl.operations.change_model import ALLOWED_CHECKS

    return map(Candidate, ALLOWED_CHECKS)


def policy_checks(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the checks of ``policy validate``."""
    from auditctl.operations.policy.validate import checks

    return [Candidate(row["check"], row["reason"]) for row in checks().document["checks"]]


def exercises(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the faults and tasks of the lab."""
    from auditctl.lab.exercises.catalogue import names

    return [Candidate(name, kind.value) for name, kind in names().items()]


def change_ids(options: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the changes of the node that the global options name, newest first."""
    from auditctl.operations.controlplane import ControlPlane

    plane = ControlPlane(rootfs=Path(options["rootfs"]), manifest=options["manifest"], state_dir=options["state_dir"])
    return [Candidate(each.id, f"{each.command}: {each.summary}") for each in reversed(plane.state.journals())]


def flag_names(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the audit flags, each with its meaning."""
    from auditctl.facts import audit_flags

    return [Candidate(flag.name, flag.meaning) for flag in audit_flags().values()]


def flag_settings(options: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the audit flags as ``--set`` takes them."""
    return [Candidate(f"{one.value}=", one.description) for one in flag_names(options)]


def versions(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the Kubernetes versions that the tables know, newest first."""
    from auditctl.operations.policy_files import NEWEST

    return [Candidate(f"1.{minor}") for minor in range(NEWEST[1], _OLDEST_MINOR - 1, -1)]


def render_formats(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the forms of ``kubeadm render``."""
    from auditctl.operations.kubeadm.render import FORMS

    return [Candidate(form) for form in FORMS]


def help_words(_: Mapping[str, Any]) -> Iterable[Candidate]:
    """Return the topics of ``help``."""
    from auditctl.cli.help_command import topics

    return [Candidate(name, title) for name, title in topics().items()]


def of_log(field: str) -> Source:
    """Return a source of the values that a field has lately had in the node's own log, the most frequent first.

    Whoever sends requests writes into a log: a value that a shell could take for anything but a word is left out.
    """

    def source(options: Mapping[str, Any]) -> Iterable[Candidate]:
        from auditctl.operations.controlplane import ControlPlane
        from auditctl.operations.log.people import recent_values

        plane = ControlPlane(
            rootfs=Path(options["rootfs"]), manifest=options["manifest"], state_dir=options["state_dir"]
        )
        rows = recent_values(plane, field)
        return [Candidate(row.value, f"{row.events} events") for row in rows if _WORD.fullmatch(row.value)]

    return source


_WORD = lazily(r"[A-Za-z0-9_./:@][A-Za-z0-9_./:@=+-]{0,200}")
_LEVELS = of_words("None", "Metadata", "Request", "RequestResponse")
_STAGES = of_words("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
_VERBS = of_words("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

# By `COMMAND parameter`, or by the parameter alone where it means the same everywhere.
_OF_LOG = {
    f"log {command} {parameter}": of_log(field)
    for commands, parameter, field in (
        ("tail top stats report who history values", "user", "user"),
        ("tail", "user_group", "group"),
        ("tail who values", "resource", "resource"),
        ("tail who history values report", "namespace", "namespace"),
        ("tail", "name", "name"),
        ("tail who history", "agent", "agent"),
        ("tail who history", "source_ip", "source-ip"),
        ("tail who history values", "code", "code"),
    )
    for command in commands.split()
}
CANDIDATES: Mapping[str, Source] = {
    **_OF_LOG,
    "output": of_words("text", "json", "yaml"),
    "kubernetes": versions,
    "allow": allowed_checks,
    "policy validate allow": policy_checks,
    "policy validate only": policy_checks,
    "policy": shipped_policies,
    "against": shipped_policies,
    "file": shipped_policies,
    "files": shipped_policies,
    "policy diff before": shipped_policies,
    "policy diff after": shipped_policies,
    "policy show name": shipped_policies,
    "rollback change_id": change_ids,
    "history show change_id": change_ids,
    "flags name": flag_names,
    "unset": flag_names,
    "set_flags": flag_settings,
    "verify flag": flag_settings,
    "kubeadm render form": render_formats,
    "lab break fault": exercises,
    "log top by": of_words("user", "verb", "resource", "namespace", "level", "rule"),
    "log tail verb": _VERBS,
    "log tail level": _LEVELS,
    "log tail stage": _STAGES,
    "log values stage": _STAGES,
    "log who verb": _VERBS,
    "log history verb": _VERBS,
    "log values verb": _VERBS,
    "log values field": of_words(
        "user",
        "impersonated-user",
        "group",
        "verb",
        "resource",
        "namespace",
        "name",
        "agent",
        "code",
        "source-ip",
        "level",
        "stage",
    ),
    "log shipper program": of_words("vector", "alloy", "fluent-bit", "otel", "filebeat", "rsyslog"),
    "policy explain verb": _VERBS,
    "policy coverage sets": of_words("falco", "sigma", "elastic"),
    "shell": of_words("bash", "zsh", "fish"),
    "help words": help_words,
}
