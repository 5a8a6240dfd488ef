"""An event's line cut to a lower level by its bytes alone, where the line looks exactly as the server writes it.

The server writes a key once, in a fixed order and without spaces (`apiserver/pkg/apis/audit/v1/types.go`): the bodies come
right before `requestReceivedTimestamp`, so that each is at a known place and can be taken out as the text that it is.
Whatever looks otherwise is left to the edit of its JSON, which costs ten times as much.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from auditctl.log.events import CompactEvent, Reader
from auditctl.policy.types import Level

_HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"'
_TAIL = b',"requestReceivedTimestamp":"'
_REQUEST, _RESPONSE, _MANAGED = b',"requestObject":', b',"responseObject":', b'"managedFields":'
_KEPT_BODIES = {level.value: (level >= Level.REQUEST, level >= Level.REQUEST_RESPONSE) for level in Level}
_HAS_SPACES = re.compile(rb' (?:(?<=": )|(?<=, )(?="))').search
"""Spaces between keys and values, which the edit takes out. Begins with the space: one character is searched for at once."""
_PATCHES = b"patch.webhook.admission.k8s.io/"


def cut_bytes(event: CompactEvent, line: bytes, level: Level, reader: Reader, *, strips: bool) -> bytes | None:
    """Return the line at ``level``, None where it does not look as the server's own.

    ``strips``: bodies that stay lose their managed fields; that of a patch is what the client sent, and is never altered.
    """
    level_text = level.value
    head = _HEAD + event.level.encode() + b'"'
    begin = tail = line.rfind(_TAIL)
    if tail < 0 or not line.startswith(head) or not line.endswith(b"}"):
        return None
    keeps_request, keeps_response = _KEPT_BODIES[level_text]
    bodies: bytes | None = b""
    if event.response_object:
        response = bytes(event.response_object)
        begin = _begin(line, _RESPONSE, response, begin)
        if keeps_response:
            bodies = _member(_RESPONSE, response, reader, strips=strips)
    if event.request_object:
        request = bytes(event.request_object)
        begin = _begin(line, _REQUEST, request, begin)
        if keeps_request and bodies is not None:
            member = _member(_REQUEST, request, reader, strips=strips and event.verb != "patch")
            bodies = None if member is None else member + bodies
    if begin < 0 or bodies is None or _HAS_SPACES(bodies):
        return None
    front, rest = line[len(head) : begin], line[tail:]
    if _is_odd(front) or _is_odd(rest) or (not keeps_request and _PATCHES in rest):
        return None
    return b"".join((_HEAD, level_text.encode(), b'"', front, bodies, rest))


def _is_odd(text: bytes) -> bool:
    """Return whether the text beside the bodies has spaces, a second level (the last one counts), or another body."""
    return b',"level":' in text or b'Object":' in text or _HAS_SPACES(text) is not None


def _begin(line: bytes, key: bytes, body: bytes, end: int) -> int:
    """Return where the key of a body that ends at ``end`` begins; less than 0 if it is not there."""
    begin = end - len(body) - len(key)
    return begin if begin > 0 and line.startswith(key, begin) and line.startswith(body, begin + len(key)) else -1


def _member(key: bytes, body: bytes, reader: Reader, *, strips: bool) -> bytes | None:
    """Return a body behind its key; without its managed fields, if so: then None if the place of one is not certain."""
    if not strips or _MANAGED not in body:
        return key + body
    fields: Sequence[bytes] = reader.managed_texts(body)
    for each in set(fields):
        member = _MANAGED + each
        count = fields.count(each)
        if body.count(b"," + member) == count:
            body = body.replace(b"," + member, b"")
        elif body.count(b"{" + member + b",") == count:
            body = body.replace(b"{" + member + b",", b"{")
        else:
            return None
    # what is left is of something else, or of a field that the reader has not named
    return None if _MANAGED in body or not fields else key + body
