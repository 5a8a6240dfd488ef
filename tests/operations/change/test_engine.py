"""What a changing command shows before it acts: the plan, the requests that change level, the question; and the dry run."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from foldernode import HOOK, OTHER_POLICY, PLAIN, POLICY, FakeClock

from auditctl.errors import InterruptionError, RefusedError
from auditctl.node.change.journal import Role
from auditctl.node.change.lock import lock
from auditctl.node.kubelet import kubelet_log
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.restart import restart
from auditctl.operations.rollback import rollback
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False, allow=frozenset({"apiserver-ready"}))
DRY = replace(NO_WAIT, dry_run=True)
OUTAGE = "expected outage"


class Person:
    """Somebody who reads the plan and answers."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.plans: list[str] = []
        self.questions: list[str] = []

    def accepts(self, plan: Sequence[str], question: str) -> bool:
        self.plans.append("\n".join(plan))
        self.questions.append(question)
        return self.answer


class Gone:
    """Somebody who presses Ctrl-C at the question."""

    def accepts(self, plan: Sequence[str], question: str) -> bool:
        raise KeyboardInterrupt


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def host(tmp_path: Path) -> ControlPlane:
    """A node whose root is this machine's, with its manifest and its records elsewhere."""
    manifest = tmp_path / "manifests/kube-apiserver.yaml"
    manifest.parent.mkdir()
    manifest.write_text(PLAIN.read_text().replace("6443", str(free_port())).replace("192.0.2.10", "127.0.0.1"))
    plane = ControlPlane(manifest=str(manifest), state_dir=str(tmp_path / "state"), clock=FakeClock())
    if kubelet_log.find(plane.root) is not None:
        pytest.skip("a kubelet runs on this machine")
    return plane


@pytest.fixture
def request_of(tmp_path: Path) -> EnableRequest:
    policy = tmp_path / "p.yaml"
    policy.write_text(POLICY)
    settings = Settings(policy_path=str(tmp_path / "policy.yaml"), log_path=str(tmp_path / "log/audit.log"))
    return EnableRequest(settings, str(policy))


def test_before_a_restart_of_the_machines_own_server_somebody_is_asked(
    host: ControlPlane, request_of: EnableRequest
) -> None:
    person = Person()
    report = enable(replace(host, reviewer=person), request_of, NO_WAIT)
    assert report.exit_code == 0
    assert person.questions == ["Proceed?"]
    for part in ("+    - --audit-log-maxage=30", "+- level: Metadata", "warning: ", "would install", OUTAGE):
        assert part in person.plans[0], part
    assert (
        person.plans[0].index("--audit-log-maxage")
        < person.plans[0].index("would install")
        < person.plans[0].index(OUTAGE)
    )


@pytest.mark.parametrize("reviewer", [Person(answer=False), Gone()], ids=["no", "Ctrl-C"])
def test_no_changes_nothing_and_ends_with_130(host: ControlPlane, request_of: EnableRequest, reviewer: Person) -> None:
    before = host.manifest_path.read_bytes()
    with pytest.raises(InterruptionError) as refused:
        enable(replace(host, reviewer=reviewer), request_of, NO_WAIT)
    assert (refused.value.exit_code, "nothing was changed" in refused.value.message) == (130, True)
    assert host.manifest_path.read_bytes() == before
    assert not Path(str(request_of.settings.policy_path)).exists()
    assert host.state.journals() == []
    with lock(host.state, "test"):
        pass  # it is free


