"""Which mounts an audit file needs, which it has, and which serve nothing else any more. Decides, edits nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditctl.errors import ManifestError, RefusedError
from auditctl.findings import Finding
from auditctl.manifest import fields
from auditctl.manifest.paths import (
    AUDITD_DIRECTORY,
    HostPath,
    Mount,
    Volume,
    belongs_to_auditd,
    belongs_to_others,
    covering,
    host_path,
    is_system_directory,
    may_hold_a_log,
    normalised_path,
    own_log_path,
    serves_only_audit,
    within,
)
from auditctl.manifest.pod import Manifest
from auditctl.settings import (
    LOG_FLAG,
    LOG_VOLUME,
    POLICY_FLAG,
    POLICY_VOLUME,
    STANDARD_OUTPUT,
    WEBHOOK_FLAG,
    WEBHOOK_VOLUME,
)

# the log first: its directory may cover the other files
VOLUME_NAMES = {LOG_FLAG: LOG_VOLUME, POLICY_FLAG: POLICY_VOLUME, WEBHOOK_FLAG: WEBHOOK_VOLUME}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMount:
    """A volume and its mount that are to be added; ``type`` is hostPath's."""

    name: str
    path: str
    host_path: str
    type: str
    read_only: bool
    reason: str


class MountPlan:
    """What becomes of the mounts: indexes that go out with their reason, new ones, and what has to be said."""

    def __init__(self) -> None:
        self.removed: dict[int, str] = {}
        self.added: list[NewMount] = []
        self.findings: list[Finding] = []


def audit_paths(flags: Mapping[str, str]) -> dict[str, str]:
    """Return the container paths of the audit files by flag, normalised; standard output is none."""
    return {
        name: normalised_path(flags[name])
        for name in VOLUME_NAMES
        if flags.get(name) and flags[name] != STANDARD_OUTPUT
    }


def plan_mounts(manifest: Manifest, paths: Mapping[str, str]) -> MountPlan:
    """Return which mounts go and which come, for the audit flags ``paths`` in place of the manifest's.

    Raises RefusedError for a log that could not be written, ManifestError for a path that cannot be resolved.
    """
    before, after = audit_paths(manifest.audit_flags), audit_paths(paths)
    making = _Making(manifest, paths)
    for name, path in before.items():
        if path not in after.values():
            making.drop(path, f"it served only the old --{name}={path}")
    for name, path in after.items():
        if "$(" in path:
            raise ManifestError(
                f"--{name}={path} holds a variable: which file that is cannot be told",
                place=manifest.document.place(manifest.container_path),
            )
        making.refuse_directory(name, path)
        if name == LOG_FLAG:
            making.provide_log(path)
        elif making.cover(path) is None:
            making.add(name, path, path, "File", read_only=True)
    return making.plan


def freed_volumes(manifest: Manifest, removed: Mapping[int, str]) -> set[str]:
    """Return the names of the volumes that no mount of any container uses once the ``removed`` mounts are gone."""
    kept = {mount.name for mount in manifest.mounts if mount.position not in removed}
    return {mount.name for mount in manifest.mounts} - kept - set(_mounted_elsewhere(manifest))


def _mounted_elsewhere(manifest: Manifest) -> Iterator[str]:
    document = manifest.document
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for index in range(len(fields.sequence(document, ("spec", kind)))):
            if ("spec", kind, index) != manifest.container_path:
                for mount in fields.sequence(document, ("spec", kind, index, "volumeMounts")):
                    if isinstance(mount, dict):
                        yield str(mount.get("name"))


