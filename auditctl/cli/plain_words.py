"""The words of a plain line, without typer: options apart from their values, and the global ones as a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from auditctl.cli.context import Globals

_SHORT = {"-o": "output", "-q": "quiet", "-v": "verbose"}


def globals_of(words: Sequence[str]) -> Globals | None:
    """The global options; None where typer has to say what is wrong with them."""
    found: dict[str, Any] = {}
    stream = apart(words)
    for word in stream:
        name = _SHORT.get(word, word.removeprefix("--").replace("-", "_"))
        if name in ("quiet", "verbose"):
            found[name] = True
        elif name in Globals._fields:
            found[name] = next(stream)
        else:
            return None
    for name in ("rootfs", "kubeconfig"):
        if name in found:
            found[name] = Path(found[name])
    said = Globals(**found)
    absolute = said.manifest.startswith("/") and said.state_dir.startswith("/")
    return said if absolute and said.output in ("text", "json", "yaml") else None


def apart(words: Sequence[str]) -> Iterator[str]:
    """``--name=value`` and ``-ojson`` as two words."""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            yield from (name, value)
        elif word.startswith("-o") and len(word) > 2:
            yield from ("-o", word[2:])
        else:
            yield word
