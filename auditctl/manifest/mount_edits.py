"""From a mount plan to edits of ``volumeMounts`` and ``volumes``, spelled and ordered as kubeadm does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditctl.manifest.blocks import Path, entry_step, list_block, list_offset, mapping_block
from auditctl.manifest.edits import NewEntry, PlanDraft, indented
from auditctl.manifest.mount_plan import MountPlan, NewMount, freed_volumes
from auditctl.manifest.placement import clean_position, in_order, sorted_position
from auditctl.manifest.pod import Manifest
from auditctl.manifest.yaml_scalars import spelled

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
