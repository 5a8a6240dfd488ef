"""Every next step that is a command of ours leads on: pasted one after the other they mend the node, and none comes twice."""

from __future__ import annotations

import shlex

import pytest
from nodes import METADATA, Node, Ran

from auditctl.lab.node.process import until

pytestmark = pytest.mark.lab

SECONDS = 20
# the faults that a person need not decide about
MENDED_BY_COMMANDS = (
    "as-if-nothing-was-changed",
    "down-without-a-mount",
    "edited-but-not-in-force",
    "fine-until-the-next-start",
    "it-will-not-rotate",
    "mixed-with-everything",
    "nothing-on-the-host",
    "the-log-stays-empty",
    "the-policy-is-not-asked",
    "tidied-up-log",
)


def commands(ran: Ran) -> list[list[str]]:
    """Return the next steps that are command lines of ours, without the program, its `--rootfs` and the remark behind."""
    lines = [shlex.split(step, comments=True) for step in ran.report["nextSteps"]]
    return [words[3:] for words in lines if words[:1] == ["kube-auditctl"]]


def is_settled(node: Node) -> bool:
    state = node.run("doctor").report["doctor"]
    return state["certain"] or state["state"] == "serving"


@pytest.mark.parametrize("fault", MENDED_BY_COMMANDS)
def test_the_next_steps_mend_the_node(node: Node, fault: str) -> None:
    node.enable(METADATA)
    assert node.run("kubeadm", "persist").code == 0
    assert node.run("status").code == 0
    assert node.run("lab", "break", fault).code == 0
    assert until(lambda: is_settled(node), SECONDS)

    trail: list[list[str]] = []
    ran = node.run("status")
    while ran.code != 0:
        steps = [words for words in commands(ran) if words[:2] != ["log", "tail"]]
        assert steps, (trail, ran.report["summary"], ran.report["nextSteps"])
        assert steps[0] not in trail, f"in a circle: {[*trail, steps[0]]}"
        trail.append(steps[0])
        after = node.run(*steps[0])
        assert after.code in (0, 1), (trail, after.report)
        ran = node.run("status")

    assert trail
    assert node.run("lab", "check").code == 0
