"""What reviewers once found wrong, and what must not come back."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from foldernode import OTHER_POLICY, POLICY

from auditctl.errors import RefusedError
from auditctl.node.apiserver import credentials
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.credentials import Credentials
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.rollback import rollback
from auditctl.operations.status import status
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)


class Stranger:
    """Edits the manifest at the very moment when we begin to change it."""

    def __init__(self, manifest: Path) -> None:
        self.manifest = manifest

    def step(self, text: str) -> None:
        if text.startswith("change "):
            self.manifest.write_text(self.manifest.read_text() + "# a stranger's\n")

    def waiting(self, text: str, seconds: float) -> None:
        """Nothing."""


def test_a_strangers_edit_right_before_the_rename_is_refused(folder_node: ControlPlane, policy_file: Path) -> None:
    """Law 12: nothing of ours stays, nothing of theirs goes."""
    plane = replace(folder_node, progress=Stranger(folder_node.manifest_path))

    with pytest.raises(RefusedError, match="somebody else changed it"):
        enable(plane, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    text = folder_node.manifest_path.read_text()
    assert text.endswith("# a stranger's\n")
    assert "audit" not in text
    assert not folder_node.root.host("/etc/kubernetes/audit").exists()


def test_an_altered_backup_is_not_put_back(folder_node: ControlPlane, policy_file: Path) -> None:
    """Compared with the journal's digest."""
    change = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT).change
    assert change is not None
    backup = Path(change.backup)
    backup.write_text(backup.read_text().replace("--allow-privileged=true", "--allow-privileged=false"))

    with pytest.raises(RefusedError, match="not those of the journal"):
        rollback(folder_node, None, NO_WAIT)

    backup.unlink()
    with pytest.raises(RefusedError, match="not found"):
        rollback(folder_node, None, NO_WAIT)


def test_a_record_that_cannot_be_read_is_named_and_stops_changes(folder_node: ControlPlane, policy_file: Path) -> None:
    """A newer version's, or a damaged one: status says so, a change is refused with the folder."""
    folder = folder_node.state.changes / "20990101T000000000Z-ffff"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text('{"id": "x"}\n')

    with pytest.raises(RefusedError, match=r"ffff: this version cannot read"):
        enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    assert "state-unreadable" in {finding.check for finding in status(folder_node).findings}


def test_purging_works_after_auditing_is_off(folder_node: ControlPlane, policy_file: Path) -> None:
    """Our own record of the last `disable` names the files."""
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    log = folder_node.root.host("/var/log/kubernetes/audit/audit.log")
    log.write_text("x")
    disable(folder_node, Purge(), NO_WAIT)
    policy = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    assert policy.exists()

    dry = disable(folder_node, Purge(files=True, logs=True), ChangeOptions(dry_run=True))
    assert f"would remove {log}" in dry.lines
    report = disable(folder_node, Purge(files=True, logs=True, confirmed=True), ChangeOptions())

    assert not policy.parent.exists()
    assert not log.parent.exists()
    assert f"removed {log}" in [finding.message for finding in report.findings]


def test_another_policy_path_moves_what_is_installed(folder_node: ControlPlane, policy_file: Path) -> None:
    """Without --policy the policy stays the user's own."""
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    enable(folder_node, EnableRequest(Settings(policy_path="/etc/kubernetes/elsewhere/p.yaml")), NO_WAIT)

    assert folder_node.root.host("/etc/kubernetes/elsewhere/p.yaml").read_text() == POLICY
    assert "/etc/kubernetes/audit/policy.yaml" not in folder_node.manifest_path.read_text()


def test_a_directory_link_is_followed_inside_the_root_folder(
    folder_node: ControlPlane, policy_file: Path, tmp_path: Path
) -> None:
    """On the node an absolute link begins at its own root; followed by this machine it would lead into the machine."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folder_node.root.host("/etc/kubernetes/audit").symlink_to(outside)

    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert not list(outside.iterdir())
    assert (folder_node.rootfs / str(outside).lstrip("/") / "policy.yaml").read_text() == POLICY


def test_a_file_that_is_a_link_out_of_the_root_folder_is_refused(
    folder_node: ControlPlane, policy_file: Path, tmp_path: Path
) -> None:
    """Neither read nor written."""
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    audit = folder_node.root.host("/etc/kubernetes/audit")
    audit.mkdir()
    (audit / "policy.yaml").symlink_to(outside)

    with pytest.raises(RefusedError, match="leads out of --rootfs"):
        enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert outside.read_text() == "theirs"


KUBECONFIG = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {user: u, cluster: k}}]\nclusters: []\nusers: [{name: u, user: {%s}}]\n"


def test_a_token_never_stands_in_a_message(tmp_path: Path) -> None:
    """A final newline is cut; what is still no header is refused without its text."""
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG % 'token: "SECRET-TOKEN\\n"')
    assert credentials.read(path).token == "SECRET-TOKEN"
    assert "SECRET" not in repr(credentials.read(path))

    path.write_text(KUBECONFIG % 'token: "SECRET\\nTOKEN"')
    with pytest.raises(RefusedError) as caught:
        credentials.read(path)
    assert "SECRET" not in str(caught.value)
    answer = Endpoint("127.0.0.1", 1).request(
        "GET", "/", credentials=Credentials(source="x", user=None, token="SECRET\nTOKEN")
    )
    assert "SECRET" not in answer.reason


@pytest.mark.parametrize(
    "text",
    [
        "", "a policy: not a kubeconfig\n", KUBECONFIG % "tokenFile: /nonexistent", KUBECONFIG % "client-certificate-data: '!'",
        KUBECONFIG % f"client-certificate-data: {base64.b64encode(b'-----BEGIN CERTIFICATE-----MAAGA1UEAw==').decode()}",
    ],
)  # fmt: skip
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    """Never silently anonymous, never a traceback."""
    path = tmp_path / "kubeconfig"
    path.write_text(text)

    with pytest.raises(RefusedError):
        credentials.read(path)


def test_ids_sort_by_time_even_if_the_clock_was_set_back(folder_node: ControlPlane, policy_file: Path) -> None:
    """A plain rollback undoes the newest."""
    first = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    folder_node.clock.passed = -3600.0  # type: ignore[attr-defined]
    policy_file.write_text(OTHER_POLICY)
    second = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert first.change is not None
    assert second.change is not None
    assert second.change.id > first.change.id
