"""The operations on a node that is just files (--rootfs, --no-wait, --dry-run): checks of the live node never refuse."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from foldernode import HERE, OTHER_POLICY, PLAIN, POLICY

from auditctl.errors import AuditctlError, RefusedError, UsageError
from auditctl.node.kubelet.diagnosis import UNSEEN
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.history import history
from auditctl.operations.restart import restart
from auditctl.operations.rollback import rollback
from auditctl.operations.status import status
from auditctl.operations.verify import VerifyOptions, verify
from auditctl.report import Report
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
DRY = ChangeOptions(dry_run=True)


def everything(plane: ControlPlane) -> dict[str, tuple[bytes, int, int]]:
    """Every file under the root: bytes, mtime and inode."""
    found = (path for path in sorted(plane.rootfs.rglob("*")) if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


@pytest.mark.parametrize("version", ["v1.31.14", "v1.33.13", "v1.35.6", "v1.36.2"])
@pytest.mark.parametrize(("before", "after"), [("plain", "plain+log"), ("others", "others+log"), ("ipv6", "ipv6+log")])
def test_on_kubeadms_manifest_the_result_is_kubeadms(
    folder_node: ControlPlane, version: str, before: str, after: str
) -> None:
    """Law 5 through the whole operation, and law 4 back."""
    golden = HERE / "golden/kubeadm" / version
    folder_node.manifest_path.write_bytes((golden / f"{before}.yaml").read_bytes())

    on = enable(folder_node, EnableRequest(Settings()), NO_WAIT)

    assert folder_node.manifest_path.read_bytes() == (golden / f"{after}.yaml").read_bytes()
    assert (on.exit_code, on.verification.holds) == (0, None)
    assert "not proved" in on.summary
    disable(folder_node, Purge(files=True), NO_WAIT)
    assert folder_node.manifest_path.read_bytes() == (golden / f"{before}.yaml").read_bytes()


def test_a_dry_run_touches_nothing_and_says_all(folder_node: ControlPlane, policy_file: Path) -> None:
    """Not even the state directory; the diff, the patch with its reasons, the outage."""
    before = everything(folder_node)

    report = enable(folder_node, EnableRequest(Settings(), str(policy_file)), DRY)

    assert everything(folder_node) == before
    assert not folder_node.state.path.exists()
    assert report.exit_code == 0
    assert "+    - --audit-policy-file=/etc/kubernetes/audit/policy.yaml\n" in report.manifest.diff
    assert len(report.manifest.reasons) == len(report.manifest.patch) == 9
    assert "expected outage" in report.to_text()
    assert "\x1b[32m+    - --audit-log-maxage=30" in report.to_text(colour=True)


def test_enable_twice_writes_nothing(folder_node: ControlPlane, policy_file: Path) -> None:
    """Law 3: an mtime is an event for the kubelet."""
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    before = everything(folder_node)

    again = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    now = everything(folder_node)
    assert {path for path in now if now[path] != before.get(path)} <= {str(folder_node.state.path / "lock")}
    assert again.outcome.value == "Unchanged"


def test_a_second_enable_changes_only_what_its_options_name(folder_node: ControlPlane, policy_file: Path) -> None:
    """One flag; the policy stays the user's own."""
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    report = enable(folder_node, EnableRequest(Settings(log_maxage_days=7)), NO_WAIT)

    assert [(op["op"], op["value"]) for op in report.manifest.patch] == [("replace", "--audit-log-maxage=7")]
    assert folder_node.root.host("/etc/kubernetes/audit/policy.yaml").read_text() == POLICY


def test_a_policy_that_changes_alone_is_annotated_and_disable_takes_it_out(
    folder_node: ControlPlane, policy_file: Path
) -> None:
    """Law 4 with policy changes in between; without a server nobody knows what is loaded."""
    before = folder_node.manifest_path.read_bytes()
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    policy_file.write_text(OTHER_POLICY)

    report = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert [op["path"] for op in report.manifest.patch] == ["/metadata/annotations/auditctl~1policy-sha256"]
    assert report.settings is not None
    assert report.settings.policy is not None
    assert report.settings.policy["sha256"] in folder_node.manifest_path.read_text()
    disable(folder_node, Purge(), NO_WAIT)
    assert folder_node.manifest_path.read_bytes() == before


