"""Extra arguments and volumes as lines of a ClusterConfiguration, spelled and ordered as kubeadm writes them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auditctl.errors import ManifestError
from auditctl.kubeadm.clusterconfiguration import Argument, ExtraVolume
from auditctl.manifest.blocks import mapping_block
from auditctl.manifest.edits import Edit, PlanDraft, pointer
from auditctl.manifest.lines import Splice
from auditctl.manifest.yaml_nodes import Mapping
from auditctl.manifest.yaml_scalars import spelled


def fill(draft: PlanDraft, path: tuple[str, ...], value: Any, lines: Sequence[str], reason: str) -> None:
    """Write ``lines`` (relative to the key's column) in the place of the key at ``path`` and all of its value.

    Raises ManifestError where the lines of the key cannot be told apart from others.
    """
    document = draft.document
    block = mapping_block(document, path[:-1])
    above = document.node(path[:-1])
    names = [document.text[key.start : key.end] for key, _ in above.entries] if isinstance(above, Mapping) else []
    pair = above.entry(path[-1]) if isinstance(above, Mapping) else None
    if pair is None:
        raise ManifestError(f"{path[-1]} comes through an alias", check="anchor", place=document.place(path[:-1]))
    index = names.index(document.text[pair[0].start : pair[0].end])
    first, behind = block.spans[index]
    start, end = document.lines.start(first), document.lines.start(behind)
    line_end = document.lines.line_end(first)
    written = "".join(" " * block.column + line + line_end for line in lines)
    draft.splices.append(Splice(start, end, written))
    draft.edits.append(Edit({"op": "replace", "path": pointer(path), "value": value}, reason))


STEP = "  "  # kubeadm's own indentation


def argument_lines(argument: Argument, *, as_list: bool) -> list[str]:
    """Return the lines of one extra argument in its dialect, without the list's indentation and dash."""
    value = argument.value if not argument.value else spelled(argument.value)
    shown = value or '""'
    return [f"name: {argument.name}", f"value: {shown}"] if as_list else [f"{argument.name}: {shown}"]


def volume_lines(volume: ExtraVolume) -> list[str]:
    """Return the lines of one extra volume, keys in the order in which kubeadm writes them."""
    lines = [f"hostPath: {spelled(volume.host_path)}", f"mountPath: {spelled(volume.mount_path)}"]
    lines.append(f"name: {spelled(volume.name)}")
    if volume.path_type:
        lines.append(f"pathType: {volume.path_type}")
    if volume.read_only:
        lines.append("readOnly: true")
    return lines


def volume_value(volume: ExtraVolume) -> dict[str, Any]:
    """Return the plain value of one extra volume."""
    value: dict[str, Any] = {"hostPath": volume.host_path, "mountPath": volume.mount_path, "name": volume.name}
    if volume.path_type:
        value["pathType"] = volume.path_type
    if volume.read_only:
        value["readOnly"] = True
    return value


def arguments_section(arguments: Sequence[Argument], *, as_list: bool) -> tuple[Any, list[str]]:
    """Return ``extraArgs`` as value and as lines, in the dialect."""
    if as_list:
        value: Any = [{"name": argument.name, "value": argument.value} for argument in arguments]
        lines = [line for argument in arguments for line in _dashed(argument_lines(argument, as_list=True))]
        return value, ["extraArgs:", *lines]
    value = {argument.name: argument.value for argument in arguments}
    inner = [STEP + line for argument in arguments for line in argument_lines(argument, as_list=False)]
    return value, ["extraArgs:", *inner]


def volumes_section(volumes: Sequence[ExtraVolume]) -> tuple[Any, list[str]]:
    """Return ``extraVolumes`` as value and as lines."""
    lines = [line for volume in volumes for line in _dashed(volume_lines(volume))]
    return [volume_value(volume) for volume in volumes], ["extraVolumes:", *lines]


def _dashed(lines: Sequence[str]) -> list[str]:
    return [f"- {lines[0]}", *(STEP + line for line in lines[1:])]


def literal_block(key: str, text: str, indent: int) -> list[str]:
    """Return a literal block; its indentation is written down where the text begins with white space."""
    indicator = "|2" if text[:1].isspace() else "|"
    pad = " " * (indent + 2)
    return [
        " " * indent + f"{key}: {indicator}",
        *(pad + line if line else "" for line in text.rstrip("\n").split("\n")),
    ]
