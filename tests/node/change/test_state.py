"""The state directory: whose it may be, and what damaged records come to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.node.change.journal import FileRecord, Journal, Role, Step, encode_header, encode_step
from auditctl.node.change.state import StateDirectory

MALLORY = 54321
ID = "20260101T000000000Z-aaaa"
RECORD = FileRecord(role=Role.MANIFEST, path="/etc/kubernetes/manifests/kube-apiserver.yaml", before="old", after="new")
JOURNAL = Journal(id=ID, command="enable", started="2026-01-01T00:00:00Z", who={"user": "root"}, files=(RECORD,))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """An empty state directory of ours."""
    directory = StateDirectory(tmp_path / "state")
    directory.prepare()
    return directory


def test_ours_alone_is_accepted(state: StateDirectory, tmp_path: Path) -> None:
    """Again and again; made with 0700, through a link of ours too."""
    state.prepare()
    assert state.path.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to("state")
    StateDirectory(tmp_path / "link").prepare()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
@pytest.mark.parametrize("name", ["", "changes"])
def test_one_that_others_may_write_is_refused(state: StateDirectory, name: str, mode: int) -> None:
    """A planted record would replace the manifest."""
    (state.path / name).chmod(mode)

    with pytest.raises(RefusedError, match="others may write it") as caught:
        state.prepare()

    assert caught.value.check == "path-untrusted"


@as_root
@pytest.mark.parametrize("name", ["", "changes"])
def test_one_that_another_user_owns_is_refused(state: StateDirectory, name: str) -> None:
    """Its owner could plant a record, or exchange the directory."""
    os.chown(state.path / name, MALLORY, MALLORY)

    with pytest.raises(RefusedError, match=f"uid {MALLORY}"):
        state.prepare()


def written(state: StateDirectory, text: str, name: str = ID) -> Path:
    folder = state.folder(name)
    folder.mkdir()
    (folder / "journal.jsonl").write_text(text)
    return folder


GOOD = encode_header(JOURNAL)
DAMAGED = {
    "nested deeper than the parser goes": "[" * 200_000,
    "a nested id": '{"id": ' + "[" * 200_000,
    "a number for an id": GOOD.replace(f'"{ID}"', "5"),
    "a list for who": GOOD.replace('{"user": "root"}', "[1]"),
    "a number for a file": GOOD.replace('"files": [{', '"files": [5, {'),
    "no manifest": GOOD.replace('"manifest"', '"policy"'),
    "a path that leads up": GOOD.replace("/etc/kubernetes/manifests/", "/../../etc/cron.d/"),
    "a relative path": GOOD.replace("/etc/kubernetes/manifests/", "etc/cron.d/"),
    "a directory that leads up": GOOD.replace('"made_directories": []', '"made_directories": ["/var/../.."]'),
    "an id of another folder": GOOD.replace(ID, "../../../etc"),
    "a list for a note": GOOD + encode_step(Step.BACKED_UP, "t", "").replace('""', "[]"),
    "nothing": "",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_record_is_named_and_stands_in_nobodys_way(state: StateDirectory, damage: str) -> None:
    """The others are read."""
    folder = written(state, DAMAGED[damage])
    good = written(state, GOOD.replace("-aaaa", "-bbbb"), ID.replace("-aaaa", "-bbbb"))

    assert state.unreadable() == [folder]
    assert [journal.id for journal in state.journals()] == [good.name]


def test_what_is_no_folder_is_named_too(state: StateDirectory) -> None:
    """A plain file, a pipe where a journal should be, a link to nowhere; an empty folder never began."""
    (state.changes / "notes.txt").write_text("hello")
    (state.changes / "pipe").mkdir()
    os.mkfifo(state.changes / "pipe/journal.jsonl")
    (state.changes / "nowhere").symlink_to("absent")
    (state.changes / "empty").mkdir()

    assert [path.name for path in state.unreadable()] == ["notes.txt", "nowhere", "pipe"]
    assert state.journals() == []


def test_nothing_is_added_to_a_journal_that_another_run_has_finished(state: StateDirectory) -> None:
    """A run whose lock was pulled away comes back late."""
    state.write_header(JOURNAL)
    late = state.append(JOURNAL, Step.BACKED_UP, "t")
    state.append(late, Step.UNDOING, "t")
    taken_over = state.journal(ID)
    assert taken_over is not None
    state.append(taken_over, Step.UNDONE, "t")

    with pytest.raises(OSError, match="another run has finished this change") as caught:
        state.append(late, Step.INSTALLING, "t")

    assert caught.value.errno == errno.ESTALE
    finished = state.journal(ID)
    assert finished is not None
    assert finished.step is Step.UNDONE


def test_a_damaged_record_of_the_verified_process_is_an_empty_one(state: StateDirectory) -> None:
    assert state.last_process() == {}
    state.keep_last_process({"pid": 17})
    assert state.last_process() == {"pid": 17}

    for damaged in ("[" * 200_000, "[17]", "{"):
        (state.last_good / "process.json").write_text(damaged)
        assert state.last_process() == {}
