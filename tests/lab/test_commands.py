"""The commands of exercises as a person types them: one at a time, hints in steps, killed in the middle, and on a real node."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from labroom import QUICK
from played import tree

from auditctl.lab import down, status, up
from auditctl.lab.exercises import catalogue, target_node
from auditctl.lab.exercises.step_kind import Places
from auditctl.lab.exercises.steps import kept_places
from auditctl.lab.exercises.target_node import find
from auditctl.lab.node.layout import MARKER
from auditctl.lab.node.process import until
from auditctl.operations.controlplane import ControlPlane

pytestmark = pytest.mark.lab
SECONDS = 30.0


class Ran(NamedTuple):
    """What one call gave."""

    code: int
    report: dict[str, Any]


class Person:
    """Types `auditctl lab ...` about one node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.exercise = root / "var/lib/auditctl-lab/exercise"

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "auditctl", "--rootfs", str(self.root), *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def types(self, *words: str) -> Ran:
        process = self.start(*words, "-o", "json")
        stdout, stderr = process.communicate(timeout=120)
        assert "Traceback" not in stderr, stderr
        return Ran(process.returncode, json.loads(stdout))

    def sees(self, *words: str) -> str:
        return "".join(self.start(*words).communicate(timeout=120))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One node for the module."""
    folder = tmp_path_factory.mktemp("practice") / "node"
    up(folder, pace=QUICK)
    yield folder
    down(folder)


@pytest.fixture
def person(lab: Path) -> Iterator[Person]:
    """At that node, which is left without an exercise."""
    person = Person(lab)
    yield person
    assert person.types("lab", "reset").code == 0


def test_an_exercise_from_its_story_to_its_end(person: Person) -> None:
    """Nothing but `solve` names the cause; every verdict has its exit code."""
    before = tree(person.root)
    assert person.types("lab", "hint").code == 3
    broken = person.types("lab", "break", "down-after-backups")
    assert (broken.code, broken.report["exercise"]["kind"]) == (0, "fault")
    assert "maxbackup" not in json.dumps(broken.report)
    assert status(person.root) is not None
    assert not person.exercise.is_relative_to(person.root / "etc")

    other = person.types("lab", "break", "down-after-sizes")
    assert other.code == 3
    assert "'down-after-backups'" in other.report["summary"]
    verdict = person.types("lab", "check")
    assert (verdict.code, verdict.report["summary"]) == (
        *(1, "not yet: the API server is not ready, or does not run as its manifest says"),
    )
    hints = [person.types("lab", "hint").report["summary"] for _ in range(4)]
    assert [one.partition(":")[0] for one in hints] == ["hint 1 of 3", "hint 2 of 3", "hint 3 of 3", "hint 3 of 3"]
    assert "maxbackup" not in "".join(hints[:2])
    assert person.types("lab", "hint", "1").report["summary"] == hints[0]
    text = person.sees("lab", "solve")
    assert "'--audit-log-maxbackup=-1' becomes '--audit-log-maxbackup=0'" in text
    solved = person.types("lab", "check")
    assert (solved.code, solved.report["verification"]["holds"]) == (0, True)

    assert person.types("lab", "reset").code == 0

    assert tree(person.root) == before


def test_a_reset_needs_no_server_and_finds_all_that_a_learner_removed(person: Person) -> None:
    before = tree(person.root)
    assert person.types("lab", "break", "down-without-a-mount").code == 0
    kubernetes = person.root / "etc/kubernetes"
    shutil.rmtree(kubernetes / "audit")
    shutil.rmtree(kubernetes / "pki")
    (kubernetes / "manifests/kube-apiserver.yaml").write_text("not: [a, pod")
    (kubernetes / "manifests/kube-apiserver.yaml~").write_text("kind: Pod")
    shutil.rmtree(person.root / "var/lib/auditctl", ignore_errors=True)
    assert person.types("lab", "check").code == 1

    assert person.types("lab", "reset").code == 0

    assert tree(person.root) == before
    assert person.types("status").report["status"]["process"] is not None


def test_killed_while_it_begins_all_is_taken_back(person: Person) -> None:
    before = tree(person.root)
    process = person.start("lab", "break", "down-after-sizes")
    manifest = person.root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    assert until(lambda: "--audit-" in manifest.read_text(), SECONDS)
    process.kill()
    process.communicate()
    refused = person.types("lab", "check")
    assert (refused.code, refused.report["findings"][0]["check"]) == (3, "lab-interrupted")
    assert person.types("lab", "break").code == 3

    assert person.types("lab", "reset").code == 0

    assert tree(person.root) == before


def test_killed_before_it_began_nothing_is_left_and_the_next_one_begins(person: Person) -> None:
    draft = person.exercise.with_name(".exercise.new")
    (draft / "kept").mkdir(parents=True)
    (draft / "kept/0").write_text("half")
    before = tree(person.root).keys() - {str(draft), str(draft / "kept"), str(draft / "kept/0")}

    assert person.types("lab", "break", "down-after-retention").code == 0
    assert person.types("lab", "reset").code == 0

    assert tree(person.root).keys() == before


def test_killed_while_it_is_taken_back_the_next_reset_goes_on(person: Person) -> None:
    before = tree(person.root)
    story = person.sees("lab", "break", "never-started-without-a-file")
    assert ("something is wrong on this node" in story, "+++" in story) == (True, False), (
        "not what the preparation changed"
    )
    process = person.start("lab", "reset")
    assert until(lambda: '"resetting"' in (person.exercise / "state.json").read_text(), SECONDS)
    process.kill()
    process.communicate()
    assert person.exercise.is_dir()
    assert person.types("lab", "solve").code == 3

    assert person.types("lab", "reset").code == 0

    assert tree(person.root) == before


def test_asked_to_stop_while_it_begins_it_puts_the_node_back_itself(person: Person) -> None:
    before = tree(person.root)
    process = person.start("lab", "break", "down-after-sizes", "-o", "json")
    assert until(person.exercise.is_dir, SECONDS)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)

    assert (process.returncode, json.loads(stdout)["outcome"]) == (130, "Interrupted")
    assert tree(person.root) == before


def test_a_fault_that_was_drawn_has_no_name_and_the_same_seed_draws_it_again(person: Person) -> None:
    first = person.types("lab", "break", "--seed", "21")
    assert (first.code, first.report["exercise"]["name"], first.report["exercise"]["seed"]) == (0, None, 21)
    other = person.types("lab", "break")
    assert "drawn with --seed 21" in other.report["summary"]
    name = person.types("lab", "reset").report["summary"]
    assert person.types("lab", "break", "--seed", "21").report["summary"] == first.report["summary"]

    assert person.types("lab", "reset").report["summary"].split("'")[1] == name.split("'")[1]


def test_a_task_is_told_with_its_text_and_graded(person: Person) -> None:
    begun = person.types("lab", "break", "pods-metadata")
    assert (begun.code, begun.report["exercise"]["kind"]) == (0, "task")
    assert "every request about Pods" in begun.report["exercise"]["text"]

    assert person.types("lab", "check").code == 1


def test_the_list_is_of_both_kinds_and_of_either(person: Person) -> None:
    rows = person.types("lab", "list").report["exercises"]
    faults = person.types("lab", "list", "--kind", "fault").report["exercises"]

    assert {row["kind"] for row in rows} == {"fault", "task"}
    assert faults == [row for row in rows if row["kind"] == "fault"]
    assert "down-after-sizes" in person.sees("lab", "list")


@pytest.fixture
def unmarked(tmp_path: Path) -> Person:
    """A folder like a kubeadm node's, which is no lab."""
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text("kind: Pod\n")
    return Person(tmp_path)


