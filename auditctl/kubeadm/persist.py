"""From the manifest to the ClusterConfiguration: what an upgrade would lose, and the edits that keep it. Pure.

Text is spliced, never dumped, and proved like the manifest's (``manifest.plan.prove``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple

from auditctl.errors import BugError
from auditctl.kubeadm.clusterconfiguration import (
    API_SERVER,
    EXTRA_ARGS,
    EXTRA_VOLUMES,
    MAP_DIALECTS,
    Argument,
    ClusterConfiguration,
    ExtraVolume,
)
from auditctl.kubeadm.sections import (
    STEP,
    argument_lines,
    arguments_section,
    fill,
    volume_lines,
    volume_value,
    volumes_section,
)
from auditctl.manifest.blocks import mapping_block
from auditctl.manifest.edits import NewEntry, PlanDraft
from auditctl.manifest.mount_plan import audit_paths
from auditctl.manifest.paths import KUBEADM_VOLUMES, covering, within
from auditctl.manifest.plan import Plan, prove
from auditctl.manifest.pod import Manifest


class Fate(Enum):
    """What ``kubeadm upgrade`` would do to a setting of this node."""

    LOST = "lost"
    CHANGED = "changed"
    BACK = "brought back"


class SettingDifference(NamedTuple):
    """One setting that the manifest and the ClusterConfiguration do not agree on. ``setting`` is a flag or a volume."""

    fate: Fate
    setting: str
    manifest: str | None
    configuration: str | None


class Extras(NamedTuple):
    """What the manifest has beyond kubeadm's defaults, for auditing: arguments in its order, and volumes."""

    arguments: tuple[Argument, ...]
    volumes: tuple[ExtraVolume, ...]


def extras_of(manifest: Manifest) -> Extras:
    """Return the audit flags of ``manifest`` and the volumes that carry their files.

    A file on one of kubeadm's own volumes needs none. Raises ManifestError for a mount that cannot be resolved.
    """
    arguments = tuple(Argument(flag.name, flag.value) for flag in manifest.flag_list if flag.is_audit)
    carrying: dict[str, ExtraVolume] = {}
    for path in audit_paths(manifest.audit_flags).values():
        host, mount = manifest.host_path(path), covering(manifest.mounts, path)
        if host is None or mount is None or host.volume in KUBEADM_VOLUMES:
            continue
        volume = next(volume for volume in manifest.volumes if volume.name == host.volume)
        carrying[volume.name] = ExtraVolume(
            volume.name, volume.host_path or "", mount.path, mount.read_only, volume.type
        )
    return Extras(arguments, tuple(carrying.values()))


def differences(configuration: ClusterConfiguration, manifest: Manifest) -> Iterator[SettingDifference]:
    """Yield what an upgrade from ``configuration`` would change of this node's auditing; nothing where it keeps all."""
    extras = extras_of(manifest)
    known = configuration.audit_arguments
    mine = {argument.name: argument.value for argument in extras.arguments}
    for name, value in mine.items():
        if known.get(name) != value:
            yield SettingDifference(Fate.CHANGED if name in known else Fate.LOST, f"--{name}", value, known.get(name))
    for name in sorted(set(known) - set(mine)):
        yield SettingDifference(Fate.BACK, f"--{name}", None, known[name])
    volumes = {volume.name: volume for volume in configuration.volumes}
    for volume in extras.volumes:
        there = volumes.get(volume.name)
        if there != volume:
            fate = Fate.CHANGED if there else Fate.LOST
            yield SettingDifference(fate, f"volume {volume.name}", _shown(volume), _shown(there) if there else None)
    for left in _left_over(configuration, manifest, extras):
        yield SettingDifference(Fate.BACK, f"volume {left.name}", None, _shown(left))


def plan_persist(configuration: ClusterConfiguration, manifest: Manifest) -> Plan:
    """Return the plan that makes ``configuration`` carry the manifest's auditing, and nothing else of it.

    A manifest without auditing takes it out. Raises ManifestError where the text cannot be edited exactly.
    """
    document = configuration.document
    draft = PlanDraft(document)
    extras = extras_of(manifest)
    if not document.value.get("apiServer"):
        _new_section(draft, configuration.dialect, extras)
    else:
        _edit_arguments(draft, configuration, manifest, extras)
        _edit_volumes(draft, configuration, manifest, extras)
        _keep_section(draft, configuration)
    plan = Plan(document.text, draft.text(), tuple(draft.edits))
    if draft.edits:
        prove(plan, document.name)
        _prove_kept(plan, document.name, manifest)
    return plan


