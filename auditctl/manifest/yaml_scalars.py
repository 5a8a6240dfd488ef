"""How a string is spelled in YAML: quoted only where plain YAML would misread it, changed in its own spelling."""

from __future__ import annotations

from auditctl.errors import ManifestError, Place
from auditctl.manifest.plain_values import plain_value
from auditctl.manifest.yaml_nodes import Scalar, Style
from auditctl.patterns import lazily

# a plain scalar may not begin with an indicator (YAML 1.1, 5.3), except - ? : before a non-space
INDICATOR = lazily(r"[,\[\]{}#&*!|>'\"%@`]|[-?:](?:\s|$)|---|\.\.\.|=$|<<$|\s")
UNPRINTABLE = lazily(r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
ESCAPES = {"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _is_unprintable(text: str) -> bool:
    """Tell whether YAML cannot write the character as it is; printable ASCII is not looked up."""
    return not (text.isascii() and text.isprintable()) and UNPRINTABLE.search(text) is not None


def is_plain(text: str) -> bool:
    """Tell whether ``text`` may stand unquoted and is read back as that very string."""
    if INDICATOR.match(text) or _is_unprintable(text) or text != text.strip():
        return False
    return isinstance(plain_value(text), str) and ": " not in text and " #" not in text and not text.endswith(":")


def spelled(text: str) -> str:
    """Return ``text`` as one YAML scalar, plain where that is safe, else in double quotes."""
    return text if is_plain(text) else '"' + _escaped(text) + '"'


def _escaped(text: str) -> str:
    simple = "".join(ESCAPES.get(character, character) for character in text)
    return UNPRINTABLE.sub(lambda match: f"\\U{ord(match.group()):08x}", simple)


def respelled(source: str, node: Scalar, new: str, place: Place) -> str:
    """Return ``source`` (a scalar as it stands in the text) with its content replaced by ``new``, in its own quoting.

    What both contents begin with keeps its spelling. Raises ManifestError where that cannot be done exactly: a scalar
    over several lines, or with escapes.
    """
    position = source.find(node.text)
    if not node.text or position < 0 or source.find(node.text, position + 1) >= 0:
        raise ManifestError(
            "the value is spelled in a way that cannot be changed exactly: write it on one line", place=place
        )
    before, after = source[:position], source[position + len(node.text) :]
    match node.style:
        case Style.PLAIN if is_plain(new):
            return before + new + after
        case Style.PLAIN:
            return before + spelled(new) + after
        case Style.SINGLE if not _is_unprintable(new):
            return before + new.replace("'", "''") + after
        case Style.LITERAL | Style.FOLDED if not _is_unprintable(new) and new == new.strip():
            return before + new + after
        case Style.DOUBLE:
            return before + _escaped(new) + after
        case _:
            raise ManifestError("the new value cannot be spelled in this scalar's style", place=place)
