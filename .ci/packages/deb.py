"""The .deb: a tree in /opt/auditctl that looks like a virtual environment of whatever Python the machine has, and names outside."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packages import licences, manual
from packages.contents import Contents

_DEBIAN = Path(__file__).with_name("debian")
_HOME = "opt/auditctl"
# Python looks in lib/python3.N of its environment: these lead to the one tree. 3.15 is a year away.
_MINORS = range(11, 16)
_COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/{}",
    "zsh": "usr/share/zsh/vendor-completions/_{}",
    "fish": "usr/share/fish/vendor_completions.d/{}.fish",
}
_FOR_KUBECTL = "kubectl_complete-auditctl"
_RECOVER = "auditctl/templates/systemd/auditctl-recover.service"


class _Tree:
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


def write(folder: Path, contents: Contents, single_file: Path, epoch: int) -> Path:
    """Build it with `dpkg-deb`. The manual and the completions come out of ``single_file``."""
    sys.path.insert(0, str(single_file))
    from auditctl import __version__

    version = f"{__version__}-1"
    path = folder / f"kube-auditctl_{version}_all.deb"
    with tempfile.TemporaryDirectory() as room:
        tree = _Tree(Path(room, "tree"))
        _program(tree, contents)
        _names(tree)
        _papers(tree, contents, version, epoch)
        _control(tree, version)
        tree.settle(epoch)
        tree.root.chmod(0o755)
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree.root), str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # it reads SOURCE_DATE_EPOCH, too
    return path


def _program(tree: _Tree, contents: Contents) -> None:
    """The environment: no version of Python in it, so that it outlives an upgrade of Debian."""
    for name, content in contents.items():
        mode = 0o755 if content.startswith(b"#!") else 0o644
        tree.put(f"{_HOME}/lib/python3/site-packages/{name}", content, mode)
    for minor in _MINORS:
        tree.link(f"{_HOME}/lib/python3.{minor}", "python3")
    tree.put(f"{_HOME}/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    tree.link(f"{_HOME}/bin/python3", "/usr/bin/python3")
    for name in ("auditctl", *manual.NAMES):
        tree.put(f"{_HOME}/bin/{name}", (_DEBIAN / "launcher").read_bytes(), 0o755)
    tree.put("usr/lib/systemd/system/auditctl-recover.service", contents[_RECOVER])


def _names(tree: _Tree) -> None:
    """What is found on PATH, its manual and its completions; never `auditctl`, which is auditd's."""
    from auditctl.cli.completion import script

    for name in manual.NAMES:
        tree.link(f"usr/bin/{name}", f"/{_HOME}/bin/{name}")
        for shell, place in _COMPLETIONS.items():
            tree.put(place.format(name), script(name, shell) + "\n")
    tree.put(f"usr/bin/{_FOR_KUBECTL}", (_DEBIAN / "kubectl_complete").read_bytes(), 0o755)


def _papers(tree: _Tree, contents: Contents, version: str, epoch: int) -> None:
    first, *others = manual.NAMES
    tree.put_packed(f"usr/share/man/man8/{first}.8", manual.page(version, epoch))
    for name in (*others, _FOR_KUBECTL):
        tree.link(f"usr/share/man/man8/{name}.8.gz", f"{first}.8.gz")
    day = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch))
    entry = (
        f"  * See changelog.gz for what users notice.\n\n -- The auditctl authors <auditctl@packages.invalid>  {day}\n"
    )
    papers = f"usr/share/doc/{first}"
    tree.put_packed(f"{papers}/changelog.Debian", f"{first} ({version}) unstable; urgency=medium\n\n{entry}")
    tree.put_packed(f"{papers}/changelog", Path("CHANGELOG.md").read_bytes())
    tree.put(f"usr/share/lintian/overrides/{first}", (_DEBIAN / "lintian-overrides").read_bytes())
    tree.put(f"{papers}/copyright", licences.of(contents, f"{_HOME}/lib/python3/site-packages"))


def _control(tree: _Tree, version: str) -> None:
    text = (_DEBIAN / "control").read_text()
    digests = [f"{_md5(path)}  {name}\n" for name, path in tree.files()]
    tree.put("DEBIAN/md5sums", "".join(digests))
    tree.put("DEBIAN/control", text.replace("@VERSION@", version).replace("@SIZE@", str(tree.kilobytes())))
    for name in ("preinst", "postinst", "prerm", "postrm"):
        tree.put(f"DEBIAN/{name}", (_DEBIAN / name).read_bytes(), 0o755)


def _md5(path: Path) -> str:
    """What `dpkg --verify` compares with; it finds damage, not malice."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
