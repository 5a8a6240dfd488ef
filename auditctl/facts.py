"""Facts of Kubernetes that ship as data files: the one reader of package data. Read when first asked for, then kept.

In a wheel the files lie in the package (``auditctl/templates``, ``auditctl/docs``), in a clone beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from auditctl.errors import RefusedError

if TYPE_CHECKING:  # importlib.resources and json cost more than all the rest of this module, and --help needs neither
    from auditctl.compatibility import Traversable

Version = tuple[int, int, int]
NEWEST: tuple[int, int] = (1, 37)
"""The newest release whose audit flags and policy format the tables know; a later one is judged as this one."""
TABLE_BEGINS: Version = (1, 19, 0)  # flags of this age may be older: before 1.19 the table knows nothing
POLICY_SUFFIX = ".yaml"
EXPECTATION_SUFFIX = ".expect.yaml"


class FlagType(Enum):
    """What pflag parses the value as; a bool takes no separate value."""

    STRING = "string"
    INT = "int"
    INT64 = "int64"
    FLOAT = "float"
    BOOL = "bool"
    DURATION = "duration"

    @property
    def in_words(self) -> str:
        """Return what a value is, as messages call it: ``a whole number``."""
        return _TYPES_IN_WORDS[self]


_TYPES_IN_WORDS = {
    FlagType.STRING: "one line of text",
    FlagType.INT: "a whole number",
    FlagType.INT64: "a whole number",
    FlagType.FLOAT: "a number",
    FlagType.BOOL: "true or false",
    FlagType.DURATION: "a duration",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFlag:
    """One ``--audit-*`` flag. ``name`` has no dashes; ``since`` is the first version that knows it.

    One whose ``since`` is ``TABLE_BEGINS`` may be older still.

    ``defaults`` are pairs (first version, value) in ascending order. Source: ``k8s.io/apiserver``
    ``pkg/server/options/audit.go``, all tags from 1.19 on.
    """

    name: str
    type: FlagType
    unit: str
    since: Version
    defaults: tuple[tuple[Version, str], ...]
    meaning: str
    trap: str

    def default(self, version: Version | None = None) -> str:
        """Return the value where the flag is not set, for a server of ``version`` (None: the newest known)."""
        fitting = [value for first, value in self.defaults if version is None or first <= version]
        return fitting[-1] if fitting else self.defaults[0][1]


def template(*parts: str) -> Traversable:
    """Return a shipped file or folder below ``templates/``; whether it exists is the caller's question."""
    return _shipped("templates").joinpath(*parts)


def documentation(*parts: str) -> Traversable:
    """Return a shipped page or folder below ``docs/``; whether it exists is the caller's question."""
    return _shipped("docs").joinpath(*parts)


@cache
def audit_flags() -> Mapping[str, AuditFlag]:
    """Return every ``--audit-*`` flag by its name without dashes, in the order of the source."""
    import json

    table = json.loads(template("flags.json").read_text(encoding="utf-8"))
    return {row["name"]: _flag(row) for row in table["flags"]}


@cache
def policy_names() -> tuple[str, ...]:
    """Return the names of the shipped policies, sorted."""
    entries = (entry.name for entry in template("policies").iterdir())
    return tuple(
        sorted(
            name.removesuffix(POLICY_SUFFIX)
            for name in entries
            if name.endswith(POLICY_SUFFIX) and not name.endswith(EXPECTATION_SUFFIX)
        )
    )


def policy_text(name: str) -> str:
    """Return the YAML of the shipped policy ``name``. Raises RefusedError for a name that does not ship."""
    if name not in policy_names():
        known = ", ".join(policy_names())
        raise RefusedError(
            f"no policy {name!r} ships with auditctl", check="policy-name", fix=f"choose one of: {known}"
        )
    return template("policies", name + POLICY_SUFFIX).read_text(encoding="utf-8")


def _flag(row: Mapping[str, str | Mapping[str, str]]) -> AuditFlag:
    defaults = row["defaults"]
    assert isinstance(defaults, dict)  # noqa: S101 - our own file, and its test
    return AuditFlag(
        name=str(row["name"]),
        type=FlagType(row["type"]),
        unit=str(row["unit"]),
        since=_version(str(row["since"])),
        defaults=tuple((_version(first), value) for first, value in defaults.items()),
        meaning=str(row["meaning"]),
        trap=str(row["trap"]),
    )


def _version(text: str) -> Version:
    major, minor = text.split(".")
    return int(major), int(minor), 0


@cache
def _shipped(name: str) -> Traversable:
    package = Path(__file__).parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    from importlib.resources import files  # inside an archive (the single-file build); it brings zipfile and tempfile

    return files("auditctl").joinpath(name)


class CrashKind(Enum):
    """What a line says of the start: no other start can go better, time may mend it, unknown, it serves all the same.

    ``ASIDE`` is a consequence of something else: told only where nothing better is known.
    """

    FINAL = "final"
    UNKNOWN = "unknown"
    TRANSIENT = "transient"
    WARNING = "warning"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashPattern:
    """How a line of kube-apiserver or the kubelet (``says``) is recognised, and what it means.

    ``cause`` and ``fix`` are sentences with the pattern's groups in braces. ``file`` is the user's file that is to blame
    (``policy``, ``webhook``, ``manifest`` or none), ``at`` a pattern for the place in it: groups in braces, ``line`` for
    the line that the words name.
    """

    name: str
    says: str
    kind: CrashKind
    pattern: str
    cause: str
    fix: str
    file: str = ""
    at: str = ""


@cache
def crashes(says: str = "apiserver") -> tuple[CrashPattern, ...]:
    """Return the known lines of ``apiserver`` or ``kubelet``, most specific first."""
    import json

    rows = json.loads(template("crashes.json").read_text(encoding="utf-8"))
    return tuple(CrashPattern(**{**row, "kind": CrashKind(row["kind"])}) for row in rows if row["says"] == says)