def test_a_node_that_nobody_gave_for_it_is_refused_and_untouched(unmarked: Person) -> None:
    before = tree(unmarked.root)

    for words in (("lab", "break"), ("lab", "break", "--yes"), ("lab", "break", "down-after-sizes", "--yes")):
        refused = unmarked.types(*words)
        assert (refused.code, refused.report["findings"][0]["check"]) == (3, "lab-node")

    assert tree(unmarked.root) == before
    assert not (unmarked.root / "var").exists()


def test_a_marked_real_node_still_wants_a_yes_and_is_told_if_it_does_not_serve(unmarked: Person) -> None:
    (unmarked.root / "etc/auditctl-lab-node").write_text("thrown away on Friday\n")

    first, second = unmarked.types("lab", "break"), unmarked.types("lab", "break", "down-after-sizes", "--yes")

    assert (first.code, first.report["findings"][0]["check"]) == (3, "confirmation")
    assert second.code == 3
    assert os.listdir(unmarked.root / "etc/kubernetes/manifests") == ["kube-apiserver.yaml"]
    assert not (unmarked.root / "var/lib/auditctl-lab").exists()


def test_where_nothing_can_be_written_it_is_refused_in_one_sentence(lab: Path, unmarked: Person) -> None:
    (unmarked.root / "etc/auditctl-lab-node").write_text("")
    (unmarked.root / "var").write_text("a file")

    refused = unmarked.types("lab", "break", "down-after-sizes", "--yes")

    assert (refused.code, refused.report["findings"][0]["check"]) == (3, "not-writable")


