"""What a process has loaded: by what was recorded when it was proved, never by clocks against the record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.loaded_policy import LoadedPolicyRecord
from auditctl.node.apiserver.process import Process
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import last_known_good

GOLDEN = Path(__file__).parents[2] / "golden/kubeadm/v1.36.2/plain+log.yaml"
BASELINE = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
EDITED = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n"
YEAR = 365 * 86400.0


class Node:
    """A folder with a manifest and a policy; the process that serves is this test's own."""

    def __init__(self, root: Path) -> None:
        self.plane = ControlPlane(rootfs=root)
        self.plane.manifest_path.parent.mkdir(parents=True)
        self.plane.manifest_path.write_bytes(GOLDEN.read_bytes())
        self.manifest: Manifest = self.plane.read_manifest()[1]
        mounted = self.manifest.host_path(self.manifest.flag("audit-policy-file") or "")
        assert mounted is not None
        self.policy = self.plane.root.host(mounted.path)
        self.policy.parent.mkdir(parents=True)
        self.policy.write_bytes(BASELINE)

    def process(self, started: float) -> Process:
        return Process(os.getpid(), started, ("kube-apiserver",))

    @property
    def now(self) -> float:
        return self.plane.clock.boot()

    def loaded(self, process: Process) -> bytes | None:
        return last_known_good.loaded(self.plane, self.manifest, process)

    def change_record(self, **changes: object) -> None:
        self.plane.state.keep_last_process({**self.plane.state.last_process(), **changes})


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_an_edit_after_the_proof_is_not_loaded_whatever_the_clock_says(node: Node) -> None:
    """The process seems younger than the file (a clock that was set forward), and still has what was recorded."""
    process = node.process(node.now + YEAR)
    last_known_good.keep(node.plane, node.manifest, process, BASELINE)
    node.policy.write_bytes(EDITED)

    assert node.loaded(process) == BASELINE


def test_the_edited_file_does_not_become_the_last_known_good_one(node: Node) -> None:
    process = node.process(node.now + YEAR)
    last_known_good.keep(node.plane, node.manifest, process, BASELINE)
    node.policy.write_bytes(EDITED)

    last_known_good.keep(node.plane, node.manifest, process)

    assert node.plane.state.last_good_of(last_known_good.Role.POLICY).read_bytes() == BASELINE


def test_a_later_process_has_the_recorded_file_if_nobody_touched_it(node: Node) -> None:
    """After a reboot the file is older than its record, whatever the clocks of the two boots were."""
    last_known_good.keep(node.plane, node.manifest, node.process(node.now), BASELINE)
    node.change_record(boot="another boot")

    assert node.loaded(node.process(1.0)) == BASELINE


def test_a_file_that_was_written_with_the_same_bytes_is_another_file(node: Node) -> None:
    """Its ctime differs, and the process is older than it: what the process has read is unknown."""
    last_known_good.keep(node.plane, node.manifest, node.process(node.now), BASELINE)
    node.change_record(boot="another boot")
    node.policy.write_bytes(EDITED)
    node.policy.write_bytes(BASELINE)

    assert node.loaded(node.process(1.0)) is None


def test_the_age_of_a_file_proves_nothing_once_the_clock_was_set(node: Node) -> None:
    last_known_good.keep(node.plane, node.manifest, node.process(node.now), BASELINE)
    node.policy.write_bytes(EDITED)
    later = node.process(node.now + YEAR)

    assert node.loaded(later) == EDITED  # nothing speaks against the clock

    offset = node.plane.state.last_process()["clock_offset"]
    assert isinstance(offset, float)
    node.change_record(clock_offset=offset - 3600.0)

    assert node.loaded(later) is None


def test_pid_and_start_of_another_boot_are_not_this_process(node: Node) -> None:
    process = node.process(node.now + YEAR)
    last_known_good.keep(node.plane, node.manifest, process, BASELINE)
    node.policy.write_bytes(EDITED)
    node.change_record(boot="another boot")

    assert node.loaded(process) == EDITED


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "5", '{"pid": "x"}', '{"pid": 1, "started": 2.0}'])
def test_a_record_that_cannot_be_read_is_no_record(node: Node, text: str) -> None:
    node.plane.state.last_good.mkdir(parents=True)
    (node.plane.state.last_good / "process.json").write_text(text)

    assert LoadedPolicyRecord.read(node.plane.state.last_process()) is None
    assert node.loaded(node.process(1.0)) is None
    assert node.loaded(node.process(node.now + YEAR)) == BASELINE
