"""The policies that a command on many files judges: files, folders, patterns, and policies inside other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.operations.policy_files import PolicyText, read
from auditctl.policy.embedded import MARKS, EmbeddedPolicy, embedded_policies

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_PATTERN = frozenset("*?[")


class PolicySource(NamedTuple):
    """One policy to judge: a whole file, or one that is inside of it."""

    name: str
    raw: bytes
    inside: EmbeddedPolicy | None = None

    @property
    def title(self) -> str:
        """Return the file's name, with the place in it where the policy is a part of it."""
        return f"{self.name}: {self.inside.path}" if self.inside else self.name

    def placed(self, finding: Finding) -> Finding:
        """Return a finding of ``raw`` with the name of the file, and its place there."""
        return replace((self.inside.placed(finding) if self.inside else finding), file=self.name)


def policy_sources(names: Iterable[str]) -> tuple[PolicySource, ...]:
    """Return the policies of files, and of all YAML and JSON files of folders and patterns that mention one.

    Raises:
        RefusedError: a file cannot be read, or a folder or pattern holds no policy.
    """
    return tuple(source for name in names for text in _texts(name) for source in _policies(text))


def _policies(text: PolicyText) -> Iterator[PolicySource]:
    inside = embedded_policies(text.raw)
    yield from (PolicySource(text.name, each.raw, each) for each in inside)
    if not inside:
        yield PolicySource(text.name, text.raw)


def _texts(name: str) -> Iterator[PolicyText]:
    """Yield the text of a file; of a folder or pattern those that hold a policy, sorted by name."""
    path = Path(name)
    is_folder = bool(name) and path.is_dir()  # "" is not a name of the working directory
    if not is_folder and (path.exists() or not _PATTERN & set(name)):
        yield read(name)
        return
    mentioned = False
    for each in _files_below(path) if is_folder else _matching(name):
        text = read(str(each))
        if any(mark in text.raw for mark in MARKS) and (embedded_policies(text.raw) or _begins_as_policy(text.raw)):
            mentioned = True
            yield text
    if not mentioned:
        raise RefusedError(f"{name}: no file there holds an audit policy", check="policy-missing", fix="name a file")


def _begins_as_policy(raw: bytes) -> bool:
    """Return whether a line of the file itself says that it is a policy, readable or not."""
    return any(
        line.lstrip(b"{ ").startswith((b"apiVersion: audit.k8s.io/", b'"apiVersion": "audit.k8s.io/'))
        for line in raw.splitlines()
    )


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the YAML and JSON files of a folder and of those in it, but for hidden ones."""
    for each in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in each.relative_to(folder).parts)
        if each.suffix in _SUFFIXES and each.is_file() and not hidden:
            yield each


def _matching(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    root, rest = (Path(path.anchor), path.relative_to(path.anchor)) if path.anchor else (Path(), path)
    yield from (each for each in sorted(root.glob(str(rest))) if each.is_file())
