"""What is legal: `validation.go`, complaint by complaint, and what differs between versions."""

from __future__ import annotations

import pytest

from auditctl.findings import Severity
from auditctl.policy.load import LoadResult, load
from auditctl.policy.validate import DraftEntry, DraftRule, UnvalidatedPolicy, aggregate, validate

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def complaints(rule: DraftRule, version: tuple[int, int] = (1, 36)) -> list[str]:
    return [complaint.text for complaint in validate(UnvalidatedPolicy((rule,)), version)]


@pytest.mark.parametrize("level", ["None", "Metadata", "Request", "RequestResponse"])
def test_the_four_levels_are_legal(level: str) -> None:
    assert complaints(DraftRule(level=level)) == []


def test_a_level_is_required_and_one_of_four() -> None:
    assert complaints(DraftRule(level="")) == ["rules[0].level: Required value"]
    supported = 'supported values: "None", "Metadata", "Request", "RequestResponse"'
    assert complaints(DraftRule(level="x<")) == [f'rules[0].level: Unsupported value: "x\\u003c": {supported}']
    assert complaints(DraftRule(level="x<"), (1, 34)) == complaints(DraftRule(level="x<"))
    assert complaints(DraftRule(level="x<"), (1, 33)) == [f'rules[0].level: Unsupported value: "x<": {supported}']


