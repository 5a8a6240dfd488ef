"""`.ci/build` and what it leaves; clean places in which its packages are tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

TOP = Path(__file__).parents[2]
PLAIN = TOP / "tests/golden/kubeadm/v1.36.2/plain.yaml"  # as kubeadm writes it
NAMES = ("kube-auditctl", "kubectl-auditctl")
RECEIPT = "auditing is on, and proved: rules[3] recorded GET /version at Metadata"
# A mount namespace of the command's own: what is mounted in it, nobody else sees, and it is gone with the command.
PRIVATE = ("unshare", "--mount", "sh", "-euc")

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not here: .ci/build builds nothing")
needs_mounts = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("unshare"), reason="mounting in a namespace wants root and unshare"
)


class Built(NamedTuple):
    """The folder of one build."""

    folder: Path

    @property
    def single_file(self) -> Path:
        return self.folder / "auditctl.pyz"

    @property
    def deb(self) -> Path:
        return self._one("*.deb")

    @property
    def wheel(self) -> Path:
        return self._one("*.whl")

    @property
    def sdist(self) -> Path:
        return self._one("*.tar.gz")

    def digests(self) -> dict[str, str]:
        """By the name of the file."""
        rows = (line.split() for line in (self.folder / "SHA256SUMS").read_text().splitlines())
        return {name: digest for digest, name in rows}

    def _one(self, pattern: str) -> Path:
        (found,) = self.folder.glob(pattern)
        return found


def build(source: Path, target: Path, **environment: str) -> None:
    """Run the build of ``source``; with this Python, unless told otherwise."""
    asked = {**os.environ, "PYTHON": sys.executable, **environment}
    ran = subprocess.run([source / ".ci/build", target], capture_output=True, text=True, env=asked)
    assert ran.returncode == 0, ran.stderr


def source_date() -> str:
    """Of the last commit; where there is no history, of a file."""
    ran = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=TOP, capture_output=True, text=True)
    return ran.stdout.strip() or str(int((TOP / "pyproject.toml").stat().st_mtime))


def pythons() -> dict[str, str]:
    """Interpreters from 3.10 on, by version: of this machine's PATH and of pyenv; each one is asked."""
    names = [f"python3.{minor}" for minor in range(10, 16)]
    found = [which for name in names if (which := shutil.which(name))]
    found += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.1[0-5]*/bin/python3"))]
    versions: dict[str, str] = {}
    for path in [sys.executable, *found]:
        code = "import sys, ssl; print('%d.%d' % sys.version_info[:2], sys.executable)"
        ran = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True)
        if ran.returncode == 0:
            version, executable = ran.stdout.split(maxsplit=1)
            versions.setdefault(version, executable.strip())
    return versions


def without_our_environment() -> dict[str, str]:
    """Nothing of the one that runs the tests: no variable of Python's, no venv's folder on PATH."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
    }
