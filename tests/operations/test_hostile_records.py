"""Records that somebody has planted or damaged: no command dies of them, none that changes believes them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from foldernode import POLICY

from auditctl.cli.app import run
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
EVIL = b"* * * * * root id\n"
MALLORY = 54321


def planted(plane: ControlPlane, path: str, change_id: str) -> Path:
    """A record that asks for EVIL to be put back at that path of the node."""
    folder = plane.state.folder(change_id)
    folder.mkdir(parents=True, mode=0o700)
    plane.state.changes.chmod(0o700)
    plane.state.path.chmod(0o700)
    now = hashlib.sha256(plane.manifest_path.read_bytes()).hexdigest()
    policy = {"role": "policy", "path": path, "before": hashlib.sha256(EVIL).hexdigest(), "after": None}
    manifest = {"role": "manifest", "path": MANIFEST, "before": now, "after": "0" * 64}
    header = {"id": change_id, "command": "enable", "started": "2026-01-01T00:00:00Z", "who": {"user": "root"}}
    header |= {"files": [policy, manifest], "made_directories": [], "summary": "x", "undoes": [], "restart": "NONE"}
    step = {"step": "undoing", "at": "2026-01-01T00:00:00Z", "note": ""}
    (folder / "journal.jsonl").write_text(f"{json.dumps(header)}\n{json.dumps(step)}\n")
    (folder / "policy.before").write_bytes(EVIL)
    (folder / "manifest.before").write_bytes(plane.manifest_path.read_bytes())
    return folder


def auditctl(plane: ControlPlane, *words: str) -> int:
    return run(["auditctl", "--rootfs", str(plane.rootfs), *words])


def test_a_record_that_leads_out_of_the_root_writes_nothing_there(folder_node: ControlPlane, tmp_path: Path) -> None:
    """The disk of a node that was taken over, repaired with --rootfs."""
    victim = tmp_path / "cron.d"
    victim.mkdir()
    up = "/.." * 20
    planted(folder_node, f"{up}{victim}/evil", "20260101T000000000Z-aaaa")

    assert auditctl(folder_node, "disable", "--no-wait") == 3

    assert list(victim.iterdir()) == []


def test_a_directory_of_the_root_that_is_a_link_writes_inside_the_root(
    folder_node: ControlPlane, tmp_path: Path
) -> None:
    """`/etc/kubernetes/audit -> /etc/cron.daily`: what the node itself would have come to."""
    victim = tmp_path / "cron.daily"
    victim.mkdir()
    folder_node.root.host("/etc/kubernetes/audit").symlink_to(victim)
    inside = folder_node.rootfs / str(victim).lstrip("/")
    inside.mkdir(parents=True)
    planted(folder_node, "/etc/kubernetes/audit/evil", "20260101T000000000Z-bbbb")

    assert auditctl(folder_node, "recover") == 0

    assert list(victim.iterdir()) == []
    assert (inside / "evil").read_bytes() == EVIL


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_a_state_directory_of_another_user_is_not_believed(folder_node: ControlPlane, capsys: object) -> None:
    """A planted record would install its owner's manifest."""
    folder = planted(folder_node, "/etc/kubernetes/audit/evil", "20260101T000000000Z-cccc")
    before = folder_node.manifest_path.read_bytes()
    (folder / "journal.jsonl").write_text((folder / "journal.jsonl").read_text().replace("0" * 64, "1" * 64))
    os.chown(folder_node.state.path, MALLORY, MALLORY)
    folder_node.state.path.chmod(0o777)

    assert auditctl(folder_node, "disable", "--no-wait") == 3

    assert folder_node.manifest_path.read_bytes() == before
    assert not folder_node.root.host("/etc/kubernetes/audit/evil").exists()


DAMAGE = ["[" * 200_000, '{"id": 5}', None]


@pytest.mark.parametrize("damage", DAMAGE, ids=["nested", "another type", "a plain file"])
def test_a_damaged_record_ends_a_change_with_one_sentence_and_is_named_by_those_that_look(
    folder_node: ControlPlane, policy_file: Path, damage: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """3 for what changes, its usual answer for what looks; never 70."""
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    path = folder_node.state.folder("20260101T000000000Z-dddd")
    if damage is None:
        path.write_text("hello")
    else:
        path.mkdir()
        (path / "journal.jsonl").write_text(damage)
    before = folder_node.manifest_path.read_bytes()

    for words in (("enable", "--log-maxage", "7", "--no-wait"), ("disable", "--no-wait"), ("recover",)):
        assert auditctl(folder_node, *words) == 3
        said = capsys.readouterr().err
        assert str(path) in said
        assert "nothing was changed" in said
    assert folder_node.manifest_path.read_bytes() == before
    for words, code in ((("history",), 0), (("status",), 1), (("verify",), 1), (("doctor",), 1)):
        assert auditctl(folder_node, *words) == code, words
        said = "".join(capsys.readouterr())
        assert str(path) in said, words
        assert "run it as root" not in said


def test_a_pipe_at_the_policys_path_keeps_nobody_waiting(folder_node: ControlPlane, policy_file: Path) -> None:
    """Whoever may write there could hang every command of root's for good."""
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    policy = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    policy.unlink()
    os.mkfifo(policy)

    assert {words: auditctl(folder_node, *words) for words in (("status",), ("doctor",), ("cis",))} == {
        ("status",): 1,
        ("doctor",): 1,
        ("cis",): 1,
    }
    assert auditctl(folder_node, "enable", "--log-maxage", "7", "--no-wait") == 3
    policy.unlink()
    policy.write_text(POLICY)
    assert auditctl(folder_node, "enable", "--log-maxage", "7", "--no-wait") == 0
