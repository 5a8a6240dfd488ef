"""The requests about one object, and what each of them changed in it, as far as the log has bodies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from auditctl.log.redaction import fields, shown
from auditctl.log.requests import RecordedRequest

_NOT_STATES = frozenset({"Status", "DeleteOptions", "Eviction", "Binding", "TokenRequest"})
"""Kinds that are sent or answered in place of the object itself."""
_MISSING = object()


class ObjectName(NamedTuple):
    """An object: ``resources`` are pairs (group, plural) that its kind can mean; a group None is any."""

    resources: frozenset[tuple[str | None, str]]
    name: str
    namespace: str | None = None

    def is_of(self, request: RecordedRequest) -> bool:
        """Is the request about the object? One that deletes all objects of the namespace is, too."""
        pairs = ((request.group, request.resource), (None, request.resource))
        if not self.resources.intersection(pairs) or self.namespace not in (None, request.namespace):
            return False
        if request.name:
            return request.name == self.name
        return request.verb == "deletecollection" or (
            request.verb == "create" and _name_of(request.response_body) == self.name
        )


class FieldChange(NamedTuple):
    """One field: ``before`` and ``after`` are printable, None where it was not there."""

    path: str
    before: str | None
    after: str | None

    def line(self) -> str:
        """Return the change for a person."""
        if self.before is None:
            return f"+ {self.path}: {self.after}"
        if self.after is None:
            return f"- {self.path}: {self.before}"
        return f"~ {self.path}: {self.before} -> {self.after}"


class HistoryEntry(NamedTuple):
    """A request, what it changed, and why nothing more is known of that."""

    request: RecordedRequest
    changes: tuple[FieldChange, ...] = ()
    note: str = ""


def with_changes(requests: Iterable[RecordedRequest]) -> Iterator[HistoryEntry]:
    """Yield each request with the differences to the state before it, in the order of time.

    States are kept by object and kind: the body of ``scale`` is a Scale. A read that recorded its answer is a state, too.
    """
    states: dict[tuple[str, str, str], dict[str, Any]] = {}
    for request in requests:
        state = _state(request)
        if state is None:
            yield _without_state(request)
            continue
        key = (request.namespace, str(state.get("kind", "")), _name_of(state) or request.name)
        before, after = states.get(key), fields(state)
        after = states[key] = _joined(before, after) if request.response_body is None else after
        if request.is_read:
            yield HistoryEntry(request)
        elif request.verb == "create" and not request.subresource:
            yield _difference(request, {}, after)
        elif before is None:
            yield _first_state(request)
        else:
            yield _difference(request, before, after)
        if request.verb == "delete" and not request.subresource:
            states.pop(key, None)


def _first_state(request: RecordedRequest) -> HistoryEntry:
    """Return what a patch asks for; of a whole object nothing can be compared."""
    if request.verb == "patch" and request.request_body is not None:
        return _difference(
            request, {}, fields(request.request_body), "the patch; the state before it is not in the log"
        )
    return HistoryEntry(request, note="the state before it is not in the log")


def _without_state(request: RecordedRequest) -> HistoryEntry:
    if request.is_read:
        return HistoryEntry(request)
    if request.code >= 400:
        return HistoryEntry(request, note="failed, nothing changed")
    if request.is_dry_run:
        return HistoryEntry(request, note="dry run, nothing changed")
    if request.request_body is not None:
        return _difference(request, {}, fields(request.request_body), "the request's own body")
    has_no_body = request.verb in ("delete", "deletecollection") or request.action != request.verb
    return HistoryEntry(request, note="" if has_no_body else f"no body at level {request.level}")


def _difference(
    request: RecordedRequest, before: Mapping[str, Any], after: Mapping[str, Any], note: str = ""
) -> HistoryEntry:
    """Compare the true values; print them redacted."""
    is_secret = is_about_secret(request)

    def text(path: str, value: Any) -> str | None:
        return None if value is _MISSING else shown(path, value, is_secret=is_secret)

    changes = []
    for path in sorted({*before, *after}):
        earlier, new = before.get(path, _MISSING), after.get(path, _MISSING)
        if earlier is _MISSING or new is _MISSING or earlier != new or type(earlier) is not type(new):
            changes.append(FieldChange(path, text(path, earlier), text(path, new)))
    return HistoryEntry(request, tuple(changes), note or ("" if changes else "nothing changed"))


def is_about_secret(request: RecordedRequest) -> bool:
    """Is one of the bodies a Secret or a token, of which only names are shown?"""
    bodies = (request.request_body, request.response_body)
    kinds = {str(body.get("kind")) for body in bodies if isinstance(body, dict)}
    return (
        request.resource in ("secrets", "tokenreviews")
        or request.subresource == "token"
        or not kinds.isdisjoint({"Secret", "SecretList", "TokenRequest", "TokenReview"})
    )


def _state(request: RecordedRequest) -> dict[str, Any] | None:
    """Return the object as it is after the request; None where the log does not have it."""
    if request.code >= 400 or request.is_dry_run:
        return None
    response = request.response_body
    if _is_object(response):
        return dict(response)
    if response is None and request.verb in ("create", "update") and _is_object(request.request_body):
        return dict(request.request_body)
    return None


def _is_object(body: Any) -> bool:
    if not isinstance(body, dict) or body.get("kind") in _NOT_STATES:
        return False
    return not str(body.get("kind", "")).endswith("List")


def _joined(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any]:
    """Return the state after a body that the client sent: it has no status, and the object keeps its own."""
    kept = {path: value for path, value in (before or {}).items() if path.startswith("status.")}
    return {**kept, **after}


def _name_of(body: Any) -> str:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""
