"""The .rpm: the executable in /opt/auditctl, and names outside; built with `rpmbuild`, on whatever system that runs."""

from __future__ import annotations

import platform
import subprocess
import tempfile
import time
from pathlib import Path

from packages import licences, manual
from packages.contents import Contents
from packages.tree import HOME, RECOVER, UNIT, Tree, put_manual, put_names

_REDHAT = Path(__file__).with_name("redhat")
_LICENCE = "Apache-2.0 AND MIT AND BSD-2-Clause AND BSD-3-Clause AND PSF-2.0 AND Zlib"
_PAPERS = "usr/share/doc/kube-auditctl"
# The same bytes on every machine and at every time.
_SETTINGS = {
    "_buildhost": "packages.invalid",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "_binary_payload": "w9.xzdio",
    "_source_filedigest_algorithm": "8",
    "_binary_filedigest_algorithm": "8",
    "optflags": "-O2",
}


def write(folder: Path, contents: Contents, executable: Path, url: str, needed: int, epoch: int) -> Path:
    """Build it. ``needed`` is the N of the glibc 2.N that ``executable`` wants; ``contents`` has auditctl's own files."""
    from auditctl import __version__

    machine = platform.machine()
    with tempfile.TemporaryDirectory() as room:
        tree = Tree(Path(room, "tree"))
        _fill(tree, contents, executable, epoch)
        tree.settle(epoch)
        spec = Path(room, "kube-auditctl.spec")
        filled = {
            "VERSION": __version__,
            "LICENSE": _LICENCE,
            "URL": url,
            "GLIBC": str(needed),
            "FILES": "\n".join(_rows(tree)),
            "DAY": time.strftime("%a %b %d %Y", time.gmtime(epoch)),
        }
        text = (_REDHAT / "kube-auditctl.spec").read_text()
        for name, value in filled.items():
            text = text.replace(f"@{name}@", value)
        spec.write_text(text)
        settings = {
            **_SETTINGS,
            "_dbpath": f"{room}/db",
            "_topdir": f"{room}/top",
            "_rpmdir": room,
            "_rpmfilename": "built.rpm",
        }
        defined = [word for name, value in settings.items() for word in ("--define", f"{name} {value}")]
        command = ["rpmbuild", "-bb", "--quiet", "--noclean", "--target", f"{machine}-linux", *defined]
        ran = subprocess.run([*command, "--buildroot", tree.root, spec], capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise SystemExit(f"rpmbuild: {ran.stderr}")
        path = folder / f"kube-auditctl-{__version__}-1.{machine}.rpm"
        path.write_bytes(Path(room, "built.rpm").read_bytes())
    return path


def _fill(tree: Tree, contents: Contents, executable: Path, epoch: int) -> None:
    tree.put(f"{HOME}/bin/auditctl", executable.read_bytes(), 0o755)
    for name in manual.NAMES:
        tree.link(f"{HOME}/bin/{name}", "auditctl")
    put_names(tree, zsh="site-functions")
    from auditctl import __version__

    put_manual(tree, f"{__version__}-1", epoch)
    tree.put(UNIT, contents[RECOVER])
    tree.put(
        "usr/lib/systemd/system-preset/50-kube-auditctl.preset", (_REDHAT / "50-kube-auditctl.preset").read_bytes()
    )
    tree.put(f"{_PAPERS}/CHANGELOG.md", Path("CHANGELOG.md").read_bytes())
    tree.put("usr/share/licenses/kube-auditctl/LICENSE", Path("LICENSE").read_bytes())
    tree.put("usr/share/licenses/kube-auditctl/COPYRIGHT.packages", licences.of(contents, HOME))


def _rows(tree: Tree) -> list[str]:
    """Return the %files: our own directory with all in it, of the others only the files."""
    rows = [f"%dir /{HOME}", f"%dir /{HOME}/bin", f"%dir /{_PAPERS}", "%dir /usr/share/licenses/kube-auditctl"]
    kinds = {"usr/share/doc/": "%doc ", "usr/share/man/": "%doc ", "usr/share/licenses/": "%license "}
    for path in sorted(tree.root.rglob("*")):
        if path.is_symlink() or path.is_file():
            name = str(path.relative_to(tree.root))
            kind = next((kind for start, kind in kinds.items() if name.startswith(start)), "")
            rows.append(f"{kind}/{name}")
    return rows
