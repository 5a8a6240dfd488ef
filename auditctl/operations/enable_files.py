"""Find the files that ``enable`` installs, each read once, and the group that ``--readers`` lets read the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import Role
from auditctl.node.logfiles import log_names
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.acl import group_id, let_group_read
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations import policy_source
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_source import SelectedPolicy
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.settings import POLICY_FLAG, Settings

if TYPE_CHECKING:  # ssl comes with it
    from auditctl.operations.webhook import PreparedWebhook


class EnableRequest(NamedTuple):
    """What ``enable`` is to do: the settings, and the files to install (None: keep the installed one)."""

    settings: Settings
    policy: str | None = None
    webhook_config: Path | None = None
    readers: str | None = None
    embed_certs: bool = False


class InstalledFiles(NamedTuple):
    """The installed files at the paths of the new manifest, and the webhook file to install."""

    paths: HostPaths
    policy: Snapshot | None
    webhook: Snapshot | None
    prepared: PreparedWebhook | None


def read_installed(plane: ControlPlane, request: EnableRequest, after: Manifest) -> InstalledFiles:
    """Read each file once; what is decided, tried and written later are these very bytes."""
    paths = node_checks.host_paths(plane.root, after)
    policy = _read(paths.policy, "policy")
    if request.webhook_config is None:
        return InstalledFiles(paths, policy, None, None)
    from auditctl.operations import webhook

    prepared = webhook.prepare(plane, request.webhook_config, after, embed=request.embed_certs)
    return InstalledFiles(paths, policy, _read(paths.webhook, "webhook"), prepared)


def _read(host: Path | None, name: str) -> Snapshot | None:
    return files.read_if_there(host, name) if host is not None and not host.is_dir() else None


def policy_text(
    plane: ControlPlane, request: EnableRequest, before: Manifest, installed: InstalledFiles
) -> tuple[str, bytes]:
    """Return the policy that will be loaded, as (source, bytes): the named one, else the installed one, else ``baseline``.

    A file at ``--policy-path`` counts as installed, also where the manifest does not name it yet.

    Raises:
        RefusedError: there is no such file.
    """
    is_adopted = request.settings.policy_path is not None and installed.policy is not None
    if request.policy is not None or (before.flag(POLICY_FLAG) is None and not is_adopted):
        return policy_source.fetch(request.policy or policy_source.DEFAULT_POLICY)
    host, there = installed.paths.policy, installed.policy
    if there is None:  # --policy-path moves the installed policy to another path
        host = node_checks.host_of(plane.root, before, POLICY_FLAG)
        there = _read(host, "policy")
    if there is None:
        raise RefusedError(
            f"{host or before.flag(POLICY_FLAG)}: the policy that the manifest names is not there",
            check="policy-missing",
            fix="specify the policy of the other control planes with --policy FILE, or bring it there",
        )
    return str(host), there.content


def edits_of(request: EnableRequest, installed: InstalledFiles, chosen: SelectedPolicy) -> Iterator[FileEdit]:
    """Yield the files to install, where the installed ones differ."""
    paths, policy, webhook = installed.paths, installed.policy, installed.webhook
    if paths.policy is not None and (policy is None or policy.content != chosen.raw):
        yield FileEdit(role=Role.POLICY, path=paths.policy, before=policy, after=chosen.raw, source=chosen.source)
    if installed.prepared is not None and paths.webhook is not None:
        content = installed.prepared.content
        if webhook is None or webhook.content != content:
            yield FileEdit(
                role=Role.WEBHOOK, path=paths.webhook, before=webhook, after=content, source=str(request.webhook_config)
            )


def overwrites(before: Manifest, edits: tuple[FileEdit, ...], request: EnableRequest) -> Iterator[Finding]:
    """Yield a warning for a file that ``baseline`` replaces although nobody named it."""
    for edit in edits:
        if (
            edit.role is Role.POLICY
            and edit.before is not None
            and request.policy is None
            and before.flag(POLICY_FLAG) is None
        ):
            yield Finding.warning(
                "policy-replaced",
                f"{edit.path} was there already and is replaced by the shipped policy {policy_source.DEFAULT_POLICY}",
                f"to keep it, use --policy {edit.path}",
            )


def in_force(plane: ControlPlane, before: Manifest, installed: InstalledFiles) -> Policy | None:
    """Return the policy that the manifest names before the change, None if it cannot be read."""
    host = node_checks.host_of(plane.root, before, POLICY_FLAG)
    there = installed.policy if host == installed.paths.policy else _read(host, "policy")
    return load(there.content).policy if host is not None and there is not None else None


def readers_findings(plane: ControlPlane, group: str | None, log: Path | None) -> tuple[Finding, ...]:
    """Return what speaks against ``--readers``: no log file, or a directory that was there before us.

    Raises:
        RefusedError: there is no such group.
    """
    if group is None:
        return ()
    group_id(group)
    if log is None:
        return (Finding.error("readers", f"--readers {group}: there is no log file to read"),)
    made = {path for journal in plane.state.journals() for path in journal.made_directories}
    if log.parent.exists() and plane.root.node(log.parent) not in made:
        text = f"--readers {group}: {log.parent} was there before auditctl, so its permissions are not ours to change"
        return (Finding.error("readers", text, f"setfacl -m g:{group}:rX,d:g:{group}:rX {log.parent}"),)
    return ()


def grant_readers(group: str | None, log: Path | None) -> tuple[Finding, ...]:
    """Set the ACL once the log is there; return what was done, or a warning where there are no ACLs."""
    if group is None or log is None:
        return ()
    try:
        left = let_group_read(log.parent, log_names(log), group_id(group))
    except OSError as error:
        text = f"--readers {group}: {log.parent}: {(error.strerror or str(error)).lower()}"
        return (Finding.warning("readers", text, "mount the file system with ACLs, or copy the log elsewhere"),)
    return (
        *(Finding.warning("readers", f"--readers {group}: {text}", "remove it") for text in left),
        Finding.note("readers", f"group {group} may read {log.parent}"),
    )
