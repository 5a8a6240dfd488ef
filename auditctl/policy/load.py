"""Text to policy: the server's verdict in its own words, what it would drop silently, and every complaint at once.

The steps are those of `apiserver/pkg/audit/policy/reader.go LoadPolicyFromBytes`: read YAML or JSON, ask what object it
is, decode it strictly (a strict complaint is only a warning to the server), check its version, validate.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from auditctl import facts
from auditctl.findings import Finding
from auditctl.patterns import lazily
from auditctl.policy import advice
from auditctl.policy.decode import Decoded, Strictness, decode
from auditctl.policy.goyaml.construct import DecodedDocument, read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.json import read_json
from auditctl.policy.schema import policy_schema
from auditctl.policy.type_meta import INTERNAL, KindFault, TypeName, accepted_versions, check_known, type_name
from auditctl.policy.types import Policy
from auditctl.policy.unvalidated import draft_of, policy_of
from auditctl.policy.validate import Complaint, aggregate, validate

_STRICT_SINCE = (1, 26)
_MOST_UNKNOWN_FIELDS = 100
# `yaml.IsJSONBuffer` skips what is a blank to Unicode, though JSON itself takes no such blank
_JSON_START = lazily(
    rb"(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)*\{"
)
_PROTOBUF_PREFIX = b"k8s\0"


Places = Mapping[str, tuple[int, int]]
"""Line and column of each known field by its path (``rules[0].verbs[1]``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What the server makes of a text.

    ``policy`` is None if it is refused, and ``error`` then the server's words without the ``loading audit policy
    file:`` before and the file name behind them. ``warning`` is what it logs when strict decoding minds and lenient
    decoding does not. ``dropped`` are the paths of the fields it ignores, ``findings`` all of this at once, with lines.
    """

    policy: Policy | None = None
    error: str = ""
    warning: str = ""
    dropped: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    places: Places = field(default_factory=dict)


def load(raw: bytes, version: tuple[int, int] = facts.NEWEST) -> LoadResult:
    """Return what a server of that ``version`` makes of ``raw``. Never raises."""
    with _without_collector():
        return _loaded(raw, version)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the cyclic garbage collector: reading makes no cycles, and to look for them takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _loaded(raw: bytes, version: tuple[int, int]) -> LoadResult:
    try:
        document = _read(raw)
    except SyntaxFault as fault:
        return _refused(fault.text, advice.syntax(fault, raw))
    try:
        name = type_name(document.value, raw)
        check_known(name, version)
    except KindFault as fault:
        return _refused(str(fault), advice.kind(str(fault), document.value, accepted_versions(version)))
    package = "audit" if name.version == INTERNAL else name.version
    decoded = decode(document.value, policy_schema(package, version))
    return _judge(_Read(document, name, decoded, version))


def _refused(error: str, finding: Finding) -> LoadResult:
    return LoadResult(error=f"failed decoding: {error}", findings=(finding,))


def _read(raw: bytes) -> DecodedDocument:
    if raw.startswith(_PROTOBUF_PREFIX):
        raise SyntaxFault("the text is protobuf, which auditctl does not read")
    if not _JSON_START.match(raw):
        return read_yaml(raw)
    try:
        return DecodedDocument(read_json(raw), ())
    except SyntaxFault as fault:
        text = f"couldn't get version/kind; json parse error: {fault.text}"
        raise SyntaxFault(text, fault.line, fault.column) from fault


class _Read(NamedTuple):
    """A text that could be read, and the object in it."""

    document: DecodedDocument
    name: TypeName
    decoded: Decoded
    version: tuple[int, int]


def _judge(read: _Read) -> LoadResult:
    decoded, duplicates = read.decoded, read.document.duplicates
    draft = draft_of(decoded.fields)
    # a field whose type is wrong is empty: what validation says of that is not news
    faulty = {fault.path for fault in decoded.faults}
    complaints = validate(draft, read.version)
    findings = (
        *(advice.type_fault(fault) for fault in decoded.faults),
        *(advice.duplicate(duplicate) for duplicate in duplicates),
        *(advice.stray(stray, with_meaning=index < _MOST_UNKNOWN_FIELDS) for index, stray in enumerate(decoded.strays)),
        *(advice.complaint(complaint, decoded.places) for complaint in complaints if complaint.path not in faulty),
    )
    if decoded.faults:
        return LoadResult(error=f"failed decoding: {decoded.faults[0].text}", findings=findings)
    error = _error(read, complaints, empty=not draft.rules)
    if error and not complaints:
        findings = (*findings, advice.verdict(error, read.document.value))
    return LoadResult(
        policy=None if error else policy_of(draft, decoded.places),
        error=error,
        warning=_warning(read),
        dropped=tuple(stray.path for stray in decoded.strays if stray.strictness is Strictness.UNKNOWN),
        findings=findings,
        places=decoded.places,
    )


def _error(read: _Read, complaints: tuple[Complaint, ...], *, empty: bool) -> str:
    if read.name.version not in accepted_versions(read.version):
        return f"unknown group version field {read.name} in policy"
    if complaints:
        return aggregate(complaints)
    return "loaded illegal policy with 0 rules" if empty else ""


def _warning(read: _Read) -> str:
    """`runtime.NewStrictDecodingError`. Older servers decode leniently at once and say nothing."""
    parts = []
    if read.document.duplicates:
        lines = "\n  ".join(str(duplicate) for duplicate in read.document.duplicates)
        parts.append(f"yaml: unmarshal errors:\n  {lines}")
    parts += (str(stray) for stray in read.decoded.strays[:_MOST_UNKNOWN_FIELDS])
    if not parts or read.version < _STRICT_SINCE:
        return ""
    return f"strict decoding error: {', '.join(parts)}"