class Editor:
    """Somebody who edits a file while the question waits for an answer."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def accepts(self, plan: Sequence[str], question: str) -> bool:
        self.path.write_text(OTHER_POLICY + "# in between\n")
        return True


@pytest.mark.parametrize("command", ["restart", "enable"])
def test_a_policy_that_is_edited_while_somebody_thinks_is_not_loaded_unseen(
    folder_node: ControlPlane, policy_file: Path, command: str
) -> None:
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), ChangeOptions(wait=False))
    before = folder_node.manifest_path.read_bytes()
    plane = replace(folder_node, reviewer=Editor(folder_node.root.host("/etc/kubernetes/audit/policy.yaml")))
    run = {
        "restart": lambda: restart(plane, ChangeOptions(wait=False)),
        "enable": lambda: enable(plane, EnableRequest(Settings(log_maxage_days=7)), ChangeOptions(wait=False)),
    }[command]
    with pytest.raises(RefusedError, match="somebody else changed it"):
        run()
    assert folder_node.manifest_path.read_bytes() == before
    assert len(folder_node.state.journals()) == 1


def test_nobody_is_asked_with_yes_under_rootfs_and_without_a_restart(
    host: ControlPlane, folder_node: ControlPlane, request_of: EnableRequest, policy_file: Path
) -> None:
    person = Person()
    enable(replace(host, reviewer=person), request_of, replace(NO_WAIT, assume_yes=True))
    enable(
        replace(folder_node, reviewer=person), EnableRequest(Settings(), str(policy_file)), ChangeOptions(wait=False)
    )
    Path(str(request_of.policy)).write_text(POLICY + "# only a word of its author\n")
    enable(replace(host, reviewer=person), EnableRequest(Settings(), request_of.policy), NO_WAIT)
    assert person.questions == ["", "", "Proceed?"]  # what the server has loaded is not known here: it is restarted
    assert all(OUTAGE in plan for plan in person.plans)


def test_what_is_so_already_is_shown_to_nobody(folder_node: ControlPlane, policy_file: Path) -> None:
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), ChangeOptions(wait=False))
    person = Person(answer=False)
    report = enable(replace(folder_node, reviewer=person), EnableRequest(Settings()), ChangeOptions(wait=False))
    assert (report.changed, person.plans) == (False, [])


def test_the_requests_that_change_level_are_named(folder_node: ControlPlane, policy_file: Path) -> None:
    """In the plan of the real run, in the lines of the dry run, and for programs."""
    request = EnableRequest(Settings(), str(policy_file))
    enable(folder_node, request, ChangeOptions(wait=False))
    policy_file.write_text(OTHER_POLICY)
    dry = enable(folder_node, request, ChangeOptions(dry_run=True))
    text = dry.to_text()
    assert "-- level: Metadata\n+- level: RequestResponse\n" in text
    assert "requests that change level:" in text
    assert "Metadata -> RequestResponse" in text
    assert dry.to_dict()["requests"][0]["after"] == "RequestResponse"

    person = Person()
    enable(replace(folder_node, reviewer=person), request, ChangeOptions(wait=False))
    assert "Metadata -> RequestResponse" in person.plans[0]
    policy_file.write_text(OTHER_POLICY + "# a word\n")
    assert "requests that change level: none" in enable(folder_node, request, ChangeOptions(dry_run=True)).to_text()


def test_a_restart_shows_what_was_edited_in_place(folder_node: ControlPlane, policy_file: Path) -> None:
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), ChangeOptions(wait=False))
    policy = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    folder_node.state.keep_last_good(Role.POLICY, POLICY.encode())
    policy.write_text(OTHER_POLICY)
    text = restart(folder_node, ChangeOptions(dry_run=True)).to_text()
    assert "+- level: RequestResponse" in text
    assert "Metadata -> RequestResponse" in text


def test_a_rollback_says_which_change_it_undoes(folder_node: ControlPlane, policy_file: Path) -> None:
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), ChangeOptions(wait=False))
    enable(folder_node, EnableRequest(Settings(log_maxage_days=7)), ChangeOptions(wait=False))
    newest = folder_node.state.journals()[-1]
    named = f"change {newest.id} (enable, {newest.started}, by "
    dry = rollback(folder_node, None, ChangeOptions(dry_run=True))
    assert any(line.startswith(f"would undo {named}") and line.endswith("--audit-log-maxage=7") for line in dry.lines)
    person = Person()
    report = rollback(replace(folder_node, reviewer=person), None, ChangeOptions(wait=False))
    assert f"would undo {named}" in person.plans[0]
    assert any(line.startswith(f"undone: {named}") for line in report.lines)


def test_a_purge_says_what_is_lost_for_good(folder_node: ControlPlane, policy_file: Path, tmp_path: Path) -> None:
    hook = tmp_path / "w.yaml"
    hook.write_text(HOOK.format(1))
    enable(folder_node, EnableRequest(Settings(webhook=True), str(policy_file), hook), ChangeOptions(wait=False))
    person = Person()
    disable(replace(folder_node, reviewer=person), Purge(files=True), ChangeOptions(wait=False))
    assert "webhook.yaml (webhook; no copy of it is kept)" in person.plans[0]


def test_a_dry_run_on_a_folder_says_that_no_server_was_asked(folder_node: ControlPlane, policy_file: Path) -> None:
    report = enable(folder_node, EnableRequest(Settings(), str(policy_file)), ChangeOptions(dry_run=True))
    assert report.exit_code == 0
    assert any(line.startswith("not checked: what a running API server shows") for line in report.lines)


def test_a_dry_run_on_the_host_is_refused_where_the_real_run_would_be(
    host: ControlPlane, request_of: EnableRequest
) -> None:
    """No kubelet runs there, so that nobody would act on the edit."""
    for options in (ChangeOptions(dry_run=True), ChangeOptions(assume_yes=True)):
        with pytest.raises(RefusedError) as refused:
            enable(host, request_of, options)
        assert refused.value.check == "kubelet-not-running"
    assert enable(host, request_of, DRY).exit_code == 0
