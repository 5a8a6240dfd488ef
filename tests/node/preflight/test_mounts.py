"""Each audit path through the mounts: kinds, links, users, permissions, attributes of the file system."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from foldernode import HERE, POLICY

from auditctl.findings import Finding, Severity
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Root
from auditctl.node.change.journal import Role
from auditctl.node.preflight.mounts import audit_paths, unchangeable, volume_types

TEXT = (HERE / "golden/kubeadm/v1.36.2/plain+log.yaml").read_text()
AS_DIRECTORY = TEXT.replace("mountPath: /etc/kubernetes/audit/policy.yaml", "mountPath: /etc/kubernetes/audit").replace(
    "path: /etc/kubernetes/audit/policy.yaml\n      type: File", "path: /etc/kubernetes/audit\n      type: Directory"
)
ANOTHER_USER = TEXT.replace(
    "  hostNetwork: true", "  securityContext:\n    runAsUser: 65534\n  hostNetwork: true"
).replace("  securityContext:\n    seccompProfile:\n      type: RuntimeDefault\n", "")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """The files are there, closed to others."""
    audit, log = tmp_path / "etc/kubernetes/audit", tmp_path / "var/log/kubernetes/audit"
    for directory in (audit, log):
        directory.mkdir(parents=True)
        directory.chmod(0o700)
    (audit / "policy.yaml").write_text(POLICY)
    (audit / "policy.yaml").chmod(0o600)
    return Root(tmp_path)


def manifest(text: str) -> Manifest:
    return Manifest.of(Document.of_text(text, "m.yaml"))


def paths(root: Root, text: str, *written: str) -> list[Finding]:
    read = manifest(text)
    edits = {
        flag: FileEdit(role=Role.POLICY, path=root.host(read.flag(flag) or "/"), before=None, after=b"")
        for flag in written
    }
    return list(audit_paths(root, read, edits))


def checks(found: list[Finding]) -> list[tuple[str, Severity]]:
    return [(finding.check, finding.severity) for finding in found]


def test_what_kubeadm_writes_with_closed_directories_is_fine(root: Root) -> None:
    """No false alarm, of types neither."""
    assert paths(root, TEXT) == []
    assert paths(root, AS_DIRECTORY) == []
    assert list(volume_types(root, manifest(AS_DIRECTORY), all_of_them=True)) == []


def test_a_policy_without_a_mount_cannot_be_found(root: Root) -> None:
    """And a log without one is lost with its container."""
    text = TEXT.replace("/etc/kubernetes/audit/policy.yaml\n      name", "/elsewhere/policy.yaml\n      name")
    assert checks(paths(root, text)) == [("audit-mount", Severity.ERROR)]

    text = TEXT.replace("mountPath: /var/log/kubernetes/audit", "mountPath: /elsewhere")
    assert checks(paths(root, text)) == [("log-not-mounted", Severity.WARNING)]


@pytest.mark.parametrize(
    ("target", "reachable"),
    [
        ("other.yaml", True),
        ("/etc/kubernetes/audit/other.yaml", True),
        ("/srv/other.yaml", False),
        ("../o.yaml", False),
    ],
)
def test_a_link_is_followed_inside_the_container(root: Root, target: str, reachable: bool) -> None:
    """One that leads out of the mounts leads nowhere."""
    policy = root.host("/etc/kubernetes/audit/policy.yaml")
    policy.rename(policy.with_name("other.yaml"))
    policy.symlink_to(target)

    found = paths(root, AS_DIRECTORY)

    assert checks(found) == ([] if reachable else [("audit-mount", Severity.ERROR)])


def test_links_in_a_circle_end(root: Root) -> None:
    """And are told."""
    policy = root.host("/etc/kubernetes/audit/policy.yaml")
    policy.unlink()
    policy.symlink_to("policy.yaml")

    assert "in a circle" in paths(root, AS_DIRECTORY)[0].message


def test_a_user_that_is_not_root_needs_permissions(root: Root) -> None:
    """Policy and log directory; after chown all is well."""
    found = paths(root, ANOTHER_USER)
    assert [(finding.check, "65534" in finding.fix) for finding in found] == [("audit-permission", True)] * 2

    for name in ("/etc/kubernetes/audit/policy.yaml", "/var/log/kubernetes/audit"):
        os.chown(root.host(name), 65534, 65534)

    assert paths(root, ANOTHER_USER) == []


def test_a_new_policy_would_belong_to_root(root: Root) -> None:
    """So that another user could not read what enable writes."""
    root.host("/etc/kubernetes/audit/policy.yaml").unlink()
    os.chown(root.host("/var/log/kubernetes/audit"), 65534, 65534)

    assert checks(paths(root, ANOTHER_USER, "audit-policy-file")) == [("audit-permission", Severity.ERROR)]
    assert paths(root, TEXT, "audit-policy-file") == []


def test_root_without_its_capabilities_is_bound_by_modes(root: Root) -> None:
    """``drop: [ALL]`` takes DAC_OVERRIDE too."""
    text = TEXT.replace("    image: ", "    securityContext:\n      capabilities:\n        drop: [ALL]\n    image: ")
    os.chown(root.host("/var/log/kubernetes/audit"), 1000, 1000)

    assert checks(paths(root, text)) == [("audit-permission", Severity.ERROR)]
    assert paths(root, TEXT) == []


def test_a_log_on_a_read_only_mount_cannot_be_written(root: Root) -> None:
    """readOnly copied from the policy's mount."""
    text = TEXT.replace("      name: audit-log\n", "      name: audit-log\n      readOnly: true\n")

    assert ("read-only-log", Severity.ERROR) in checks(paths(root, text))


