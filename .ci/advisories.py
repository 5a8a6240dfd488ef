#!/usr/bin/env python3
"""Ask an advisory database about every pinned package: what the tests install, what builds, and what is shipped.

    .ci/advisories.py [--url URL] [FILE...]

Exit code 0: nothing is known against them. 1: something is, a line each. 3: the database could not be asked, which says
nothing about the packages. It is asked as https://google.github.io/osv.dev/post-v1-querybatch/ describes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
URL = "https://api.osv.dev/v1/querybatch"
PAGE = "https://osv.dev/vulnerability/"
_SECONDS = 30.0
_LARGEST_ANSWER = 10 << 20
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


class Package(NamedTuple):
    """One pinned package."""

    name: str
    version: str


class NotAskedError(Exception):
    """The database did not answer; nothing is known."""


def pinned(files: Sequence[Path]) -> list[Package]:
    """Return every package that the files pin, each version once."""
    found = (Package(*match) for file in files for match in _PINNED.findall(file.read_text(encoding="utf-8")))
    return sorted(set(found))


def advisories(packages: Sequence[Package], url: str) -> Iterator[tuple[Package, str]]:
    """Yield each package against which something is known, and the number of the advisory.

    Raises:
        NotAskedError: no whole answer came.
    """
    pending = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages]
    asked: Sequence[Package] = packages
    while pending:
        results = _answer(pending, url)
        if len(results) != len(pending):
            raise NotAskedError(f"{len(pending)} packages were asked for, {len(results)} were answered")
        further: list[tuple[Package, dict[str, Any]]] = []
        for package, query, result in zip(asked, pending, results, strict=True):
            yield from ((package, str(one["id"])) for one in result.get("vulns") or ())
            if token := result.get("next_page_token"):
                further.append((package, {**query, "page_token": token}))
        asked, pending = [package for package, _ in further], [query for _, query in further]


def _answer(queries: Sequence[dict[str, Any]], url: str) -> list[dict[str, Any]]:
    body = json.dumps({"queries": queries}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 (fixed, or the caller's)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return [dict(one) for one in json.loads(answer.read(_LARGEST_ANSWER))["results"]]
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise NotAskedError(f"{type(error).__name__}: {error}") from error


def main(words: Sequence[str] | None = None) -> int:
    """Print what is known; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=URL)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args(words)
    files = options.files or [HERE / "requirements.txt", *sorted((HERE / "packages").glob("*.txt"))]
    packages = pinned(files)
    if not packages:
        parser.error("these files pin no package")
    try:
        known = list(advisories(packages, options.url))
    except NotAskedError as error:
        sys.stderr.write(
            f"not asked: {options.url}: {error}. Nothing is known about {len(packages)} pinned packages.\n"
        )
        return 3
    for package, number in known:
        sys.stdout.write(f"{package.name} {package.version}: {number} ({PAGE}{number})\n")
    if not known:
        sys.stdout.write(f"{len(packages)} pinned packages: no advisory is known\n")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
