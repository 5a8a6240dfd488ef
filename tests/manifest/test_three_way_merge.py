"""Undo beside a stranger's edit: only our lines come out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditctl.errors import ManifestError
from auditctl.manifest.three_way_merge import undo

from .pods import SMALL, disabled, enabled


def test_of_our_own_text_it_gives_the_old_one_back() -> None:
    assert undo(SMALL, enabled(SMALL), enabled(SMALL)) == SMALL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v1.31.14", "v1.31.15"),
        ("    - --secure-port=6443\n", "    - --secure-port=6443\n    - --v=2\n"),
        ("    - --secure-port=6443\n", "    - --authorization-mode=RBAC\n    - --secure-port=6443\n"),
        ("status: {}\n", ""),
        ("    - kube-apiserver\n", "    # the server\n    - kube-apiserver\n"),
        ("    - --allow-privileged=true\n", ""),
    ],
)
def test_a_strangers_edit_elsewhere_or_beside_ours_stays(old: str, new: str) -> None:
    current = enabled(SMALL).replace(old, new)
    assert undo(SMALL, enabled(SMALL), current) == SMALL.replace(old, new)


def test_what_we_took_out_comes_back() -> None:
    assert undo(enabled(SMALL), SMALL, SMALL.replace("v1.31.14", "v9")) == enabled(SMALL).replace("v1.31.14", "v9")


def test_what_the_stranger_has_undone_already_is_no_conflict() -> None:
    assert undo(SMALL, enabled(SMALL), disabled(enabled(SMALL))) == SMALL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--audit-log-maxage=30", "--audit-log-maxage=31"),
        ("    - --audit-log-maxage=30\n", "    - --audit-log-maxage=30\n    - --x\n"),
        ("    - --allow-privileged=true\n    - --audit-log-maxage=30\n", "    - --y\n"),
    ],
)
def test_a_strangers_edit_of_our_own_lines_is_a_conflict(old: str, new: str) -> None:
    with pytest.raises(ManifestError, match="changed since") as caught:
        undo(SMALL, enabled(SMALL), enabled(SMALL).replace(old, new))
    assert caught.value.check == "merge-conflict"


def test_two_different_insertions_at_one_point_are_a_conflict() -> None:
    with pytest.raises(ManifestError, match="changed since"):
        undo("a\nx\nb\n", "a\nb\n", "a\ny\nb\n")


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_an_insertion_of_ours_comes_out_wherever_the_stranger_deleted(lines: list[str], at: int, gone: int) -> None:
    before = [line + "\n" for line in lines]
    after = [*before[:at], "OURS\n", *before[at:]]
    current = [line for number, line in enumerate(after) if number != gone or line == "OURS\n"]
    assert undo("".join(before), "".join(after), "".join(current)) == "".join(
        line for line in current if line != "OURS\n"
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_of_any_change_of_ours_the_old_text_comes_back(before: list[str], after: list[str]) -> None:
    old, new = "".join(line + "\n" for line in before), "".join(line + "\n" for line in after)
    assert undo(old, new, new) == old
    try:
        assert undo(old, new, "# theirs\n" + new).count("# theirs\n") == 1
    except ManifestError:
        assert before[:1] != after[:1]
