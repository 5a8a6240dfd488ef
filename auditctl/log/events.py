"""A line of the audit log to an event: only the needed fields, bodies as raw bytes.

Two readers of one shape: msgspec's, and the standard library's where msgspec is not installed. Field names are those of
`apiserver/pkg/apis/audit/v1/types.go` in snake_case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class ObjectReference(Protocol):
    """``objectRef``: what a resource request is about. The server fills name and namespace from the body if the URL has none."""

    @property
    def resource(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def api_group(self) -> str: ...
    @property
    def subresource(self) -> str: ...


class Identity(Protocol):
    """``user``: name and groups; both are empty for a 401."""

    @property
    def username(self) -> str: ...
    @property
    def groups(self) -> Sequence[str]: ...


class ResponseStatus(Protocol):
    """``responseStatus``: code, reason and message of the answer."""

    @property
    def code(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...


class _Recorded(Protocol):
    """What all need of an event."""

    @property
    def level(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def request_uri(self) -> str: ...
    @property
    def object_ref(self) -> ObjectReference | None: ...
    @property
    def stage_timestamp(self) -> str | None: ...


class CompactEvent(_Recorded, Protocol):
    """What counting and replaying need. The users, the status and the bodies are JSON text, empty where the event has none."""

    @property
    def user(self) -> bytes: ...
    @property
    def impersonated_user(self) -> bytes: ...
    @property
    def request_object(self) -> bytes: ...
    @property
    def response_object(self) -> bytes: ...
    @property
    def response_status(self) -> bytes: ...


class FullEvent(_Recorded, Protocol):
    """What a person is shown of an event, and filters may ask for."""

    @property
    def audit_id(self) -> str: ...
    @property
    def user(self) -> Identity: ...
    @property
    def impersonated_user(self) -> Identity | None: ...
    @property
    def source_ips(self) -> Sequence[str] | None: ...
    @property
    def user_agent(self) -> str: ...
    @property
    def response_status(self) -> ResponseStatus | None: ...
    @property
    def request_received_timestamp(self) -> str | None: ...


class Reader(NamedTuple):
    """How lines become events. All raise ValueError for what is not of that shape.

    ``lines`` and ``whole_lines`` take a text of whole lines, ``one`` and ``whole`` a line. ``items`` are the events of an
    `EventList`, each as its bytes; ``identity`` reads `user`; ``managed`` are the bytes of a body's managed fields.
    ``managed_texts`` are the very texts of these fields (none: not known).
    ``unnamed_lines`` are ``lines`` whose references have no object name, so that few of them are different. References
    can be keys of a dictionary.
    """

    lines: Callable[[bytes], Sequence[CompactEvent]]
    one: Callable[[bytes], CompactEvent]
    whole_lines: Callable[[bytes], Sequence[FullEvent]]
    whole: Callable[[bytes], FullEvent]
    items: Callable[[bytes], Sequence[bytes]]
    identity: Callable[[bytes], Identity]
    managed: Callable[[bytes], int]
    unnamed_lines: Callable[[bytes], Sequence[CompactEvent]]
    managed_texts: Callable[[bytes], Sequence[bytes]]
