"""YAML as the Kubernetes components read it, and their words for what does not parse (go-yaml v2, yaml.go `fail`)."""

from __future__ import annotations

from typing import Any

from auditctl.errors import ManifestError
from auditctl.manifest.document import load

# libyaml's words for what PyYAML's children (ruamel) say in others; the first that fits counts
_WORDS = (
    ("while parsing a block mapping", "did not find expected key"),
    ("while parsing a block collection", "did not find expected '-' indicator"),
    ("while parsing a flow sequence", "did not find expected ',' or ']'"),
    ("while parsing a flow mapping", "did not find expected ',' or '}'"),
    ("expected the node content", "did not find expected node content"),
    ("could not find expected ':'", "could not find expected ':'"),
    ("cannot start any token", "found character that cannot start any token"),
    ("mapping values are not allowed", "mapping values are not allowed in this context"),
    ("sequence entries are not allowed", "block sequence entries are not allowed in this context"),
    ("found unexpected end of stream", "found unexpected end of stream"),
    ("document start", "did not find expected <document start>"),
)


class YAMLWordsError(ManifestError):
    """Text that does not parse; the message is go-yaml's: ``yaml: line 41: did not find expected key``."""


def read(text: str) -> object:
    """The plain value of the first document; None if it is empty. Raises YAMLWordsError."""
    try:
        return load(text)
    except ManifestError as error:
        line, words = _line(error), _words(error)
        raise YAMLWordsError(f"yaml: line {line}: {words}" if line else f"yaml: {words}") from error


def _words(error: ManifestError) -> str:
    text = f"{error.message} {error.__cause__ or ''}"
    return next((words for found, words in _WORDS if found in text), "did not find expected key")


def _line(error: ManifestError) -> int:
    """go-yaml prefers the line of the problem, counts from 0 there, and adds one for errors of its scanner only."""
    cause: Any = error.__cause__
    context, problem = getattr(cause, "context_mark", None), getattr(cause, "problem_mark", None)
    line = next((mark.line for mark in (problem, context) if mark is not None and mark.line), 0)
    if not line and error.place is not None and cause is None:
        return error.place.line
    return line + 1 if line and type(cause).__name__ == "ScannerError" else line
