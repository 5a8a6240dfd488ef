"""An event's line cut to a lower level by its bytes alone, where the line looks exactly as the server writes it.

The server writes a key once, in a fixed order and without spaces (`apiserver/pkg/apis/audit/v1/types.go`), so that a body can
be taken out as the text that it is. Whatever looks otherwise is left to the edit of its JSON, which costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditctl.log.events import CompactEvent, Reader
from auditctl.policy.types import Level

_HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"'
_PATCHES = b"patch.webhook.admission.k8s.io/"
_REQUEST, _RESPONSE, _MANAGED = b',"requestObject":', b',"responseObject":', b'"managedFields":'
_KEPT_BODIES = {level.value: (level >= Level.REQUEST, level >= Level.REQUEST_RESPONSE) for level in Level}


def cut_bytes(event: CompactEvent, line: bytes, level: Level, reader: Reader, *, strips: bool) -> bytes | None:
    """Return the line at ``level``, None where it does not look as the server's own.

    ``strips``: bodies that stay lose their managed fields; that of a patch is what the client sent, and is never altered.
    """
    head = _HEAD + event.level.encode() + b'"'
    if not line.startswith(head) or not line.endswith(b"}"):
        return None
    keeps_request, keeps_response = _KEPT_BODIES[level.value]
    rest: bytes | None = line[len(head) :]
    if rest is not None and event.response_object:
        rest = _with_body(rest, _RESPONSE, bytes(event.response_object), reader, keeps=keeps_response, strips=strips)
    if rest is not None and event.request_object:
        bares = strips and event.verb != "patch"
        rest = _with_body(rest, _REQUEST, bytes(event.request_object), reader, keeps=keeps_request, strips=bares)
    if rest is None or b'": ' in rest or b', "' in rest:  # spaces that the edit would take out
        return None
    if b',"level":' in rest:  # the last one counts
        return None
    if not keeps_request and _PATCHES in rest:
        return None
    return _HEAD + level.value.encode() + b'"' + rest


def _with_body(text: bytes, key: bytes, body: bytes, reader: Reader, *, keeps: bool, strips: bool) -> bytes | None:
    """Return the text with what is to be left of a body, None if its place is not certain: the key is there twice."""
    if keeps and not (strips and _MANAGED in body):
        return text
    begin = text.find(key)
    value = begin + len(key)
    if begin < 0 or not text.startswith(body, value) or text.find(key[1:], value) >= 0:
        return None
    if not keeps:
        return text[:begin] + text[value + len(body) :]
    bare = _bare(body, reader.managed_texts(body))
    return None if bare is None else text[:value] + bare + text[value + len(body) :]


def _bare(body: bytes, fields: Sequence[bytes]) -> bytes | None:
    """Return a body without its managed fields, None if the place of one of them is not certain."""
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
    return None if _MANAGED in body or not fields else body