def test_a_solution_that_no_longer_fits_says_so_and_changes_nothing(person: Person) -> None:
    assert person.types("lab", "break", "down-after-backups").code == 0
    manifest = person.root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.write_text(manifest.read_text().replace("--audit-log-maxbackup=-1", "--audit-log-maxbackup=-2"))
    before = manifest.read_bytes()

    refused = person.types("lab", "solve")

    assert (refused.code, manifest.read_bytes()) == (3, before)
    assert "is not in it; nothing was changed" in refused.report["summary"]


def test_what_cannot_be_given_back_is_told_and_given_back_by_the_next_reset(person: Person) -> None:
    """A disk that is full, a file that is immutable: here, a kept file that has gone for a while."""
    before = tree(person.root)
    assert person.types("lab", "break", "edited-but-not-in-force").code == 0
    (policy,) = [
        path
        for path in (person.exercise / "kept").iterdir()
        if path.read_bytes().startswith(b"apiVersion: v1\nkind: Pod")
    ]
    policy.rename(policy.with_suffix(".away"))
    (person.root / "etc/kubernetes/manifests/kube-apiserver.yaml").write_text("kind: Pod\n")

    stranded = person.types("lab", "reset")

    assert (stranded.code, stranded.report["findings"][0]["check"]) == (5, "lab-not-given-back")
    policy.with_suffix(".away").rename(policy)
    assert person.types("lab", "reset").code == 0
    assert tree(person.root) == before


def test_a_node_that_was_set_up_anew_is_not_given_the_files_of_the_old_one(person: Person) -> None:
    before = tree(person.root)
    assert person.types("lab", "break", "edited-but-not-in-force").code == 0
    authority = person.root / "etc/kubernetes/pki/ca.crt"
    old = authority.read_bytes()
    authority.write_bytes(b"another authority\n")

    refused = person.types("lab", "reset")

    assert (refused.code, refused.report["findings"][0]["check"]) == (3, "lab-another-node")
    assert authority.read_bytes() == b"another authority\n"
    authority.write_bytes(old)
    assert person.types("lab", "reset").code == 0
    assert tree(person.root) == before


def test_a_policy_that_stands_elsewhere_is_given_back_too(person: Person) -> None:
    """An exercise that begins with another policy writes that over it."""
    policy = person.root / "opt/audit/policy.yaml"
    (person.root / "mine.yaml").write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata # mine\n"
    )
    words = ("--policy", str(person.root / "mine.yaml"), "--policy-path", "/opt/audit/policy.yaml")
    assert person.types("enable", *words).code == 0
    mine = policy.read_bytes()
    assert person.types("lab", "break", "down-after-sizes").code == 0

    assert person.types("lab", "reset").code == 0

    assert policy.read_bytes() == mine
    assert person.types("disable", "--purge").code == 0


def test_of_a_directory_that_is_anybodys_only_the_log_and_its_rotated_files_are_kept(person: Person) -> None:
    plane = ControlPlane(rootfs=person.root)
    folder = person.root / "var/log"
    for name in ("kube-audit.log", "kube-audit-2026-11-28T10-00-00.000.log", "syslog"):
        (folder / name).write_text("")
    places = Places(plane.manifest, log="/var/log/kube-audit.log")

    exercise = catalogue.load("down-after-sizes")
    _, logs = kept_places(plane, places, exercise.steps, exercise.touches)

    assert [path for path in logs if not path.startswith("/var/log/kubernetes")] == [
        "/var/log/kube-audit.log",
        *sorted(f"/var/log/{path.name}" for path in folder.glob("kube-audit*")),
    ]
    for path in folder.glob("*log"):
        path.unlink()


def test_a_name_and_a_seed_are_a_usage_error(person: Person) -> None:
    assert person.types("lab", "break", "down-after-sizes", "--seed", "3").code == 2


@pytest.mark.parametrize("whose", ["a-link", "open-to-all"])
def test_somebody_elses_folder_under_the_usual_name_is_not_taken_for_the_practice_node(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """Its marker could lead to this machine's own files."""
    usual = tmp_path / "lab"
    monkeypatch.setattr(target_node, "own_folder", lambda name: tmp_path / name)
    if whose == "a-link":
        usual.symlink_to(lab)
    else:
        usual.mkdir()
        shutil.copy(lab / MARKER, usual)
        usual.chmod(0o777)

    assert find(ControlPlane()).layout is None
