"""The locks of a change: who is kept out, whatever happens to their files."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.node.change.lock import lock, lock_left_behind
from auditctl.node.change.state import StateDirectory


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """A state directory."""
    directory = StateDirectory(tmp_path / "state")
    directory.prepare()
    return directory


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A manifest directory."""
    (tmp_path / "manifests").mkdir()
    return tmp_path / "manifests"


def test_a_second_run_is_kept_out_and_told_by_whom(state: StateDirectory, manifests: Path) -> None:
    """In words; afterwards it may."""
    with lock(state, "enable", manifests):
        with (
            pytest.raises(RefusedError, match=rf"auditctl enable \(pid {os.getpid()}\) is changing this node"),
            lock(state, "disable", manifests),
        ):
            pass
        assert state.is_locked()
    with lock(state, "disable", manifests):
        pass


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_what_is_no_file_in_the_place_of_the_lock_holds_nobody_up(state: StateDirectory, kind: str) -> None:
    """Below --rootfs a disk may have it there: its opening would wait, its reading would never end."""
    if kind == "device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    {
        "pipe": lambda: os.mkfifo(state.lock),
        "device": lambda: os.mknod(state.lock, stat.S_IFCHR | 0o600, os.makedev(1, 5)),  # /dev/zero
        "directory": state.lock.mkdir,
    }[kind]()

    assert not state.is_locked()
    assert state.holder() == "another run"
    state.sign("auditctl enable")
    with pytest.raises(RefusedError, match=rf"{state.lock}: "), lock(state, "enable"):
        pass


def test_a_lock_file_that_is_removed_lets_nobody_in(state: StateDirectory, manifests: Path) -> None:
    """A cleaner of old files, or somebody who takes the lock for stale."""
    with lock(state, "enable", manifests):
        state.lock.unlink()
        with pytest.raises(RefusedError, match="is changing this node"), lock(state, "disable", manifests):
            pass


def test_two_state_directories_of_one_manifest_exclude_each_other(
    state: StateDirectory, manifests: Path, tmp_path: Path
) -> None:
    """Of another manifest they do not; and nothing appears where the kubelet reads."""
    other = StateDirectory(tmp_path / "other")
    other.prepare()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "alias").symlink_to("manifests")

    with lock(state, "enable", manifests):
        for name in ("manifests", "alias"):
            with (
                pytest.raises(RefusedError, match="with another --state-dir"),
                lock(other, "enable", tmp_path / name),
            ):
                pass
        with lock(other, "enable", tmp_path / "elsewhere"):
            pass
        assert not list(manifests.iterdir())


def test_a_file_that_lost_its_name_between_open_and_lock_is_not_the_lock(state: StateDirectory) -> None:
    """Its successor is locked instead."""
    from auditctl.node.change.lock import _locked, _state_lock

    opened = []

    def removed_once() -> object:
        lockable = _state_lock(state, create=True)
        if not opened:
            state.lock.unlink()
        opened.append(lockable.descriptor)
        return lockable

    descriptor = _locked(removed_once, 2)  # type: ignore[arg-type]

    assert len(opened) == 2
    assert os.fstat(descriptor).st_ino == state.lock.stat().st_ino
    os.close(descriptor)


def test_the_watchdog_waits_for_both(state: StateDirectory, manifests: Path) -> None:
    """In a child of its own: it gets them when the run is gone, and not before."""
    reader, writer = os.pipe()
    with lock(state, "enable", manifests) as held:
        child = os.fork()
        if child == 0:
            for descriptor in held:
                os.close(descriptor)
            with lock_left_behind(state, manifests):
                os.write(writer, b"held")
            os._exit(0)
        os.write(writer, b"run ")
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 100) == b"run held"
    os.close(reader)
    os.close(writer)


def test_a_watchdog_whose_state_directory_is_gone_goes_on(state: StateDirectory, manifests: Path) -> None:
    """Its own memory has what it needs."""
    state.changes.rmdir()
    state.path.rmdir()

    with lock_left_behind(state, manifests):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has lock files in /run")
def test_the_old_lock_file_of_a_killed_run_is_removed_by_the_next(
    state: StateDirectory, manifests: Path, tmp_path: Path
) -> None:
    """One that is held stays, and so does what is no lock of ours."""
    runtime = Path("/run/auditctl")
    runtime.mkdir(mode=0o700, exist_ok=True)
    left, held, other = (runtime / name for name in ("manifests-fe-1.lock", "manifests-fe-2.lock", "manifests-note"))
    young = runtime / "manifests-fe-3.lock"
    for path in (left, held, other, young):
        path.touch()
    for path in (left, held, other):
        os.utime(path, (1.0, 1.0))
    try:
        with held.open() as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            with lock(state, "enable", manifests):
                assert not left.exists()
                assert young.exists()
                assert held.exists()
                assert other.exists()
    finally:
        for path in (held, other, young):
            path.unlink()
