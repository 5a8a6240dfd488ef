"""Foreign text and data on a page of ours: escaped where they enter it, and a shell that lets nothing else run."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Any

from auditctl.patterns import lazily

_SLOT = lazily(r"\{\{([a-z-]+)\}\}")
# what a page must not hold (HTML's noncharacters and controls), and what turns the writing's direction around
_UNSEEN = lazily(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def page_text(text: str) -> str:
    """Return the text for the content or a quoted attribute of an element."""
    return escape(_UNSEEN.sub("\ufffd", text))


def page_json(value: Any) -> str:
    """Return JSON that no parser of HTML takes for anything else."""
    text = json.dumps(value, separators=(",", ":"))  # ASCII: neither U+2028 nor half a character is left
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content_hash(text: str) -> str:
    """Return the source expression by which a Content-Security-Policy lets exactly this script or style pass."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def filled(shell: str, slots: Mapping[str, str]) -> str:
    """Return the shell with its slots filled; what is filled in is not looked at again."""
    return _SLOT.sub(lambda match: slots[match[1]], shell)
