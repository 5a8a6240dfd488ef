"""Global options may stand before or after the command: bring them to the front, where typer reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WITH_VALUE = ("--rootfs", "--manifest", "--state-dir", "--kubeconfig", "--output", "-o")
WITHOUT_VALUE = ("--quiet", "-q", "--verbose", "-v")


def hoist(words: Sequence[str]) -> list[str]:
    """The same words, global options first; whatever stands behind ``--`` is left alone."""
    front: list[str] = []
    rest: list[str] = []
    stream = iter(words)
    for word in stream:
        if word == "--":
            rest += [word, *stream]
        elif word in WITHOUT_VALUE or _has_value_in_it(word):
            front.append(word)
        elif word in WITH_VALUE:
            front += [word, *_next(stream)]
        else:
            rest.append(word)
    return front + rest


def _has_value_in_it(word: str) -> bool:
    """``--rootfs=DIR`` or ``-ojson``."""
    long = any(word.startswith(f"{name}=") for name in WITH_VALUE if name.startswith("--"))
    return long or (word.startswith("-o") and len(word) > 2)


def _next(stream: Iterator[str]) -> list[str]:
    value = next(stream, None)
    return [] if value is None else [value]
