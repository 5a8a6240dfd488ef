"""Edit the Pod: audit flags in ``command`` and ``args``, mounts and volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditctl.manifest.blocks import Path, YamlBlock, entry_step, list_block, list_offset, mapping_block
from auditctl.manifest.edits import NewEntry, PlanDraft, indented
from auditctl.manifest.flag_targets import FlagTarget
from auditctl.manifest.flags import Flag
from auditctl.manifest.mount_plan import MountPlan, NewMount, freed_volumes
from auditctl.manifest.placement import clean_position, in_order, kubeadm_sorts, sorted_position
from auditctl.manifest.pod import Manifest
from auditctl.manifest.yaml_scalars import spelled


def edit_flags(draft: PlanDraft, manifest: Manifest, target: FlagTarget) -> None:
    """Add to ``draft`` what makes the audit flags of ``manifest`` the wanted ones. Raises ManifestError."""
    present = {flag.name: flag for flag in manifest.flag_list if flag.is_audit}
    for name, flag in present.items():
        if name in target.values and target.values[name] != flag.value:
            _change_value(draft, flag, target.values[name], _reason(target, name))
    removed = _removals(present, target)
    new = sorted(name for name in target.values if name not in present)
    list_path = _list_to_grow(manifest) if new else None
    for path in dict.fromkeys([*removed, *([list_path] if list_path else [])]):
        entries = _entries(draft, manifest, path, new, target) if path == list_path else []
        draft.change_list(path, removed.get(path, {}), entries)


def _reason(target: FlagTarget, name: str) -> str:
    value = target.values.get(name)
    shown = f"--{name}" if value is None else f"--{name}={value}"
    return f"{shown}: {target.reasons.get(name, 'requested')}"


def _change_value(draft: PlanDraft, flag: Flag, value: str, reason: str) -> None:
    if flag.value_item:
        draft.respell(flag.value_item.path, value, reason)
    else:
        draft.respell(flag.item.path, f"{flag.item.text.partition('=')[0]}={value}", reason)


def _removals(present: dict[str, Flag], target: FlagTarget) -> dict[Path, dict[int, str]]:
    removed: dict[Path, dict[int, str]] = {}
    for name, flag in present.items():
        if name not in target.values:
            for item in (flag.item, flag.value_item):
                if item:
                    removed.setdefault(item.list_path, {})[item.position] = _reason(target, name)
    return removed


def _list_to_grow(manifest: Manifest) -> Path:
    """Return the list that new flags go to: where audit flags stand, else where the last flags stand."""
    flags = [flag for flag in manifest.flag_list if flag.is_audit] or list(manifest.flag_list)
    return flags[-1].item.list_path if flags else (*manifest.container_path, "command")


def _entries(
    draft: PlanDraft, manifest: Manifest, path: Path, new: Sequence[str], target: FlagTarget
) -> list[NewEntry]:
    block = list_block(draft.document, path)
    allowed = _allowed(manifest, block)
    flags = [flag for flag in manifest.flag_list if flag.item.list_path == path]
    entries = []
    for name in new:
        text = f"--{name}={target.values[name]}"
        position = _kubeadm_position(manifest, flags, name, allowed)
        position = clean_position(position, _beside_audit(flags, allowed), allowed, block.spans, draft.document.lines)
        entries.append(NewEntry(text, [spelled(text)], _reason(target, name), position))
    return entries  # sorted by name already; equal positions keep that order


def _beside_audit(flags: Sequence[Flag], allowed: Sequence[int]) -> list[int]:
    """Return those of the ``allowed`` positions that touch an audit flag or lie between two of them."""
    audit = [flag for flag in flags if flag.is_audit]
    if not audit:
        return []
    return [position for position in allowed if audit[0].item.position <= position <= _behind(audit[-1])]


def _allowed(manifest: Manifest, block: YamlBlock) -> list[int]:
    """Return the indexes before which a flag may go: behind the program's words, never between a flag and its value.

    That value may be the first item of ``args``, and its flag the last of ``command``.
    """
    words = sum(item.list_path == block.path for item in manifest.items[: manifest.program_words])
    pairs = [(flag.item, flag.value_item) for flag in manifest.flag_list if flag.value_item]
    taken = {item.position + 1 for item, _ in pairs if item.list_path == block.path}
    taken |= {value.position for _, value in pairs if value.list_path == block.path}
    return [index for index in range(words, len(block.spans) + 1) if index not in taken]


def _kubeadm_position(manifest: Manifest, flags: Sequence[Flag], name: str, allowed: Sequence[int]) -> int:
    """Return where the flag ``name`` goes: among the audit flags, else as kubeadm of that version would put it."""
    audit = [flag for flag in flags if flag.is_audit]
    if audit:
        before = [flag for flag in audit if flag.name < name]
        return _behind(before[-1]) if before else audit[0].item.position
    names = [flag.name for flag in flags]
    if kubeadm_sorts(manifest.version) and in_order(names):
        position = sorted_position(names, name)
        return _behind(flags[position - 1]) if position else allowed[0]
    return allowed[-1]


def _behind(flag: Flag) -> int:
    """Return the index behind a flag and its value, in the list that the flag stands in."""
    second = flag.value_item
    return (second if second and second.list_path == flag.item.list_path else flag.item).position + 1


VOLUMES: Path = ("spec", "volumes")


def edit_mounts(draft: PlanDraft, manifest: Manifest, plan: MountPlan) -> None:
    """Add to ``draft`` what carries out ``plan``, mounts before volumes. Raises ManifestError."""
    mounts: Path = (*manifest.container_path, "volumeMounts")
    new = sorted(plan.added, key=lambda one: one.name)
    _edit(draft, mounts, [mount.name for mount in manifest.mounts], plan.removed, [_mount(one) for one in new])
    freed = freed_volumes(manifest, plan.removed)
    gone = {
        volume.position: f"volume {volume.name}: no container mounts it any more"
        for volume in manifest.volumes
        if volume.name in freed
    }
    step = entry_step(draft.document, VOLUMES)
    names = [volume.name for volume in manifest.volumes]
    kept = {name for name in names if name not in freed}
    _edit(draft, VOLUMES, names, gone, [_volume(one, step) for one in new if one.name not in kept])


def _mount(new: NewMount) -> NewEntry:
    """Return the mount as kubeadm writes it, keys in its order."""
    lines = [f"mountPath: {spelled(new.path)}", f"name: {new.name}"]
    value: dict[str, object] = {"mountPath": new.path, "name": new.name}
    if new.read_only:
        return NewEntry({**value, "readOnly": True}, [*lines, "readOnly: true"], new.reason)
    return NewEntry(value, lines, new.reason)


def _volume(new: NewMount, step: int) -> NewEntry:
    """Return the volume as kubeadm writes it; ``step`` is the indentation below ``hostPath:``."""
    inner = " " * step
    path = f"{inner}path: {spelled(new.host_path)}"
    lines = ["hostPath:", path, f"{inner}type: {new.type}", f"name: {new.name}"]
    return NewEntry({"hostPath": {"path": new.host_path, "type": new.type}, "name": new.name}, lines, new.reason)


def _edit(
    draft: PlanDraft, path: Path, names: Sequence[str], removed: Mapping[int, str], entries: Sequence[NewEntry]
) -> None:
    if not removed and not entries:
        return
    if not names and draft.document.node(path) is None:
        _add_list(draft, path, entries)
        return
    block = list_block(draft.document, path)
    placed = []
    for entry in entries:
        index = sorted_position(names, str(entry.value["name"])) if in_order(names) else len(names)
        position = clean_position(index, (), range(len(names) + 1), block.spans, draft.document.lines)
        placed.append(NewEntry(entry.value, entry.lines, entry.reason, position))
    draft.change_list(path, removed, placed)


def _add_list(draft: PlanDraft, path: Path, entries: Sequence[NewEntry]) -> None:
    column = mapping_block(draft.document, path[:-1]).column
    beside: Path = ("spec", "containers") if path == VOLUMES else (*path[:-1], "command")
    lead = " " * list_offset(draft.document, beside, column) + "- "
    lines = [line for entry in entries for line in indented(entry.lines, lead)]
    reason = "; ".join(entry.reason for entry in entries)
    draft.add_key(path, [entry.value for entry in entries], [f"{path[-1]}:", *lines], reason)
