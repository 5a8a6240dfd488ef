"""The old webhook file is kept by a second name beside it, without a byte written, as long as a rollback may ask for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from foldernode import HOOK, POLICY

from auditctl.errors import RefusedError
from auditctl.node.change import files
from auditctl.node.change.journal import Role
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.evidence import last_known_good
from auditctl.operations.recover import recover
from auditctl.operations.rollback import rollback
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)


@pytest.fixture
def node(folder_node: ControlPlane, tmp_path: Path) -> ControlPlane:
    """A node with a policy and a first webhook, whose file is 0640."""
    (tmp_path / "p.yaml").write_text(POLICY)
    hook(folder_node, tmp_path, 1, policy=str(tmp_path / "p.yaml"))
    installed(folder_node).chmod(0o640)
    return folder_node


def hook(node: ControlPlane, folder: Path, number: int, policy: str | None = None) -> str:
    """`enable --webhook-config` with this file; the change's id."""
    source = folder / "hook.yaml"
    source.write_text(HOOK.format(number))
    enable(node, EnableRequest(Settings(webhook=True), policy, source), NO_WAIT)
    return node.state.journals()[-1].id


def installed(node: ControlPlane) -> Path:
    return node.root.host("/etc/kubernetes/audit/webhook.yaml")


def kept(node: ControlPlane) -> dict[str, str]:
    """Which old files are there: their text by the change's id."""
    found = installed(node).parent.glob(".webhook.yaml.before-*")
    return {path.name.partition(".before-")[2]: path.read_text() for path in found}


def in_records(node: ControlPlane) -> bool:
    return any(b"secret-" in path.read_bytes() for path in node.state.path.rglob("*") if path.is_file())


def test_each_change_that_can_be_rolled_back_keeps_the_file_of_before(node: ControlPlane, tmp_path: Path) -> None:
    inode = installed(node).stat().st_ino
    second, third = hook(node, tmp_path, 2), hook(node, tmp_path, 3)
    assert kept(node) == {second: HOOK.format(1), third: HOOK.format(2)}
    assert installed(node).with_name(f".webhook.yaml.before-{second}").stat().st_ino == inode
    assert not in_records(node)

    rollback(node, second, NO_WAIT)
    assert (installed(node).read_text(), kept(node)) == (HOOK.format(1), {})
    assert installed(node).stat().st_mode & 0o777 == 0o640
    assert not in_records(node)


def test_rolled_back_one_by_one_each_is_there_in_its_turn(node: ControlPlane, tmp_path: Path) -> None:
    hook(node, tmp_path, 2)
    hook(node, tmp_path, 3)
    for number in (2, 1):
        rollback(node, None, NO_WAIT)
        assert installed(node).read_text() == HOOK.format(number)
    rollback(node, None, NO_WAIT)
    assert not installed(node).parent.exists()


def test_a_purge_takes_the_old_ones_too_and_going_back_behind_it_says_why_it_cannot(
    node: ControlPlane, tmp_path: Path
) -> None:
    hook(node, tmp_path, 2)
    disable(node, Purge(files=True), NO_WAIT)
    assert not installed(node).parent.exists()
    before = node.manifest_path.read_bytes()
    with pytest.raises(RefusedError, match="keeps no copy of it, and a purge removes the old ones") as caught:
        rollback(node, None, NO_WAIT)
    assert (caught.value.check, "--webhook-config" in caught.value.fix) == ("webhook-gone", True)
    assert node.manifest_path.read_bytes() == before
    first = node.state.journals()[0].id
    rollback(node, first, NO_WAIT)  # before that there was none


def test_where_no_hard_link_can_be_made_the_change_is_refused_before_anything(
    node: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    before, changes = node.manifest_path.read_bytes(), len(node.state.journals())
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(RefusedError, match="by a hard link: operation not permitted; it holds secrets") as caught:
        hook(node, tmp_path, 2)
    assert caught.value.check == "webhook-not-kept"
    assert (node.manifest_path.read_bytes(), installed(node).read_text()) == (before, HOOK.format(1))
    assert len(node.state.journals()) == changes


def test_an_old_file_that_somebody_has_written_into_is_not_put_back(node: ControlPlane, tmp_path: Path) -> None:
    change = hook(node, tmp_path, 2)
    installed(node).with_name(f".webhook.yaml.before-{change}").write_text("x")
    with pytest.raises(RefusedError, match="not those of the journal"):
        rollback(node, None, NO_WAIT)
    assert installed(node).read_text() == HOOK.format(2)


def test_what_nobody_can_ask_for_any_more_goes_with_the_next_run(node: ControlPlane, tmp_path: Path) -> None:
    """A run that was killed right after its last entry."""
    change = hook(node, tmp_path, 2)
    rollback(node, None, NO_WAIT)
    left = installed(node).with_name(f".webhook.yaml.before-{change}")
    left.write_text(HOOK.format(1))
    recover(node)
    assert kept(node) == {}


def test_a_file_edited_in_place_is_told_of_and_its_digest_alone_was_known(node: ControlPlane) -> None:
    node.state.keep_last_good(Role.WEBHOOK, files.sha256(HOOK.format(1).encode()).encode())
    assert list(last_known_good.webhook_edited_by_hand(node, installed(node))) == []
    installed(node).write_text(HOOK.format(7))
    [finding] = last_known_good.webhook_edited_by_hand(node, installed(node))
    assert (finding.check, "cannot be put back" in finding.message) == ("webhook-edited", True)
