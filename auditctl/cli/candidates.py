"""The values that an option or an argument may take, for shell completion; each is read where it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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


_LEVELS = of_words("None", "Metadata", "Request", "RequestResponse")
_VERBS = of_words("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

# By `COMMAND parameter`, or by the parameter alone where it means the same everywhere.
CANDIDATES: Mapping[str, Source] = {
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
    "log tail stage": of_words("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"),
    "policy explain verb": _VERBS,
    "policy coverage sets": of_words("falco", "sigma", "elastic"),
    "shell": of_words("bash", "zsh", "fish"),
    "help words": help_words,
}
