"""Reviews of policies: formats for pipelines, folders and patterns, policies inside other files, revisions of git."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
BAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Everything\n"
CONFIG_MAP = "kind: ConfigMap\ndata:\n  p: |\n" + "".join(f"    {line}\n" for line in BAD.splitlines())
Call = Callable[..., Any]


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A policy in the folder ``audit``, committed; then changed."""
    (tmp_path / "audit").mkdir()
    git(tmp_path, "init", "-q")
    (tmp_path / "audit" / "p.yaml").write_text(GOOD)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    changed = GOOD.replace("- level", "- {level: None, resources: [{group: '', resources: [secrets]}]}\n- level")
    (tmp_path / "audit" / "p.yaml").write_text(changed)
    return tmp_path


def test_a_folder_is_searched_for_policies_and_for_files_that_hold_some(policy: Call, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "bad.yaml").write_text(CONFIG_MAP)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "other.yaml").write_text("kind: ConfigMap\n# audit.k8s.io\n")
    (tmp_path / ".hidden.yaml").write_text(BAD)
    ran = policy("validate", tmp_path, "-o", "json")

    assert ran.code == 1
    assert {row["file"]: row["accepted"] for row in ran.json["files"]} == {
        f"{tmp_path}/deep/bad.yaml: data.p": False,
        f"{tmp_path}/good.yaml": True,
    }
    (finding,) = ran.json["files"][0]["findings"]
    assert (finding["file"], finding["line"], finding["column"]) == (f"{tmp_path}/deep/bad.yaml", 7, 14)


def test_a_pattern_is_expanded_and_an_empty_one_refused(policy: Call, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.txt").write_text(BAD)

    assert policy("validate", f"{tmp_path}/*.yaml").code == 0
    assert policy("validate", f"{tmp_path}/*.txt").code == 1
    ran = policy("validate", f"{tmp_path}/*.json")
    assert ran.code == 3
    assert "no file there holds an audit policy" in ran.err


def test_other_commands_read_the_one_policy_inside_a_file(policy: Call, tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(CONFIG_MAP.replace("Everything", "Metadata"))
    assert "map.yaml:7" in policy("explain", file, "get pods").out

    file.write_text(CONFIG_MAP)
    assert f"{file}:7:14: error: data.p: rules[0].level" in policy("explain", file, "get pods").err

    file.write_text(CONFIG_MAP + CONFIG_MAP.partition("data:\n")[2].replace("p:", "q:"))
    assert "holds 2 policies: data.p, data.q" in policy("explain", file, "get pods").err


def test_each_command_of_a_review_speaks_sarif(policy: Call, tmp_path: Path) -> None:
    good, bad, expect = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "expect.yaml"
    good.write_text(GOOD)
    bad.write_text(BAD)
    expect.write_text("- get pods -> None\n")
    ran = {
        "policy": policy("validate", bad, "-o", "sarif"),
        "expectation": policy("test", good, expect, "-o", "sarif"),
        "recorded-otherwise": policy("diff", "metadata", "forensic", "-o", "sarif"),
        "detection-blind": policy("coverage", "metadata", "--for", "falco", "-o", "sarif"),
    }

    for check, answer in ran.items():
        assert answer.code == 1
        results = json.loads(answer.out)["runs"][0]["results"]
        if check != "policy":
            assert check in {each["ruleId"] for each in results}
        assert all(each["locations"][0]["physicalLocation"]["region"]["startLine"] for each in results)


def test_test_reports_have_a_case_for_each_expectation(policy: Call, tmp_path: Path) -> None:
    expect = tmp_path / "expect.yaml"
    expect.write_text("- get pods -> None\n- get secrets -> Metadata\n")
    ran = policy("test", "metadata", expect, "-o", "junit")

    cases = list(ET.fromstring(ran.out).iter("testcase"))
    assert ran.code == 1
    assert [(case.get("name"), [failure.text for failure in case]) for case in cases] == [
        ("get pods", [f"{expect}:1"]),
        ("get secrets", []),
    ]


def test_a_refused_policy_is_annotated_at_its_line_with_the_exit_code_of_a_refusal(
    policy: Call, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(BAD)
    ran = policy("coverage", file, "-o", "github")

    assert ran.code == 3
    assert ran.out.startswith(f"::error file={file},line=4,col=10,")


def test_nothing_to_annotate_is_nothing_printed(policy: Call) -> None:
    assert policy("diff", "metadata", "metadata", "-o", "github").out == ""


def test_diff_with_a_revision_tells_what_is_no_longer_recorded(policy: Call, repository: Path) -> None:
    file = repository / "audit" / "p.yaml"
    ran = policy("diff", "--git", "HEAD", file, "-o", "github")

    assert ran.code == 1
    assert f"::warning file={file},line=4,col=1,title=auditctl policy diff%3A no-longer-recorded::" in ran.out
    assert "Metadata -> None" in ran.out
    assert policy("diff", "--git", "HEAD", file, "-q").out == f"HEAD:{file} and {file} decide differently\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("old", "new", "--git", "HEAD"), "specify OLD and NEW"),
        (("old",), "specify OLD and NEW"),
        (("--git=--textconv", "p"), "not a revision"),
    ],
)
def test_a_diff_is_of_two_files_or_of_one_and_a_revision(policy: Call, words: tuple[str, ...], said: str) -> None:
    ran = policy("diff", *words)
    assert ran.code == 2
    assert said in ran.err


def test_a_revision_that_git_does_not_know_is_refused_in_its_words(policy: Call, repository: Path) -> None:
    ran = policy("diff", "--git", "nowhere", repository / "audit" / "p.yaml")
    assert ran.code == 3
    assert "git: " in ran.err
    assert "nowhere" in ran.err
