"""The tree that the single file and the .deb bring along: auditctl and the pure-Python packages that it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import ZipFile

Contents = Mapping[str, bytes]

# Of `name-1.0.dist-info`: what it is and what one may do with it.
_KEPT_OF_METADATA = re.compile(r"[^/]+\.dist-info/(METADATA|LICENSE[^/]*|licenses/.+)")
_LEFT_OUT = re.compile(
    r"ansible_collections/|[^/]+-stubs/|[^/]+\.data/"  # of no use on the node (types, the Ansible controller's part, scripts)
    r"|pygments/lexers/(?!__init__|_mapping)"  # 4 MB of languages; rich wants the registry, and we show none of them
    r"|typer/\.agents/"
)


def of_wheels(wheels: Iterable[Path], *, compiled: bool = False) -> Contents:
    """Return every file to ship, by its path below `site-packages`, sorted.

    Raises:
        ValueError: one is not pure Python, and ``compiled`` does not allow that.
    """
    found: dict[str, bytes] = {}
    for wheel in wheels:
        if not compiled and not wheel.name.endswith("-none-any.whl"):
            raise ValueError(f"{wheel.name} is not pure Python")
        with ZipFile(wheel) as archive:
            found |= {name: archive.read(name) for name in archive.namelist() if _is_shipped(name)}
    # `ruamel` without it is a namespace, and a system's own `ruamel` would be taken before ours
    return dict(sorted({"ruamel/__init__.py": b"", **found}.items()))


def _is_shipped(name: str) -> bool:
    if name.endswith("/") or _LEFT_OUT.match(name):
        return False
    return ".dist-info/" not in name or bool(_KEPT_OF_METADATA.fullmatch(name))
