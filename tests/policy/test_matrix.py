"""The picture of a policy: every cell says what `evaluate` decides, for every namespace and name there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditctl.operations.policy.matrix import USUAL, api, person_of
from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.matrix import MOST_CASES, Case, Cell, Concern, Matrix, matrix
from auditctl.policy.matrix_lines import extents, text_lines
from auditctl.policy.matrix_rows import METHODS, MOST_NAMED, VERBS, Row, Scope
from auditctl.policy.matrix_words import because, letters, sentence, where
from auditctl.policy.types import Attributes, GroupResources, Level, Policy, PolicyRule, User

NEWEST = (1, 36)
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: "
PEOPLE = tuple(person_of(words) for words in (*USUAL, "nobody", "alice of dev"))


def policy_of(rules: str) -> Policy:
    policy = load((HEAD + rules).encode()).policy
    assert policy is not None
    return policy


def picture(rules: str, *people: str, version: tuple[int, int] = NEWEST) -> Matrix:
    return matrix(policy_of(rules), [person_of(words) for words in people or ("admin",)], api(version), version)


def cell(drawn: Matrix, label: str, verb: str, table: int = 0) -> Cell | None:
    rows = [row.label for row in drawn.rows.resources]
    if label in rows:
        return drawn.tables[table].resources[rows.index(label)][VERBS.index(verb)]
    urls = [row.label for row in drawn.rows.urls]
    return drawn.tables[table].urls[urls.index(label)][METHODS.index(verb)]


def level(drawn: Matrix, label: str, verb: str) -> str:
    found = cell(drawn, label, verb)
    assert found is not None
    return letters(found)


SPACES = ("", "kube-system", "default")
NAMES = ("", "web", "default")
RULES = st.builds(
    PolicyRule,
    level=st.sampled_from(list(Level)),
    users=st.lists(st.sampled_from(["alice", "kubernetes-admin", "system:anonymous"]), max_size=1).map(tuple),
    user_groups=st.lists(st.sampled_from(["dev", "system:nodes", "system:masters"]), max_size=1).map(tuple),
    verbs=st.lists(st.sampled_from(["get", "list", "create", "update", "deletecollection"]), max_size=2).map(tuple),
    resources=st.lists(
        st.builds(
            GroupResources,
            st.sampled_from(["", "apps", "example.com", "*"]),
            st.lists(
                st.sampled_from(["pods", "pods/*", "pods/exec", "*", "*/scale", "namespaces", "nodes", "widgets", ""]),
                max_size=2,
            ).map(tuple),
            st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    namespaces=st.lists(st.sampled_from(SPACES), max_size=2).map(tuple),
)


def requests(row: Row, verb: str) -> list[tuple[str, str]]:
    """Namespace and name of every request that there can be, spelled out on its own."""
    sub = bool(row.subresource)
    names = ["web", "default", "fresh"]
    if not sub and verb in ("create", "deletecollection"):
        names = [""]
    elif not sub and verb in ("list", "watch"):
        names = ["", *names]
    spaces = {"namespaced": ["kube-system", "default", "fresh"], "cluster": [""]}.get(row.scope.value, [])
    if row.scope is Scope.NAMESPACED and verb in ("list", "watch") and not sub:
        spaces = ["", *spaces]
    if row.scope is Scope.EITHER:
        spaces = ["", "kube-system", "default", "fresh"]
    if row.scope is Scope.ITSELF:
        if sub or verb not in ("list", "watch", "create", "deletecollection"):
            return [(name, name) for name in (*names, "kube-system")]
        spaces = [""]
    return list(product(spaces, names))


def deciding(cases: tuple[Case, ...], space: str, name: str) -> Case:
    return next(
        case
        for case in cases
        if (case.namespaces is None or space in case.namespaces) and (case.names is None or name in case.names)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(RULES, max_size=4).map(tuple))
def test_every_cell_is_what_the_evaluator_decides_and_no_case_is_in_vain(rules: tuple[PolicyRule, ...]) -> None:
    policy = Policy(rules)
    drawn = matrix(policy, PEOPLE, api(NEWEST), NEWEST)
    for table in drawn.tables:
        for row, cells in zip(drawn.rows.resources, table.resources, strict=True):
            for verb, each in zip(VERBS, cells, strict=True):
                assert (each is not None) == (verb in row.verbs)
                if each is None:
                    continue
                met = set()
                for (space, name), person in product(requests(row, verb), table.people):
                    asked = Attributes(
                        user=person.user,
                        is_resource_request=True,
                        verb=verb,
                        api_group=row.group,
                        resource=row.resource,
                        subresource=row.subresource,
                        namespace=space,
                        name=name,
                    )
                    decision = evaluate(policy, asked)
                    case = deciding(each.cases, space if row.scope is not Scope.ITSELF else "", name)
                    assert (case.rule, case.level) == (decision.rule, decision.level), (row, verb, space, name)
                    met.add(case.rule)
                assert met == {case.rule for case in each.cases}, (row, verb, each)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            PolicyRule,
            level=st.sampled_from(list(Level)),
            verbs=st.lists(st.sampled_from(["get", "post"]), max_size=1).map(tuple),
            user_groups=st.lists(st.sampled_from(["system:nodes"]), max_size=1).map(tuple),
            non_resource_urls=st.lists(st.sampled_from(["/api", "/api*", "*", "/healthz/*", "/x"]), max_size=2).map(
                tuple
            ),
            namespaces=st.lists(st.sampled_from(["default"]), max_size=1).map(tuple),
        ),
        max_size=4,
    ).map(tuple)
)
def test_every_url_is_what_the_evaluator_decides(rules: tuple[PolicyRule, ...]) -> None:
    policy = Policy(
        tuple(replace(rule, namespaces=() if rule.non_resource_urls else rule.namespaces) for rule in rules)
    )
    drawn = matrix(policy, PEOPLE, api(NEWEST), NEWEST)
    for table in drawn.tables:
        for row, cells in zip(drawn.rows.urls, table.urls, strict=True):
            for verb, each in zip(METHODS, cells, strict=True):
                assert each is not None
                asked = Attributes(user=table.people[-1].user, is_resource_request=False, verb=verb, path=row.path)
                assert each.cases[0].rule == evaluate(policy, asked).rule


def test_rows_are_the_built_in_api_and_what_the_policy_names_with_a_word_for_all_else() -> None:
    drawn = picture(
        "[{level: None, resources: [{group: example.com, resources: [widgets/fry, '*/scale', 'gadgets/*']},"
        " {group: apps, resources: [deployments/rollback]}, {group: '*', resources: [odd]}, {resources: ['a/b/c', 'po*', '']}]}]"
    )
    labels = [row.label for row in drawn.rows.resources]
    own = [row.label for row in drawn.rows.resources if row.named_by_policy]
    assert labels[0] == "pods"
    assert labels[-1] == "(anything else)"
    assert own == [
        "deployments/rollback.apps",
        "widgets.example.com", "widgets/fry.example.com", "(other)/scale.example.com", "gadgets.example.com",
        "gadgets/(other).example.com", "(other).example.com", "odd.(other)",
    ]  # fmt: skip
    assert labels.index("deployments/rollback.apps") > labels.index("deployments.apps") > labels.index("secrets")
    assert not any("po*" in label or "a/b" in label for label in labels)


def test_urls_are_the_well_known_ones_and_the_policys_with_what_a_pattern_leaves() -> None:
    drawn = picture("[{level: None, nonResourceURLs: [/odd, '/logs/*']}, {level: Metadata}]")
    labels = [row.label for row in drawn.rows.urls]
    assert {"/healthz", "/metrics", "/odd", "/logs/", "/logs/*"} <= set(labels)
    assert labels[-1] == "/*"
    assert [level(drawn, label, "get") for label in ("/odd", "/logs/", "/logs/*", "/metrics", "/*")] == [
        "-",
        "-",
        "-",
        "M",
        "M",
    ]


def test_a_version_has_its_own_resources() -> None:
    rules = "[{level: Metadata}]"
    old, new = ({row.label for row in picture(rules, version=version).rows.resources} for version in ((1, 22), NEWEST))
    assert "validatingadmissionpolicies.admissionregistration.k8s.io" in new - old
    assert "pods/ephemeralcontainers" in new - old
    assert old < new


def test_a_cell_that_depends_on_namespace_or_name_says_on_which() -> None:
    drawn = picture(
        "[{level: None, namespaces: [kube-system, '']}, {level: RequestResponse, resources: [{resources: [pods], resourceNames: [web]}]},"
        " {level: Metadata}]"
    )
    rows = {row.label: row for row in drawn.rows.resources}
    told = {verb: cell(drawn, "pods", verb) for verb in VERBS}
    for verb, words, sign in (
        ("get", ["in kube-system", "named web", "else"], "-/M/RR"),
        ("list", ["in kube-system or across all namespaces", "named web (by a field selector)", "else"], "-/M/RR"),
        ("create", ["in kube-system", "else"], "-/M"),
    ):
        found = told[verb]
        assert found is not None
        assert found.depends
        assert letters(found) == sign
        assert [where(case, found, rows["pods"], verb) for case in found.cases] == words
    nodes, space = cell(drawn, "nodes", "get"), cell(drawn, "namespaces", "get")
    assert nodes is not None
    assert space is not None
    assert nodes.cases == (Case(0, Level.NONE),)
    assert [case.names for case in space.cases] == [("kube-system",), None]
    assert level(drawn, "(anything else)", "get") == "-/M"
    other = cell(drawn, "(anything else)", "get")
    assert other is not None
    assert where(other.cases[0], other, rows["(anything else)"], "get") == "in kube-system or in no namespace"


def test_a_case_that_earlier_ones_take_whole_is_not_told() -> None:
    drawn = picture(
        "[{level: None, namespaces: [a, b]}, {level: Request, namespaces: [a]}, {level: Request, namespaces: [b, c]}, {level: Metadata}]"
    )
    found = cell(drawn, "pods", "get")
    assert found is not None
    assert [case.rule for case in found.cases] == [0, 2, 3]


def test_a_level_that_is_the_same_everywhere_depends_on_nothing() -> None:
    found = cell(picture("[{level: Metadata, namespaces: [a]}, {level: Metadata}]"), "pods", "get")
    assert found is not None
    assert len(found.cases) == 2
    assert not found.depends


def test_very_many_cases_are_cut_and_the_cell_says_so() -> None:
    rules = ", ".join(f"{{level: Metadata, namespaces: [n{index}]}}" for index in range(MOST_CASES + 5))
    found = cell(picture(f"[{rules}]"), "pods", "get")
    assert found is not None
    assert found.cut
    assert found.depends
    assert letters(found) == "M?"
    assert len(found.cases) == MOST_CASES


def test_very_many_names_are_counted_not_drawn() -> None:
    names = ", ".join(f"r{index}" for index in range(MOST_NAMED + 7))
    drawn = picture(f"[{{level: None, resources: [{{group: apps, resources: [{names}]}}]}}]")
    assert drawn.rows.left_out == 7
    assert sum(row.named_by_policy for row in drawn.rows.resources) == MOST_NAMED


@pytest.mark.parametrize(
    ("rules", "label", "verb", "concern"),
    [
        ("[{level: None}]", "secrets", "get", Concern.UNSEEN),
        ("[{level: Metadata}]", "secrets", "get", None),
        ("[{level: Request}]", "secrets", "get", None),
        ("[{level: Request}]", "secrets", "update", Concern.BODY),
        ("[{level: RequestResponse}]", "secrets", "list", Concern.BODY),
        ("[{level: None}]", "configmaps", "get", None),
        ("[{level: RequestResponse}]", "configmaps", "get", Concern.BODY),
        ("[{level: RequestResponse}]", "serviceaccounts/token", "create", Concern.BODY),
        ("[{level: Request}]", "tokenreviews.authentication.k8s.io", "create", Concern.BODY),
        ("[{level: None, namespaces: [x]}, {level: Metadata}]", "pods/exec", "get", Concern.UNSEEN),
        ("[{level: RequestResponse}]", "pods/exec", "create", None),
        ("[{level: None}]", "clusterroles.rbac.authorization.k8s.io", "create", Concern.UNSEEN),
        ("[{level: None}]", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "patch", Concern.UNSEEN),
    ],
)  # fmt: skip
def test_sensitive_cells_are_marked_and_those_that_matter_twice(
    rules: str, label: str, verb: str, concern: Concern | None
) -> None:
    found = cell(picture(rules), label, verb)
    assert found is not None
    assert found.why
    assert found.concern is concern


def test_reading_roles_is_not_sensitive() -> None:
    found = cell(picture("[{level: None}]"), "clusterroles.rbac.authorization.k8s.io", "get")
    assert found is not None
    assert (found.why, found.concern) == ("", None)


def test_people_whom_the_policy_treats_alike_share_a_table_and_others_are_named() -> None:
    drawn = picture(
        "[{level: None, userGroups: ['system:nodes']}, {level: None, users: [bob]}, {level: Metadata}]",
        *USUAL,
        "nobody",
    )
    assert [[person.label for person in table.people] for table in drawn.tables] == [
        ["admin", "service-account", "anonymous", "nobody"],
        ["node"],
    ]
    assert drawn.others == ("bob",)


def test_a_cell_tells_its_rule_and_why_it_matches() -> None:
    policy = policy_of(
        "\n- level: None\n  users: [alice]\n  verbs: [get, list]\n  resources:\n  - group: ''\n    resources: [pods/*]\n- level: Metadata\n"
    )
    drawn = matrix(policy, PEOPLE, api(NEWEST), NEWEST)
    index = next(place for place, table in enumerate(drawn.tables) if table.people[0].label == "alice")
    row = next(row for row in drawn.rows.resources if row.label == "pods/exec")
    found = cell(drawn, "pods/exec", "get", index)
    assert found is not None
    people = drawn.tables[index].people
    assert (
        because(policy.rules[0], row, "get", people)
        == "users holds alice; verbs holds get; resources hold pods/* of group core"
    )
    assert because(policy.rules[1], row, "get", people) == "it asks for no user, verb or resource"
    assert sentence(found, row, "get", [(4, 9), (10, 10)]) == (
        "None (rules[0], lines 4-9); sensitive, a shell in a container; look twice, it is not recorded"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rules:\n# why\n- level: None\n  users:\n  - a\n\n# next\n- level: Metadata\n", ((3, 5), (8, 8))),
        ("rules: [{level: None}, {level: Metadata,\n users: [a]}]\n", ((1, 1), (1, 2))),
        ("rules:\n- &a\n  level: None\n  users: &u [x]\n- level: Metadata\n  users: *u\n", ((2, 4), (5, 6))),
    ],
)
def test_a_rule_stands_on_its_first_to_its_last_line(text: str, expected: tuple[tuple[int, int], ...]) -> None:
    raw = f"apiVersion: audit.k8s.io/v1\n{text}".encode()
    policy = load(raw).policy
    assert policy is not None
    assert extents(raw, policy) == tuple((first + 1, last + 1) for first, last in expected)


def test_lines_are_counted_as_the_reader_counts_them() -> None:
    assert text_lines("\ufeffa: b\r\nc\x85d\u2028e\n".encode()) == ("a: b", "c", "d", "e")
    assert text_lines("a\nb".encode("utf-16")) == ("a", "b")
    assert text_lines(b'{"a":\n1}') == ('{"a":', "1}")


def test_someone_is_a_word_or_a_user_with_groups() -> None:
    assert person_of("nobody").user is None
    assert person_of("admin of x").user == User("admin", ("x",))
    assert person_of("system:node:a").user == User("system:node:a", ("system:nodes", "system:authenticated"))
