"""The .deb: unpacked into a fresh folder; with AUDITCTL_DEBOOTSTRAP=SUITE,... installed into Debian itself (minutes, network)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import NAMES, PRIVATE, RECEIPT, Built, needs_dpkg, needs_mounts, without_our_environment

pytestmark = needs_dpkg
SUITES = [suite for suite in os.environ.get("AUDITCTL_DEBOOTSTRAP", "").split(",") if suite]
CORNERS = {f"{place}/auditctl" for place in ("usr/sbin", "usr/bin", "sbin", "bin")}
INSTALLED = 'mount --bind "$1/opt" /opt && PATH="$1/usr/bin:$PATH" && shift && exec "$@"'


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the package in a fresh folder."""
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run(["dpkg-deb", "-x", built.deb, folder], check=True)
    return folder


def has_python() -> bool:
    """Debian's own must be 3.10 or newer, for the package is for that one."""
    code = "import sys; sys.exit(sys.version_info < (3, 10))"
    return Path("/usr/bin/python3").exists() and subprocess.run(["/usr/bin/python3", "-c", code]).returncode == 0


needs_debians_python = pytest.mark.skipif(not has_python(), reason="/usr/bin/python3 is not there, or older than 3.10")


@needs_mounts
@needs_debians_python
def test_unpacked_it_runs_the_demo_to_the_receipt_under_both_names(unpacked: Path) -> None:
    """In a namespace where /opt is the package's."""
    for words, wanted in (
        (["kubectl-auditctl", "--version"], "auditctl "),
        (["kube-auditctl", "lab", "demo"], RECEIPT),
    ):
        ran = subprocess.run(
            [*PRIVATE, INSTALLED, "sh", unpacked, *words], capture_output=True, text=True, env=without_our_environment()
        )
        assert (ran.returncode, wanted in ran.stdout) == (0, True), ran.stderr


@needs_debians_python
def test_its_interpreter_imports_the_package(unpacked: Path) -> None:
    """What Ansible's module respawns into; nothing of the system's or the user's own packages is seen."""
    python = unpacked / "opt/auditctl/bin/python3"
    code = "import auditctl, ruamel.yaml, typer, jsonpatch, sys; print(auditctl.__file__); print(*sys.path)"
    ran = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.startswith(f"{unpacked}/opt/auditctl/lib/python3.")
    assert "dist-packages" not in ran.stdout


def test_it_never_takes_auditds_name(unpacked: Path) -> None:
    """On PATH there are the two names, and what kubectl asks for completion."""
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*")}

    assert {path.name for path in (unpacked / "usr/bin").iterdir()} == {*NAMES, "kubectl_complete-auditctl"}
    assert not found & CORNERS


def test_files_have_debians_modes_and_one_time(built: Built, tmp_path: Path) -> None:
    """Directories 0755, programs 0755, the rest 0644; nothing writable, nothing newer than the commit."""
    subprocess.run(["dpkg-deb", "-x", built.deb, tmp_path], check=True)  # of its own: a run leaves byte code behind
    files = [path for path in tmp_path.rglob("*") if not path.is_symlink()]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in files}

    assert modes <= {(True, 0o755), (False, 0o644), (False, 0o755)}
    assert len({int(path.stat().st_mtime) for path in files if path.is_file()}) == 1


def test_the_oneshot_unit_calls_a_name_that_the_package_has(unpacked: Path) -> None:
    """And it is enabled by the package's own script; an administrator's `disable` is kept (deb-systemd-helper)."""
    unit = (unpacked / "usr/lib/systemd/system/auditctl-recover.service").read_text()

    assert "ExecStart=/usr/bin/env kube-auditctl --quiet recover" in unit
    assert "Before=kubelet.service" in unit


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is not here")
def test_lintian_finds_no_error(built: Built) -> None:
    """Of its warnings one is known: we close no bug of Debian's."""
    ran = subprocess.run(
        ["lintian", "--allow-root", "--tag-display-limit", "0", built.deb], capture_output=True, text=True
    )
    said = [line for line in ran.stdout.splitlines() if line[:2] in ("E:", "W:")]

    assert [line for line in said if "initial-upload-closes-no-bugs" not in line] == []


@pytest.fixture(params=SUITES)
def debian(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A whole minimal Debian in a folder."""
    root = tmp_path / "root"
    command = ["debootstrap", "--variant=minbase", "--include=python3,openssl", request.param, root]
    subprocess.run(command, check=True, capture_output=True)
    for place in ("proc", "dev"):
        subprocess.run(["mount", "--rbind", f"/{place}", root / place], check=True)
    yield root
    for place in ("proc", "dev"):
        subprocess.run(["umount", "--recursive", "--lazy", root / place], check=True)


@pytest.mark.skipif(not SUITES, reason="AUDITCTL_DEBOOTSTRAP names no suite of Debian (bookworm,trixie)")
@pytest.mark.timeout(900)
def test_in_debian_it_is_installed_runs_the_demo_and_goes_without_a_trace(built: Built, debian: Path) -> None:
    """`dpkg -i`, the demo, `dpkg --verify`; and after `dpkg --purge` not even byte code is left."""

    def run(*words: str) -> str:
        ran = subprocess.run(
            ["chroot", debian, *words], capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    shutil.copy(built.deb, debian / "tmp/ours.deb")
    before = traces(debian)
    run("dpkg", "-i", "/tmp/ours.deb")

    assert RECEIPT in run("kube-auditctl", "lab", "demo")
    assert run("kubectl-auditctl", "--version").startswith("auditctl ")
    assert "auditctl" in run("/opt/auditctl/bin/python3", "-c", "import auditctl; print(auditctl.__file__)")
    assert run("dpkg", "--verify", "kube-auditctl") == ""
    assert list((debian / "opt/auditctl").rglob("*.pyc"))
    assert (debian / "etc/systemd/system/kubelet.service.wants/auditctl-recover.service").is_symlink()

    run("dpkg", "-i", "/tmp/ours.deb")  # the same again: an upgrade
    run("dpkg", "--purge", "kube-auditctl")
    assert traces(debian) == before


def traces(root: Path) -> set[str]:
    """Every path with our name in it."""
    places = [root / place for place in ("etc", "opt", "usr", "var/lib/systemd")]
    return {str(path) for place in places for path in place.rglob("*auditctl*")}
