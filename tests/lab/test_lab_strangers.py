"""What another user of this machine can plant: nothing of it is run, believed, written through or ended by the lab."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labroom import QUICK, Node

from auditctl.errors import RefusedError, StrandedError
from auditctl.lab import down, status, up
from auditctl.lab.exercises import commands, target_node
from auditctl.lab.exercises.target_node import PracticeNode
from auditctl.lab.node import own_folder
from auditctl.lab.node.layout import MARKER, STAND_IN
from auditctl.lab.node.process import identify
from auditctl.node.path_trust import UntrustedPathError
from auditctl.operations.controlplane import ControlPlane

STRANGER = 4242
REFUSED = 3
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def plant_node(folder: Path, ran: Path) -> None:
    """A folder that says it is a practice node, whose kubelet leaves a file where it has run."""
    for name in ("usr/bin", "var/log", "var/lib/auditctl-lab/processes", "etc/kubernetes/pki"):
        (folder / name).mkdir(parents=True)
    marker = {"kubernetes": "1.36.2", "port": 20001, "made_directory": True, "pace": {}, "what": STAND_IN}
    (folder / MARKER).write_text(json.dumps(marker))
    (folder / "usr/bin/kubelet").write_text(f"open({str(ran)!r}, 'w').write('ran')\n")


def plant_record(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """The record of a kubelet that is another process, with its true start time."""
    identity = identify(process.pid)
    assert identity is not None
    record = folder / "var/lib/auditctl-lab/processes/kubelet.json"
    record.write_text(json.dumps({"pid": identity.pid, "start_time": identity.start_time}))


def give(folder: Path, uid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@as_root
@pytest.mark.lab
def test_a_folder_made_beforehand_in_the_temporary_directory_is_not_the_usual_one(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    """The whole of `lab up`, `lab down`, `lab receiver` as root types them, in a mount namespace with its own /run."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    planted, ran = shared / "auditctl-lab-0", tmp_path / "ran"
    plant_node(planted, ran)
    plant_record(planted, bystander)
    (shared / "auditctl-receiver-0").mkdir()
    (tmp_path / "precious").write_text("precious")
    for name in ("webhook.yaml", "events.jsonl"):
        (shared / "auditctl-receiver-0" / name).symlink_to(tmp_path / "precious")
    give(planted, STRANGER)
    give(shared / "auditctl-receiver-0", STRANGER)
    script = textwrap.dedent("""
        mount -t tmpfs tmpfs /run || exit 77
        "$@" lab up; "$@" lab status; stat -c '%a %u' /run/auditctl /run/auditctl/lab; "$@" lab down
        timeout 4 "$@" lab receiver; stat -c '%a %u' /run/auditctl/receiver/webhook.yaml
    """)
    program = [sys.executable, "-m", "auditctl"]
    environment = {**os.environ, "TMPDIR": str(shared)}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *program],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no mount namespace can be had here")

    assert (ran.exists(), bystander.poll(), (tmp_path / "precious").read_text()) == (False, None, "precious")
    assert "serves at https://127.0.0.1" in done.stdout, done
    assert "700 0\n700 0\n" in done.stdout
    assert "the practice node in /run/auditctl/lab is gone" in done.stdout
    assert "600 0\n" in done.stdout


@as_root
def test_a_users_own_usual_folder_is_below_a_directory_that_nobody_else_can_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    monkeypatch.setenv("HOME", str(tmp_path))
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))

    assert own_folder.own_folder("lab") == tmp_path / ".cache/auditctl/lab"  # the variable is of another user: `su`
    os.chown(runtime, STRANGER, STRANGER)
    assert own_folder.own_folder("lab") == runtime / "auditctl/lab"
    runtime.chmod(0o755)
    assert own_folder.own_folder("lab") == tmp_path / ".cache/auditctl/lab"


