"""From the wanted audit flags to edits of ``command`` and ``args``."""

from __future__ import annotations

from collections.abc import Sequence

from auditctl.manifest.blocks import Path, YamlBlock, list_block
from auditctl.manifest.edits import NewEntry, PlanDraft
from auditctl.manifest.flag_targets import FlagTarget
from auditctl.manifest.flags import Flag
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
    return f"{shown}: {target.reasons.get(name, 'asked for')}"


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
