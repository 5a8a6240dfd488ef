"""What the loader makes of kinds, types and repeated keys, beyond the recorded cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auditctl.policy.load import LoadResult, load
from auditctl.policy.types import Level, PolicyRule

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
SNIFFING = "failed decoding: couldn't get version/kind; json parse error"
SCHEME = 'in scheme "k8s.io/apiserver/pkg/audit/scheme.go:30"'


def judged(text: str) -> LoadResult:
    return load(text.encode())


@pytest.mark.parametrize(
    ("head", "error"),
    [
        ("apiVersion: a/b/c\n", "failed decoding: unexpected GroupVersion string: a/b/c"),
        ("apiVersion: a/\n", "failed decoding: Object 'apiVersion' is missing in 'apiVersion: a/\nrules: []\n'"),
        ("apiVersion: audit.k8s.io/\n", "unknown group version field audit.k8s.io/__internal, Kind=Policy in policy"),
        ("apiVersion: /\n", "unknown group version field audit.k8s.io/__internal, Kind=Policy in policy"),
        (
            "apiVersion: audit.k8s.io/__internal\nkind: X\n",
            f'failed decoding: no kind "X" is registered for the internal version of group "audit.k8s.io" {SCHEME}',
        ),
        ("apiVersion: v1\nkind: X\n", f'failed decoding: no kind "X" is registered for version "v1" {SCHEME}'),
        *(
            (
                f"apiVersion: {version}\nkind: {kind}\n",
                f"failed decoding: converting ({go_type}) to (audit.Policy): unknown conversion",
            )
            for version, kind, go_type in (
                ("audit.k8s.io/v1", "Event", "v1.Event"),
                ("audit.k8s.io/__internal", "EventList", "audit.EventList"),
                ("audit.k8s.io/__internal", "WatchEvent", "v1.InternalEvent"),
                ("audit.k8s.io/v1", "WatchEvent", "v1.WatchEvent"),
                ("__internal", "WatchEvent", "v1.InternalEvent"),
                ("v1", "DeleteOptions", "v1.DeleteOptions"),
                ("anything/v7", "Status", "v1.Status"),
            )
        ),
        (
            "apiVersion: 1\nkind: [a]\n",
            f"{SNIFFING}: json: cannot unmarshal number into Go struct field .apiVersion of type string",
        ),
    ],
)
def test_what_a_text_says_it_is(head: str, error: str) -> None:
    assert judged(head + "rules: []\n").error == error


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("v1", "Event"),
        ("v2", "WatchEvent"),
        ("foo/v1", "WatchEvent"),
        ("foo/v1", "DeleteOptions"),
        ("foo/v1", "Event"),
        ("v2", "DeleteOptions"),
        ("audit.k8s.io/v2", "Policy"),
        ("audit.k8s.io/v1", "policy"),
    ],
)
def test_a_kind_that_the_scheme_does_not_know(api_version: str, kind: str) -> None:
    error = judged(f"apiVersion: {api_version}\nkind: {kind}\nrules: []\n").error
    assert error == f'failed decoding: no kind "{kind}" is registered for version "{api_version}" {SCHEME}'


@pytest.mark.parametrize(
    ("group", "kind"), [("foo", "WatchEvent"), ("audit.k8s.io", "DeleteOptions"), ("foo", "Event"), ("foo", "Policy")]
)
def test_a_kind_that_the_scheme_does_not_know_internally(group: str, kind: str) -> None:
    error = judged(f"apiVersion: {group}/__internal\nkind: {kind}\nrules: []\n").error
    expected = f'no kind "{kind}" is registered for the internal version of group "{group}" {SCHEME}'
    assert error == f"failed decoding: {expected}"


def test_a_kind_that_is_null_is_a_policy() -> None:
    assert judged("apiVersion: audit.k8s.io/v1\nkind: ~\nrules: [{level: None}]\n").policy is not None


def test_two_keys_that_json_cannot_tell_apart_are_both_converted() -> None:
    text = HEAD + "rules: [{level: None}]\nx: {1: {~: a}, '1': b}\n"
    assert "unsupported map key" in judged(text).error


@pytest.mark.parametrize("key", ["APIVERSION", "apiversion", "api\u212aersion"])
def test_the_kind_is_sniffed_in_any_case(key: str) -> None:
    loaded = judged(f"{key}: audit.k8s.io/v1\nrules: [{{level: None}}]\n")
    assert (loaded.policy is not None) is (key.lower() == "apiversion")


@pytest.mark.parametrize(
    ("field", "error"),
    [
        ("metadata: {labels: {a: 1}}", "number into Go struct field ObjectMeta.metadata.labels of type string"),
        ("metadata: {labels: []}", "array into Go struct field ObjectMeta.metadata.labels of type map[string]string"),
        ("metadata: {generation: 1.5}", "number 1.5 into Go struct field ObjectMeta.metadata.generation of type int64"),
        ("metadata: {generation: a}", "string into Go struct field ObjectMeta.metadata.generation of type int64"),
        ("metadata: {creationTimestamp: 1}", "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string"),
        ("metadata: {ownerReferences: [{uid: 1}]}", "number into Go struct field OwnerReference.metadata.ownerReferences.uid of type types.UID"),
        ("omitManagedFields: []", "array into Go struct field Policy.omitManagedFields of type bool"),
        ("omitStages: [{}]", "object into Go struct field Policy.omitStages of type v1.Stage"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused_in_the_server_s_words(field: str, error: str) -> None:
    assert (
        judged(f"{HEAD}{field}\nrules: [{{level: None}}]\n").error == f"failed decoding: json: cannot unmarshal {error}"
    )


@pytest.mark.parametrize(
    "metadata",
    ["~", "{}", "{labels: ~, finalizers: ~}", "{generation: 5, deletionTimestamp: ~}", "{managedFields: [{fieldsV1: [1]}]}",
     "{creationTimestamp: '2024-01-01T00:00:00Z', ownerReferences: [{controller: yes}]}", "{name: ~}",
     "{labels: {a: b, c: d}}"],
)  # fmt: skip
def test_metadata_that_fits_its_types_is_accepted_without_a_word(metadata: str) -> None:
    loaded = judged(f"{HEAD}metadata: {metadata}\nrules: [{{level: None}}]\n")
    assert (loaded.error, loaded.warning) == ("", "")


def test_a_complaint_of_a_type_itself_is_told_before_all_others() -> None:
    text = f"{HEAD}apiVersion: audit.k8s.io/v1\nmetadata: {{creationTimestamp: x, annotations: []}}\nrules: 1\n"
    assert judged(text).error.startswith('failed decoding: parsing time "x"')


def test_the_first_error_is_the_first_in_the_order_of_the_keys() -> None:
    assert "Policy.omitStages" in judged(f"{HEAD}rules: 1\nomitStages: 1\n").error


def rules_of(json_rules: str) -> list[tuple[str, tuple[str, ...]]]:
    policy = judged('{"apiVersion":"audit.k8s.io/v1","kind":"Policy",' + json_rules + "}").policy
    assert policy is not None
    return [(rule.level.value, rule.users) for rule in policy.rules]


def test_a_second_json_list_is_decoded_into_the_first() -> None:
    first = '"rules":[{"level":"None","users":["bob"]},{"level":"None","users":["eve"]}]'
    assert rules_of(first + ',"rules":[{"level":"Metadata"}]') == [("Metadata", ("bob",))]
    assert rules_of(first + ',"rules":[{"level":"Metadata"}],"rules":[{},{"level":"Request"}]') == [
        ("Metadata", ("bob",)),
        ("Request", ("eve",)),
    ]
    assert rules_of(first + ',"rules":[],"rules":[{"level":"Request"}]') == [("Request", ())]
    assert rules_of(first + ',"rules":null,"rules":[{"level":"Request"}]') == [("Request", ())]
    assert rules_of('"rules":[{"level":"None","users":["a"],"users":["b",null],"level":null}]') == [("None", ("b", ""))]


def test_what_is_there_twice_in_json_is_told_once() -> None:
    loaded = judged('{"apiVersion":"audit.k8s.io/v1","kind":"Policy","x":1,"x":2,"rules":[{"level":"None","level":"None","level":"None"}],'
                    '"metadata":{"labels":{"a":"b","a":"c"}}}')  # fmt: skip
    assert loaded.warning == (
        'strict decoding error: unknown field "x", duplicate field "rules[0].level", duplicate field "metadata.labels.a"'
    )
    assert loaded.dropped == ("x",)


def test_a_null_in_a_list_of_strings_is_an_empty_string() -> None:
    policy = judged(f"{HEAD}rules: [{{level: None, users: [~, a], verbs: ~, omitManagedFields: ~}}]\n").policy
    assert policy is not None
    assert (policy.rules[0].users, policy.rules[0].verbs) == (("", "a"), ())
    assert policy.rules[0].omit_managed_fields is None
    assert policy.rules[0].level is Level.NONE


def test_the_server_tells_a_hundred_strays_and_we_all() -> None:
    loaded = judged(HEAD + "rules: [{level: None}]\n" + "".join(f"x{i:03}: 1\n" for i in range(150)))
    assert loaded.warning.count("unknown field") == 100
    assert len(loaded.dropped) == len(loaded.findings) == 150


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "\x0b", "\u00a0", "\u2003", "\u3000"])
def test_a_brace_behind_any_blank_makes_it_json(blank: str) -> None:
    assert judged(blank + "{a: b}").error.startswith(
        "failed decoding: couldn't get version/kind; json parse error: invalid"
    )


def test_a_comment_before_the_brace_makes_it_yaml() -> None:
    assert judged("#\n{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None}]} and more").policy is not None


def test_protobuf_is_refused() -> None:
    assert "protobuf" in load(b"k8s\0" + b"\x01\x02").error


def test_a_field_whose_type_is_wrong_is_not_also_missing() -> None:
    findings = judged(f"{HEAD}rules:\n- level: 1\n- level: ~\n").findings
    assert [(finding.path, finding.check) for finding in findings] == [
        ("rules[0].level", "type"),
        ("rules[1].level", "invalid"),
    ]


@pytest.mark.parametrize(
    ("version", "named"), [((1, 31), "Policy.name"), ((1, 36), "Policy.ObjectMeta.name")], ids=["1.31", "1.36"]
)
def test_the_metadata_of_the_internal_type_is_named_as_that_server_names_it(
    version: tuple[int, int], named: str
) -> None:
    fault = f"failed decoding: json: cannot unmarshal number into Go struct field {named} of type string"
    assert load(b"kind: Policy\nname: 1\n", version).error == fault


def test_the_metadata_inside_the_internal_type_is_named_whole() -> None:
    fault = "failed decoding: json: cannot unmarshal number into Go struct field OwnerReference.ObjectMeta.ownerReferences.name of type string"
    assert load(b"kind: Policy\nownerReferences: [{name: 1}]\n").error == fault


def test_null_after_a_value_leaves_a_text_and_unsets_a_pointer() -> None:
    rule = '{"level": "None", "level": null, "omitManagedFields": true, "omitManagedFields": null, "users": ["a"], "users": null}'
    policy = load(f'{{"apiVersion": "audit.k8s.io/v1", "rules": [{rule}]}}'.encode()).policy
    assert policy is not None
    assert replace(policy.rules[0], line=0) == PolicyRule(level=Level.NONE)


@pytest.mark.parametrize(
    ("time", "fault"),
    [
        ("0000-02-29T00:00:00Z", ""),
        ("2024-02-29T00:00:00Z", ""),
        ("2023-02-29T00:00:00Z", '"2023-02-29T00:00:00Z": day out of range'),
        ("2023-04-00T00:00:00Z", '"2023-04-00T00:00:00Z": day out of range'),
        ("2020\\u0001", '"2020\\x01" as "2006-01-02T15:04:05Z07:00": cannot parse "\\x01" as "-"'),
        ("2020\\u00e9", '"2020\\xc3\\xa9" as "2006-01-02T15:04:05Z07:00": cannot parse "\\xc3\\xa9" as "-"'),
    ],
)
def test_a_time_is_read_as_go_reads_it(time: str, fault: str) -> None:
    text = f'{{"apiVersion": "audit.k8s.io/v1", "metadata": {{"creationTimestamp": "{time}"}}, "rules": [{{"level": "None"}}]}}'
    assert load(text.encode()).error == (f"failed decoding: parsing time {fault}" if fault else "")


@pytest.mark.parametrize("value", ["a", "[a]", "[[a]]", "[{a: 1}, b]"])
def test_only_mappings_are_merged(value: str) -> None:
    fault = "failed decoding: yaml: map merge requires map or sequence of maps as the value"
    assert load(f"apiVersion: audit.k8s.io/v1\nx: {{<<: {value}}}\nrules: [{{level: None}}]\n".encode()).error == fault


@pytest.mark.parametrize(("before", "most"), [("[]", 616), ("{<<: {}}", 621)])
def test_a_merged_list_makes_an_alias_bomb_just_where_it_does_for_the_server(before: str, most: int) -> None:
    fields = ", ".join(f"k{i}: v" for i in range(60))
    for aliases, error in ((most, ""), (most + 1, "failed decoding: yaml: document contains excessive aliasing")):
        merged = ", ".join(["*x"] * aliases)
        text = f"{HEAD}rules: [{{level: None}}]\np: {before}\nx: &x {{{fields}}}\nm: {{<<: [{merged}]}}\n"
        assert judged(text).error == error
