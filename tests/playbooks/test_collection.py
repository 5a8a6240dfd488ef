"""The collection as Ansible's own tools judge it, and as a wheel brings it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from controlplanes import COLLECTION, PLAYBOOKS, SCRIPTS

TOP = PLAYBOOKS.parent
# ansible-test makes environments of its own with pip, and wants to download a get-pip for that: this one is offline's.
GET_PIP = """\
import subprocess, sys
subprocess.check_call([sys.executable, "-m", "ensurepip"])
words = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *words]))
"""
EVERY_TEST = 24  # that ansible-test 2.19 has for a collection; fewer would mean that some were left out


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTEST_"))}
    return {
        **kept,
        "HOME": str(home),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{SCRIPTS}:{kept.get('PATH', os.defpath)}",
    }


def home_of_ansible_test() -> Path:
    """Kept inside our virtual environment: its first run installs linters for a minute, the next ones take seconds."""
    home = Path(sys.prefix) / "ansible-test-home"
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    pip = Path.home() / ".config/pip"
    if pip.exists() and not (home / ".config/pip").exists():  # where packages come from on this machine
        (home / ".config").mkdir(exist_ok=True)
        (home / ".config/pip").symlink_to(pip)
    import ansible_test

    wanted = "\n".join(path.read_text() for path in Path(ansible_test.__file__).parent.rglob("python_requirements.py"))
    for version in re.findall(r"'(\d+\.\d+(?:\.\d+)?)'", wanted):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP)
    return home


@pytest.mark.timeout(400)
def test_ansible_test_sanity_has_no_complaint(tmp_path: Path) -> None:
    """All of its tests, without a single line in an ignore file; in a copy, for it writes beside what it tests."""
    copy = tmp_path / "ansible_collections/auditctl/kubeadm"
    shutil.copytree(COLLECTION, copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"

    ran = subprocess.run(
        [SCRIPTS / "ansible-test", "sanity", "--color", "no", "--python", python],
        cwd=copy,
        env=environment(home_of_ansible_test()),
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(re.findall(r'Running sanity test "', ran.stdout + ran.stderr)) >= EVERY_TEST


def test_ansible_lint_has_no_complaint_in_its_strictest_profile(tmp_path: Path) -> None:
    ran = subprocess.run(
        [SCRIPTS / "ansible-lint", "--offline", "--strict", "--profile", "production", PLAYBOOKS],
        cwd=TOP,
        env={**environment(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(PLAYBOOKS / "collections")},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Passed: 0 failure(s), 0 warning(s)" in ran.stdout + ran.stderr


def test_the_wheel_is_a_complete_controller(tmp_path: Path) -> None:
    """ansible-core finds modules, role and playbooks where pip puts them; every file of the collection is there once."""
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, TOP],
        capture_output=True,
        text=True,
    )
    if built.returncode != 0 and "hatchling" in built.stderr:
        pytest.skip("hatchling cannot be had here")
    assert built.returncode == 0, built.stderr
    site = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    tracked = subprocess.run(["git", "ls-files"], cwd=COLLECTION, capture_output=True, text=True)
    shipped = site / "ansible_collections/auditctl/kubeadm"
    files = {str(path.relative_to(shipped)) for path in shipped.rglob("*") if path.is_file()}
    assert tracked.returncode != 0 or files == set(tracked.stdout.split())  # an unpacked sdist has no history

    found = {**environment(tmp_path), "PYTHONPATH": str(site)}
    for kind, name, words in (
        ("module", "apiserver_audit", "A change that fails is undone"),
        ("module", "apiserver_audit_info", "auditctl status"),
        ("role", "apiserver_audit", "Bring auditctl to a control plane"),
    ):
        command = [SCRIPTS / "ansible-doc", "-t", kind, f"auditctl.kubeadm.{name}"]
        told = subprocess.run(command, cwd=tmp_path, env=found, capture_output=True, text=True)
        assert (told.returncode, words in " ".join(told.stdout.split())) == (0, True), told.stdout + told.stderr
        assert str(site) in told.stdout
    listed = [SCRIPTS / "ansible-playbook", "-i", "a,", "auditctl.kubeadm.enable_audit", "--list-tasks"]
    told = subprocess.run(listed, cwd=tmp_path, env=found, capture_output=True, text=True)
    assert (told.returncode, "one control plane at a time" in told.stdout) == (0, True), told.stdout + told.stderr


def test_each_playbook_at_the_top_is_the_collections_own() -> None:
    """One source: the file beside the inventory only names it."""
    names = {path.stem.replace("_", "-") for path in (COLLECTION / "playbooks").glob("*.yml")}
    assert names == {path.stem for path in PLAYBOOKS.glob("*.yml")}
    assert {"enable-audit", "verify-audit", "disable-audit", "restart-audit", "fleet-audit"} <= names
    for name in names:
        text = (PLAYBOOKS / f"{name}.yml").read_text()
        assert f"import_playbook: auditctl.kubeadm.{name.replace('-', '_')}\n" in text
