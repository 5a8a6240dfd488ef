"""Who else may change the manifest, the policy and the log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from foldernode import POLICY

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.node.preflight import strict_modes
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.cis import cis
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor.command import doctor
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings

MALLORY = 54321
NO_WAIT = ChangeOptions(wait=False)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root is held to it, and can give files away")


def on_policy(plane: ControlPlane) -> list[Finding]:
    return [
        finding for finding in doctor(plane, ChangeOptions(), fix=False).findings if finding.check == "path-writable"
    ]


def test_a_usual_node_has_nothing_to_say(folder_node: ControlPlane, policy_file: Path) -> None:
    """Not even below a /var/log of Ubuntu's, root:syslog 0775."""
    log = folder_node.root.host("/var/log")
    log.mkdir(parents=True)
    report = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert "path-writable" not in {finding.check for finding in report.findings}
    assert not on_policy(folder_node)
    assert list(strict_modes.manifest_path(folder_node.root, folder_node.manifest_path)) == []
    assert Path("/var/log") in strict_modes._GROUP_WRITABLE


@pytest.mark.parametrize("trouble", ["everybody", "group", "owner"])
def test_a_policy_that_others_may_replace_is_a_warning_everywhere(
    folder_node: ControlPlane, policy_file: Path, trouble: str
) -> None:
    """enable, doctor and cis name the directory; a sticky one, as /tmp, lets nobody replace another's file."""
    place = folder_node.root.host("/srv/open")
    place.mkdir(parents=True)
    place.chmod({"everybody": 0o777, "group": 0o770, "owner": 0o700}[trouble])
    os.chown(place, MALLORY if trouble == "owner" else 0, MALLORY)

    report = enable(
        folder_node, EnableRequest(Settings(policy_path="/srv/open/policy.yaml"), str(policy_file)), NO_WAIT
    )

    (found,) = [finding for finding in report.findings if finding.check == "path-writable"]
    assert found.severity is Severity.WARNING
    assert str(place) in found.message
    assert "audit-policy-file" in found.message
    assert [finding.message for finding in on_policy(folder_node)] == [found.message]
    assert [finding.message for finding in cis(folder_node).findings] == [found.message]
    place.chmod(0o1777)
    os.chown(place, 0, 0)
    assert not on_policy(folder_node)


def test_a_log_of_the_servers_own_user_is_as_it_should_be(folder_node: ControlPlane, policy_file: Path) -> None:
    """doctor itself advises to give the directory to the user that the server runs as."""
    directory = folder_node.root.host("/var/log/kubernetes/audit")
    directory.mkdir(parents=True)
    os.chown(directory, MALLORY, MALLORY)
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    text = folder_node.manifest_path.read_text()
    theirs = text.replace("  securityContext:\n", f"  securityContext:\n    runAsUser: {MALLORY}\n", 1)

    for content, expected in ((text, ["--audit-log-path"]), (theirs, [])):
        found = strict_modes.audit_paths(folder_node.root, folder_node.parse(content.encode()))
        assert [finding.message.partition("(")[2].partition(")")[0] for finding in found] == expected


@pytest.mark.parametrize("trouble", ["mode of the file", "mode of the directory", "owner of the directory", "above"])
def test_a_manifest_that_others_may_write_is_refused(
    folder_node: ControlPlane, policy_file: Path, trouble: str
) -> None:
    """Whoever writes it is root by the next restart; the text says whose it is and the next step."""
    path, before = folder_node.manifest_path, folder_node.manifest_path.read_bytes()
    if trouble == "mode of the file":
        path.chmod(0o666)
    elif trouble == "mode of the directory":
        path.parent.chmod(0o775)
        os.chown(path.parent, 0, MALLORY)
    elif trouble == "owner of the directory":
        os.chown(path.parent, MALLORY, MALLORY)
    else:
        path.parent.parent.chmod(0o777)

    with pytest.raises(RefusedError, match="whoever may write it decides what root runs") as caught:
        enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert caught.value.check == "path-untrusted"
    assert "chmod go-w" in caught.value.fix
    assert path.read_bytes() == before


def test_a_manifest_that_another_user_owns_is_a_warning(folder_node: ControlPlane, policy_file: Path) -> None:
    """In a directory of root's: somebody meant it so, and its owner is kept."""
    os.chown(folder_node.manifest_path, 7, 8)

    report = enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert "belongs to another user (uid 7)" in next(
        finding.message for finding in report.findings if finding.check == "path-writable"
    )
    assert (folder_node.manifest_path.stat().st_uid, folder_node.manifest_path.stat().st_gid) == (7, 8)


def test_links_of_root_are_fine(folder_node: ControlPlane, policy_file: Path) -> None:
    """/etc/kubernetes lies elsewhere, and so does the manifest directory."""
    etc = folder_node.manifest_path.parent.parent
    etc.rename(etc.with_name("moved"))
    etc.symlink_to("moved")

    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert (etc / "audit/policy.yaml").read_text() == POLICY


@pytest.mark.parametrize("place", ["/var/lib", "/var"])
def test_a_state_directory_that_others_may_exchange_is_refused(
    folder_node: ControlPlane, policy_file: Path, place: str
) -> None:
    """Its parents belong to root alone, too."""
    path = folder_node.root.host(place)
    path.mkdir(parents=True)
    os.chown(path, MALLORY, MALLORY)

    with pytest.raises(RefusedError, match=r"state directory .* is not used") as caught:
        enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)

    assert caught.value.check == "path-untrusted"
    assert not folder_node.state.path.exists()


def test_who_owns_what_is_above_the_root_folder_does_not_matter(folder_node: ControlPlane, policy_file: Path) -> None:
    """A container runs as root in a workspace of another user; inside the folder everything is held to it."""
    folder_node.rootfs.chmod(0o777)
    os.chown(folder_node.rootfs, MALLORY, MALLORY)
    os.chown(folder_node.rootfs.parent, MALLORY, MALLORY)

    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    folder_node.manifest_path.parent.chmod(0o777)
    with pytest.raises(RefusedError, match="may be written by others"):
        enable(folder_node, EnableRequest(Settings(log_maxage_days=7)), NO_WAIT)
