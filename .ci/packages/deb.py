"""The .deb: a tree in /opt/auditctl that looks like a virtual environment of whatever Python the machine has, and names outside."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packages import licences, manual
from packages.contents import Contents
from packages.tree import HOME, RECOVER, UNIT, Tree, put_manual, put_names

_DEBIAN = Path(__file__).with_name("debian")
# Python looks in lib/python3.N of its environment: these lead to the one tree. 3.15 is a year away.
_MINORS = range(10, 16)


def write(folder: Path, contents: Contents, single_file: Path, epoch: int) -> Path:
    """Build it with `dpkg-deb`. The manual and the completions come out of ``single_file``."""
    sys.path.insert(0, str(single_file))
    from auditctl import __version__

    version = f"{__version__}-1"
    path = folder / f"kube-auditctl_{version}_all.deb"
    with tempfile.TemporaryDirectory() as room:
        tree = Tree(Path(room, "tree"))
        _program(tree, contents)
        put_names(tree, zsh="vendor-completions")
        put_manual(tree, version, epoch)
        _papers(tree, contents, version, epoch)
        _control(tree, version)
        tree.settle(epoch)
        tree.root.chmod(0o755)
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree.root), str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # it reads SOURCE_DATE_EPOCH, too
    return path


def _program(tree: Tree, contents: Contents) -> None:
    """The environment: no version of Python in it, so that it outlives an upgrade of Debian."""
    for name, content in contents.items():
        mode = 0o755 if content.startswith(b"#!") else 0o644
        tree.put(f"{HOME}/lib/python3/site-packages/{name}", content, mode)
    for minor in _MINORS:
        tree.link(f"{HOME}/lib/python3.{minor}", "python3")
    tree.put(f"{HOME}/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    tree.link(f"{HOME}/bin/python3", "/usr/bin/python3")
    for name in ("auditctl", *manual.NAMES):
        tree.put(f"{HOME}/bin/{name}", (_DEBIAN / "launcher").read_bytes(), 0o755)
    tree.put(UNIT, contents[RECOVER])


def _papers(tree: Tree, contents: Contents, version: str, epoch: int) -> None:
    first = manual.NAMES[0]
    day = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch))
    entry = (
        f"  * See changelog.gz for what users notice.\n\n -- The auditctl authors <auditctl@packages.invalid>  {day}\n"
    )
    papers = f"usr/share/doc/{first}"
    tree.put_packed(f"{papers}/changelog.Debian", f"{first} ({version}) unstable; urgency=medium\n\n{entry}")
    tree.put_packed(f"{papers}/changelog", Path("CHANGELOG.md").read_bytes())
    tree.put(f"usr/share/lintian/overrides/{first}", (_DEBIAN / "lintian-overrides").read_bytes())
    tree.put(f"{papers}/copyright", licences.of(contents, f"{HOME}/lib/python3/site-packages"))


def _control(tree: Tree, version: str) -> None:
    text = (_DEBIAN / "control").read_text()
    digests = [f"{_md5(path)}  {name}\n" for name, path in tree.files()]
    tree.put("DEBIAN/md5sums", "".join(digests))
    tree.put("DEBIAN/control", text.replace("@VERSION@", version).replace("@SIZE@", str(tree.kilobytes())))
    for name in ("preinst", "postinst", "prerm", "postrm"):
        tree.put(f"DEBIAN/{name}", (_DEBIAN / name).read_bytes(), 0o755)


def _md5(path: Path) -> str:
    """What `dpkg --verify` compares with; it finds damage, not malice."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