def test_an_adopted_policy_at_a_path_of_its_own_is_kept(folder_node: ControlPlane) -> None:
    """A hand-made set-up with other names: nothing is added that was not asked for, no retention either."""
    text = PLAIN.read_text().replace(
        "    image:",
        "    - --audit-policy-file=/etc/kubernetes/audit-policy.yaml\n    - --audit-log-path=/var/log/apiserver/audit.log\n    image:",
        1,
    )
    text = text.replace(
        "    volumeMounts:\n",
        "    volumeMounts:\n    - mountPath: /etc/kubernetes/audit-policy.yaml\n      name: audit\n      readOnly: true\n"
        "    - mountPath: /var/log/apiserver\n      name: audit-log\n",
    ).replace(
        "  volumes:\n",
        "  volumes:\n  - hostPath:\n      path: /etc/kubernetes/audit-policy.yaml\n      type: File\n    name: audit\n"
        "  - hostPath:\n      path: /var/log/apiserver\n      type: DirectoryOrCreate\n    name: audit-log\n",
    )
    folder_node.manifest_path.write_text(text)
    policy = folder_node.root.host("/etc/kubernetes/audit-policy.yaml")
    policy.write_text(POLICY)

    report = enable(folder_node, EnableRequest(Settings()), NO_WAIT)

    assert report.manifest.patch == ()
    assert folder_node.manifest_path.read_text() == text
    assert policy.read_text() == POLICY
    assert report.settings is not None
    assert report.settings.policy is not None
    assert report.settings.policy["hostPath"] == "/etc/kubernetes/audit-policy.yaml"


