"""Container logs as the runtimes write them: joined, rotated, of which Pod."""

from __future__ import annotations

import json
from pathlib import Path

from auditctl.node.change.files import Root
from auditctl.node.kubelet import pod_logs
from auditctl.node.kubelet.diagnosis_attempts import Attempts
from auditctl.node.kubelet.pod_logs import PodName


def test_parts_of_a_line_are_joined_by_stream() -> None:
    lines = [
        "2026-11-21T21:26:27.1Z stderr P Error: unknown ",
        "2026-11-21T21:26:27.2Z stdout F something else",
        "2026-11-21T21:26:27.3Z stderr F flag: --x",
    ]

    assert [text for _, text in pod_logs.joined(lines)] == ["something else", "Error: unknown flag: --x"]


def test_dockers_json_lines_are_read_too() -> None:
    line = json.dumps({"log": "Error: unknown flag: --x\n", "stream": "stderr", "time": "2026-11-21T21:26:27.3Z"})

    assert list(pod_logs.joined([line])) == [("2026-11-21T21:26:27.3Z", "Error: unknown flag: --x")]


def attempt(root: Path, uid: str, number: int, *lines: str) -> Path:
    path = root / f"var/log/pods/kube-system_kube-apiserver-node_{uid}/kube-apiserver/{number}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"2026-11-21T21:26:27.1Z stderr F {line}\n" for line in lines)
    return path


def test_only_starts_after_the_change_count_and_only_new_bytes_are_read(tmp_path: Path) -> None:
    attempt(tmp_path, "old", 0, "Error: unknown flag: --old")
    attempts = Attempts.from_now(Root(tmp_path), PodName(), broken=False)
    assert attempts.look() is None

    path = attempt(tmp_path, "new", 0, "Flag --x has been deprecated")
    assert attempts.look() is None
    with path.open("a") as file:
        file.write("2026-11-21T21:26:28.1Z stderr F Error: unknown fl")
    assert attempts.look() is None
    with path.open("a") as file:
        file.write("ag: --new\n")

    crash = attempts.look()
    assert crash is not None
    assert crash.groups["flag"] == "new"
    assert crash.at == "2026-11-21T21:26:28.1Z"
    attempt(tmp_path, "new", 1)
    assert attempts.look() == crash  # the next one has said nothing yet


def test_the_inode_of_a_removed_log_may_be_the_next_ones(tmp_path: Path) -> None:
    """ext4 hands it out again at once, and the kubelet removes the log before the last at each restart."""
    old = attempt(tmp_path, "pod", 0, "Error: unknown flag: --old")
    attempts = Attempts.from_now(Root(tmp_path), PodName(), broken=False)
    inode = old.stat().st_ino
    old.rename(old.with_name("1.log"))

    path = attempt(tmp_path, "pod", 1, "Error: unknown flag: --new")

    assert path.stat().st_ino == inode
    crash = attempts.look()
    assert crash is not None
    assert crash.groups["flag"] == "new"


def test_a_pod_that_was_dying_before_the_change_is_not_listened_to(tmp_path: Path) -> None:
    attempt(tmp_path, "old", 0, "Error: unknown flag: --old")
    attempts = Attempts.from_now(Root(tmp_path), PodName(), broken=True)

    attempt(tmp_path, "old", 1, "Error: unknown flag: --old")

    assert attempts.look() is None
