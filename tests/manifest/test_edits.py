"""How enable changes what is there, in its own spelling; and what it refuses to touch."""

from __future__ import annotations

import pytest

from auditctl.errors import ManifestError
from auditctl.manifest.plan import plan_disable
from auditctl.settings import Settings

from .pods import audit_flags, disabled, enabled, enabling, manifest, refusal, small, with_flags


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--audit-log-maxage=1", "--audit-log-maxage=7"),
        ("--audit_log_maxage=1 # days", "--audit_log_maxage=7 # days"),
        ("'--audit-log-maxage=1'", "'--audit-log-maxage=7'"),
        ('"--audit-log-maxage=1"', '"--audit-log-maxage=7"'),
        ("|-\n      --audit-log-maxage=1", "|-\n      --audit-log-maxage=7"),
        ("--audit-log-maxage\n    - '1'", "--audit-log-maxage\n    - '7'"),
        ("!!str --audit-log-maxage=1", "!!str --audit-log-maxage=7"),
        ("--audit-log-maxage=", "--audit-log-maxage=7"),
    ],
)
def test_a_changed_value_keeps_its_spelling(old: str, new: str) -> None:
    text = enabled(with_flags(old))
    assert enabled(text, Settings(log_maxage_days=7)) == text.replace(old, new)


def test_a_bool_without_a_value_gets_one() -> None:
    text = enabled(with_flags("--audit-log-compress"))
    after = enabled(text, Settings(set_flags={"audit-log-compress": "false"}))
    assert after == text.replace("--audit-log-compress", "--audit-log-compress=false")
    assert not enabling(text, Settings(set_flags={"audit-log-compress": "true"})).changes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--audit-log-mode=x", '"--audit-log-mode=a: b"'),
        ("'--audit-log-mode=x'", "'--audit-log-mode=a: b'"),
        ('"--audit-log-mode=x"', '"--audit-log-mode=a: b"'),
    ],
)
def test_a_value_that_plain_yaml_would_misread_is_quoted(old: str, new: str) -> None:
    text = enabled(with_flags(old))
    assert enabled(text, Settings(set_flags={"audit-log-mode": "a: b"})) == text.replace(old, new)


def test_quotes_and_backslashes_are_escaped_in_the_scalars_own_way() -> None:
    for old in ("--audit-log-mode=x", "'--audit-log-mode=x'", '"--audit-log-mode=x"', "|-\n      --audit-log-mode=x"):
        text = enabled(with_flags(old), Settings(set_flags={"audit-log-mode": "a 'b' \"c\" \\ #d"}))
        assert audit_flags(text)["audit-log-mode"] == "a 'b' \"c\" \\ #d"


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ('"--audit-log-\\x6daxage=1"', "cannot be changed exactly"),
        ("'--audit-log-mode=it''s'", "cannot be changed exactly"),
        ("--audit-log-mode=a\n      b", "cannot be changed exactly"),
        ("&x --audit-log-maxage=1", "anchor"),
    ],
)
def test_a_value_that_cannot_be_changed_exactly_is_refused(item: str, word: str) -> None:
    assert (
        word
        in refusal(with_flags(item), Settings(set_flags={"audit-log-maxage": "7", "audit-log-mode": "batch"})).message
    )


@pytest.mark.parametrize(
    ("items", "value", "word"),
    [
        (("--audit-log-mode", "!!str s"), "batch", "cannot be changed exactly"),
        (("--audit-log-mode", "''"), "batch", "cannot be changed exactly"),
        (("'--audit-log-mode=x'",), "a\tb", "cannot be spelled"),
        (("|-\n      --audit-log-mode=x",), "a\tb", "cannot be spelled"),
        (("|-\n      --audit-log-mode=x",), "a ", "cannot be spelled"),
    ],
)
def test_a_value_that_has_no_exact_spelling_in_its_place_is_refused(
    items: tuple[str, ...], value: str, word: str
) -> None:
    assert word in refusal(with_flags(*items), Settings(set_flags={"audit-log-mode": value})).message


def test_an_alias_in_the_way_is_refused_and_beside_the_way_it_is_not() -> None:
    aliased = (
        with_flags("--audit-log-maxage=1")
        .replace("  labels:", "  annotations:\n    x: &x --audit-log-maxage=1\n  labels:")
        .replace("- --audit-log-maxage=1", "- *x")
    )
    assert "alias" in refusal(aliased, Settings(log_maxage_days=7)).message
    assert audit_flags(disabled(enabled(aliased))) == {}
    used = (
        with_flags("&x --audit-log-maxage=1")
        .replace("  labels:\n", "  labels:\n")
        .replace("status: {}", "status: {a: *x}")
    )
    with pytest.raises(ManifestError, match="anchor"):
        plan_disable(manifest(used))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (small(("    - kube-apiserver\n    - --allow-privileged=true\n    - --secure-port=6443\n", "")).replace("command:", "command: [kube-apiserver, --v=2]"), "flow style"),
        (small(("    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n", "    volumeMounts: []\n")), "flow style"),
        (small(("  volumes:\n  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name: k8s-certs\n", "  volumes:\n")), "has no entries"),
        (small(("command:", "command: &c")), "spec.containers[0].command has the anchor &c"),
        (small(("spec:", "spec: &s")), "spec has the anchor &s"),
        (small(("command:", "command: !!seq")), "cannot be told apart"),
        (small(("command:\n", "command:\n     !!seq\n")), "cannot be told apart"),
        ("--- &a\n" + small(), "the manifest has the anchor &a"),
        (small(("  - command:\n    - kube-apiserver\n", "  - ? command\n    : - kube-apiserver\n")).replace("    - --", "      - --"), "cannot be told apart"),
        ("x: &x\n  volumes:\n  - {name: a, hostPath: {path: /a}}\n" + small(("  volumes:", "  <<: *x\n  y:")), "spec.volumes comes through a merge key"),
        ("x: &x\n- kube-apiserver\n- --v=2\n" + small(("    - kube-apiserver\n    - --allow-privileged=true\n    - --secure-port=6443\n", "")).replace("command:", "command: *x"), "is an alias"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_grow_exactly_is_refused(text: str, word: str) -> None:
    refused = refusal(text)
    assert word in refused.message
    assert refused.place


def test_a_flow_list_that_does_not_change_is_no_obstacle() -> None:
    text = small(
        ("    - --allow-privileged=true\n    - --secure-port=6443\n", "    args:\n    - --v=2\n"),
        ("command:\n    - kube-apiserver", "command: [kube-apiserver]"),
    )
    assert disabled(enabled(text)) == text