@as_root
@pytest.mark.parametrize("act", [up, down, status])
@pytest.mark.parametrize(
    "foreign", [".", MARKER, "usr", "usr/bin/kubelet", "var/lib/auditctl-lab/processes", "var/lib/auditctl-lab/processes/kubelet.json"]
)  # fmt: skip
def test_a_folder_with_anything_of_somebody_else_in_the_way_is_refused(
    tmp_path: Path, bystander: subprocess.Popen[bytes], act: Any, foreign: str
) -> None:
    folder = tmp_path / "node"
    plant_node(folder, tmp_path / "ran")
    plant_record(folder, bystander)
    os.chown(folder / foreign, STRANGER, STRANGER)

    with pytest.raises(UntrustedPathError, match=f"belongs to somebody else .owner uid {STRANGER}") as caught:
        act(folder)

    assert (caught.value.exit_code, caught.value.component.path) == (REFUSED, folder / foreign)
    assert ((tmp_path / "ran").exists(), bystander.poll(), (folder / MARKER).exists()) == (False, None, True)


@pytest.mark.parametrize("act", [up, down, status])
@pytest.mark.parametrize("open_to_all", [".", "usr/bin", "usr/bin/kubelet", "var/lib/auditctl-lab"])
def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, act: Any, open_to_all: str) -> None:
    folder = tmp_path / "node"
    plant_node(folder, tmp_path / "ran")
    (folder / open_to_all).chmod(0o777)

    with pytest.raises(UntrustedPathError, match="may be written by everybody"):
        act(folder)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("act", [up, down, status])
def test_a_link_in_the_way_is_refused(tmp_path: Path, act: Any) -> None:
    plant_node(tmp_path / "node", tmp_path / "ran")
    (tmp_path / "link").symlink_to("node")

    with pytest.raises(RefusedError, match="is a symbolic link"):
        act(tmp_path / "link")


@pytest.mark.lab
def test_down_ends_no_process_that_a_record_only_names(node: Node, bystander: subprocess.Popen[bytes]) -> None:
    """Not even one of our own, with its true start time: it does not run this node's kubelet."""
    processes = node.layout.processes
    plant_record(node.layout.root, bystander)
    (processes / "kubelet.json").rename(processes / "kube-apiserver-1.json")
    plant_record(node.layout.root, bystander)

    assert down(node.layout.root)

    assert bystander.poll() is None


@pytest.mark.lab
def test_under_umask_000_nothing_of_a_node_may_be_written_by_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        up(tmp_path / "node", pace=QUICK)
    finally:
        os.umask(before)
    try:
        paths = [path for path in (tmp_path / "node", *(tmp_path / "node").rglob("*")) if not path.is_symlink()]
        assert len(paths) > 20
        assert [path for path in paths if path.stat().st_mode & 0o022] == []
    finally:
        down(tmp_path / "node")


