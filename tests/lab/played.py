"""Exercises played on a node: what its files are, and a fault from its beginning to its end."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from auditctl.lab.exercises.catalogue import Exercise
from auditctl.lab.exercises.commands import BreakOptions, begin, check, reset
from auditctl.lab.exercises.target_node import PracticeNode
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.doctor.command import doctor
from auditctl.operations.status import status
from auditctl.operations.verify import VerifyOptions, verify
from auditctl.report import Report

SECONDS = 30.0
PLACES = (
    *(
        "etc/kubernetes",
        "var/lib/auditctl",
        "var/lib/kubelet",
        "var/lib/auditctl-lab/faults.json",
        "var/log/kubernetes",
    ),
    *("var/lib/auditctl-lab/exercise", "var/lib/auditctl-lab/.exercise.new", "data", "var/log/kubernetes-audit"),
)
Tree = Mapping[str, tuple[int, int, int, str]]


def tree(root: Path) -> Tree:
    """Every path that an exercise may change: its mode, owner and content; of a log the very file, for it grows."""
    found = {}
    for place in PLACES:
        for path in (root / place, *sorted((root / place).rglob("*"))):
            if os.path.lexists(path):
                status = path.lstat()
                found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, _content(path))
    return found


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    if not path.is_file():
        return ""
    return str(path.stat().st_ino) if path.name == "audit.log" else hashlib.sha256(path.read_bytes()).hexdigest()


def broken(ground: PracticeNode, name: str) -> Report:
    """Begin it."""
    report = begin(ground, BreakOptions(name, None, False, SECONDS))
    assert report.exit_code == 0, report.summary
    return report


def told(ground: PracticeNode) -> list[str]:
    """The checks of what `doctor` finds."""
    return [finding.check for finding in doctor(ground.plane, ChangeOptions(), fix=False).findings]


# faults under which no event of a request is found where it is looked for
NOT_RECORDED = frozenset(["dead-log", "policy-records-nothing", "log-not-mounted", "no-policy", "events-lost"])


def headlines_are_true(ground: PracticeNode, exercise: Exercise) -> None:
    """`status`, `verify` and `doctor`: each says no where the fault is one of theirs, and none contradicts it."""
    assert exercise.doctor is not None
    seen, proved = status(ground.plane), verify(ground.plane, VerifyOptions())
    found = doctor(ground.plane, ChangeOptions(), fix=False)
    assert (seen.exit_code, found.exit_code) == (1, 1), (seen.summary, found.summary)
    assert seen.next_steps
    assert found.next_steps
    assert "No problem found" not in found.summary
    if exercise.symptom is not ServerState.SERVING:
        assert not seen.summary.startswith("Auditing is"), seen.summary
        assert proved.exit_code == 1, proved.summary
    elif exercise.doctor.check in NOT_RECORDED:
        assert "NOT recording" in seen.summary
        assert proved.exit_code == 1, proved.summary
    else:
        assert "NOT recording" not in seen.summary
    if exercise.doctor.check == "log-standard-output":
        assert proved.exit_code == 0
        assert verify(ground.plane, VerifyOptions(require_proof=True)).exit_code == 1
    assert "auditctl status" not in proved.next_steps


def still_wrong(ground: PracticeNode) -> Report:
    """The verdict while it is broken, which gives nothing away."""
    report = check(ground)
    assert report.exit_code == 1, report.summary
    return report


def given_back(ground: PracticeNode, before: Tree) -> None:
    """Take all of it back, and compare."""
    report = reset(ground, SECONDS)
    assert report.exit_code == 0, report.summary
    assert tree(ground.plane.rootfs) == before


def repaired(ground: PracticeNode, exercise: Exercise) -> None:
    """`doctor --fix`, where that is one safe repair."""
    report = doctor(ground.plane, ChangeOptions(timeout_seconds=SECONDS), fix=True)
    assert report.exit_code == 0, (exercise.name, report.summary)
