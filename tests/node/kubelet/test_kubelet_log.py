"""Whose complaint a line of the kubelet is: an old Pod's is not the new one's, however often it is logged again."""

from __future__ import annotations

import json
from pathlib import Path

from foldernode import HERE

from auditctl.node.change.files import Root
from auditctl.node.kubelet import kubelet_log
from auditctl.node.kubelet.kubelet_log import KubeletLog
from auditctl.node.kubelet.pod_logs import PodName

MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
OLD, NEW = "77613510726c19f4f3903bdb48d41bde", "0123456789abcdef0123456789abcdef"
ROWS = map(json.loads, (HERE / "golden/crashes/kubelet.jsonl").read_text().splitlines())
OWN, EVENT = next(row["kubelet"] for row in ROWS if row["fault"] == "policy-host-file-missing")


def log_of(root: Path, *lines: str) -> Path:
    path = root / "var/log/kubelet.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_uids_of_earlier_pods_stand_in_the_kubelets_own_lines(tmp_path: Path) -> None:
    log_of(tmp_path, OWN, OWN.replace("kube-apiserver", "etcd").replace(OLD, NEW))
    assert kubelet_log.uids(Root(tmp_path), MANIFEST, PodName(), 0.0) == {OLD}


def test_a_complaint_about_an_earlier_pod_is_not_one_about_the_new_pod(tmp_path: Path) -> None:
    path = log_of(tmp_path, OWN)
    read = KubeletLog.begin(Root(tmp_path), MANIFEST, PodName(), since=0.0)
    read.ignored_uids = kubelet_log.uids(Root(tmp_path), MANIFEST, PodName(), 0.0)
    with path.open("a") as file:
        file.write(f"{OWN}\n")
    assert read.look() == []
    with path.open("a") as file:
        file.write(OWN.replace(OLD, NEW) + "\n")
    (crash,) = read.look()
    assert crash.name == "volume-type"


def test_an_event_that_is_logged_again_tells_of_the_api_server_and_not_of_the_pod_in_it(tmp_path: Path) -> None:
    """Its stamp is new each time; the Pod that it is about may be long gone."""
    log_of(tmp_path, "")
    read = KubeletLog.begin(Root(tmp_path), MANIFEST, PodName(), since=0.0)
    log_of(tmp_path, "", EVENT)
    assert [crash.name for crash in read.look()] == ["event-unwritten"]
