"""What the kubelet has on the node of a Pod that runs: a control group with its processes, and a folder.

A worker that is through removes the control group; the kubelet's clean-up removes the folder some time later
(pkg/kubelet/kubelet.go SyncTerminatedPod, pkg/kubelet/kubelet_pods.go HandlePodCleanups).
"""

from __future__ import annotations

import shutil

from auditctl.lab.node.layout import Layout
from auditctl.lab.node.static_pod import StaticPod
from auditctl.node.change.files import make_directories


def appear(layout: Layout, pod: StaticPod, pid: int) -> None:
    """Make the control group of the Pod's container with this process in it, and the Pod's folder."""
    make_directories(layout.pod_folders / pod.uid, 0o755)
    container = layout.control_groups / f"pod{pod.uid}" / pod.container
    make_directories(container, 0o755)
    (container / "cgroup.procs").write_text(f"{pid}\n")


def complete(layout: Layout, pod: StaticPod) -> None:
    """Remove the control group of a Pod that is terminated."""
    shutil.rmtree(layout.control_groups / f"pod{pod.uid}", ignore_errors=True)


def clean_up(layout: Layout, running: frozenset[str]) -> None:
    """Remove the folders of Pods that do not run any more; ``running`` are UIDs."""
    if layout.pod_folders.is_dir():
        for folder in layout.pod_folders.iterdir():
            if folder.name not in running:
                shutil.rmtree(folder, ignore_errors=True)
