"""Every fault on a real node: it shows, doctor tells its cause, solve solves it, reset gives the node back byte for byte.

AUDITCTL_FAULTS names some of them (`a,b,c`), for a run that must be short; a fault takes about a minute.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run

from auditctl.lab.exercises import catalogue
from auditctl.lab.exercises.catalogue import ExerciseKind

MARKER = Path("/etc/auditctl-lab-node")
PLACES = ("/etc/kubernetes", "/var/lib/auditctl", "/var/lib/auditctl-lab", "/data", "/var/log/kubernetes-audit")
WANTED = [name for name in os.environ.get("AUDITCTL_FAULTS", "").split(",") if name not in ("", "all")]
FAULTS = [one for one in catalogue.everything() if one.kind is ExerciseKind.FAULT and not one.only_lab]
PLAYED = [one.name for one in FAULTS if not WANTED or one.name in WANTED]


def tree() -> dict[str, tuple[int, int, int, str]]:
    """Modes, owners and contents of all that an exercise may change, the log apart: it grows."""
    found = {}
    for place in PLACES:
        for path in (Path(place), *sorted(Path(place).rglob("*"))):
            if os.path.lexists(path):
                status = path.lstat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


@pytest.fixture(scope="module", autouse=True)
def no_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Without --rootfs this machine is meant, also where somebody has an embedded node in the usual folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("none")))
        yield


@pytest.fixture(scope="module", autouse=True)
def marked(node: None, no_lab: None, run: Run) -> Iterator[None]:
    """The author's mark, and auditing on."""
    MARKER.write_text("a node of these tests\n")
    assert run("enable", "--policy", "baseline")[0] == 0
    yield
    MARKER.unlink()
    shutil.rmtree("/var/lib/auditctl-lab", ignore_errors=True)  # of a test that failed: the next node is another one


@pytest.fixture(autouse=True)
def closed(marked: None, run: Run) -> Iterator[None]:
    """No exercise is left open."""
    yield
    run("lab", "reset")


def test_without_the_mark_or_without_yes_it_is_refused(run: Run) -> None:
    before = tree()
    assert run("lab", "break", "down-after-sizes")[0] == 3
    MARKER.unlink()
    try:
        assert run("lab", "break", "down-after-sizes", "--yes")[0] == 3
    finally:
        MARKER.write_text("a node of these tests\n")
    assert tree() == before


@pytest.mark.parametrize("name", PLAYED)
def test_a_fault_shows_is_told_is_solved_and_taken_back(name: str, run: Run) -> None:
    exercise, before, at = catalogue.load(name), tree(), [time.monotonic()]
    assert exercise.doctor is not None

    assert run("lab", "break", name, "--yes")[0] == 0
    at.append(time.monotonic())
    found = [finding["check"] for finding in run("doctor")[1]["findings"]]
    assert exercise.doctor.check in found
    assert run("lab", "check")[0] == 1
    at.append(time.monotonic())
    code, solved = run("lab", "solve")
    assert code == 0, solved["summary"]
    assert run("lab", "check")[0] == 0
    at.append(time.monotonic())
    assert run("lab", "reset")[0] == 0
    at.append(time.monotonic())

    assert tree() == before
    steps = dict(zip(("break", "told", "solve", "reset"), (b - a for a, b in itertools.pairwise(at)), strict=True))
    print(name, {step: round(seconds, 1) for step, seconds in steps.items()})
