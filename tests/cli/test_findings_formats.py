"""SARIF, JUnit and annotations: their structure, their escapes, and what becomes of an error."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from auditctl.cli.context import Globals
from auditctl.cli.findings_formats import github, in_format, junit, sarif
from auditctl.errors import PolicyError, UsageError
from auditctl.findings import Finding, Severity
from auditctl.operations.answer import CommandResult, ReviewCase
from auditctl.operations.controlplane import ControlPlane

WARNING = Finding(
    check="shadowed",
    severity=Severity.WARNING,
    message="never decides\n::error::x 100%",
    fix="move it",
    path="rules[1]",
    file="a b/p,1.yaml",
    line=7,
    column=3,
)
ERROR = Finding(check="policy", severity=Severity.ERROR, message='no kind \x1b[31m \ufffe ü <&">', file="/p.yaml")
RESULT = CommandResult(document={}, findings=(WARNING, ERROR), exit_code=1)


def test_sarif_has_the_required_members_and_a_rule_for_each_result() -> None:
    log = json.loads(sarif("policy validate", RESULT))
    (run,) = log["runs"]
    rules, results = run["tool"]["driver"]["rules"], run["results"]

    assert (log["version"], run["tool"]["driver"]["name"]) == ("2.1.0", "auditctl")
    assert (
        [rules[each["ruleIndex"]]["id"] for each in results]
        == [each["ruleId"] for each in results]
        == ["shadowed", "policy"]
    )
    assert [each["level"] for each in results] == ["warning", "error"]
    assert results[0]["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a%20b/p%2C1.yaml"},
                "region": {"startLine": 7, "startColumn": 3},
            }
        }
    ]
    assert results[1]["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "file:///p.yaml"}}}]


def test_a_rule_leads_to_its_section_of_the_reference() -> None:
    """The repository is the one that `pyproject.toml` names; the section has the name of the check."""
    top = Path(__file__).parents[2]
    result = CommandResult(document={}, findings=(replace(WARNING, check="unreachable"),))
    driver = json.loads(sarif("policy validate", result))["runs"][0]["tool"]["driver"]
    page, _, section = driver["rules"][0]["helpUri"].partition("#")

    assert f'Repository = "{driver["informationUri"]}"' in (top / "pyproject.toml").read_text()
    assert f"\n## {section}\n" in (top / page.removeprefix(f"{driver['informationUri']}/blob/main/")).read_text()


def test_a_result_is_recognised_although_its_line_has_moved() -> None:
    def fingerprints(finding: Finding) -> object:
        return json.loads(sarif("x", CommandResult(document={}, findings=(finding,))))["runs"][0]["results"][0][
            "partialFingerprints"
        ]

    assert fingerprints(WARNING) == fingerprints(replace(WARNING, line=70))
    assert fingerprints(WARNING) != fingerprints(replace(WARNING, message="other"))


def test_a_line_end_in_a_message_begins_no_other_annotation() -> None:
    assert github("policy validate", RESULT).splitlines() == [
        "::warning file=a b/p%2C1.yaml,line=7,col=3,title=auditctl policy validate%3A shadowed::rules[1]: never decides\\n::error::x 100%25 (move it)",
        '::error file=/p.yaml,title=auditctl policy validate%3A policy::no kind \\x1b[31m \ufffe ü <&">',
    ]


def test_junit_is_xml_whatever_stands_in_a_message() -> None:
    suites = ET.fromstring(junit("policy validate", RESULT))
    cases = suites.findall("testsuite/testcase")

    assert (suites.get("tests"), suites.get("failures")) == ("2", "2")
    assert [case.keys() for case in cases] == [["classname", "name"]] * 2  # junit-10.xsd allows no line
    assert [failure.text for failure in suites.iter("failure")] == ["a b/p,1.yaml:7", "/p.yaml"]
    assert [failure.get("message") for failure in suites.iter("failure")] == [
        "rules[1]: never decides\\n::error::x 100% (move it)",
        'no kind \\x1b[31m \\ufffe ü <&">',
    ]


def test_junit_shows_the_cases_of_a_command_that_has_some() -> None:
    cases = (ReviewCase("get pods", "e.yaml", 1), ReviewCase("get secrets", "e.yaml", 2, "is None"))
    suites = ET.fromstring(junit("policy test", CommandResult(document={}, cases=cases)))

    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    assert [(case.get("name"), len(case)) for case in suites.iter("testcase")] == [("get pods", 0), ("get secrets", 1)]


@pytest.mark.parametrize("output", ["sarif", "junit", "github"])
def test_the_error_of_a_policy_is_a_finding_with_its_own_exit_code(output: str) -> None:
    def refused(plane: ControlPlane) -> CommandResult:
        raise PolicyError("p.yaml: refused", findings=(ERROR,))

    result = in_format(Globals(output=output), "policy diff", refused)(Globals().plane())

    assert re.search("no kind", result.text(output))
    assert (result.exit_code, result.notes) == (3, ("p.yaml: refused",))


def test_a_wrong_command_line_is_no_finding() -> None:
    def wrong(plane: ControlPlane) -> CommandResult:
        raise UsageError("no such thing")

    with pytest.raises(UsageError):
        in_format(Globals(output="sarif"), "policy diff", wrong)(Globals().plane())


def test_text_json_and_yaml_are_left_to_the_command() -> None:
    def operation(plane: ControlPlane) -> CommandResult:
        return RESULT

    assert in_format(Globals(output="json"), "policy diff", operation) is operation
