"""The role brings auditctl to a node as one file: looked at before it leaves, there afterwards, used from then on."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from controlplanes import ControlPlanes, brought_up
from foldernode import POLICY

pytestmark = [pytest.mark.lab, pytest.mark.timeout(200)]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[ControlPlanes]:
    """A cluster of one, whose module knows of no auditctl."""
    with brought_up(tmp_path, ("a",)) as found:
        found.write_inventory(python=None)
        yield found


def single_file(folder: Path) -> Path:
    """A stand-in for the zipapp: one file that runs auditctl."""
    path = folder / "auditctl.pyz"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m auditctl "$@"\n')
    return path


def debian_package(folder: Path) -> Path:
    """A stand-in for the .deb, with the places of the real one."""
    content, path = folder / "content", folder / "kube-auditctl.deb"
    (content / "DEBIAN").mkdir(parents=True)
    (content / "DEBIAN/control").write_text(
        "Package: kube-auditctl\nVersion: 9\nArchitecture: all\nMaintainer: nobody <n@example.com>\nDescription: a test\n"
    )
    (content / "opt/auditctl/bin").mkdir(parents=True)
    python = content / "opt/auditctl/bin/python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", content, path], check=True, capture_output=True)
    return path


def test_a_node_without_internet_gets_one_file_and_is_changed_with_it(one: ControlPlanes) -> None:
    package, place = single_file(one.folder), one.nodes["a"].root / "usr/local/sbin/kube-auditctl"
    place.parent.mkdir(parents=True)
    right = hashlib.sha256(package.read_bytes()).hexdigest()
    (one.folder / "p.yaml").write_text(POLICY)
    # as typed: of the folder that ansible-playbook is started in, not of the playbook's
    options = {"package": package.name, "policy_file": "p.yaml", "package_path": str(place), "log_maxage": 7}

    wrong = one.play("enable-audit.yml", package_checksum="0" * 64, **options)
    assert (wrong.code, wrong.touched, place.exists()) == (2, [], False), wrong.text
    assert f"has the SHA-256 {right}, not 0000" in wrong.last_words

    tree, process = one.nodes["a"].tree(), one.nodes["a"].process
    checked = one.play("enable-audit.yml", "--check", package_checksum=right, **options)
    assert (checked.code, checked.touched) == (0, ["a"]), checked.text
    assert checked.change("a")["changed"]
    assert "--audit-log-maxage=7" in checked.change("a")["report"]["manifest"]["diff"]
    assert not place.exists()
    assert not list(Path(tempfile.gettempdir()).glob("auditctl-check.*"))
    assert (one.nodes["a"].tree(), one.nodes["a"].process) == (tree, process)

    if shutil.which("dpkg-deb") and not Path("/opt/auditctl").exists():
        package = debian_package(one.folder)
        checked = one.play("enable-audit.yml", "--check", **{**options, "package": package.name})
        assert (checked.code, checked.change("a")["changed"]) == (0, True), checked.text
        assert not list(Path(tempfile.gettempdir()).glob("auditctl-check.*"))
        package = one.folder / "auditctl.pyz"

    on = one.play("enable-audit.yml", package_checksum=right, **options)
    assert on.code == 0, on.text
    assert on.change("a")["receipt"]
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (package.read_bytes(), 0o755)
    assert on.results("a", "Copy the single file")[0]["changed"]

    again = one.play("enable-audit.yml", package_checksum=right, **options)
    assert (again.code, again.results("a", "Copy the single file")[0]["changed"]) == (0, False), again.text
    assert again.change("a")["changed"] is False


def test_each_architecture_gets_its_own_file(one: ControlPlanes) -> None:
    """One that has none is refused before anything is brought."""
    package, place = single_file(one.folder), one.nodes["a"].root / "kube-auditctl"
    other = one.folder / "other"
    other.write_text("#!/bin/sh\nexit 1\n")
    right = hashlib.sha256(package.read_bytes()).hexdigest()
    machine = os.uname().machine

    refused = one.play("enable-audit.yml", packages={"riscv64": str(other)}, package_path=str(place))
    assert (refused.code, refused.touched, place.exists()) == (2, [], False), refused.text
    assert f"a is {machine}, and apiserver_audit_packages has only riscv64" in refused.last_words

    files = {machine: str(package), "riscv64": str(other)}
    on = one.play("enable-audit.yml", packages=files, packages_checksums={machine: right}, package_path=str(place))
    assert (on.code, place.read_bytes()) == (0, package.read_bytes()), on.text
    assert on.change("a")["receipt"]
    assert "OUTAGE" in on.text
    assert "1 control plane in " in on.text


def test_a_file_that_does_not_run_there_stops_the_run_before_the_node_is_touched(one: ControlPlanes) -> None:
    package, place = one.folder / "auditctl.pyz", one.nodes["a"].root / "kube-auditctl"
    package.write_text("#!/bin/sh\necho needs Python 3.10 >&2\nexit 1\n")
    before, process = one.nodes["a"].manifest.read_bytes(), one.nodes["a"].process
    failed = one.play("enable-audit.yml", package=str(package), package_path=str(place))
    assert (failed.code, failed.touched) == (2, []), failed.text
    assert "needs Python 3.10" in failed.text
    assert (one.nodes["a"].manifest.read_bytes(), one.nodes["a"].process) == (before, process)
