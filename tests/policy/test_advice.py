"""What is wrong is told with its place, and with what to write instead."""

from __future__ import annotations

import pytest

from auditctl.findings import Finding
from auditctl.policy.load import load

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"


def only(text: str, version: tuple[int, int] = (1, 36)) -> Finding:
    (found,) = load(text.encode(), version).findings
    return found


def rule(text: str) -> str:
    return f"{HEAD}- level: Metadata\n  {text}\n"


@pytest.mark.parametrize(
    ("text", "line", "fix"),
    [
        (HEAD + "\t- level: None\n", 4, "indent with spaces, not tabs; quote what begins with @, ` or %"),
        (HEAD + "- level: @None\n", 4, "indent with spaces, not tabs; quote what begins with @, ` or %"),
        (HEAD + "- level: {{ .Values.level }}\n", 4, "a template is left in the text, or `{...}` has to be quoted"),
        (HEAD + "- level: None\n   users: [a]\n", 5, ""),
        (HEAD + "- level: None\n users: [a]\n", 5, "look at the indentation of this line and the one before"),
        (HEAD + "- level: |\n\tNone\n", 5, "indent with spaces, not tabs; quote what begins with @, ` or %"),
        ('{"rules": [}', 1, ""),
    ],
)
def test_a_text_that_cannot_be_read_is_told_with_what_it_may_be(text: str, line: int, fix: str) -> None:
    found = only(text)
    assert (found.check, found.line, found.fix) == ("syntax", line, fix)


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("kind: Policy\napiVersion: audit.k8s.io/v2\nrules: [{level: None}]\n", "apiVersion", (2, 13)),
        ("apiVersion: audit.k8s.io/v1\nkind: Event\nrules: [{level: None}]\n", "kind", (2, 7)),
        ("apiVersion: audit.k8s.io/v1\nkind: policy\nrules: [{level: None}]\n", "kind", (2, 7)),
        ("apiVersion: audit.k8s.io/v1\nkind: [Policy]\n", "kind", (2, 7)),
        ("kind: Policy\napiVersion: v1\nrules: [{level: None}]\n", "apiVersion", (2, 13)),
        ("kind: Policy\napiVersion: a/b/c\nrules: [{level: None}]\n", "apiVersion", (2, 13)),
        ("kind: Policy\nrules: [{level: None}]\n", "apiVersion", (1, 1)),
        ("kind: Policy\napiVersion: [audit.k8s.io/v1]\n", "apiVersion", (2, 13)),
    ],
)
def test_an_object_of_another_kind_is_told_where_it_says_so(text: str, path: str, place: tuple[int, int]) -> None:
    found = next(finding for finding in load(text.encode()).findings if finding.check == "kind")
    assert (found.path, (found.line, found.column)) == (path, place)
    assert "audit.k8s.io/v1" in found.fix


def test_no_rules_are_told_as_such() -> None:
    found = only("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n")
    assert (found.check, found.path, found.line, found.fix) == (
        "no-rules",
        "rules",
        1,
        "write at least one rule below `rules:`",
    )