def _prove_kept(plan: Plan, name: str, manifest: Manifest) -> None:
    """Raise BugError unless an upgrade from the new text gives the manifest's own auditing, and a Pod that can start."""
    after = ClusterConfiguration.parse(plan.after, name)
    left = next(differences(after, manifest), None)
    places = [volume.mount_path for volume in after.volumes]
    doubled = any(places.count(volume.mount_path) > 1 for volume in extras_of(manifest).volumes)
    if left is not None or doubled:
        setting = left.setting if left is not None else "a mountPath that is there twice"
        raise BugError(f"the new record of kubeadm would not keep {setting}; nothing was written", check="proof")


def _shown(volume: ExtraVolume) -> str:
    mode = "read-only" if volume.read_only else "read-write"
    return f"{volume.host_path} on {volume.mount_path} ({volume.path_type or 'no type'}, {mode})"


def _left_over(configuration: ClusterConfiguration, manifest: Manifest, extras: Extras) -> list[ExtraVolume]:
    """Return the volumes that carry only audit files of the configuration's own flags, and that the manifest has no more.

    A volume without a mount is none of the manifest's: kubeadm writes both for an extra volume. One that stands where a
    volume of this node's audit files has to be mounted goes too, whatever it is called: two mounts of one mountPath end
    the Pod (pkg/apis/core/validation/validation.go ValidateVolumeMounts).
    """
    paths = audit_paths(configuration.audit_arguments).values()
    names = {mount.name for mount in manifest.mounts} | {volume.name for volume in extras.volumes}
    places = {volume.mount_path: volume.name for volume in extras.volumes}
    return [
        volume
        for volume in configuration.volumes
        if places.get(volume.mount_path, volume.name) != volume.name
        or (volume.name not in names and any(within(path, volume.mount_path) for path in paths))
    ]


def _new_section(draft: PlanDraft, dialect: str, extras: Extras) -> None:
    """Replace an ``apiServer`` that is absent, null or ``{}`` (as kubeadm writes it where nothing is set)."""
    if not extras.arguments:
        return
    value: dict[str, Any] = {}
    lines = ["apiServer:"]
    value["extraArgs"], inner = arguments_section(extras.arguments, as_list=dialect not in MAP_DIALECTS)
    lines += [STEP + line for line in inner]
    if extras.volumes:
        value["extraVolumes"], inner = volumes_section(extras.volumes)
        lines += [STEP + line for line in inner]
    _put(draft, API_SERVER, value, lines, "the audit settings of this node")


def _put(draft: PlanDraft, path: tuple[str, ...], value: Any, lines: list[str], reason: str) -> None:
    """Write a key that is not there, or that is there with nothing in it."""
    if draft.document.node(path) is None:
        draft.add_key(path, value, lines, reason)
    else:
        fill(draft, path, value, lines, reason)


def _edit_arguments(draft: PlanDraft, configuration: ClusterConfiguration, manifest: Manifest, extras: Extras) -> None:
    known = configuration.audit_arguments
    mine = {argument.name: argument.value for argument in extras.arguments}
    as_list = configuration.dialect not in MAP_DIALECTS
    if not configuration.arguments:
        if extras.arguments:
            value, lines = arguments_section(extras.arguments, as_list=as_list)
            _put(draft, EXTRA_ARGS, value, lines, "the audit flags of this node")
        return
    gone = [argument for argument in configuration.arguments if argument.is_audit and argument.name not in mine]
    new = [argument for argument in extras.arguments if argument.name not in known]
    changed = [
        (argument, mine[argument.name])
        for argument in configuration.arguments
        if argument.name in mine and mine[argument.name] != argument.value
    ]
    if as_list:
        _edit_list(draft, configuration, manifest, gone, new, changed)
    else:
        _edit_map(draft, configuration, gone, new, changed)