class _Making:
    """A MountPlan in the making: what is asked of it depends on what it already holds."""

    def __init__(self, manifest: Manifest, paths: Mapping[str, str]) -> None:
        self.manifest, self.paths, self.plan = manifest, paths, MountPlan()

    def cover(self, path: str) -> HostPath | None:
        """Return what ``path`` is seen through after the change. Raises ManifestError for what is no plain hostPath."""
        added = self.plan.added
        kept = [mount for mount in self.manifest.mounts if mount.position not in self.plan.removed]
        mounts = (*kept, *(Mount(one.name, -1, one.path, one.read_only) for one in added))
        names = {one.name for one in added}
        volumes = (
            *(volume for volume in self._volumes() if volume.name not in names),
            *(Volume(one.name, -1, one.host_path, one.type) for one in added),
        )
        return host_path(mounts, volumes, path, self.manifest.mounts_place)

    def _volumes(self) -> list[Volume]:
        freed = freed_volumes(self.manifest, self.plan.removed)
        return [volume for volume in self.manifest.volumes if volume.name not in freed]

    def refuse_directory(self, flag: str, path: str) -> None:
        """Raise RefusedError where mounts show that ``path`` is a directory, so that no file can be there."""
        mounted = self.cover(path)
        below = [mount.path for mount in self.manifest.mounts if mount.path != path and within(mount.path, path)]
        if below or (mounted and mounted.exact and mounted.type in {"Directory", "DirectoryOrCreate"}):
            raise RefusedError(
                f"--{flag}: {path} is a directory in the Pod (mount {below[0] if below else path})",
                check="path",
                fix="specify a file in it",
                place=self.manifest.mounts_place,
            )

    def drop(self, path: str, reason: str, *, migrated: bool = False) -> bool:
        """Take out the mount that ``path`` is on, if it serves nothing else; tell whether it goes.

        A path that is only ``migrated`` stays in the flags, and these do not count as something else.
        """
        mount = covering(self.manifest.mounts, path)
        values = () if migrated else self.paths.values()
        if mount is None or not serves_only_audit(mount, path, [*values, *self._other_words()]):
            return False
        self.plan.removed.setdefault(mount.position, f"mount {mount.path}: {reason}")
        return True

    def _other_words(self) -> Iterator[str]:
        """Yield every string of the container that stays and may name a path: other flags, environment, probes."""
        audit = [flag for flag in self.manifest.flag_list if flag.is_audit]
        items = {item for flag in audit for item in (flag.item, flag.value_item)}
        yield from (item.text for item in self.manifest.items if item not in items)
        container = fields.mapping(self.manifest.document, self.manifest.container_path)
        elsewhere = {"command", "args", "volumeMounts", "image"}
        yield from _strings({key: value for key, value in container.items() if key not in elsewhere})

    def provide_log(self, path: str) -> None:
        """See to it that the log's directory is mounted, as a directory and read-write: rotation renames the file."""
        mounted = self.cover(path)
        is_new = self.manifest.audit_flags.get(LOG_FLAG) != self.paths[LOG_FLAG]
        host = (
            mounted.path if mounted is not None else path
        )  # the directory of the host is auditd's, not the container's
        if belongs_to_auditd(host) and (is_new or mounted is None):
            text = (
                f"the log {host} is in {AUDITD_DIRECTORY}, which belongs to auditd: its rotation and label are others"
            )
            self._complain("shared-log-directory", text, f"use --log-path {own_log_path(path)}")
        if mounted and mounted.exact:
            self._migrate(path, mounted)
            mounted = self.cover(path)
        if mounted and mounted.read_only:
            raise RefusedError(
                f"the log {path} lies on the mount {mounted.mount_path}, which is read-only: the server would not start",
                check="read-only-log",
                fix="use --log-path with a directory of its own, or make that mount read-write",
                place=self.manifest.mounts_place,
            )
        if mounted is None:
            self._add_log_directory(path)

    def _add_log_directory(self, path: str) -> None:
        directory = posixpath.dirname(path)
        if not is_system_directory(directory):
            self.add(LOG_FLAG, directory, directory, "DirectoryOrCreate", read_only=False)
            return
        problem = f"the log {path} needs {directory} mounted whole into the API server, and it is not the log's own"
        fix = f"use --log-path {own_log_path(path)}"
        if may_hold_a_log(directory):
            text = f"the log {path} lies directly in {directory}: this mounts all of {directory} read-write into the API server"
            self._complain("system-log-directory", text, f"{fix}, or continue with --allow system-log-directory")
            self.add(LOG_FLAG, directory, directory, "DirectoryOrCreate", read_only=False)
            return
        if self.manifest.audit_flags.get(LOG_FLAG) != self.paths[LOG_FLAG]:
            raise RefusedError(problem, check="system-directory", fix=fix)
        self._complain("log-not-mounted", f"{problem}: it stays inside the container", fix)

    def _migrate(self, path: str, mounted: HostPath) -> None:
        """Put the log's directory in the place of its single-file mount; say so where that cannot be."""
        inside, outside = posixpath.dirname(path), posixpath.dirname(mounted.path)
        possible = not belongs_to_others(inside) and not belongs_to_others(outside)
        if possible and self.drop(path, "a file that is mounted alone cannot be rotated", migrated=True):
            if self.cover(path) is None:
                self.add(LOG_FLAG, inside, outside, "DirectoryOrCreate", read_only=False)
            return
        message = f"the log {path} is mounted as a single file: it cannot be rotated (EBUSY), then every event is lost"
        self._complain("single-file-log", message, f"use --log-path {own_log_path(path)}")

    def _complain(self, check: str, message: str, fix: str) -> None:
        """Add a finding of severity error that points at the flag of the log."""
        flag = next((flag for flag in self.manifest.flag_list if flag.name == LOG_FLAG), None)
        place = self.manifest.document.place(flag.item.path if flag else self.manifest.container_path)
        finding = Finding.error(
            check, message, fix, path=LOG_FLAG, file=place.file, line=place.line, column=place.column
        )
        self.plan.findings.append(finding)

    def add(self, flag: str, path: str, on_host: str, kind: str, *, read_only: bool) -> None:
        """Add a mount, and its volume under a free name where no volume of that very file is left without a mount."""
        taken = {volume.name for volume in self._volumes()} | {one.name for one in self.plan.added}
        name = base = VOLUME_NAMES[flag]
        number = 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        name = self._idle_volume(on_host, kind) or name
        reason = f"volume {name}: --{flag} needs {path} in the container"
        self.plan.added.append(
            NewMount(name=name, path=path, host_path=on_host, type=kind, read_only=read_only, reason=reason)
        )

    def _idle_volume(self, on_host: str, kind: str) -> str:
        """Return the name of a volume of that path and type that nothing mounts; empty where there is none.

        Somebody removed its mount alone. A second volume of the same file would then be a second record in
        kubeadm-config too.
        """
        mounted = {mount.name for mount in self.manifest.mounts} | set(_mounted_elsewhere(self.manifest))
        mounted |= {one.name for one in self.plan.added}
        idle = (volume for volume in self.manifest.volumes if volume.name not in mounted)
        return next((each.name for each in idle if (each.host_path, each.type) == (on_host, kind)), "")


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for item in value.values():
                yield from _strings(item)
        case _:
            return
