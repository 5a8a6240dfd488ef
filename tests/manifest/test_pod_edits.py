"""Where enable writes a new flag."""

from __future__ import annotations

import pytest

from auditctl.settings import Settings

from .pods import ENABLED, LOG, audit_flags, disabled, enabled, manifest, small, with_flags


def command(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(("- --", "#", "- kube"))]


def test_in_a_sorted_list_of_a_sorting_kubeadm_flags_go_in_order() -> None:
    assert command(enabled(small())) == [
        "- kube-apiserver",
        "- --allow-privileged=true",
        *(f"- {flag}" for flag in ENABLED),
        "- --secure-port=6443",
    ]
    first = small(("    - --allow-privileged=true\n", ""))
    assert command(enabled(first)) == ["- kube-apiserver", *(f"- {flag}" for flag in ENABLED), "- --secure-port=6443"]


@pytest.mark.parametrize("text", [small((":v1.31.14", ":v1.36.0")), small(("--allow-privileged=true", "--v=2"))])
def test_else_they_go_to_the_end(text: str) -> None:
    assert command(enabled(text))[3:] == [f"- {flag}" for flag in ENABLED]


def test_beside_audit_flags_they_are_sorted_among_them() -> None:
    text = with_flags("--audit-log-maxbackup=1", "--audit-policy-file=/etc/kubernetes/pki/p", "--v=2")
    assert command(enabled(text))[3:] == [
        "- --audit-log-maxage=30", "- --audit-log-maxbackup=1", "- --audit-log-maxsize=100", f"- {LOG}",
        "- --audit-policy-file=/etc/kubernetes/pki/p", "- --v=2",
    ]  # fmt: skip


def test_a_flag_never_parts_another_from_its_value() -> None:
    text = with_flags("--audit-log-maxbackup", "'1'", "--v", "'2'")
    text = text.replace("    - --allow-privileged=true\n", "")
    items = manifest(enabled(text)).command
    assert items[items.index("--audit-log-maxbackup") + 1] == "1"
    assert items[items.index("--v") + 1] == "2"
    assert audit_flags(enabled(text)) == audit_flags(enabled(small())) | {"audit-log-maxbackup": "1"}


def test_a_flag_never_parts_another_from_its_value_in_the_other_list() -> None:
    text = small(("    - --secure-port=6443\n    image:", "    - --secure-port\n    args:\n    - '6444'\n    image:"))
    for tag in ("v1.31.14", "v1.36.0"):
        items = manifest(enabled(text.replace("v1.31.14", tag))).command
        assert items[items.index("--secure-port") + 1] == "6444"


def test_in_two_lists_the_order_is_that_of_the_list_that_grows() -> None:
    text = small(("    image:", "    args:\n    - --a=1\n    - --b\n    - '2'\n    image:"))
    assert command(enabled(text))[3:] == ["- --a=1", *(f"- {flag}" for flag in ENABLED), "- --b"]
    unsorted = small(
        (
            "    - --secure-port=6443\n    image:",
            "    - --z=1\n    - --a=1\n    args:\n    - --b\n    - '2'\n    image:",
        )
    )
    assert command(enabled(unsorted))[4:] == [*(f"- {flag}" for flag in ENABLED), "- --b"]


def test_pairs_of_the_other_list_do_not_count() -> None:
    text = small(
        (
            "    - --allow-privileged=true\n    - --secure-port=6443\n",
            "    - --v\n    - '2'\n    args:\n    - --a=1\n    - --aa=1\n    - --b=1\n",
        )
    )
    assert command(enabled(text))[2:5] == ["- --a=1", "- --aa=1", "- --audit-log-maxage=30"]
    text = small(
        (
            "    - --secure-port=6443\n",
            "    - --audit-log-maxage=1\n    - --c=1\n    args:\n    - --a=1\n    - --b=1\n    - --v\n    - '2'\n",
        )
    )
    assert command(enabled(text))[2:4] == ["- --audit-log-maxage=1", "- --audit-log-maxbackup=10"]


def test_an_audit_flag_whose_value_is_the_first_of_args_keeps_it() -> None:
    text = small(
        (
            "    - --secure-port=6443\n    image:",
            "    - --audit-log-maxage\n    args:\n    - '3'\n    - --b=1\n    - --c=1\n    image:",
        )
    )
    assert manifest(enabled(text)).command == (
        "kube-apiserver", "--allow-privileged=true", *ENABLED[1:], "--audit-log-maxage", "3", "--b=1", "--c=1",
    )  # fmt: skip
    assert audit_flags(disabled(enabled(text))) == {}


def test_flags_that_are_there_twice_are_in_order() -> None:
    text = with_flags("--service-account-issuer=b", "--service-account-issuer=a")
    assert command(enabled(text))[2:4] == ["- --audit-log-maxage=30", "- --audit-log-maxbackup=10"]


def test_where_the_last_item_has_a_comment_below_it_the_place_is_above() -> None:
    new = small((":v1.31.14", ":v1.36.0"), ("    image:", "    # the image\n    image:"))
    assert command(enabled(new)) == [
        "- kube-apiserver", "- --allow-privileged=true", *(f"- {flag}" for flag in ENABLED), "- --secure-port=6443", "# the image",
    ]  # fmt: skip


def test_where_every_place_touches_a_comment_it_is_directly_behind_the_last_item() -> None:
    text = small(
        ("    - --allow", "    # a\n    - --allow"),
        ("    - --secure", "    # b\n    - --secure"),
        ("    image:", "    # c\n    image:"),
    )
    assert command(enabled(text)) == [
        "- kube-apiserver", "# a", "- --allow-privileged=true", "# b", "- --secure-port=6443", *(f"- {flag}" for flag in ENABLED), "# c",
    ]  # fmt: skip


def test_beside_audit_flags_with_comments_the_nearest_clean_place_among_them_comes_first() -> None:
    text = with_flags(
        "--v=2\n    # why", "--audit-log-maxbackup=1\n    # and", "--audit-policy-file=/etc/kubernetes/pki/p"
    )
    assert command(enabled(text))[-4:] == [
        "- --audit-policy-file=/etc/kubernetes/pki/p",
        "- --audit-log-maxage=30",
        "- --audit-log-maxsize=100",
        f"- {LOG}",
    ]


def test_flags_go_to_args_where_the_flags_are_there() -> None:
    args = small(
        (
            "    - --allow-privileged=true\n    - --secure-port=6443\n",
            "    args:\n    - --allow-privileged=true\n    - --secure-port=6443\n",
        )
    )
    pod = manifest(enabled(args))
    assert {flag.item.list_path[-1] for flag in pod.flag_list if flag.is_audit} == {"args"}
    first = args.replace("    - --allow-privileged=true\n", "")
    assert disabled(enabled(first)) == first
    assert command(enabled(first))[1] == "- --audit-log-maxage=30"
    audit_first = small(
        ("    - --secure-port=6443\n    image:", "    - --audit-log-maxage=1\n    args:\n    - --v=2\n    image:")
    )
    pod = manifest(enabled(audit_first))
    assert {flag.item.list_path[-1] for flag in pod.flag_list if flag.is_audit} == {"command"}


def test_a_new_item_looks_like_its_neighbours() -> None:
    assert "      -   --audit-log-maxage=30\n" in enabled(
        small(("    - kube", "      -   kube"), ("    - --a", "      -   --a"), ("    - --s", "      -   --s"))
    )
    assert '    - "--audit-log-path=/var/log/a/b: c"' in enabled(small(), Settings(log_path="/var/log/a/b: c"))
