"""The packages on a real node: the single file under the system's own Python, and the .deb's tree in /opt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `.ci/build` makes."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [TOP / ".ci/build", folder],
        check=True,
        capture_output=True,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
    )
    subprocess.run(["dpkg-deb", "-x", *folder.glob("*.deb"), folder / "tree"], check=True)
    return folder


@pytest.mark.parametrize("package", ["single file", "deb"])
def test_it_is_switched_on_proved_and_taken_out_byte_for_byte(dist: Path, package: str) -> None:
    """With the rehearsal, the receipt under our Audit-ID, and no module but the package's own."""
    program = {
        "single file": [PYTHON, str(dist / "auditctl.pyz")],
        "deb": ["unshare", "--mount", "sh", "-euc", 'mount --bind "$0" /opt; exec /opt/auditctl/bin/kube-auditctl "$@"', str(dist / "tree/opt")],
    }[package]  # fmt: skip

    def run(*words: str) -> tuple[int, dict[str, object]]:
        ran = subprocess.run([*program, *words, "-o", "json"], capture_output=True, text=True, timeout=600)
        assert "Traceback" not in ran.stderr, ran.stderr
        report = json.loads(ran.stdout)
        print(package, words, ran.returncode, report["summary"], report["timings"])
        return ran.returncode, report

    before = MANIFEST.read_bytes()

    code, on = run("enable", "--policy", "baseline")
    assert (code, on["outcome"]) == (0, "Changed"), on["summary"]
    assert on["receipt"]
    assert run("verify")[0] == 0
    assert run("doctor")[0] == 0
    code, off = run("disable", "--purge")
    assert (code, MANIFEST.read_bytes() == before) == (0, True), off["summary"]
