"""Going back needs nothing but memory: the backups on disk may be gone, cut, or another's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from auditctl.errors import RefusedError, StrandedError
from auditctl.node.change import change as changes
from auditctl.node.change import files
from auditctl.node.change.change import Change, Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.operations.controlplane import ControlPlane

WEBHOOK = "/etc/kubernetes/audit/webhook.yaml"
POLICY = "/etc/kubernetes/audit/policy.yaml"


@pytest.fixture
def installed(folder_node: ControlPlane) -> Change:
    """A change of manifest, policy and webhook file that has just been installed."""
    edits = []
    for role, path in ((Role.POLICY, POLICY), (Role.WEBHOOK, WEBHOOK)):
        host = folder_node.root.host(path)
        host.parent.mkdir(exist_ok=True)
        host.write_text("before")
        host.chmod(0o640)
        edits.append(FileEdit(role=role, path=host, before=files.read(host, "file"), after=b"after"))
    before = files.read(folder_node.manifest_path, "manifest")
    edits.append(
        FileEdit(role=Role.MANIFEST, path=folder_node.manifest_path, before=before, after=before.content + b"# after\n")
    )
    folder_node.state.prepare()
    change = changes.begin(
        folder_node.state, folder_node.root, folder_node.clock, edits, Intent(command="enable", summary="x", who={})
    )
    changes.install(change)
    assert folder_node.manifest_path.read_bytes().endswith(b"# after\n")
    return change


def removed(change: Change) -> None:
    for path in change.backup.parent.glob("*.before"):
        path.unlink()


def cut(change: Change) -> None:
    for path in change.backup.parent.glob("*.before"):
        path.write_bytes(b"")


def all_gone(change: Change) -> None:
    shutil.rmtree(change.state.path)


def second_name_gone(change: Change) -> None:
    change.root.host(WEBHOOK).with_name(f".webhook.yaml.before-{change.journal.id}").unlink()


@pytest.mark.parametrize("loss", [removed, cut, all_gone, second_name_gone])
def test_the_old_files_come_back_from_memory(
    installed: Change, folder_node: ControlPlane, loss: Callable[[Change], None]
) -> None:
    """Byte for byte, with their modes."""
    loss(installed)

    changes.put_back(installed)

    assert b"# after" not in folder_node.manifest_path.read_bytes()
    for name in (POLICY, WEBHOOK):
        path = folder_node.root.host(name)
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("before", 0o640)


@pytest.mark.parametrize("loss", [removed, cut])
def test_another_run_that_finds_no_backup_names_no_command_that_would_install_it(
    installed: Change, folder_node: ControlPlane, loss: Callable[[Change], None]
) -> None:
    """`recover` has no memory of the bytes; the manifest that stands is left, and nothing false is said."""
    installed.memory = {}
    loss(installed)

    with pytest.raises(StrandedError, match="is gone or damaged") as caught:
        changes.put_back(installed)

    assert "mv " not in caught.value.fix
    assert "nothing was changed" not in str(caught.value)
    assert folder_node.manifest_path.read_bytes().endswith(b"# after\n")


def test_a_backup_that_fits_is_named_with_the_command(installed: Change, folder_node: ControlPlane) -> None:
    """The policy's backup is lost, the manifest's is whole: a person can go back with it."""
    installed.memory = {}
    installed.state.saved(installed.journal, Role.POLICY, "before").unlink()

    with pytest.raises(StrandedError) as caught:
        changes.put_back(installed)

    assert caught.value.fix.startswith(f"cp -p {installed.backup} ")
    assert "nothing was changed" not in str(caught.value)


def test_a_file_that_appears_where_none_was_is_not_replaced(folder_node: ControlPlane, tmp_path: Path) -> None:
    """Between the check and the rename somebody else puts a policy there."""
    path = tmp_path / "policy.yaml"
    path.write_text("theirs")

    with pytest.raises(RefusedError, match="somebody else changed it"):
        files.replace_file(path, b"ours", None, expected=files.ABSENT)

    assert path.read_text() == "theirs"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["policy.yaml"]