@pytest.mark.parametrize(
    ("directory", "check"),
    [("/var/log/audit", "shared-log-directory"), ("/tmp/a", "log-volatile")],
)
def test_a_log_in_anothers_directory_is_a_warning(root: Root, directory: str, check: str) -> None:
    """The host's path counts, not the container's."""
    text = TEXT.replace("path: /var/log/kubernetes/audit\n      type", f"path: {directory}\n      type")

    assert checks(paths(root, text)) == [(check, Severity.WARNING)]


def test_others_who_may_read_the_events_are_told(root: Root) -> None:
    """Names alone are for the record: the kubelet's own 0755."""
    log = root.host("/var/log/kubernetes/audit/audit.log")
    log.parent.chmod(0o755)
    log.touch(0o600)
    assert checks(paths(root, TEXT)) == [("log-readable", Severity.INFO)]

    log.chmod(0o644)
    assert checks(paths(root, TEXT)) == [("log-readable", Severity.WARNING)]

    log.parent.chmod(0o700)
    assert paths(root, TEXT) == []


@pytest.mark.parametrize("kind", ["File", "Socket", "CharDevice"])
def test_a_volume_of_the_wrong_type_keeps_the_pod_from_starting(root: Root, kind: str) -> None:
    """As the kubelet checks it, links followed; only of the audit volumes, unless all are asked for."""
    text = TEXT.replace(
        "path: /var/log/kubernetes/audit\n      type: DirectoryOrCreate",
        f"path: /var/log/kubernetes/audit\n      type: {kind}",
    )
    assert checks(list(volume_types(root, manifest(text), all_of_them=False))) == [("volume-type", Severity.ERROR)]

    text = TEXT.replace(
        "path: /etc/ssl/certs\n      type: DirectoryOrCreate", f"path: /etc/ssl/certs\n      type: {kind}"
    )
    assert list(volume_types(root, manifest(text), all_of_them=False)) == []
    assert checks(list(volume_types(root, manifest(text), all_of_them=True))) == [("volume-type", Severity.ERROR)]


def test_a_directory_that_this_run_makes_is_as_good_as_there(root: Root) -> None:
    """``type: Directory`` on what enable creates."""
    log = root.host("/var/log/kubernetes/audit")
    log.rmdir()
    read = manifest(
        TEXT.replace("kubernetes/audit\n      type: DirectoryOrCreate", "kubernetes/audit\n      type: Directory")
    )

    assert len(list(volume_types(root, read, all_of_them=False))) == 1
    assert list(volume_types(root, read, all_of_them=False, to_be=[log])) == []


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Path]:
    """A file that nobody may replace."""
    path = tmp_path / "kube-apiserver.yaml"
    path.touch()
    ran = subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False)
    if ran.returncode != 0:
        pytest.skip("chattr +i is not possible here")
    yield path
    subprocess.run(["chattr", "-i", str(path)], check=True)


def test_an_immutable_manifest_is_named(immutable: Path, tmp_path: Path) -> None:
    """Its neighbours are not."""
    assert checks(list(unchangeable(immutable, None))) == [("immutable", Severity.ERROR)]
    assert list(unchangeable(tmp_path / "other.yaml", None)) == []


@pytest.mark.parametrize("directory", ["/var/log", "/var/lib", "/tmp", "/etc/kubernetes", "/data"])
def test_the_mode_of_a_directory_that_is_not_for_the_log_alone_is_never_to_be_changed(
    root: Root, directory: str
) -> None:
    """B02: `chmod 0700 /var/log` breaks a node; so does one on a directory where somebody else's files lie."""
    text = TEXT.replace("path: /var/log/kubernetes/audit\n      type", f"path: {directory}\n      type")
    log = root.host(f"{directory}/audit.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.parent.chmod(0o755)
    (log.parent / "other.txt").touch()
    log.touch(0o644)
    log.chmod(0o644)

    found = [finding for finding in paths(root, text) if finding.check == "log-readable"]

    assert [finding.fix for finding in found] == [
        f"chmod 0600 {log}; or: auditctl enable --log-path /var/log/kubernetes/audit/audit.log"
    ]
    log.chmod(0o600)
    assert "log-readable" not in {finding.check for finding in paths(root, text)}


@pytest.mark.parametrize("directory", ["/var/log", "/data"])
def test_the_owner_of_such_a_directory_neither(root: Root, directory: str) -> None:
    """B02's sibling: `chown UID DIRECTORY`."""
    text = ANOTHER_USER.replace("path: /var/log/kubernetes/audit\n      type", f"path: {directory}\n      type")
    folder = root.host(directory)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "other.txt").touch()

    fixes = [finding.fix for finding in paths(root, text) if f" {folder}," in finding.message]

    assert fixes == ["auditctl enable --log-path /var/log/kubernetes/audit/audit.log"]
