"""`lab scaffold`: a scenario that is whole, or nothing at all; every path of index.json exists, every script is clean."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from learner import SCENARIO, WRONG, ways

from auditctl.lab.grading import requirements
from auditctl.lab.grading.pod_and_files import Predictions
from auditctl.policy.load import load

REPOSITORY = Path(__file__).parents[2]
# seen in public scenarios; a static Pod of kube-apiserver is only on those that kubeadm made
KUBEADM_IMAGES = frozenset(
    f"kubernetes-kubeadm-{nodes}{variant}" for nodes in ("1node", "2nodes") for variant in ("", "-rapid", "-4GB")
)


def call(*words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and stderr of `auditctl lab scaffold`."""
    command = [sys.executable, "-m", "auditctl", "lab", "scaffold", *map(str, words), "-o", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, json.loads(ran.stdout) if ran.stdout.strip() else {}, ran.stderr


@pytest.fixture(scope="module")
def single_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and its templates in one archive: what the build makes, without its dependencies."""
    path = tmp_path_factory.mktemp("single") / "auditctl.pyz"
    with ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", "from auditctl.__main__ import main\n\nmain()\n")
        for source, target in (("auditctl", "auditctl"), ("templates", "auditctl/templates")):
            for file in sorted((REPOSITORY / source).rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, f"{target}/{file.relative_to(REPOSITORY / source)}")
    return path


@pytest.fixture(scope="module")
def scenario(single_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scaffolded scenario, with the single file in it."""
    target = tmp_path_factory.mktemp("made") / "course"
    code, report, _ = call(target, "--binary", single_file)
    assert (code, report["findings"]) == (0, [])
    return target / SCENARIO


def paths_of(index: Any) -> Iterator[str]:
    """Every file that an index.json names."""
    details = index["details"]
    for page in (details["intro"], *details["steps"], details["finish"]):
        yield from (page[key] for key in ("text", "verify", "background", "foreground") if key in page)
    for assets in details["assets"].values():
        yield from (f"assets/{asset['file']}" for asset in assets)


def test_every_path_of_the_index_exists_and_nothing_lies_about_that_no_page_uses(scenario: Path) -> None:
    index = json.loads((scenario / "index.json").read_text())
    course = json.loads((scenario.parent / "structure.json").read_text())

    named = {found for name in paths_of(index) for found in scenario.glob(name)}

    assert [name for name in paths_of(index) if not list(scenario.glob(name))] == []
    assert {path for path in scenario.rglob("*") if path.is_file()} - named == {scenario / "index.json"}
    assert [item["path"] for item in course["items"]] == [SCENARIO]
    assert index["backend"]["imageid"] in KUBEADM_IMAGES
    for step in index["details"]["steps"]:
        assert step["title"]
        assert (scenario / step["verify"]).stat().st_mode & stat.S_IXUSR


def scripts(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.sh"))


def test_every_script_parses_and_shellcheck_finds_nothing(scenario: Path) -> None:
    assert len(scripts(scenario)) == 13
    for script in scripts(scenario):
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0, script
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    ran = subprocess.run(["shellcheck", *scripts(scenario)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_check_does_the_same_at_every_step(scenario: Path) -> None:
    """It grades by the requirements of its own step: the walk looks at some of them without the script."""
    texts = {step.name: (step / "verify.sh").read_text() for step in scenario.glob("step*")}

    assert len({text.replace(f"wants/{name}.yaml", "wants/STEP.yaml") for name, text in texts.items()}) == 1


def test_every_command_of_a_page_parses_and_each_step_has_both_ways(scenario: Path) -> None:
    steps = sorted(scenario.glob("step*"))
    assert len(steps) == len(WRONG) == 10
    for step in steps:
        pages = ways(step / "text.md")
        assert [title for title in pages if pages[title]] == ["By hand", "With auditctl"], step.name
        for block in (block for blocks in pages.values() for block in blocks):
            checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
            assert (checked.returncode, checked.stderr) == (0, ""), f"{step.name}:\n{block}"


def test_every_step_is_graded_by_requirements_that_can_be_read(scenario: Path) -> None:
    """And what learners are to predict is about policies that the server would load."""
    files = sorted((scenario / "assets/wants").glob("*.yaml"))
    assert {file.stem for file in files} == {"serving", *(f"step{number}" for number in range(1, 11))}
    for file in files:
        wanted = requirements.read(requirements.read_text(file.read_text(), file.name))
        for want in wanted:
            if isinstance(want, Predictions):
                policy = scenario / "assets/policies" / Path(want.policy).name
                assert load(policy.read_bytes()).policy is not None
                assert load(policy.read_bytes()).findings == ()


def test_the_single_file_puts_itself_into_the_scenario(single_file: Path, tmp_path: Path) -> None:
    """Run from the archive, without --binary."""
    command = [sys.executable, single_file, "lab", "scaffold", tmp_path / "course", "-o", "json"]

    ran = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["scaffold"]["binary"] == str(single_file)
    put = tmp_path / "course" / SCENARIO / "assets/auditctl.pyz"
    assert put.read_bytes() == single_file.read_bytes()
    assert put.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_there_and_empty_is_filled(single_file: Path, tmp_path: Path) -> None:
    code, report, _ = call(tmp_path, "--binary", single_file)

    assert (code, report["outcome"], report["changed"]) == (0, "Changed", True)
    assert (tmp_path / SCENARIO / "index.json").exists()
    assert sorted(report["scaffold"]["files"]) == sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )


def test_without_a_single_file_the_place_for_it_is_named_and_how_to_get_one(tmp_path: Path) -> None:
    """A copy of the package without a `dist` beside it knows of none."""
    alone = tmp_path / "alone"
    shutil.copytree(REPOSITORY / "auditctl", alone / "auditctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "templates", alone / "templates")
    command = [sys.executable, "-m", "auditctl", "lab", "scaffold", tmp_path / "course", "-o", "json"]

    ran = subprocess.run(command, capture_output=True, text=True, cwd=alone, timeout=60)

    report = json.loads(ran.stdout)
    assert (ran.returncode, report["outcome"], report["scaffold"]["binary"]) == (0, "Changed", None)
    (finding,) = report["findings"]
    assert (finding["check"], finding["severity"]) == ("single-file", "warning")
    assert str(tmp_path / "course" / SCENARIO / "assets/auditctl.pyz") in finding["message"]
    note = tmp_path / "course" / SCENARIO / "assets/PUT-auditctl.pyz-HERE.txt"
    assert "auditctl lab scaffold --binary" in note.read_text()


@pytest.mark.parametrize("kind", ["not empty", "a file", "a link to a folder", "a dangling link"])
def test_what_is_not_ours_to_fill_is_refused_and_left_as_it_is(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "course"
    if kind == "not empty":
        target.mkdir()
        (target / "notes").write_text("mine")
    elif kind == "a file":
        target.write_text("mine")
    else:
        if kind == "a link to a folder":
            (tmp_path / "other").mkdir()
        target.symlink_to(tmp_path / "other")
    before = sorted(tmp_path.rglob("*"))

    code, report, _ = call(target)

    assert (code, report["outcome"], report["findings"][0]["check"]) == (3, "Refused", "scaffold-folder")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["missing", "a folder", "no archive", "another archive"])
def test_a_binary_that_is_none_is_refused_before_anything_is_written(kind: str, tmp_path: Path) -> None:
    binary = tmp_path / "auditctl.pyz"
    if kind == "a folder":
        binary.mkdir()
    elif kind == "no archive":
        binary.write_text("#!/bin/sh\n")
    elif kind == "another archive":
        with ZipFile(binary, "w") as archive:
            archive.writestr("__main__.py", "print()\n")

    code, report, _ = call(tmp_path / "course", "--binary", binary)

    assert (code, report["findings"][0]["check"]) == (3, "single-file")
    assert ".ci/build" in report["findings"][0]["fix"]
    assert not (tmp_path / "course").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a full file system is mounted by root alone")
def test_a_disk_that_is_full_leaves_nothing_half_made(single_file: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", small], check=False).returncode != 0:
        pytest.skip("no tmpfs may be mounted here")
    try:
        code, report, _ = call(small / "course", "--binary", single_file)

        assert (code, report["findings"][0]["check"]) == (3, "scaffold-folder")
        assert "no space left on device" in report["summary"]
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_usage_errors_are_told_as_such() -> None:
    command = [sys.executable, "-m", "auditctl", "lab", "scaffold"]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (ran.returncode, "DIR" in ran.stderr) == (2, True)
