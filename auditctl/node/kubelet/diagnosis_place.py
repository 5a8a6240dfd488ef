"""From the program's words to the user's own file, line and column, and to the one edit to make. Pure.

A policy is located by our own loader, whose verdict is the server's; a flag, a mount or an entry of a kubeconfig by the
pattern that stands beside the crash's own in ``templates/crashes.json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from typing import NamedTuple

from auditctl import facts
from auditctl.errors import ManifestError, Place
from auditctl.findings import Finding
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.crash import Crash
from auditctl.policy.load import load

# the server is down for want of this very change, so that its state must not keep it from being made
_MOUNTS = "auditctl enable --allow apiserver-ready  # mounts it"
_ELSE = "||"  # between patterns for a place: the first that is found counts
_LINE = "line"
# what the messages of the apiserver say without an index, ours with one
_INDEX_OF_ENTRY = re.compile(r"(\.resources)\[\d+\]")


class SourceFile(NamedTuple):
    """A file of the user's: the name under which it is known, and what it holds (None: it is not there)."""

    name: str
    raw: bytes | None


class Texts(NamedTuple):
    """The files that a crash can be blamed on. ``manifest_read`` is the Pod in it, None where it cannot be read."""

    manifest: SourceFile
    policy: SourceFile | None = None
    webhook: SourceFile | None = None
    manifest_read: Manifest | None = None


def placed(crash: Crash, texts: Texts) -> Crash:
    """The crash with its place, and with the edit that belongs there.

    Raises: nothing; a cause whose place is not found keeps the file's name alone.
    """
    match crash.file:
        case "policy":
            return _in_policy(crash, texts)
        case "webhook" if texts.webhook is not None:
            return replace(crash, place=_find(crash, texts.webhook))
        case "manifest":
            return _in_manifest(crash, texts)
        case _:
            return crash


def _in_policy(crash: Crash, texts: Texts) -> Crash:
    if texts.policy is None:
        return crash
    if texts.policy.raw is None:
        return replace(crash, place=Place(texts.policy.name))
    version = texts.manifest_read.version if texts.manifest_read else None
    finding = _finding(crash, load(texts.policy.raw, version[:2] if version else facts.NEWEST).findings)
    if finding is None:
        text = f"{crash.cause} (the file reads well now: it was changed since)"
        return replace(crash, cause=text, fix="auditctl restart", place=Place(texts.policy.name))
    place = Place(texts.policy.name, finding.line, finding.column)
    return replace(crash, place=place, fix=finding.fix or crash.fix)


def _finding(crash: Crash, findings: tuple[Finding, ...]) -> Finding | None:
    """The complaint of our own loader that is the server's: of the same field, else in the same words, else the first."""
    field = crash.groups.get("field", "")
    same = [finding for finding in findings if field and _INDEX_OF_ENTRY.sub(r"\1", finding.path) == field]
    worded = [finding for finding in findings if finding.message and finding.message in crash.words]
    return next(iter((*same, *worded, *findings)), None)


def _in_manifest(crash: Crash, texts: Texts) -> Crash:
    place = _place_of_field(crash, texts) or _find(crash, texts.manifest)
    return replace(_with_hint(crash, texts), place=place)


def _place_of_field(crash: Crash, texts: Texts) -> Place | None:
    """Where ``spec.containers[0].volumeMounts[1].name`` stands."""
    field = crash.groups.get("field", "")
    if not field.startswith(("spec.", "metadata.")) or texts.manifest.raw is None:
        return None
    steps = tuple(_steps(field))
    with suppress(ManifestError):
        return Document.parse(texts.manifest.raw, texts.manifest.name).place(steps)
    return None


def _steps(field: str) -> Iterator[str | int]:
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", field):
        yield int(index) if index else name


def _with_hint(crash: Crash, texts: Texts) -> Crash:
    """A misspelt flag has a likely meaning; a file that the container lacks has a place on the host, or no mount."""
    if crash.name == "flag-unknown":
        return replace(crash, fix=_flag_hint(crash.groups["flag"], texts) or crash.fix)
    path = crash.groups.get("path", "")
    if not path.startswith("/") or texts.manifest_read is None or crash.says == "kubelet":
        return crash
    with suppress(ManifestError):
        mounted = texts.manifest_read.host_path(path)
        if mounted is None:
            fix = _MOUNTS if crash.name in ("policy-missing", "webhook-missing") else crash.fix
            return replace(crash, cause=f"{crash.cause}: no mount of the manifest brings it in", fix=fix)
        return replace(crash, cause=f"{crash.cause} (on the host: {mounted.path})")
    return crash


def _flag_hint(name: str, texts: Texts) -> str:
    table = facts.audit_flags()
    version = texts.manifest_read.version if texts.manifest_read else None
    if name in table and version is not None and version < table[name].since:
        since = ".".join(map(str, table[name].since[:2]))
        return f"remove it: servers know --{name} from {since} on"
    meant = get_close_matches(name, table, 1, 0.85)
    return f"did you mean --{meant[0]}?" if meant else ""


def _find(crash: Crash, text: SourceFile) -> Place:
    """The place in the text, or its name alone."""
    raw = "" if text.raw is None else text.raw.decode(errors="replace")
    if crash.where == _LINE:
        named = re.search(r"\bline (\d+)\b", crash.words)
        return Place(text.name, int(named[1])) if named else Place(text.name)
    escaped = {name: re.escape(value) for name, value in crash.groups.items()}
    masked = re.sub(r"(?m)^[ \t]*#.*$", lambda comment: " " * len(comment[0]), raw)
    for pattern in crash.where.split(_ELSE) if crash.where else ():
        match = re.search(pattern.format_map(escaped), masked, re.MULTILINE)
        if match is not None:
            line_start = masked.rfind("\n", 0, match.start()) + 1
            return Place(text.name, masked.count("\n", 0, match.start()) + 1, match.start() - line_start + 1)
    return Place(text.name)
