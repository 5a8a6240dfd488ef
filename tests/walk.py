"""The walk through a scenario: at each step a wrong attempt first, which Check refuses, then the page's own commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learner import STAYS_DOWN, WRONG, Learner, Ran

from auditctl.lab.node.process import until

BY_HAND, WITH_AUDITCTL = "By hand", "With auditctl"


def attempt_in_vain(learner: Learner, step: Path, seconds: float) -> None:
    """The wrong attempt, refused by Check; afterwards the node is as before it."""
    number = int(step.name.removeprefix("step"))
    with taken_back(learner, seconds):
        assert not learner.is_solved(step), f"{step.name} is solved before it was begun"
        ran = typed(learner, WRONG[number], seconds, stays_down=number in STAYS_DOWN)
        assert ran.code == 0, ran.text
        refused = learner.check(step)
        assert refused.code == 1, f"{step.name}: a wrong attempt is accepted: {refused.text}"
        assert "not yet" in refused.text
        print(f"{step.name}: {refused.text.splitlines()[-1]}")


def solve(learner: Learner, step: Path, commands: list[str], seconds: float) -> None:
    """The page's own commands, one block after the other as a reader would, then Check."""
    assert commands, f"{step.name} has no commands"
    for block in commands:
        is_down = "# the API server" in block
        ran = typed(learner, block, seconds, stays_down=is_down)
        assert ran.code == 0, f"{step.name}:\n{block}\n{ran.text}"
        if is_down:
            assert not learner.is_solved(step)
    until(lambda: learner.is_solved(step), seconds)
    checked = learner.check(step)
    assert checked.code == 0, f"{step.name}: {checked.text}"


def typed(learner: Learner, block: str, seconds: float, *, stays_down: bool) -> Ran:
    """Run it, and wait as a reader is told to: where the manifest is another, until another server serves."""
    manifest, before = learner.manifest.read_bytes(), learner.server()
    ran = learner.run(block)
    if stays_down:
        assert until(lambda: not learner.serves(), seconds), f"the API server serves after\n{block}"
    elif learner.manifest.read_bytes() != manifest:
        assert until(lambda: learner.server() not in (None, before) and learner.serves(), seconds), block
    else:
        assert until(learner.serves, seconds), block
    return ran


@contextmanager
def taken_back(learner: Learner, seconds: float) -> Iterator[None]:
    """Policies and answers as they were, and the manifest, unless only its annotation of the restart differs."""
    manifest = learner.manifest
    before, files = manifest.read_bytes(), _files(learner)
    yield
    for path in _files(learner).keys() - files.keys():
        path.unlink()
    for path, content in files.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    if _without_restart(manifest.read_bytes()) != _without_restart(before) or not learner.serves():
        server = learner.server()
        draft = manifest.with_name(".taken-back")
        draft.write_bytes(before)
        draft.chmod(0o600)
        draft.rename(manifest)
        assert until(lambda: learner.server() not in (None, server) and learner.serves(), seconds)


def _without_restart(manifest: bytes) -> list[bytes]:
    """Return the lines but that by which the pages let the kubelet restart the server: they take it out themselves."""
    return [line for line in manifest.splitlines() if not line.strip().startswith(b"lab/again:")]


def _files(learner: Learner) -> dict[Path, bytes]:
    audit = learner.at("/etc/kubernetes/audit")
    policies = list(audit.iterdir()) if audit.exists() else []
    return {path: path.read_bytes() for path in (*learner.answers, *policies) if path.is_file()}
