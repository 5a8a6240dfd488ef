"""The file tree of a package, and what is the same in all: names on PATH, their manual, their completions."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

from packages import manual

_DEBIAN = Path(__file__).with_name("debian")
HOME = "opt/auditctl"
FOR_KUBECTL = "kubectl_complete-auditctl"
RECOVER = "auditctl/templates/systemd/auditctl-recover.service"
UNIT = "usr/lib/systemd/system/auditctl-recover.service"
_COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/{}",
    "zsh": "usr/share/zsh/{}/_{}",
    "fish": "usr/share/fish/vendor_completions.d/{}.fish",
}


class Tree:
    """A file tree in the making, below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, content: str | bytes, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    def put_packed(self, name: str, content: str | bytes) -> None:
        raw = content.encode() if isinstance(content, str) else content
        packed = io.BytesIO()
        with gzip.GzipFile(
            "", "wb", 9, packed, mtime=0
        ) as file:  # gzip.compress writes another header with each Python
            file.write(raw)
        self.put(f"{name}.gz", packed.getvalue())

    def link(self, name: str, target: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def files(self) -> list[tuple[str, Path]]:
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        return sorted((str(path.relative_to(self.root)), path) for path in found)

    def kilobytes(self) -> int:
        return sum(path.lstat().st_size // 1024 + 1 for path in self.root.rglob("*"))

    def settle(self, epoch: int) -> None:
        """Modes as Debian has them, one time for all."""
        for path in sorted(self.root.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
            os.utime(path, (epoch, epoch), follow_symlinks=False)


def put_names(tree: Tree, *, zsh: str) -> None:
    """Put what is found on PATH, and its completions; never `auditctl`, which is auditd's. ``zsh`` is its folder for them."""
    from auditctl.cli.completion_command import script

    for name in manual.NAMES:
        tree.link(f"usr/bin/{name}", f"/{HOME}/bin/{name}")
        for shell, place in _COMPLETIONS.items():
            tree.put(place.format(*([zsh, name] if shell == "zsh" else [name])), script(name, shell) + "\n")
    tree.put(f"usr/bin/{FOR_KUBECTL}", (_DEBIAN / "kubectl_complete").read_bytes(), 0o755)


def put_manual(tree: Tree, version: str, epoch: int) -> None:
    """Put the page under each name. Debian's form of links, which the others read, too."""
    first, *others = manual.NAMES
    tree.put_packed(f"usr/share/man/man8/{first}.8", manual.page(version, epoch))
    for name in (*others, FOR_KUBECTL):
        tree.link(f"usr/share/man/man8/{name}.8.gz", f"{first}.8.gz")
