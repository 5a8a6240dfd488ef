"""When the kubelet has finished with a Pod: what the control groups and the Pod's folder tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.node.apiserver.process import Process
from auditctl.node.change.files import Root
from auditctl.node.kubelet.pod_end import PodRemains

UID = "20c877b64e621a42da9801400d8fff2a"
POD = Process(4711, 1.0, ("kube-apiserver",))
CGROUPFS = (f"sys/fs/cgroup/kubepods/burstable/pod{UID}", f"{UID}-container")
SYSTEMD = (
    (
        "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/"
        "kubepods-burstable-pod0c5ea4d1_27b4_4d2c_9fbe_2d3a4bd5f3a9.slice"
    ),
    "cri-containerd-1.scope",
)


def node(root: Path, place: tuple[str, str], uid: str = UID) -> tuple[Path, Path]:
    """A Pod's control group with one container, and its folder."""
    group, folder = root / place[0], root / "var/lib/kubelet/pods" / uid
    (group / place[1]).mkdir(parents=True)
    (group / place[1] / "cgroup.procs").write_text("4711\n")
    folder.mkdir(parents=True)
    return group, folder


def end(group: Path) -> None:
    for path in (*group.rglob("cgroup.procs"),):
        path.unlink()
    for path in (*group.iterdir(), group):
        path.rmdir()


@pytest.mark.parametrize(
    ("place", "uid"), [(CGROUPFS, UID), (SYSTEMD, "0c5ea4d1-27b4-4d2c-9fbe-2d3a4bd5f3a9")], ids=["cgroupfs", "systemd"]
)
def test_both_drivers_name_the_pod(place: tuple[str, str], uid: str, tmp_path: Path) -> None:
    """In the name of the directory above the container's."""
    group, folder = node(tmp_path, place, uid)

    remains = PodRemains.of(Root(tmp_path), POD)

    assert remains is not None
    assert (remains.cgroups, remains.folder) == ((group,), folder)


def test_control_groups_that_go_before_the_folder_were_removed_by_the_worker(tmp_path: Path) -> None:
    """It is through: a tenth of a second is enough."""
    group, _ = node(tmp_path, CGROUPFS)
    remains = PodRemains.of(Root(tmp_path), POD)
    assert remains is not None

    assert not remains.finished(10.0)
    end(group)
    assert not remains.finished(11.0)
    assert not remains.finished(11.05)
    assert remains.finished(11.11)


def test_a_folder_that_is_gone_too_is_the_clean_ups_and_the_worker_may_not_be_through(tmp_path: Path) -> None:
    """It gets the time of two listings of containers, and of the second between them."""
    group, folder = node(tmp_path, CGROUPFS)
    remains = PodRemains.of(Root(tmp_path), POD)
    assert remains is not None

    folder.rmdir()
    assert not remains.finished(10.0)
    end(group)
    assert not remains.finished(11.0)
    assert not remains.finished(12.2)
    assert remains.finished(12.4)


@pytest.mark.parametrize("missing", ["group", "folder"])
def test_a_pod_of_which_nothing_is_visible_tells_nothing(missing: str, tmp_path: Path) -> None:
    """A server that is no Pod, a kubelet without control groups a Pod, or one that keeps its folders elsewhere."""
    group, folder = node(tmp_path, CGROUPFS)
    end(group) if missing == "group" else folder.rmdir()

    assert PodRemains.of(Root(tmp_path), POD) is None


def test_a_process_of_the_host_itself_is_no_pod() -> None:
    """The kernel's own word about this process: no control group of it is a Pod's."""
    import os

    assert PodRemains.of(Root(Path("/")), POD._replace(pid=os.getpid())) is None
