"""The flags of a command line, as pflag reads them (``github.com/spf13/pflag``, ``staging/src/k8s.io/component-base/cli``)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from auditctl.errors import ManifestError
from auditctl.facts import FlagType, audit_flags
from auditctl.manifest.document import Document
from auditctl.patterns import lazily

AUDIT = "audit-"
STANDARD_OUTPUT = "-"
TRUE = "true"

Path = tuple[str | int, ...]

# hyphens and dashes of Unicode (U+2010 to U+2015, minus, small and full-width forms), alone or with hyphens, before a name
_ODD_DASHES = lazily(
    "(-?[\u2010-\u2015\u2212\ufe58\ufe63\uff0d][-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]*)[a-z][a-z0-9_-]*(?:=|$)"
)


class Item(NamedTuple):
    """One word of the command line: its text, the list that it stands in (``command`` or ``args``), its index."""

    text: str
    list_path: Path
    position: int

    @property
    def path(self) -> Path:
        """Return the path of the item in the document."""
        return (*self.list_path, self.position)


class Flag(NamedTuple):
    """One flag: its name without dashes and with underscores made dashes, its value, the items that hold it.

    ``value_item`` is the second item of the form ``--name value``. ``spelled`` is False for a bool without a value.
    """

    name: str
    value: str
    item: Item
    value_item: Item | None = None
    spelled: bool = True

    @property
    def is_audit(self) -> bool:
        """Tell whether the flag belongs to auditing."""
        return self.name.startswith(AUDIT)


def normalised(name: str) -> str:
    """Return a flag's name without leading dashes, underscores made dashes (component-base WordSepNormalizeFunc)."""
    return name.lstrip("-").replace("_", "-")


def read_flags(items: Sequence[Item], document: Document) -> tuple[Flag, ...]:
    """Return the flags among ``items`` (the words behind the program's name), in order.

    Raises ManifestError for what pflag would refuse about audit flags, and for one that is there twice.
    """
    for item in items:
        _refuse_odd_dash(item, document)
    flags: list[Flag] = []
    position = 0
    while position < len(items):
        flag = _flag(items, position, document)
        if flag:
            flags.append(flag)
        position += 2 if flag and flag.value_item else 1
    _refuse_repeated(flags, document)
    return tuple(flags)


def _flag(items: Sequence[Item], position: int, document: Document) -> Flag | None:
    item = items[position]
    if item.text == "--":
        raise ManifestError(
            "'--' ends the flags here: kube-apiserver takes no arguments", place=document.place(item.path)
        )
    if not item.text.startswith("--"):
        _refuse_single_dash(item, document)
        return None
    name, equals, value = item.text.partition("=")
    name = normalised(name)
    if equals:
        return Flag(name, value, item)
    following = items[position + 1] if position + 1 < len(items) else None
    return _bare(name, item, following, document)


def _bare(name: str, item: Item, following: Item | None, document: Document) -> Flag:
    """Read a flag without ``=``: a bool, or one whose value is the next item."""
    known = audit_flags().get(name)
    is_value = following is not None and not (following.text.startswith("-") and following.text != STANDARD_OUTPUT)
    if known and known.type is FlagType.BOOL:
        if following is not None and is_value:
            raise ManifestError(
                f"--{name} takes no separate value: the API server refuses {following.text!r} as an argument",
                fix=f"write --{name}={following.text}",
                place=document.place(following.path),
            )
        return Flag(name, TRUE, item, spelled=False)
    if following is not None and is_value:
        return Flag(name, following.text, item, following)
    if known:
        raise ManifestError(
            f"--{name} has no value"
            + (f": the next item is {following.text.partition('=')[0]!r}" if following else ""),
            fix=f"write --{name}=VALUE",
            place=document.place(item.path),
        )
    return Flag(name, TRUE, item, spelled=False)


def _refuse_odd_dash(item: Item, document: Document) -> None:
    """Raise ManifestError for a flag that begins with a character that only looks like a hyphen (a word processor's)."""
    odd = _ODD_DASHES.match(item.text)
    if odd is None:
        return
    code = next(character for character in odd[1] if character != "-")
    raise ManifestError(
        f"the item {item.text.partition('=')[0]!r} begins with U+{ord(code):04X} ({unicodedata.name(code).lower()}), not with "
        "two hyphens: the API server takes it for an argument and does not start",
        check="odd-dash",
        fix=f"write --{item.text[len(odd[1]) :]}",
        place=document.place(item.path),
    )


def _refuse_single_dash(item: Item, document: Document) -> None:
    if item.text.startswith("-") and normalised(item.text).startswith(AUDIT):
        raise ManifestError(
            f"{item.text.partition('=')[0]!r} has a single dash: the API server does not start with it",
            fix="write it with two dashes",
            place=document.place(item.path),
        )


def _refuse_repeated(flags: Sequence[Flag], document: Document) -> None:
    earlier: dict[str, Flag] = {}
    for flag in flags:
        if flag.is_audit and flag.name in earlier:
            first = document.place(earlier[flag.name].item.path)
            raise ManifestError(
                f"--{flag.name} is there twice (first in line {first.line}): the last one wins silently",
                check="repeated-flag",
                fix="remove one of them",
                place=document.place(flag.item.path),
            )
        earlier.setdefault(flag.name, flag)
