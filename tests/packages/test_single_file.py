"""`auditctl.pyz`: one file, every Python from 3.10 on, nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import PLAIN, PRIVATE, RECEIPT, Built, needs_dpkg, needs_mounts, pythons, without_our_environment

from auditctl.lab import down, up
from auditctl.lab.node.layout import Timing

pytestmark = needs_dpkg
QUICK = Timing(grace=0.6, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=0.1, start=0.3)
# The file alone in a folder that is read-only and from which nothing may be executed; the lab where nothing may be either.
LOCKED_PLACE = """
mount -t tmpfs -o noexec,size=8m tmpfs "$1" && cp "$3" "$1/auditctl.pyz" && mount -o remount,ro,noexec "$1"
mount -t tmpfs -o noexec tmpfs "$2" && export TMPDIR="$2"
"$1/auditctl.pyz" --version 2>/dev/null && exit 9
cd / && exec "$4" "$1/auditctl.pyz" lab demo
"""


@needs_mounts
def test_the_demo_runs_to_the_receipt_with_each_python_where_nothing_may_be_written_or_executed(
    built: Built, tmp_path: Path
) -> None:
    """All at once: it is mostly waiting."""
    runs = {}
    for version, python in pythons().items():
        places = [tmp_path / version, tmp_path / f"{version}-lab"]
        for place in places:
            place.mkdir()
        command = [*PRIVATE, LOCKED_PLACE, "sh", *places, built.single_file, python]
        runs[version] = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=without_our_environment()
        )
    said = {version: (*run.communicate(timeout=120), run.returncode) for version, run in runs.items()}

    assert "3.11" in said or len(said) > 1
    assert {version: (code, RECEIPT in out) for version, (out, _, code) in said.items()} == dict.fromkeys(
        said, (0, True)
    ), said


def test_it_runs_in_a_fresh_folder_under_its_own_name(built: Built, tmp_path: Path) -> None:
    """Copied to a name of ours and called by a relative path; shipped policies and tables come out of it."""
    program = tmp_path / "kube-auditctl"
    shutil.copy(built.single_file, program)

    def run(*words: str) -> str:
        ran = subprocess.run(["./kube-auditctl", *words], cwd=tmp_path, capture_output=True, text=True)
        assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
        return ran.stdout

    assert "baseline" in run("policy", "list")
    assert "kind: Policy" in run("policy", "show", "baseline")
    assert "audit-log-maxsize" in run("flags", "audit-log-maxsize", "--kubernetes", "1.36")
    assert "kube-auditctl" in run("completion", "bash")
    assert "</html>" in (run("policy", "matrix", "baseline", "--html", "m.html"), (tmp_path / "m.html").read_text())[1]


def older_pythons() -> list[Path]:
    """Of pyenv, each as it is."""
    return sorted(Path.home().glob(".pyenv/versions/[23].[0-9].*/bin/python"))


@pytest.mark.skipif(not older_pythons(), reason="no Python older than 3.10 is here")
def test_a_python_that_is_too_old_says_so_in_one_line(built: Built) -> None:
    """2.7 too; what it is, what is wanted, which one is there; exit 3, for nothing was changed."""
    for python in older_pythons():
        ran = subprocess.run([python, built.single_file, "enable"], capture_output=True, text=True)

        assert ran.returncode == 3, ran.stderr
        assert ran.stderr.startswith(f"auditctl needs Python 3.10 or newer, and {python} is ")
        assert len(ran.stderr.splitlines()) == 1


def test_a_systems_own_older_ruamel_is_not_taken(built: Built, tmp_path: Path) -> None:
    """Debian's python3-ruamel.yaml sets `ruamel` up at every start; here a `sitecustomize` does the same."""
    manifest = tmp_path / "node/etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    shutil.copy(PLAIN, manifest)
    (tmp_path / "ruamel/yaml").mkdir(parents=True)
    (tmp_path / "ruamel/yaml/__init__.py").write_text("raise SystemExit('the old one was taken')\n")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\nold = sys.modules['ruamel'] = types.ModuleType('ruamel')\n"
        f"old.__path__ = [{str(tmp_path / 'ruamel')!r}]\n"
    )

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment)

    bare = run("-c", "import ruamel.yaml")
    ours = run(built.single_file, "enable", "--dry-run", "--rootfs", tmp_path / "node")

    assert "the old one was taken" in bare.stderr
    assert (ours.returncode, "+    - --audit-policy-file=" in ours.stdout) == (0, True), ours.stderr


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """A lab of this clone's own: it stays whatever becomes of the single file."""
    up(tmp_path / "node", pace=QUICK)
    yield tmp_path / "node"
    down(tmp_path / "node")


def test_the_watchdog_finishes_although_the_single_file_is_gone(built: Built, node: Path, tmp_path: Path) -> None:
    """Killed after the rename, and the file removed with it: all that is needed is in memory."""
    program = tmp_path / "auditctl.pyz"
    shutil.copy(built.single_file, program)
    manifest = node / "etc/kubernetes/manifests/kube-apiserver.yaml"
    before = manifest.read_bytes()
    run = subprocess.Popen(
        [sys.executable, program, "--rootfs", node, "enable"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while manifest.read_bytes() == before:
        assert time.monotonic() < deadline
    program.unlink()
    run.send_signal(signal.SIGKILL)
    run.wait()

    def last() -> dict[str, str]:
        (change,) = (node / "var/lib/auditctl/changes").iterdir()
        return json.loads((change / "journal.jsonl").read_text().splitlines()[-1])

    while last()["step"] not in ("done", "undone", "stranded"):
        assert time.monotonic() < deadline, last()
    assert (last()["step"], last()["note"]) == ("done", "by the watchdog")
