"""The journal: the state table, the decisions after an interruption, and its lines."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from auditctl.errors import BugError
from auditctl.node.change.journal import (
    FINAL,
    TRANSITIONS,
    FileRecord,
    Journal,
    OnDisk,
    Recovery,
    Role,
    Step,
    decode,
    encode_header,
    encode_step,
    recovery,
    standing,
    standing_changes,
)

MANIFEST = FileRecord(
    role=Role.MANIFEST,
    path="/etc/kubernetes/manifests/kube-apiserver.yaml",
    before="old",
    after="new",
    ending=("ends-the-pod", "ends-the-next"),
)


def journal(step: Step = Step.PLANNED, **fields: object) -> Journal:
    base = Journal(
        id="1", command="enable", started="2026-11-21T00:00:00Z", who={"user": "root"}, files=(MANIFEST,), step=step
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def test_a_good_change_passes_through_every_state() -> None:
    """The order of the enum is the order of a good change."""
    before = [Step.BACKED_UP, Step.INSTALLING, Step.STANDBY, Step.ENDING]
    path = [*before, Step.REPLACING, Step.WAITING, Step.REMOVING, Step.DONE]

    change = journal()
    for step in path:
        change = change.to(step, "now")

    assert change.finished
    assert [step for step, _, _ in change.steps] == [step.value for step in path]


def test_every_pair_of_states_is_allowed_by_the_table_or_a_bug() -> None:
    """No way but the table's; nothing leaves a final state."""
    for one, other in itertools.product(Step, Step):
        if other in TRANSITIONS[one]:
            assert journal(one).to(other, "now").step is other
        else:
            with pytest.raises(BugError):
                journal(one).to(other, "now")
    assert all(not TRANSITIONS[final] for final in FINAL)


def test_the_table_is_this_one() -> None:
    """Written out, so that a change of it is seen."""
    give_up = {Step.UNDOING, Step.ABANDONED}
    assert TRANSITIONS[Step.PLANNED] == give_up | {Step.BACKED_UP}
    assert TRANSITIONS[Step.BACKED_UP] == give_up | {Step.INSTALLING}
    assert TRANSITIONS[Step.INSTALLING] == give_up | {Step.STANDBY, Step.ENDING, Step.REPLACING}
    assert TRANSITIONS[Step.STANDBY] == give_up | {Step.ENDING, Step.REPLACING}
    assert TRANSITIONS[Step.ENDING] == give_up | {Step.REPLACING}
    assert TRANSITIONS[Step.REPLACING] == give_up | {Step.WAITING, Step.REMOVING, Step.DONE, Step.UNPROVED}
    assert TRANSITIONS[Step.WAITING] == give_up | {Step.REMOVING, Step.DONE, Step.UNPROVED}
    assert TRANSITIONS[Step.REMOVING] == {Step.DONE, Step.UNPROVED}
    assert TRANSITIONS[Step.UNDOING] == {Step.UNDONE, Step.UNCONFIRMED, Step.STRANDED, Step.ABANDONED}


@pytest.mark.parametrize(
    ("digest", "expected"),
    [
        ("old", OnDisk.BEFORE),
        ("ends-the-pod", OnDisk.ENDING),
        ("new", OnDisk.AFTER),
        ("else", OnDisk.OTHER),
        (None, OnDisk.OTHER),
    ],
)
def test_the_disk_tells_which_text_stands(digest: str | None, expected: OnDisk) -> None:
    """Compared by digest alone."""
    assert standing(MANIFEST, digest) is expected


def test_a_file_that_does_not_change_is_the_same_either_way() -> None:
    """A policy-only change keeps the manifest."""
    assert standing(replace(MANIFEST, after="old"), "old") is OnDisk.SAME
    assert standing(replace(MANIFEST, before=None), None) is OnDisk.BEFORE


EARLY = (Step.PLANNED, Step.BACKED_UP, Step.INSTALLING, Step.STANDBY, Step.UNDOING)
LATE = (Step.ENDING, Step.REPLACING, Step.WAITING)
DECISIONS = {
    **{(step, stands): Recovery.NOTHING for step in FINAL for stands in OnDisk},
    **{(Step.REMOVING, stands): Recovery.REMOVE for stands in OnDisk},
    **{(step, stands): Recovery.PUT_BACK for step in EARLY for stands in OnDisk if stands is not OnDisk.OTHER},
    **{(step, OnDisk.OTHER): Recovery.LEAVE for step in (*EARLY, *LATE)},
    **{(step, stands): Recovery.PUT_BACK for step in LATE for stands in (OnDisk.BEFORE, OnDisk.ENDING)},
    **{(step, stands): Recovery.FINISH for step in LATE for stands in (OnDisk.AFTER, OnDisk.SAME)},
}


@pytest.mark.parametrize(("step", "stands"), list(itertools.product(Step, OnDisk)))
def test_what_is_done_about_an_interrupted_change(step: Step, stands: OnDisk) -> None:
    """Every pair of last entry and disk has one answer."""
    assert recovery(journal(step), stands) is DECISIONS[step, stands]


def test_a_journal_is_read_back_as_it_was_written() -> None:
    """Header and steps."""
    change = journal(made_directories=("/a",), undoes=("0",), summary="s").to(Step.BACKED_UP, "t", "n")

    text = encode_header(change) + encode_step(Step.BACKED_UP, "t", "n")

    assert decode(text) == change


def test_a_torn_last_line_is_as_if_it_had_not_been_written() -> None:
    """Power fails in the middle of an append."""
    whole = encode_header(journal()) + encode_step(Step.BACKED_UP, "t", "")
    torn = whole + encode_step(Step.INSTALLING, "t", "")[:-9]

    assert decode(torn) == decode(whole)
    resumed = decode(torn + "\n" + encode_step(Step.UNDOING, "t", ""))
    assert resumed is not None
    assert resumed.step is Step.UNDOING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"id": "1',
        "[]\n",
        "null\n",
        '{"id": "x"}\n',
        encode_header(journal()) + '{"step": "paused", "at": "", "note": ""}\n',
    ],
)
def test_what_cannot_be_read_is_none_and_never_raises(text: str) -> None:
    """Damaged, or of a newer version."""
    assert decode(text) is None


def test_a_header_of_a_newer_version_is_read_as_far_as_we_know_it() -> None:
    """An unknown key is passed over."""
    text = encode_header(journal()).replace('{"command"', '{"colour": 1, "command"')

    assert decode(text) == journal()


def test_what_a_rollback_took_back_no_longer_stands() -> None:
    """A stack: the rollback itself is not on it."""
    one, two = journal(Step.DONE, id="1"), journal(Step.UNPROVED, id="2")
    back = journal(Step.DONE, id="3", undoes=("2",))
    failed = journal(Step.UNDONE, id="4")

    assert [change.id for change in standing_changes([one, two, failed])] == ["1", "2"]
    assert [change.id for change in standing_changes([one, two, back])] == ["1"]
    assert [change.id for change in standing_changes([one, two, replace(back, step=Step.UNDONE)])] == ["1", "2"]
