"""The GitHub action's own scripts on a repository of three commits, and the hook of pre-commit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from auditctl.manifest.document import load

ROOT = Path(__file__).parents[2]
GOOD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"


class Step(NamedTuple):
    """How a step of the action ended."""

    code: int
    out: str
    outputs: str
    comment: str


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits: a policy; one that records secrets no longer; one that no server takes."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    quieter = GOOD.replace("- level", "- {level: None, resources: [{group: '', resources: [secrets]}]}\n- level")
    for text in (GOOD, quieter, GOOD.replace("Metadata", "Everything")):
        (folder / "a policy.yaml").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "step")
    return folder


def steps() -> dict[str, dict[str, Any]]:
    action = load((ROOT / "action.yml").read_text())
    assert isinstance(action, dict)
    return {step["name"]: step for step in action["runs"]["steps"]}


def run(name: str, repository: Path, **variables: str) -> Step:
    temporary = repository.parent / "runner"
    temporary.mkdir(exist_ok=True)
    files = {variable: temporary / variable for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(temporary),
        "RUNNER_TEMP": str(temporary),
        "KUBERNETES": "",
        **{variable: str(path) for variable, path in files.items()},
        **variables,
    }
    # as GitHub starts `shell: bash`
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps()[name]["run"]]
    ran = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    outputs = files["GITHUB_OUTPUT"].read_text() if files["GITHUB_OUTPUT"].exists() else ""
    comment = temporary / "auditctl.md"
    return Step(ran.returncode, ran.stdout + ran.stderr, outputs, comment.read_text() if comment.exists() else "")


def test_validate_annotates_writes_sarif_and_hands_the_exit_code_on(repository: Path) -> None:
    ran = run("Validate", repository, FILES="a policy.yaml\n\n", STRICT="false", SARIF="auditctl.sarif")

    assert (ran.code, ran.outputs) == (0, "code=1\n")
    assert "::error file=a policy.yaml,line=4,col=10," in ran.out
    results = json.loads((repository / "auditctl.sarif").read_text())["runs"][0]["results"]
    assert [each["level"] for each in results] == ["error"]


def test_the_comment_names_what_is_no_longer_recorded(repository: Path) -> None:
    git(repository, "checkout", "-q", "HEAD~1")
    ran = run(
        "Compare with the base of the pull request", repository, FILES=".", BASE=git(repository, "rev-parse", "HEAD~1")
    )

    assert ran.code == 0, ran.out
    assert ran.comment.startswith("Requests that `a policy.yaml` records otherwise than before:\n\n    ")
    assert re.search(r"^      Metadata -> None .*secrets", ran.comment, re.MULTILINE)
    assert all(line.startswith("    ") for line in ran.comment.splitlines()[2:] if line)


def test_nothing_is_said_of_a_pull_request_that_changes_no_policy(repository: Path) -> None:
    git(repository, "checkout", "-q", "HEAD~1")
    ran = run(
        "Compare with the base of the pull request", repository, FILES=".", BASE=git(repository, "rev-parse", "HEAD")
    )

    assert (ran.code, ran.comment) == (0, "")


def test_a_file_name_is_no_command(repository: Path) -> None:
    ran = run("Validate", repository, FILES="$(touch pwned)`touch pwned`", STRICT="false", SARIF="")

    assert "code=3" in ran.outputs
    assert not (repository / "pwned").exists()
    assert all("${{" not in step.get("run", "") for step in steps().values())


def test_the_hook_calls_a_command_that_exists_for_files_that_look_like_policies() -> None:
    hooks = load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert isinstance(hooks, list)
    (hook,) = hooks

    assert hook["entry"] == "auditctl policy validate"
    for name, taken in (("audit-policy.yaml", True), ("k8s/audit/policy.yml", True), ("deployment.yaml", False)):
        assert bool(re.search(hook["files"], name)) is taken
