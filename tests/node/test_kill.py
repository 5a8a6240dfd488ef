"""Law 9: killed at any point, the node is on the old or the new configuration, and the next run says which and finishes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foldernode import OTHER_POLICY, PLAIN, POLICY, FakeClock

from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import Request, enable
from auditctl.operations.history import recover
from auditctl.operations.rollback import rollback
from auditctl.operations.work import How
from auditctl.settings import Settings

NO_WAIT = How(wait=False)
DEADLY = ("fsync", "rename", "unlink", "mkdir", "rmdir", "write", "fchmod")
KILLED = 9
MOST_CALLS = 200


def kill_at(nth: int, run: Callable[[], Any], *, torn: bool) -> int:
    """Run in a child that dies at its nth call to the file system (``torn``: in the middle of an ``os.write``)."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    count = 0

    def deadly(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == nth:
                if torn and name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os._exit(KILLED)
            return real(*arguments, **options)

        return call

    for name in DEADLY:
        setattr(os, name, deadly(name, getattr(os, name)))
    try:
        run()
    except BaseException:  # noqa: BLE001 (a child must not return into pytest)
        os._exit(70)
    os._exit(0)


def state(plane: ControlPlane) -> dict[str, bytes]:
    """Everything of the node that a change may touch: names and bytes."""
    root = plane.root.path / "etc"
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def seen_by_the_kubelet(plane: ControlPlane) -> list[str]:
    return sorted(name for name in os.listdir(plane.manifest_path.parent) if not name.startswith("."))


def first(plane: ControlPlane, policy: Path) -> None:
    enable(plane, Request(Settings(), str(policy)), NO_WAIT)


def second(plane: ControlPlane, policy: Path) -> None:
    policy.write_text(OTHER_POLICY)
    enable(plane, Request(Settings(log_maxage_days=7), str(policy)), NO_WAIT)


def out(plane: ControlPlane, policy: Path) -> None:
    disable(plane, Purge(files=True), NO_WAIT)


def back(plane: ControlPlane, policy: Path) -> None:
    rollback(plane, None, NO_WAIT)


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize(
    ("before", "act"),
    [((), first), ((first,), second), ((first,), out), ((first, second), back)],
    ids=["first", "second", "out", "back"],
)
def test_killed_at_any_point_the_next_run_finishes_or_undoes(
    tmp_path: Path, before: tuple[Any, ...], act: Any, torn: bool
) -> None:
    """Each kill on a fresh copy; after recovery it is wholly old or wholly new."""
    old = prepared(tmp_path / "old", before)
    new = prepared(tmp_path / "new", (*before, act))
    for nth in range(1, MOST_CALLS):
        plane = node_in(copy(tmp_path / "old", tmp_path / str(nth)))
        code = kill_at(nth, lambda: act(plane, plane.rootfs / "p.yaml"), torn=torn)  # noqa: B023
        assert seen_by_the_kubelet(plane) == ["kube-apiserver.yaml"], f"call {nth}"
        if code == 0:
            break
        assert code == KILLED
        recover(plane)
        assert not plane.state.open_changes()
        assert state(plane) in (old, new), f"call {nth}"
        shutil.rmtree(plane.rootfs)
    else:
        pytest.fail("the run never came to its end")
    assert nth > 10


@pytest.mark.parametrize("nth", range(3, 40, 6))
def test_after_a_kill_the_same_command_does_its_work(tmp_path: Path, nth: int) -> None:
    """Recovery comes first, and says so."""
    prepared(tmp_path / "old", (first,))
    new = prepared(tmp_path / "new", (first, second))
    plane = node_in(copy(tmp_path / "old", tmp_path / "node"))

    kill_at(nth, lambda: second(plane, plane.rootfs / "p.yaml"), torn=False)
    second(plane, plane.rootfs / "p.yaml")

    assert state(plane) == new


def prepared(folder: Path, steps: tuple[Any, ...]) -> dict[str, bytes]:
    """A node after these steps; its state."""
    manifests = folder / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(PLAIN.read_text())
    (folder / "p.yaml").write_text(POLICY)
    plane = node_in(folder)
    for step in steps:
        step(plane, folder / "p.yaml")
    return state(plane)


def node_in(folder: Path) -> ControlPlane:
    return ControlPlane(rootfs=folder, clock=FakeClock())


def copy(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))
