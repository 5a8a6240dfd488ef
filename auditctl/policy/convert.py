"""Policies of old versions to v1: the fields are the same, so only the word of the version changes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from auditctl.errors import Place, PolicyError
from auditctl.patterns import lazily
from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.json import read_json
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.load import load
from auditctl.policy.type_meta import BETA_VERSIONS, GROUP, V1

_READS_ALL = (1, 23)
_LINE_END = lazily(rb"\r\n|\r|\n")


class Converted(NamedTuple):
    """The text in v1, and the version that it had."""

    text: bytes
    version: str


def convert(raw: bytes, file: str = "") -> Converted:
    """Return the same text with ``audit.k8s.io/v1`` for its version, every other byte as it was.

    Raises:
        PolicyError: a server of 1.23, the last that reads the old versions, would refuse it; or the version does not
            stand in the text as such (an alias, an escape).
    """
    loaded = load(raw, _READS_ALL)
    if loaded.policy is None:
        findings = tuple(replace(finding, file=file) for finding in loaded.findings)
        raise PolicyError(
            f"{file}: this is no policy of any version: {loaded.error}", check="policy", findings=findings
        )
    value = _version(raw)
    version = value.text.removeprefix(f"{GROUP}/")
    if version == V1:
        return Converted(raw, version)
    text = _spliced(raw, value, version)
    if version not in BETA_VERSIONS or text is None or load(text).policy != loaded.policy:
        place = Place(file, value.line, value.column)
        raise PolicyError("the version cannot be replaced here", fix=f"write {GROUP}/{V1} by hand", place=place)
    return Converted(text, version)


def _version(raw: bytes) -> Value:
    """Return what stands behind ``apiVersion``, in any case of the letters, as the server looks for it."""
    try:
        value = read_json(raw) if raw.lstrip().startswith(b"{") else read_yaml(raw).value
    except SyntaxFault:  # pragma: no cover - it has been loaded
        value = Value(JsonKind.NULL)
    versions = [pair.value for pair in value.pairs if pair.key.casefold() == "apiversion"]
    return versions[-1] if versions else Value(JsonKind.NULL)


def _spliced(raw: bytes, value: Value, version: str) -> bytes | None:
    """Return the text with the version replaced where the value stands, None if it does not stand there."""
    starts = [0, *(match.end() for match in _LINE_END.finditer(raw))]
    if not 0 < value.line <= len(starts):
        return None
    written = f"{GROUP}/{version}".encode()
    start = raw.find(written, starts[value.line - 1])
    end = starts[value.line] if value.line < len(starts) else len(raw)
    if not 0 <= start < end:
        return None
    return raw[:start] + f"{GROUP}/{V1}".encode() + raw[start + len(written) :]