def refused(plane: ControlPlane, request: EnableRequest, how: ChangeOptions = NO_WAIT) -> RefusedError:
    """Run it, see it refuse, and see that nothing of the node has changed."""
    before = {path: found for path, found in everything(plane).items() if "/var/lib/auditctl/" not in path}
    with pytest.raises(RefusedError) as caught:
        enable(plane, request, how)
    assert {path: found for path, found in everything(plane).items() if "/var/lib/auditctl/" not in path} == before
    assert caught.value.exit_code == 3
    assert "nothing was changed" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(policy_path="/etc/kubernetes/manifests/policy.yaml"), "manifests"),
        (Settings(policy_path="/etc/kubernetes/pki/policy.yaml"), "pki"),
        (Settings(log_path="/etc/kubernetes/manifests/audit.log", log=True), "manifests"),
        (Settings(log_path="/var/log/audit.log", log=True), "/var/log"),
        (Settings(log_path="/dev/stdout", log=True), "-"),
        (Settings(log=False), "record|backend"),
        (Settings(set_flags={"audit-log-max-size": "5"}), "audit-log-maxsize"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_touched(
    folder_node: ControlPlane, settings: Settings, words: str
) -> None:
    """One sentence; exit 3."""
    error = refused(folder_node, EnableRequest(settings))

    assert __import__("re").search(words, f"{error} {error.fix}")


def test_a_bad_policy_is_refused_with_every_line(folder_node: ControlPlane, tmp_path: Path) -> None:
    """The findings carry file, line and column."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: metadata\n- level: Metadata\n  omitStages: [Foo]\n"
    )

    error = refused(folder_node, EnableRequest(Settings(), str(bad)))

    assert [(finding.file, finding.line, finding.path) for finding in error.findings] == [
        (str(bad), 4, "rules[0].level"), (str(bad), 6, "rules[1].omitStages[0]"),
    ]  # fmt: skip


def test_a_field_that_the_server_would_drop_is_refused_unless_allowed(
    folder_node: ControlPlane, tmp_path: Path
) -> None:
    """`resource` for `resources` makes the rule match everything."""
    typo = tmp_path / "typo.yaml"
    typo.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  resource: [{group: ''}]\n")

    error = refused(folder_node, EnableRequest(Settings(), str(typo)))
    assert error.check == "dropped-fields"

    assert (
        enable(
            folder_node,
            EnableRequest(Settings(), str(typo)),
            ChangeOptions(wait=False, allow=frozenset({"dropped-fields"})),
        ).exit_code
        == 0
    )


def test_missing_files_and_names(folder_node: ControlPlane, tmp_path: Path) -> None:
    """A policy that is not there, a shipped one that is not, a webhook file that is not."""
    assert "not found" in str(refused(folder_node, EnableRequest(Settings(), str(tmp_path / "absent.yaml"))))
    assert "baseline" in str(refused(folder_node, EnableRequest(Settings(), "basline")).fix)
    assert "not found" in str(refused(folder_node, EnableRequest(Settings(webhook=True), None, tmp_path / "absent")))
    assert "directory" in str(refused(folder_node, EnableRequest(Settings(), str(tmp_path))))


def test_the_manifest_may_be_neither_absent_nor_a_symlink(folder_node: ControlPlane) -> None:
    """And an empty one is no Pod."""
    path = folder_node.manifest_path
    path.rename(path.with_name(".else"))
    assert "not found" in str(refused(folder_node, EnableRequest(Settings())))
    path.symlink_to(".else")
    assert "symbolic link" in str(refused(folder_node, EnableRequest(Settings())))
    path.unlink()
    path.write_bytes(b"")
    refused(folder_node, EnableRequest(Settings()))


@pytest.mark.parametrize(
    "state",
    [
        "/etc/kubernetes/manifests",
        "/etc/kubernetes/manifests/x",
        "/etc/kubernetes",
        "/etc",
        "/",
        "/etc/kubernetes/pki/x",
    ],
)
def test_the_state_directory_may_not_be_where_the_kubelet_reads(folder_node: ControlPlane, state: str) -> None:
    """In, above or equal to the manifest directory, or in pki."""
    refused(replace(folder_node, state_dir=state), EnableRequest(Settings()))
    assert os.listdir(folder_node.manifest_path.parent) == ["kube-apiserver.yaml"]


def test_a_directory_where_a_file_must_be(folder_node: ControlPlane) -> None:
    """The policy's and the log's path on the host; a file where a directory must be."""
    policy = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    policy.mkdir(parents=True)
    assert "is a directory" in str(refused(folder_node, EnableRequest(Settings())))
    policy.rmdir()
    log = folder_node.root.host("/var/log/kubernetes/audit")
    log.parent.mkdir(parents=True)
    log.write_text("")
    assert "not a directory" in str(refused(folder_node, EnableRequest(Settings())))


def test_a_policy_that_stood_there_is_named_when_baseline_replaces_it(folder_node: ControlPlane) -> None:
    """Loud, kept in the backup; --strict refuses."""
    policy = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir(parents=True)
    policy.write_text(OTHER_POLICY)
    policy.chmod(0o644)

    assert (
        refused(folder_node, EnableRequest(Settings()), ChangeOptions(wait=False, strict=True)).check
        == "policy-replaced"
    )
    report = enable(folder_node, EnableRequest(Settings()), NO_WAIT)

    assert "policy-replaced" in {finding.check for finding in report.findings}
    assert policy.read_text() != OTHER_POLICY
    assert oct(policy.stat().st_mode)[-3:] == "644"
    rollback(folder_node, None, NO_WAIT)
    assert policy.read_text() == OTHER_POLICY


def test_the_manifests_own_mode_and_owner_survive(folder_node: ControlPlane) -> None:
    """Whatever they are."""
    folder_node.manifest_path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(folder_node.manifest_path, 5, 6)
    before = folder_node.manifest_path.stat()

    enable(folder_node, EnableRequest(Settings()), NO_WAIT)

    after = folder_node.manifest_path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_history_tells_who_and_what_and_rollback_takes_ids(folder_node: ControlPlane, policy_file: Path) -> None:
    """ID and our later ones; an unknown one names those there are."""
    before = everything_in_etc(folder_node)
    first = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    enable(folder_node, EnableRequest(Settings(log_maxage_days=7)), NO_WAIT)
    assert first.change is not None
    assert Path(first.change.backup).read_bytes() == before["kubernetes/manifests/kube-apiserver.yaml"]
    rows = history(folder_node).details["history"]
    assert [(row["command"], row["outcome"]) for row in rows] == [("enable", "unproved")] * 2
    assert rows[0]["who"]["user"]

    with pytest.raises(RefusedError, match="no such change") as caught:
        rollback(folder_node, "nonsense", NO_WAIT)
    assert first.change.id in caught.value.fix
    rollback(folder_node, first.change.id, NO_WAIT)

    assert everything_in_etc(folder_node) == before
    with pytest.raises(RefusedError, match="no change"):
        rollback(folder_node, None, NO_WAIT)


def everything_in_etc(plane: ControlPlane) -> dict[str, bytes]:
    root = plane.rootfs / "etc"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_logs_are_removed_only_when_it_is_said_twice(folder_node: ControlPlane) -> None:
    """--purge-logs --yes: the log and its rotated files, and nothing else beside them."""
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)
    folder = folder_node.root.host("/var/log/kubernetes/audit")
    names = [
        "audit.log",
        "audit-2026-11-21T20-45-37.643.log",
        "audit-2026-11-21T20-45-37.643.log.gz",
        "other.log",
        "audit-notes.log",
    ]
    for name in names:
        (folder / name).write_text("x")

    with pytest.raises(UsageError):
        disable(folder_node, Purge(logs=True), NO_WAIT)
    assert sorted(os.listdir(folder)) == sorted(names)


def test_a_full_disk_before_the_edit_changes_nothing(
    folder_node: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system says ENOSPC at each call in turn: exit 3, one sentence, the node as it was."""
    before = everything_in_etc(folder_node)
    for nth in range(1, 60):
        real, count = os.fsync, 0

        def full(descriptor: int) -> None:
            nonlocal count
            count += 1
            if count == nth:  # noqa: B023
                raise OSError(errno.ENOSPC, "No space left on device")
            real(descriptor)  # noqa: B023

        monkeypatch.setattr(os, "fsync", full)
        outcome = attempt(folder_node)
        monkeypatch.undo()
        if isinstance(outcome, Report):
            assert nth > 8
            return
        assert outcome.exit_code == 3, f"call {nth}: {outcome}"
        assert "no space left" in str(outcome)
        assert everything_in_etc(folder_node) == before, f"call {nth}"
    pytest.fail("never came to its end")


def attempt(plane: ControlPlane) -> Report | AuditctlError:
    try:
        return enable(plane, EnableRequest(Settings()), NO_WAIT)
    except AuditctlError as error:
        return error


def test_a_server_of_another_node_is_not_judged_by_verify(folder_node: ControlPlane) -> None:
    """Whatever listens on the manifest's port of this machine, the folder has no kubelet."""
    report = verify(folder_node, VerifyOptions())
    process = next(check for check in report.verification.checks if check.name == "process")

    assert (report.exit_code, process.detail) == (1, UNSEEN)


def test_after_a_change_without_a_wait_the_next_step_leads_on(folder_node: ControlPlane) -> None:
    """`verify` proves nothing where auditing is off, and its own next step would switch it on again."""
    on = enable(folder_node, EnableRequest(Settings()), NO_WAIT)
    off = disable(folder_node, Purge(), NO_WAIT)

    assert (on.next_steps, off.next_steps) == (("auditctl verify",), ("auditctl status",))


def test_undoing_what_left_the_manifest_alone_claims_no_restart(folder_node: ControlPlane, policy_file: Path) -> None:
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)  # its annotation is that of the restart
    restart(folder_node, NO_WAIT)
    undone = rollback(folder_node, None, NO_WAIT)

    assert [check.name for check in undone.verification.checks] == ["receipt"]


@pytest.mark.parametrize("question", [history, status, lambda plane: verify(plane, VerifyOptions())])
def test_nothing_is_said_of_a_node_whose_folder_is_not_there(
    question: Callable[[ControlPlane], Report], tmp_path: Path
) -> None:
    """A misspelt --rootfs: no changes on that node would be an answer about nothing."""
    with pytest.raises(RefusedError, match="is not a directory"):
        question(ControlPlane(rootfs=tmp_path / "misspelt"))
