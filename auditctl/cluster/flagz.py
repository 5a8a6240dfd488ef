"""The flags of a running API server, as ``/flagz`` shows them (beta since 1.36). Pure.

Source: ``k8s.io/component-base/zpages/flagz``. The plain text separates name and value with one of several marks, drawn
when the server starts; the object has a media type of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

ACCEPT = "application/json;v=v1beta1;g=config.k8s.io;as=Flagz, text/plain"
PATH = "/flagz"
_WARNING = "Warning: This endpoint is not meant to be machine parseable"
_LINE = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:: |[:= ])(.*)$")


def flags_of(body: bytes) -> Mapping[str, str] | None:
    """Return every flag by its name without dashes, the defaults too; None where the text is not such a page."""
    text = body.decode(errors="replace")
    if text.lstrip().startswith("{"):
        try:
            shown = json.loads(text)["flags"]
            return {str(name): str(value) for name, value in shown.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    _, warning, rest = text.partition(_WARNING)
    if not warning:
        return None
    pairs = (match for line in rest.splitlines() if (match := _LINE.match(line)))
    return {match[1]: match[2] for match in pairs}