class Disk:
    """The root of a node with an open exercise that somebody has planted, and this machine's own files beside it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.machine = folder / "disk", folder / "machine"
        self.exercise = self.root / "var/lib/auditctl-lab/exercise"
        (self.exercise / "kept").mkdir(parents=True)
        for path in (self.exercise, self.exercise / "kept"):
            path.chmod(0o700)
        for name in ("profile.d", "cron.d"):
            (self.machine / "etc" / name).mkdir(parents=True)
        (self.machine / "secret").write_text("secret")
        (self.exercise / "kept/0").write_text("#!/bin/sh\nid\n")

    def plant(self, *entries: dict[str, Any], places: list[str] | None = None) -> None:
        record = {"name": "down-after-sizes", "phase": "open", "server": None, "places": {}}
        (self.exercise / "state.json").write_text(json.dumps(record))
        rows = {"places": places or [entry["path"] for entry in entries], "entries": list(entries)}
        (self.exercise / "kept/entries.json").write_text(json.dumps(rows))

    def reset(self) -> int:
        """The exit code; 0 and 5 are of a reset that went to its end (nobody serves here)."""
        try:
            return commands.reset(PracticeNode(ControlPlane(rootfs=self.root), None), 0.1).exit_code
        except RefusedError as error:
            return error.exit_code

    def machines_files(self) -> list[str]:
        return sorted(str(path.relative_to(self.machine)) for path in self.machine.rglob("*") if path.is_file())


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def entry(path: str, mode: int = 0o755, *, kept: str = "0", kind: int = stat.S_IFREG) -> dict[str, Any]:
    return {"path": path, "kind": kind, "mode": mode, "uid": os.geteuid(), "gid": os.getegid(), "kept": kept}


def test_a_file_is_given_back_on_a_disk_like_any_other(disk: Disk) -> None:
    """What follows is refused for its own reason, then."""
    disk.plant(entry("/etc/kubernetes/audit/policy.yaml", 0o640))

    disk.reset()

    given = disk.root / "etc/kubernetes/audit/policy.yaml"
    assert (given.read_text(), stat.S_IMODE(given.stat().st_mode)) == ("#!/bin/sh\nid\n", 0o640)
    assert not disk.exercise.exists()


@pytest.mark.parametrize("link", ["/absolute", "../machine/etc"], ids=["absolute", "relative"])
def test_reset_writes_nothing_through_a_linked_directory(disk: Disk, link: str) -> None:
    (disk.root / "etc").symlink_to(disk.machine / "etc" if link == "/absolute" else link)
    disk.plant(entry("/etc/profile.d/evil.sh"))

    assert disk.reset() == REFUSED

    assert disk.machines_files() == ["secret"]


@pytest.mark.parametrize("path", ["/../machine/etc/cron.d/evil", "/etc/../../machine/etc/cron.d/evil"])
def test_reset_writes_nothing_at_a_path_that_climbs(disk: Disk, path: str) -> None:
    disk.plant(entry(path), places=["/etc", path])

    assert disk.reset() == REFUSED

    assert disk.machines_files() == ["secret"]


def test_reset_removes_nothing_outside_of_the_node(disk: Disk) -> None:
    (disk.root / "out").symlink_to(disk.machine)
    for place in ("/../machine", "/out/secret"):
        disk.plant(places=[place])
        assert disk.reset() == REFUSED
    assert disk.machines_files() == ["secret"]


def test_reset_brings_no_file_of_the_machine_onto_the_disk(disk: Disk) -> None:
    for kept in ("../../../../../../machine/secret", str(disk.machine / "secret")):
        disk.plant(entry("/etc/copy", 0o644, kept=kept))
        assert disk.reset() == REFUSED
    (disk.exercise / "kept/1").symlink_to(disk.machine / "secret")
    disk.plant(entry("/etc/copy", 0o644, kept="1"))
    with pytest.raises(StrandedError, match="cannot give back"):
        disk.reset()
    assert not (disk.root / "etc/copy").exists()


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_reset_makes_no_program_with_rights_of_its_own(disk: Disk, mode: int) -> None:
    disk.plant(entry("/etc/profile.d/evil.sh", mode))

    assert disk.reset() == REFUSED

    assert not (disk.root / "etc/profile.d/evil.sh").exists()


def test_reset_gives_no_file_capabilities(disk: Disk) -> None:
    disk.plant({**entry("/etc/ping"), "xattrs": {"security.capability": "0100000200200000000000000000000000000000"}})

    assert disk.reset() == REFUSED

    assert not (disk.root / "etc/ping").exists()


@as_root
@pytest.mark.parametrize("foreign", ["", "state.json", "kept", "kept/entries.json"])
def test_root_does_not_believe_an_exercise_that_somebody_else_keeps(disk: Disk, foreign: str) -> None:
    disk.plant(entry("/etc/profile.d/evil.sh"))
    os.chown(disk.exercise / foreign, STRANGER, STRANGER)

    assert disk.reset() == REFUSED

    assert not (disk.root / "etc/profile.d/evil.sh").exists()


@as_root
def test_root_plays_on_no_practice_node_of_another_user(tmp_path: Path) -> None:
    plant_node(tmp_path / "node", tmp_path / "ran")
    give(tmp_path / "node", STRANGER)

    with pytest.raises(UntrustedPathError, match="belongs to somebody else"):
        target_node.find(ControlPlane(rootfs=tmp_path / "node"))


def test_a_record_that_names_a_place_outside_of_the_node_is_not_believed(disk: Disk) -> None:
    disk.plant(entry("/etc/kubernetes/x"))
    record = json.loads((disk.exercise / "state.json").read_text())
    record["places"] = {"manifest": "/etc/x", "policy": "/../machine/etc/cron.d/evil"}
    (disk.exercise / "state.json").write_text(json.dumps(record))

    assert disk.reset() == REFUSED
