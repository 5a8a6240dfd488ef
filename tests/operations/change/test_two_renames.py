"""Between the two renames: what a run that died leaves is the old configuration, and the next run brings its bytes back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from foldernode import OTHER_POLICY, POLICY

from auditctl.cli.app import run
from auditctl.errors import RefusedError
from auditctl.manifest.plan import plan_annotation, plan_ending
from auditctl.node.apiserver.process import Process
from auditctl.node.change import change as changes
from auditctl.node.change import files
from auditctl.node.change.change import Change, Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role, Step
from auditctl.node.kubelet.pod_end import PodRemains
from auditctl.node.kubelet.restart import OutgoingProcess, RestartWaiter
from auditctl.operations.change.two_renames import PodEnd
from auditctl.operations.change_model import Deadline
from auditctl.operations.controlplane import ControlPlane


def started(pid: int) -> float:
    """When a process began, in seconds of the boot clock, as the kernel counts it."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def between(plane: ControlPlane) -> tuple[Change, bytes, bytes]:
    """A change that has come as far as its first rename, with the old and the new text of the manifest."""
    snapshot, manifest = plane.read_manifest()
    plane.state.prepare()
    new = plan_annotation(manifest, "0" * 64).after.encode()
    policy = plane.root.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text(POLICY)
    edits = (
        FileEdit(role=Role.POLICY, path=policy, before=files.read(policy, "policy"), after=OTHER_POLICY.encode()),
        FileEdit(role=Role.MANIFEST, path=plane.manifest_path, before=snapshot, after=new),
    )
    texts = tuple(plan_ending(manifest, f"20261130T21300{number}Z").after.encode() for number in range(3))
    change = changes.begin(
        plane.state, plane.root, plane.clock, edits, Intent(command="enable", summary="a test", who={}), texts
    )
    changes.install(change, two_renames=True)
    return change, snapshot.content, new


def test_the_first_text_has_the_old_settings_and_an_annotation(folder_node: ControlPlane) -> None:
    """The journal says so, and the policy is in place."""
    change, old, _ = between(folder_node)

    first = folder_node.manifest_path.read_text()
    assert change.journal.step is Step.ENDING
    assert "    auditctl/ending: 20261130T213000Z\n" in first
    assert first.replace("    auditctl/ending: 20261130T213000Z\n", "").encode() == old
    assert folder_node.root.host("/etc/kubernetes/audit/policy.yaml").read_text() == OTHER_POLICY


def test_the_second_rename_brings_the_new_text(folder_node: ControlPlane) -> None:
    """Byte for byte."""
    change, _, new = between(folder_node)

    changes.replace_manifest(change)

    assert folder_node.manifest_path.read_bytes() == new
    assert change.journal.step is Step.WAITING


def test_a_run_that_dies_in_between_is_undone_by_the_next(
    folder_node: ControlPlane, capfd: pytest.CaptureFixture[str]
) -> None:
    """Old manifest, old policy, nothing open."""
    _, old, _ = between(folder_node)

    code = run(["auditctl", "--rootfs", str(folder_node.root.path), "recover"])

    assert code == 0
    assert "it was undone" in "".join(capfd.readouterr())
    assert folder_node.manifest_path.read_bytes() == old
    assert folder_node.root.host("/etc/kubernetes/audit/policy.yaml").read_text() == POLICY
    assert not folder_node.state.open_changes()


def test_what_somebody_else_writes_in_between_is_respected(folder_node: ControlPlane) -> None:
    """The second rename is refused, and the next run leaves the manifest alone."""
    change, _, new = between(folder_node)
    path: Path = folder_node.manifest_path
    theirs = path.read_bytes() + b"# by hand\n"
    path.write_bytes(theirs)

    with pytest.raises(RefusedError, match="somebody else changed it"):
        changes.replace_manifest(change)
    run(["auditctl", "--rootfs", str(folder_node.root.path), "recover"])

    assert path.read_bytes() == theirs != new
    assert change.state.journals()[-1].step is Step.ABANDONED


def test_the_text_is_renewed_while_the_old_process_lingers(folder_node: ControlPlane) -> None:
    """Before the kubelet's first look at a Pod that waits, which is after 10 s; and no more once the process is gone."""
    change, _, _ = between(folder_node)
    group, folder = folder_node.root.host("/sys/fs/cgroup/pod1"), folder_node.root.host("/var/lib/kubelet/pods/1")
    for path in (group, folder):
        path.mkdir(parents=True)
    texts: list[tuple[int, bytes]] = []
    lingering = subprocess.Popen(["sleep", "60"])

    def tell(_purpose: str, seconds: float) -> None:
        text = folder_node.manifest_path.read_bytes()
        if not texts or texts[-1][1] != text:
            texts.append((round(seconds), text))
        if seconds > 20 and group.exists():
            lingering.kill()
            lingering.wait()
            group.rmdir()

    watch = RestartWaiter(
        root=folder_node.root, manifest=folder_node.read_manifest()[1], clock=folder_node.clock, tell=tell
    )
    held = OutgoingProcess.hold(Process(lingering.pid, started(lingering.pid), ("sleep", "60")))
    assert held is not None
    end = PodEnd(change, PodRemains((group,), folder), held, drain=0.0, port=1)
    end.wait(watch, Deadline(), 60.0, "waiting")
    held.release()

    first, second = change.ending_texts[:2]
    assert texts == [(0, first), (6, second), (12, first), (18, second)]
    assert end.remains.finished(watch.clock.monotonic())
