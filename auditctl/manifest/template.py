"""Templates (Helm, Jinja, ERB, Terraform): texts that only become a manifest once something has rendered them."""

from __future__ import annotations

import re

from auditctl.errors import ManifestError, Place
from auditctl.manifest.lines import TextLines
from auditctl.manifest.yaml_nodes import Mapping, Node, Scalar, walk
from auditctl.patterns import lazily

MARKER = lazily(r"\{\{|\{%|<%|\$\{")
FIX = "edit the file that the kubelet reads, not the template it is rendered from"


def refuse_template_near(lines: TextLines, line: int, name: str) -> None:
    """Raise ManifestError where a text that does not parse is a template: it has a marker outside comments.

    ``line`` is where the parser gave up; it complains late (an unclosed key is noticed lines below) or early, so any
    marker counts, the one in that line first.
    """
    for number in [line, *range(line), *range(line + 1, len(lines.starts))]:
        marker = MARKER.search(lines.content(number))
        comment = re.search(r"(^|\s)#", lines.content(number))
        if marker and not (comment and comment.start() < marker.start()):
            raise _template(marker.group(), Place(name, number + 1, marker.start() + 1))


def refuse_template_value(root: Mapping, text: str, name: str) -> None:
    """Raise ManifestError where a scalar, or a mapping meant as one (``key: {{ x }}``), holds a template marker.

    Scripts of other containers may hold ``${NAME}`` (the shell's): ``command``, ``args`` and ``env`` are not looked at
    for that marker; those of the API server are read again as flags.
    """
    if not MARKER.search(text):
        return
    shell = {id(node) for script in _scripts(root) for node in walk(script)}
    for node in walk(root):
        marker = _marker(node, text)
        if marker and not (marker == "${" and id(node) in shell):
            lines = TextLines(text)
            line = lines.number(node.start)
            raise _template(marker, Place(name, line + 1, node.start - lines.start(line) + 1))


def _marker(node: Node, text: str) -> str:
    if isinstance(node, Scalar):
        marker = MARKER.search(node.text)
        return marker.group() if marker else ""
    return "{{" if isinstance(node, Mapping) and text.startswith("{{", node.start) else ""


def _scripts(root: Mapping) -> list[Node]:
    keys = {"command", "args", "env"}
    return [
        value
        for node in walk(root)
        if isinstance(node, Mapping)
        for key, value in node.entries
        if isinstance(key, Scalar) and key.text in keys and not _runs_apiserver(value)
    ]


def _runs_apiserver(node: Node) -> bool:
    return any(isinstance(one, Scalar) and one.text.startswith("--") for one in walk(node))


def _template(marker: str, place: Place) -> ManifestError:
    return ManifestError(
        f"the manifest is a template ({marker!r}), not yet a Pod", check="template", fix=FIX, place=place
    )
