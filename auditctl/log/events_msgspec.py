"""Events read by msgspec: a struct of the needed fields, everything else is skipped without being built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import msgspec

from auditctl.log.events import Reader
from auditctl.log.events_json import READER as STANDARD

_NOTHING = msgspec.Raw()
_NAMES = {"request_uri": "requestURI", "object_ref": "objectRef",
    "impersonated_user": "impersonatedUser", "request_object": "requestObject", "response_object": "responseObject", "response_status": "responseStatus", "stage_timestamp": "stageTimestamp"}  # fmt: skip


class _UnnamedReference(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    resource: str = ""
    namespace: str = ""
    api_group: str = ""
    subresource: str = ""
    name: ClassVar[str] = ""


class _PackedReference(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    subresource: str = ""


class _PackedCompactEvent(msgspec.Struct, gc=False, rename=_NAMES):
    level: str
    stage: str
    request_uri: str
    verb: str
    user: msgspec.Raw
    impersonated_user: msgspec.Raw = _NOTHING
    object_ref: _PackedReference | None = None
    request_object: msgspec.Raw = _NOTHING
    response_object: msgspec.Raw = _NOTHING
    stage_timestamp: str | None = None
    response_status: msgspec.Raw = _NOTHING


class _UnnamedEvent(_PackedCompactEvent, gc=False, rename=_NAMES):
    object_ref: _UnnamedReference | None = None  # type: ignore[assignment] # the same without the name


class _PackedIdentity(msgspec.Struct, gc=False):
    username: str = ""
    groups: list[str] = []


class _PackedResponseStatus(msgspec.Struct, gc=False):
    code: int = 0
    reason: str = ""
    message: str = ""


class _PackedFullEvent(msgspec.Struct, gc=False, rename={"audit_id": "auditID", "request_uri": "requestURI",
    "object_ref": "objectRef", "impersonated_user": "impersonatedUser", "source_ips": "sourceIPs", "user_agent": "userAgent",
    "response_status": "responseStatus", "request_received_timestamp": "requestReceivedTimestamp",
    "stage_timestamp": "stageTimestamp"}):  # fmt: skip
    level: str
    audit_id: str
    stage: str
    request_uri: str
    verb: str
    user: _PackedIdentity
    impersonated_user: _PackedIdentity | None = None
    source_ips: list[str] | None = None
    user_agent: str = ""
    object_ref: _PackedReference | None = None
    response_status: _PackedResponseStatus | None = None
    request_received_timestamp: str | None = None
    stage_timestamp: str | None = None


class _List(msgspec.Struct, gc=False):
    kind: str
    items: list[msgspec.Raw]


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    managed_fields: msgspec.Raw = _NOTHING


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata | None = None


class _Row(msgspec.Struct, gc=False):
    object: _Object | None = None


class _Body(msgspec.Struct, gc=False):
    metadata: _Metadata | None = None
    items: list[_Object] | None = None
    rows: list[_Row] | None = None


_BODY = msgspec.json.Decoder(_Body)
_LIST = msgspec.json.Decoder(_List)
_KEY_BYTES = len(b'"managedFields":,')


def _items(line: bytes) -> Sequence[bytes]:
    result = _LIST.decode(line)
    if result.kind != "EventList":
        raise ValueError(result.kind)
    return [bytes(cast("Any", item)) for item in result.items]


def _managed_texts(body: bytes) -> list[bytes]:
    try:
        result = _BODY.decode(body)
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
    ):  # a patch that is a list, or no object of the API
        return []
    objects = [result, *(result.items or ()), *(row.object for row in result.rows or () if row.object)]
    fields = (bytes(cast("Any", each.metadata.managed_fields)) for each in objects if each.metadata)
    return [each for each in fields if each]


def _managed(body: bytes) -> int:
    return sum(len(each) + _KEY_BYTES for each in _managed_texts(body))


def _telling(decode: Callable[[bytes], Any], otherwise: Callable[[bytes], Any] | None = None) -> Callable[[bytes], Any]:
    """msgspec has errors of its own; to us they are ValueErrors.

    ``otherwise`` has the last word: half a surrogate pair in a body is refused by msgspec, and would hide the event.
    """

    def decoded(text: bytes) -> Any:
        try:
            return decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if otherwise is not None:
                return otherwise(text)
            raise ValueError(str(error)) from error

    return decoded


_EVENT = msgspec.json.Decoder(_PackedCompactEvent)
_WHOLE = msgspec.json.Decoder(_PackedFullEvent)
READER = Reader(
    _telling(_EVENT.decode_lines),
    _telling(_EVENT.decode, STANDARD.one),
    _telling(_WHOLE.decode_lines),
    _telling(_WHOLE.decode, STANDARD.whole),
    _telling(_items, STANDARD.items),
    _telling(msgspec.json.Decoder(_PackedIdentity).decode, STANDARD.identity),
    _managed,
    _telling(msgspec.json.Decoder(_UnnamedEvent).decode_lines),
    _managed_texts,
)
