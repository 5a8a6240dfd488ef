"""A run that died after it had put the node back: what serves since is the old configuration, and is seen to be."""

from __future__ import annotations

import pytest
from nodes import METADATA, Node

from auditctl.lab.node.process import until
from auditctl.node.apiserver.process import listener
from auditctl.node.change import change as changes
from auditctl.node.change.change import Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role, Step
from auditctl.operations.change_model import Restart
from auditctl.operations.controlplane import ControlPlane

pytestmark = pytest.mark.lab

SECONDS = 20


def test_a_server_started_after_the_way_back_is_the_old_configuration(node: Node) -> None:
    """The run died while it waited for that very server; nobody restarts it once more for us."""
    assert node.enable(METADATA).code == 0
    plane = ControlPlane(rootfs=node.root)
    snapshot, manifest = plane.read_manifest()
    new = snapshot.content.replace(b"--audit-log-maxage=30", b"--audit-log-maxage=7")
    edit = FileEdit(role=Role.MANIFEST, path=plane.manifest_path, before=snapshot, after=new)
    intent = Intent(command="enable", summary="x", who={}, restart=Restart.REPLACE_POD.name)
    change = changes.begin(plane.state, plane.root, plane.clock, (edit,), intent)

    def runs(flag: str) -> bool:
        process = listener(manifest.secure_port)
        return process is not None and flag in process.argv and node.is_ready()

    changes.install(change)
    assert until(lambda: runs("--audit-log-maxage=7"), SECONDS)
    changes.put_back(change)
    assert until(lambda: runs("--audit-log-maxage=30"), SECONDS)
    serving = listener(manifest.secure_port)

    recovered = node.run("recover")

    assert recovered.code == 0
    assert recovered.report["summary"].endswith("it was undone; the API server is ready with the old configuration")
    assert plane.state.journals()[-1].step is Step.UNDONE
    assert listener(manifest.secure_port) == serving
