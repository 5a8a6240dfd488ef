"""Tasks: per task three wrong answers that a grep accepts and ours refuses, two right ones that a grep refuses and ours accepts.

Here graded as if the server ran with the answer: decisions, flags, mounts. With AUDITCTL_LABS=all every answer is played on
a lab, server and all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from answers import (
    Answer,
    answers,
    every_answer,
    graded_as_if_running,
    grep_accepts,
    tasks,
    wants_of,
    write,
)
from labroom import QUICK, Node

from auditctl.findings import Status
from auditctl.lab import down, up
from auditctl.lab.grading import requirements
from auditctl.lab.grading.grade import grade
from auditctl.lab.node.process import until
from auditctl.operations.controlplane import ControlPlane

ALL = os.environ.get("AUDITCTL_LABS") == "all"
EVERY = list(every_answer())
LIVE = EVERY if ALL else [next(one for one in EVERY if one.task == "exam-logpolicy" and one.is_right)]


def test_there_are_enough_tasks_and_enough_answers_to_each() -> None:
    assert len(tasks()) >= 8
    for task in tasks():
        right = [one for one in answers(task) if one.is_right]
        assert (len(right) >= 2, len(answers(task)) - len(right) >= 3) == (True, True), task


@pytest.mark.parametrize("task", tasks())
def test_a_task_says_what_is_wanted_in_requirements_that_can_be_graded(task: str) -> None:
    wants = requirements.read(wants_of(task))

    assert type(wants[0]).__name__ == "Serving"
    assert len(wants) >= 5


@pytest.mark.parametrize("answer", EVERY, ids=str)
def test_an_answer_counts_by_what_the_server_would_do_and_not_by_its_text(
    answer: Answer, folder_node: ControlPlane
) -> None:
    plain = folder_node.manifest_path.read_text()

    write(answer, folder_node.rootfs, plain)

    checks = graded_as_if_running(answer, folder_node)
    refused = [check for check in checks if check.status is not Status.PASSED]
    assert (not refused) is answer.is_right, refused or "every requirement is met"
    assert grep_accepts(answer, folder_node.rootfs) is not answer.is_right


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, str]]:
    """One lab for the module, and its manifest without auditing."""
    folder = tmp_path_factory.mktemp("tasks") / "node"
    node = Node(up(folder, pace=QUICK))
    yield node, node.manifest.read_text()
    down(folder)


@pytest.mark.lab
# ssl leaves a socket unclosed where the other side goes away within the handshake: servers are asked while they end here
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("answer", LIVE, ids=str)
def test_an_answer_is_graded_the_same_on_a_node_that_lives(answer: Answer, lab: tuple[Node, str]) -> None:
    node, plain = lab
    plane = ControlPlane(rootfs=node.lab.root)
    wants = wants_of(answer.task)

    # another annotation each time: the kubelet restarts nothing for a policy that alone is another
    write(answer, node.lab.root, plain.replace("  annotations:\n", f'  annotations:\n    lab/answer: "{answer}"\n'))

    solved = until(
        lambda: all(check.status is Status.PASSED for check in grade(plane, wants)), 15 if answer.is_right else 3
    )
    assert solved is answer.is_right, [check for check in grade(plane, wants) if check.status is not Status.PASSED]
