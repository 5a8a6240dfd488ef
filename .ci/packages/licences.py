"""`/usr/share/doc/kube-auditctl/copyright`: Debian's machine-readable form, from what the packages themselves bring along."""

from __future__ import annotations

from email import message_from_bytes
from itertools import groupby

from packages.contents import Contents

_OURS = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: auditctl

Files: *
Copyright: The auditctl authors
License: Apache-2.0

License: Apache-2.0
 The whole text is in /usr/share/common-licenses/Apache-2.0 on Debian systems.
"""


def of(contents: Contents, place: str) -> str:
    """The page; ``place`` is where the packages lie."""
    metadata = [name for name in contents if name.endswith(".dist-info/METADATA") and not name.startswith("auditctl-")]
    return "\n".join([_OURS, *(_stanza(contents, name.removesuffix("METADATA"), place) for name in metadata)])


def _stanza(contents: Contents, folder: str, place: str) -> str:
    """One package: its files, and the texts of its licence files, which name the holders."""
    package = message_from_bytes(contents[f"{folder}METADATA"])["Name"].lower()
    texts = [contents[name].decode() for name in contents if name.startswith(folder) and not name.endswith("METADATA")]
    stem = package.replace("-py", "").replace("-", "_").replace("ruamel.yaml", "ruamel")
    holders = " and ".join(
        sorted({line.strip() for text in texts for line in text.splitlines() if _names_a_holder(line)})
    )
    return (
        f"Files: {place}/{stem}*\nCopyright: {holders or f'the authors of {package}'}\nLicense: {package}\n\n"
        f"License: {package}\n{_indented(chr(10).join(texts))}\n"
    )


def _names_a_holder(line: str) -> bool:
    return line.strip().lower().startswith("copyright (c)") or line.strip().lower().startswith("copyright 2")


def _indented(text: str) -> str:
    """Text of a field: a space before each line, a dot where it is empty."""
    blocks = groupby(text.strip().splitlines(), key=lambda line: not line.strip())
    return "\n".join(" ." if empty else "\n".join(f" {line.rstrip()}" for line in lines) for empty, lines in blocks)
