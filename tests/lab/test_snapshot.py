"""What a node's files were comes back byte for byte: contents, modes, links, absences; a log keeps what it has got since."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditctl.errors import RefusedError
from auditctl.lab.exercises import snapshot
from auditctl.lab.exercises.snapshot import NodeSnapshot
from auditctl.node.change.files import Root

TREES = ("/etc/kubernetes", "/data/new/place")
LOGS = ("/var/log/kubernetes",)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A few files, a link, an empty directory, a log."""
    root = tmp_path / "root"
    for folder in ("etc/kubernetes/audit/empty", "var/log/kubernetes/audit", "data"):
        (root / folder).mkdir(parents=True)
    (root / "etc/kubernetes/audit/policy.yaml").write_bytes(b"rules\r\n\0")
    (root / "etc/kubernetes/audit/policy.yaml").chmod(0o640)
    (root / "etc/kubernetes/link").symlink_to("audit/policy.yaml")
    (root / "var/log/kubernetes/audit/audit.log").write_text("one\n")
    return root


def seen(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (status.st_mode, status.st_uid, content)
    return found


def back(kept: NodeSnapshot) -> None:
    for path in kept.extra():
        snapshot.remove(path)
    for entry in kept.changed():
        kept.give_back(entry)


def _write(root: Path) -> None:
    (root / "etc/kubernetes/audit/policy.yaml").write_text("other")


def _chmod(root: Path) -> None:
    (root / "etc/kubernetes/audit/policy.yaml").chmod(0o600)


def _remove_all(root: Path) -> None:
    shutil.rmtree(root / "etc/kubernetes")


def _file_for_folder(root: Path) -> None:
    shutil.rmtree(root / "etc/kubernetes/audit")
    (root / "etc/kubernetes/audit").write_text("a file")


def _folder_for_file(root: Path) -> None:
    (root / "etc/kubernetes/audit/policy.yaml").unlink()
    (root / "etc/kubernetes/audit/policy.yaml/deep/er").mkdir(parents=True)


def _link_for_file(root: Path) -> None:
    (root / "etc/kubernetes/audit/policy.yaml").unlink()
    (root / "etc/kubernetes/audit/policy.yaml").symlink_to("elsewhere")


def _other_link(root: Path) -> None:
    (root / "etc/kubernetes/link").unlink()
    (root / "etc/kubernetes/link").symlink_to("/nowhere")


def _new_things(root: Path) -> None:
    (root / "data/new/place/deep").mkdir(parents=True)
    (root / "data/new/place/deep/file").write_text("new")
    (root / "etc/kubernetes/.hidden").write_text("new")


CHANGES = [_write, _chmod, _remove_all, _file_for_folder, _folder_for_file, _link_for_file, _other_link, _new_things]


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_whatever_was_done_to_them_files_come_back(root: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    before = seen(root)
    snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)
    change(root)
    assert seen(root) != before

    back(snapshot.load(Root(root), tmp_path / "kept"))

    assert seen(root) == before


def test_what_is_as_it_was_is_not_touched(root: Path, tmp_path: Path) -> None:
    """An mtime is an event for the kubelet."""
    kept = snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)

    assert (kept.changed(), kept.extra()) == ([], [])


@pytest.mark.parametrize("act", ["rename", "remove"])
def test_a_log_comes_back_as_the_very_file_with_all_that_was_written_since(
    root: Path, tmp_path: Path, act: str
) -> None:
    log = root / "var/log/kubernetes/audit/audit.log"
    kept = snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)
    with log.open("a") as held:
        if act == "rename":
            log.rename(log.with_name("audit.log.1"))
        else:
            log.unlink()
        log.write_text("another\n")
        held.write("two\n")

    back(kept)

    assert log.read_text() == "one\ntwo\n"
    assert os.listdir(log.parent) == ["audit.log"]


def test_what_is_no_file_is_refused_before_anything_is_done(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "etc/kubernetes/pipe")

    with pytest.raises(RefusedError, match="neither a file nor a directory nor a link"):
        snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/etc/kubernetes/../../../out"},
        {"path": "/etc/kubernetes/./a"},
        {"path": "/etc/kubernetes-other/a"},
        {"path": "etc/kubernetes/a"},
        {"kept": "../0"},
        {"kept": ""},
        {"mode": 0o4755},
        {"mode": 0o2755},
        {"xattrs": {"security.capability": "00"}},
        {"kind": stat.S_IFIFO},
        {"kind": stat.S_IFDIR},
    ],
    ids=str,
)
def test_a_list_that_was_not_written_by_us_is_not_believed(root: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    """Each line of it alone, beside lines that are plausible."""
    snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)
    rows = json.loads((tmp_path / "kept/entries.json").read_text())
    file = next(row for row in rows["entries"] if row["path"].endswith("policy.yaml"))
    assert snapshot.load(Root(root), tmp_path / "kept")

    file |= change
    (tmp_path / "kept/entries.json").write_text(json.dumps(rows))

    with pytest.raises(ValueError, match="cannot have been kept"):
        snapshot.load(Root(root), tmp_path / "kept")


@pytest.mark.parametrize("place", ["/../out", "/etc/../../out", "/", "etc", ""])
def test_a_place_outside_of_the_node_is_not_believed(root: Path, tmp_path: Path, place: str) -> None:
    snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)
    rows = json.loads((tmp_path / "kept/entries.json").read_text())
    rows["places"].append(place)
    (tmp_path / "kept/entries.json").write_text(json.dumps(rows))

    with pytest.raises(ValueError, match="not inside"):
        snapshot.load(Root(root), tmp_path / "kept")


def test_a_program_with_rights_of_its_own_is_refused_before_anything_is_done(root: Path, tmp_path: Path) -> None:
    (root / "etc/kubernetes/audit/policy.yaml").chmod(0o4755)

    with pytest.raises(RefusedError, match="rights of its own"):
        snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)


def test_a_place_behind_a_link_is_refused_before_anything_is_done(root: Path, tmp_path: Path) -> None:
    (root / "etc").rename(tmp_path / "out")
    (root / "etc").symlink_to(tmp_path / "out")

    with pytest.raises(RefusedError, match="symbolic link on the way"):
        snapshot.take(Root(root), tmp_path / "kept", TREES, LOGS)