@pytest.mark.parametrize("stage", ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"])
def test_the_four_stages_are_legal(stage: str) -> None:
    assert complaints(DraftRule(level="None", omit_stages=(stage,))) == []


def test_a_stage_is_one_of_four_in_a_rule_and_in_the_policy() -> None:
    allowed = "allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic"
    draft = UnvalidatedPolicy((DraftRule(level="None", omit_stages=("Panic", "x")),), omit_stages=("y",))
    assert [complaint.text for complaint in validate(draft, (1, 36))] == [
        f'omitStages[0]: Invalid value: "y": {allowed}',
        f'rules[0].omitStages[1]: Invalid value: "x": {allowed}',
    ]


BEGIN = "non-resource URL rules must begin with a '/' character"
FINAL = "non-resource URL wildcards '*' must be the final character of the rule"


@pytest.mark.parametrize(
    ("url", "faults"),
    [
        ("*", []),
        ("/", []),
        ("/a*", []),
        ("/a/*", []),
        ("", [BEGIN]),
        ("a", [BEGIN]),
        ("a*", [BEGIN]),
        ("/a*b", [FINAL]),
        ("/a**", [FINAL]),
        ("**", [BEGIN, FINAL]),
    ],
)
def test_a_url(url: str, faults: list[str]) -> None:
    expected = [f'rules[0].nonResourceURLs[0]: Invalid value: "{url}": {fault}' for fault in faults]
    assert complaints(DraftRule(level="None", non_resource_urls=(url,))) == expected


@pytest.mark.parametrize("other", [{"resources": (DraftEntry(),)}, {"namespaces": ("a",)}])
def test_urls_and_resources_do_not_mix(other: dict[str, object]) -> None:
    rule = DraftRule(level="None", non_resource_urls=("/x", '/"'), **other)  # type: ignore[arg-type]
    text = "rules cannot apply to both regular resources and non-resource URLs"
    assert complaints(rule) == [f'rules[0].nonResourceURLs: Invalid value: ["/x","/\\""]: {text}']
    assert complaints(rule, (1, 34)) == complaints(rule)
    assert complaints(rule, (1, 33)) == [f'rules[0].nonResourceURLs: Invalid value: []string{{"/x", "/\\""}}: {text}']


def grouped(group: str, version: tuple[int, int] = (1, 36)) -> list[str]:
    return complaints(DraftRule(level="None", resources=(DraftEntry("apps"), DraftEntry(group))), version)


@pytest.mark.parametrize("group", ["", "apps", "a.b", "1", "*"])
def test_a_group_is_core_any_or_a_subdomain(group: str) -> None:
    assert grouped(group) == []


def test_any_group_is_known_from_1_36_on() -> None:
    assert len(grouped("*", (1, 35))) == 1


@pytest.mark.parametrize("group", ["Apps", "apps/v1", "-a", "*.k8s.io"])
def test_a_group_that_is_no_subdomain(group: str) -> None:
    (text,) = grouped(group)
    assert text.startswith(f'rules[0].resources.group: Invalid value: "{group}": a lowercase RFC 1123 subdomain must')


def test_a_group_may_have_253_bytes() -> None:
    assert grouped("a" * 253) == []
    (text,) = grouped("a" * 254)
    assert text.endswith('": must be no more than 253 characters')
    (text,) = grouped("é" * 127)
    assert ": must be no more than 253 characters,a lowercase RFC 1123" in text


def test_names_need_resources() -> None:
    text = "using resourceNames requires at least one resource"
    entry = DraftEntry("", (), ("a",))
    expected = f'rules[0].resources.resourceNames: Invalid value: ["a"]: {text}'
    assert complaints(DraftRule(level="None", resources=(entry,))) == [expected]
    assert complaints(DraftRule(level="None", resources=(DraftEntry("", ("pods",), ("a",)),))) == []


def test_the_exact_place_is_known_though_the_server_does_not_say_it() -> None:
    rule = DraftRule(level="None", resources=(DraftEntry(), DraftEntry("A"), DraftEntry("", (), ("a",))))
    paths = [complaint.path for complaint in validate(UnvalidatedPolicy((DraftRule(level="None"), rule)), (1, 36))]
    assert paths == ["rules[1].resources[1].group", "rules[1].resources[2].resourceNames"]


def test_the_same_words_are_said_once() -> None:
    rule = DraftRule(level="None", resources=(DraftEntry("A"), DraftEntry("A"), DraftEntry("B")))
    told = aggregate(validate(UnvalidatedPolicy((rule,)), (1, 36)))
    assert told.startswith("[rules[0].resources.group")
    assert told.count('"A"') == 1
    assert aggregate(()) == ""


def judged(body: str, version: tuple[int, int] = (1, 36), head: str = HEAD) -> LoadResult:
    return load((head + body).encode(), version)


@pytest.mark.parametrize(
    ("api_version", "version", "accepted"),
    [
        ("v1", (1, 19), True),
        ("v1", (1, 36), True),
        ("v1beta1", (1, 23), True),
        ("v1alpha1", (1, 23), True),
        ("v1beta1", (1, 24), False),
        ("v2", (1, 23), False),
    ],
)
def test_which_api_versions_a_server_loads(api_version: str, version: tuple[int, int], accepted: bool) -> None:
    loaded = judged("rules: [{level: None}]\n", version, f"apiVersion: audit.k8s.io/{api_version}\nkind: Policy\n")
    assert (loaded.policy is not None) is accepted


def test_managed_fields_are_known_from_1_23_on() -> None:
    body = "omitManagedFields: yes\nrules: [{level: None, omitManagedFields: off}]\n"
    old, new = judged(body, (1, 22)), judged(body, (1, 23))
    assert old.dropped == ("omitManagedFields", "rules[0].omitManagedFields")
    assert old.policy is not None
    assert (old.policy.omit_managed_fields, old.policy.rules[0].omit_managed_fields) == (False, None)
    assert new.dropped == ()
    assert new.policy is not None
    assert (new.policy.omit_managed_fields, new.policy.rules[0].omit_managed_fields) == (True, False)


def test_strict_decoding_warns_from_1_26_on_and_drops_before() -> None:
    body = "rules: [{level: None, resource: []}]\n"
    assert judged(body, (1, 26)).warning == 'strict decoding error: unknown field "rules[0].resource"'
    assert judged(body, (1, 25)).warning == ""
    assert judged(body, (1, 25)).dropped == ("rules[0].resource",)


def test_everything_that_is_wrong_is_told_at_once_with_a_remedy() -> None:
    loaded = judged(
        "omitStages: [RequestRecieved]\n"  # 3
        "rules:\n"
        "- level: metadata\n"  # 5
        "  resource: []\n"  # 6
        "  users: [1000]\n"  # 7
        "- verbs: [get]\n"  # 8
        "  resources:\n"
        "  - group: apps/v1\n"  # 10
        "    apiGroups: [apps]\n"  # 11
        "  verbs: [list]\n"  # 12
    )
    told = sorted((finding.line, finding.path, finding.fix) for finding in loaded.findings)
    assert told == [
        (3, "omitStages[0]", "did you mean `RequestReceived`?"),
        (5, "rules[0].level", "did you mean `Metadata`?"),
        (6, "rules[0].resource", "did you mean `resources`?"),
        (7, "rules[0].users[0]", "quote it: YAML takes it for a number or a boolean"),
        (8, "rules[1].level", "write None, Metadata, Request or RequestResponse"),
        (10, "rules[1].resources[0].group", 'write the group without a version: "apps"'),
        (11, "rules[1].resources[0].apiGroups", "did you mean `group`?"),
        (12, "", "join the two"),
    ]
    mild = [finding.check for finding in loaded.findings if finding.severity is not Severity.ERROR]
    assert mild == ["duplicate-key"]


def test_rules_know_their_lines() -> None:
    policy = judged("rules:\n- level: None\n\n# a comment\n-\n  level: Metadata\n").policy
    assert policy is not None
    assert [rule.line for rule in policy.rules] == [4, 8]