def _edit_map(
    draft: PlanDraft,
    configuration: ClusterConfiguration,
    gone: Sequence[Argument],
    new: Sequence[Argument],
    changed: Sequence[tuple[Argument, str]],
) -> None:
    for argument, value in changed:
        draft.respell((*EXTRA_ARGS, argument.name), value, f"--{argument.name} is {value} on this node")
    if len(gone) == len(configuration.arguments) and not new:
        draft.drop_key(EXTRA_ARGS, "no extra argument is left")
        return
    for argument in gone:
        draft.drop_key((*EXTRA_ARGS, argument.name), f"--{argument.name} is not set on this node")
    for argument in sorted(new):
        lines = argument_lines(argument, as_list=False)
        draft.add_key((*EXTRA_ARGS, argument.name), argument.value, lines, f"--{argument.name} is set on this node")


def _edit_list(
    draft: PlanDraft,
    configuration: ClusterConfiguration,
    manifest: Manifest,
    gone: Sequence[Argument],
    new: Sequence[Argument],
    changed: Sequence[tuple[Argument, str]],
) -> None:
    removed = {int(argument.step): f"--{argument.name} is not set on this node" for argument in gone}
    entries = [_argument_entry(argument, _position(argument, configuration, manifest)) for argument in new]
    for argument, value in changed:
        reason = f"--{argument.name} is {value} on this node"
        removed[int(argument.step)] = reason
        entries.append(_argument_entry(argument._replace(value=value), int(argument.step), reason))
    draft.change_list(EXTRA_ARGS, removed, entries)


def _argument_entry(argument: Argument, position: int, reason: str = "") -> NewEntry:
    value = {"name": argument.name, "value": argument.value}
    reason = reason or f"--{argument.name} is set on this node"
    return NewEntry(value, argument_lines(argument, as_list=True), reason, position)


def _position(argument: Argument, configuration: ClusterConfiguration, manifest: Manifest) -> int:
    """Return where an extra argument goes: where the manifest has it, because newer kubeadm keeps the order."""
    order = [flag.name for flag in manifest.flag_list]
    places = {known.name: int(known.step) for known in configuration.arguments if known.name in order}
    mine = order.index(argument.name)
    earlier = [places[name] for name in order[:mine] if name in places]
    later = [places[name] for name in order[mine + 1 :] if name in places]
    if earlier:
        return earlier[-1] + 1
    return later[0] if later else len(configuration.arguments)


def _edit_volumes(draft: PlanDraft, configuration: ClusterConfiguration, manifest: Manifest, extras: Extras) -> None:
    if not configuration.volumes:
        if extras.volumes:
            value, lines = volumes_section(extras.volumes)
            _put(draft, EXTRA_VOLUMES, value, lines, "the volumes of the audit files")
        return
    removed: dict[int, str] = {}
    entries: list[NewEntry] = []
    known = {volume.name: index for index, volume in enumerate(configuration.volumes)}
    for volume in _left_over(configuration, manifest, extras):
        removed[known[volume.name]] = f"volume {volume.name} is not on this node"
    for volume in extras.volumes:
        index = known.get(volume.name)
        if index is not None and configuration.volumes[index] == volume:
            continue
        if index is not None:
            removed[index] = f"volume {volume.name} is otherwise on this node"
        position = len(configuration.volumes) if index is None else index
        reason = f"volume {volume.name} carries an audit file of this node"
        entries.append(NewEntry(volume_value(volume), volume_lines(volume), reason, position))
    draft.change_list(EXTRA_VOLUMES, removed, entries)


def _keep_section(draft: PlanDraft, configuration: ClusterConfiguration) -> None:
    """Leave ``{}`` where everything under ``apiServer`` goes: a key without a value would be null."""
    api = configuration.document.value["apiServer"]
    dropped = [edit.operation["path"] for edit in draft.edits if edit.operation["op"] == "remove"]
    left = [key for key in api if f"/apiServer/{key}" not in dropped]
    if left or any(edit.operation["op"] != "remove" for edit in draft.edits):
        return
    draft.edits.clear()
    draft.splices.clear()
    draft.removed.clear()
    mapping_block(configuration.document, API_SERVER)
    fill(draft, API_SERVER, {}, ["apiServer: {}"], "nothing is left of the extra settings")