@pytest.mark.parametrize(
    ("text", "path", "fix"),
    [
        ("users: [1]", "rules[0].users[0]", "quote it: YAML takes it for a number or a boolean"),
        ("verbs: [yes]", "rules[0].verbs[0]", "quote it: YAML takes it for a number or a boolean"),
        ("users: [[a]]", "rules[0].users[0]", ""),
        ("users: a", "rules[0].users", "write a list: `- ` before each item, or `[...]`"),
        ("omitStages: [1]", "rules[0].omitStages[0]", "quote it: YAML takes it for a number or a boolean"),
        ("omitManagedFields: 'true'", "rules[0].omitManagedFields", "write true or false, without quotes"),
        ("resources: [a]", "rules[0].resources[0]", ""),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_how_to_write_it(text: str, path: str, fix: str) -> None:
    found = only(rule(text))
    assert (found.check, found.path, found.line, found.fix) == ("type", path, 5, fix)


@pytest.mark.parametrize(
    ("text", "path", "fix"),
    [
        ("omitStages: [requestreceived]", "rules[0].omitStages[0]", "did you mean `RequestReceived`?"),
        ("omitStages: [Never]", "rules[0].omitStages[0]", "write one of the four stages"),
        ("resources: [{group: apps/v1}]", "rules[0].resources[0].group", 'write the group without a version: "apps"'),
        ("resources: [{group: 'a b'}]", "rules[0].resources[0].group", "write an API group"),
        ("resources: [{group: Apps}]", "rules[0].resources[0].group", 'write the group without a version: "apps"'),
        ("resources: [{resourceNames: [a]}]", "rules[0].resources[0].resourceNames", "name the resources too: `resources: [...]`"),
        ("nonResourceURLs: [healthz]", "rules[0].nonResourceURLs[0]", 'write "/healthz"'),
        ("nonResourceURLs: ['/a*b']", "rules[0].nonResourceURLs[0]", 'write "/ab"'),
        ("nonResourceURLs: ['']", "rules[0].nonResourceURLs[0]", "remove it"),
        ("nonResourceURLs: [/a]\n  namespaces: [b]", "rules[0].nonResourceURLs", "make two rules of it"),
    ],
)  # fmt: skip
def test_what_validation_refuses_is_told_with_what_to_write(text: str, path: str, fix: str) -> None:
    found = only(rule(text))
    assert (found.check, found.path, found.line, found.fix) == ("invalid", path, 5, fix)


@pytest.mark.parametrize(
    ("level", "fix"),
    [
        ("metadata", "did you mean `Metadata`?"),
        ("Requests", "did you mean `Request`?"),
        ("''", "write None, Metadata, Request or RequestResponse"),
        ("Everything", "write None, Metadata, Request or RequestResponse"),
        ("Meta" * 11, "write None, Metadata, Request or RequestResponse"),
    ],
)
def test_a_wrong_level_is_told_with_the_nearest(level: str, fix: str) -> None:
    found = only(f"{HEAD}- level: {level}\n")
    assert (found.path, found.line, found.fix) == ("rules[0].level", 4, fix)


def test_a_missing_level_is_told_where_its_rule_stands() -> None:
    found = only(f"{HEAD}- users: [a]\n")
    assert (found.path, found.line, found.column, found.message) == ("rules[0].level", 4, 3, "Required value")


def test_every_group_is_known_from_1_36_on() -> None:
    text = rule("resources: [{group: '*'}]")
    found = only(text, (1, 35))
    assert found.fix == "`*` is known from 1.36 on; leave `resources` out to match every group"
    assert load(text.encode()).findings == ()


@pytest.mark.parametrize(
    ("field", "fix"),
    [
        ("verb: [get]", "did you mean `verbs`?"),
        ("stages: [Panic]", "did you mean `omitStages`?"),
        ("urls: [/a]", "did you mean `nonResourceURLs`?"),
        ("NAMESPACES: [a]", "did you mean `namespaces`?"),
        ("whatever: 1", "remove it, or spell it as the API does"),
        (f"{'verbs' * 9}: 1", "remove it, or spell it as the API does"),
        ("resources: [{apiGroup: a}]", "did you mean `group`?"),
        ("resources: [{names: [a]}]", "did you mean `resourceNames`?"),
        ("metadata: {name: a}", "remove it, or spell it as the API does"),
    ],
)
def test_a_dropped_field_is_told_with_the_name_that_was_meant(field: str, fix: str) -> None:
    found = only(rule(field))
    assert (found.check, found.line, found.fix) == ("dropped-fields", 5, fix)


def test_a_number_that_is_none_is_told_without_advice_for_booleans() -> None:
    found = only("apiVersion: audit.k8s.io/v1\nmetadata: {generation: x}\nrules: [{level: None}]\n")
    assert (found.check, found.path, found.fix) == ("type", "metadata.generation", "")


def test_a_key_that_is_there_twice_in_json_is_told_as_what_the_server_makes_of_it() -> None:
    found = only('{"apiVersion": "audit.k8s.io/v1", "rules": [{"level": "None"}], "rules": [{}]}')
    assert (found.check, found.path, found.fix) == ("duplicate-key", "rules", "join the two")
    assert found.message == 'duplicate field "rules": the server decodes the second into the first'


@pytest.mark.parametrize("old", ["v1beta1", "v1alpha1"])
def test_an_old_version_is_pointed_to_convert(old: str) -> None:
    found = only(f"apiVersion: audit.k8s.io/{old}\nkind: Policy\nrules: [{{level: None}}]\n")
    assert found.fix == "`auditctl policy convert FILE` prints it as v1"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "  resources:\n  - group: ''\n    resources: [pods]\n    verbs: [get]\n",
            "one level up: `verbs` belongs beside",
        ),
        ("  resources:\n  - group: ''\n    namespaces: [a]\n", "one level up: `namespaces` belongs beside"),
        ("  group: apps\n", "one level down: `group` belongs in an entry of `resources`"),
        ("verbs: [get]\n", "in a rule: `verbs` belongs below `rules:`"),
    ],
)
def test_a_field_at_another_level_is_to_be_moved_and_not_removed(rule: str, words: str) -> None:
    """B17: removing `verbs` from a rule makes it one for every verb."""
    loaded = load(f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n{rule}".encode())

    assert [words in finding.fix for finding in loaded.findings] == [True]


def test_a_file_in_another_encoding_is_told_where_and_how_to_save_it() -> None:
    (finding,) = load(b"apiVersion: audit.k8s.io/v1\nkind: Policy\n# caf\xe9\nrules: []\n", (1, 36)).findings
    assert (finding.line, finding.column) == (3, 6)
    assert "save the file as UTF-8" in finding.fix


@pytest.mark.parametrize("text", ["", "\n", "# only words\n", "---\n"])
def test_an_empty_file_is_called_empty(text: str) -> None:
    assert "no content" in only(text).fix
