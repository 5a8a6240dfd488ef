"""Apply a JSON patch (RFC 6902) to an object in memory."""

from __future__ import annotations

import copy
from typing import Any


class PatchError(ValueError):
    """A patch that is not well formed (``malformed``), or one that does not fit the object."""

    def __init__(self, message: str, *, malformed: bool = False) -> None:
        super().__init__(message)
        self.malformed = malformed


def apply(document: Any, operations: Any) -> Any:
    """Return a patched copy; either every operation is done or none.

    Raises:
        PatchError: an operation is malformed, names a place that is not there, or is a test that fails.
    """
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise PatchError("a JSON patch is a list of operations", malformed=True)
    document = copy.deepcopy(document)
    for operation in operations:
        document = _apply_one(document, operation)
    return document


def _apply_one(document: Any, operation: dict[str, Any]) -> Any:
    name, path = operation.get("op"), _parts(operation.get("path"))
    match name:
        case "test":
            if "value" not in operation or _get(document, path) != operation["value"]:
                raise PatchError(f"testing value {operation['path']} failed")
            return document
        case "add" | "replace" if "value" in operation:
            if name == "replace":
                _get(document, path)
            return _put(document, path, copy.deepcopy(operation["value"]), insert=name == "add")
        case "remove":
            return _remove(document, path)
        case "copy" | "move":
            source = _parts(operation.get("from"))
            value = copy.deepcopy(_get(document, source))
            document = _remove(document, source) if name == "move" else document
            return _put(document, path, value, insert=True)
        case _:
            raise PatchError(f"unexpected kind or fields of a JSON patch operation: {name!r}", malformed=True)


def _parts(pointer: Any) -> list[str]:
    """Return the parts of a JSON pointer (RFC 6901)."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise PatchError(f"{pointer!r} is no JSON pointer", malformed=True)
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        try:
            document = document[_index(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, TypeError) as error:
            raise PatchError(f"doc is missing path: /{'/'.join(path)}") from error
    return document


def _put(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif not isinstance(parent, list):
        raise PatchError(f"doc is missing path: /{'/'.join(path)}")
    elif insert:
        index = len(parent) if last == "-" else _index(last)
        if index > len(parent):
            raise PatchError(f"index {index} is beyond the end of the list")
        parent.insert(index, value)
    else:
        parent[_index(last)] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    _get(document, path)
    if not path:
        raise PatchError("the whole object cannot be removed")
    parent, last = _get(document, path[:-1]), path[-1]
    del parent[_index(last) if isinstance(parent, list) else last]
    return document


def _index(part: str) -> int:
    if not part.isascii() or not part.isdigit():
        raise PatchError(f"{part!r} is no index of a list")
    return int(part)
