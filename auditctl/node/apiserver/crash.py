"""Why the API server did not come up: its own words and the kubelet's, recognised. Pure; the patterns are data.

Only last words decide (``"command failed"``, ``Error: ...``, a fatal or a panic): any other line may quote a client.
Sources: component-base/cli/run.go, klog's header, golden crashes of 1.31.14 and 1.36.2; ``templates/crashes.json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from auditctl import facts
from auditctl.errors import Place
from auditctl.facts import CrashKind, CrashPattern
from auditctl.patterns import lazily

APISERVER = "apiserver"
KUBELET = "kubelet"

_KLOG = lazily(r"(?:\?\?\? )?([IWEF])(\d{4} \d\d:\d\d:\d\d\.\d+) +\d+ [^\]\s]+\] ?(.*)", re.DOTALL)
_COMMAND_FAILED = lazily(r'"command failed" err="(.*)"$', re.DOTALL)
_LAST_WORDS = lazily(r"(?:[Ee]rror: |panic: |fatal error: |runtime: out of memory)")
_CREDENTIALS = lazily(r"//[^/\s\"'@]*@")  # a webhook's server may hold a password, and the server quotes it
_WEIGHT = {kind: weight for weight, kind in enumerate(reversed(CrashKind))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One recognised line. ``words`` is the program's own; ``cause`` and ``fix`` say what it means and what to do.

    ``heals`` says whether another start could go better. ``groups`` are what the pattern caught, ``place`` is where in
    the user's own file the cause stands, ``at`` the time that the log itself gives the line (RFC 3339, or empty).
    """

    name: str
    words: str
    heals: bool
    cause: str = ""
    fix: str = ""
    kind: CrashKind = CrashKind.UNKNOWN
    says: str = APISERVER
    file: str = ""
    where: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = None
    at: str = ""

    @property
    def certain(self) -> bool:
        """Tell whether this is the cause in the program's own words, and not one that time may mend."""
        return self.kind in (CrashKind.FINAL, CrashKind.WARNING)

    def __str__(self) -> str:
        """Return cause and place, with the program's own words where the cause does not hold them."""
        where = f"{self.place}: " if self.place else ""
        own = "" if not self.cause or _squeezed(self.words) in _squeezed(self.cause) else f" ({self.words})"
        return f"{where}{self.cause or self.words}{own}"

    def outweighs(self, other: Crash | None) -> bool:
        """Tell whether it says more than an earlier one; of two alike the later one does."""
        return other is None or _WEIGHT[self.kind] >= _WEIGHT[other.kind]


class Line(NamedTuple):
    """One line of a log, without the runtime's and klog's prefixes.

    ``severity`` is klog's letter, empty where there is none; ``stamp`` klog's local ``MMDD HH:MM:SS.ffffff``.
    """

    text: str
    severity: str = ""
    stamp: str = ""
    at: str = ""

    @classmethod
    def of(cls, raw: str, at: str = "") -> Line:
        """Read what stands after the runtime's prefix; ``"command failed" err="..."`` becomes ``command failed: ...``."""
        header = _KLOG.match(raw.strip())
        if header is None:
            return cls(raw.strip(), at=at)
        failed = _COMMAND_FAILED.match(header[3])
        text = f"command failed: {_unquoted(failed[1])}" if failed else header[3]
        return cls(text, header[1], header[2], at)

    @property
    def is_last_words(self) -> bool:
        """Tell whether a process ends with this line."""
        return (
            self.severity == "F"
            or self.text.startswith("command failed: ")
            or (not self.severity and _LAST_WORDS.match(self.text) is not None)
        )


def recognise(lines: Iterable[str]) -> Crash | None:
    """Return the weightiest line of a container's log, the last one of its kind; None where none is known.

    Lines are without the runtime's prefix (``TIME STREAM F``). Raises: nothing.
    """
    return weightiest(recognised(Line.of(line)) for line in lines)


def weightiest(crashes: Iterable[Crash | None]) -> Crash | None:
    """Return the line that decides: final before unknown before transient; of one kind the last."""
    heaviest: Crash | None = None
    for crash in crashes:
        if crash is not None and crash.outweighs(heaviest):
            heaviest = crash
    return heaviest


def recognised(line: Line, says: str = APISERVER) -> Crash | None:
    """Return the meaning of one line; None where it is not known."""
    if line.severity == "I" or line.text.startswith("{"):  # news; audit events on standard output
        return None
    text = _CREDENTIALS.sub("//<redacted>@", line.text)
    text = text.replace("\\", "") if says == KUBELET else text
    for fact in facts.crashes(says):
        is_ours = says == KUBELET or line.is_last_words or fact.kind not in (CrashKind.FINAL, CrashKind.UNKNOWN)
        match = re.search(fact.pattern, text, re.DOTALL) if is_ours else None
        if match is not None:
            return _crash(fact, {name: value or "" for name, value in match.groupdict().items()}, text, line.at)
    return None


def _crash(fact: CrashPattern, groups: dict[str, str], text: str, at: str) -> Crash:
    heals = fact.kind is not CrashKind.FINAL
    return Crash(
        name=fact.name,
        words=_own_words(fact, groups, text),
        heals=heals,
        cause=fact.cause.format_map(groups),
        fix=fact.fix.format_map(groups),
        kind=fact.kind,
        says=fact.says,
        file=fact.file,
        where=fact.at,
        groups=MappingProxyType(groups),
        at=at,
    )


def _own_words(fact: CrashPattern, groups: Mapping[str, str], text: str) -> str:
    """Return the server's whole sentence; of the kubelet's structured line only the error."""
    if fact.says == APISERVER:
        return text.removeprefix("command failed: ").removeprefix("Error: ").strip()
    error = re.search(r'\berr="(.*?)"(?: [\w-]+="|$)', text)
    return groups.get("words") or (error[1] if error else text)


def _squeezed(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip()


def _unquoted(text: str) -> str:
    """Undo the quotes of klog, which uses strconv.Quote."""
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text, flags=re.DOTALL)
