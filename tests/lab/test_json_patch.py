"""JSON patches: RFC 6902's operations, all or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from auditctl.lab.apiserver.json_patch import PatchError, apply

DOCUMENT = {"data": {"a": "1", "x/y": "2"}, "items": [1, 2]}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/data/b", "value": "3"}, {"data": {"a": "1", "x/y": "2", "b": "3"}, "items": [1, 2]}),
        ({"op": "add", "path": "/items/0", "value": 9}, {"data": DOCUMENT["data"], "items": [9, 1, 2]}),
        ({"op": "add", "path": "/items/-", "value": 9}, {"data": DOCUMENT["data"], "items": [1, 2, 9]}),
        ({"op": "replace", "path": "/items/1", "value": 9}, {"data": DOCUMENT["data"], "items": [1, 9]}),
        ({"op": "replace", "path": "/data/x~1y", "value": ""}, {"data": {"a": "1", "x/y": ""}, "items": [1, 2]}),
        ({"op": "remove", "path": "/data/a"}, {"data": {"x/y": "2"}, "items": [1, 2]}),
        ({"op": "move", "from": "/data/a", "path": "/data/c"}, {"data": {"x/y": "2", "c": "1"}, "items": [1, 2]}),
        ({"op": "copy", "from": "/items", "path": "/data"}, {"data": [1, 2], "items": [1, 2]}),
        ({"op": "test", "path": "/data/a", "value": "1"}, DOCUMENT),
    ],
)
def test_an_operation_changes_what_it_names(operation: Any, expected: Any) -> None:
    assert apply(DOCUMENT, [operation]) == expected


@pytest.mark.parametrize(
    ("operations", "malformed"),
    [
        ([{"op": "test", "path": "/data/a", "value": "2"}], False),
        ([{"op": "replace", "path": "/data/b", "value": "2"}], False),
        ([{"op": "remove", "path": "/items/2"}], False),
        ([{"op": "add", "path": "/items/3", "value": 1}], False),
        ([{"op": "add", "path": "/no/where", "value": 1}], False),
        ([{"op": "replace", "path": "/data/a"}], True),
        ([{"op": "increment", "path": "/data/a", "value": 1}], True),
        ([{"op": "remove", "path": "data"}], True),
        ({"op": "remove", "path": "/data"}, True),
    ],
)
def test_a_patch_that_cannot_be_done_changes_nothing(operations: Any, *, malformed: bool) -> None:
    document = {"data": {"a": "1"}, "items": [1, 2]}
    first = [{"op": "add", "path": "/data/z", "value": "9"}]
    with pytest.raises(PatchError) as caught:
        apply(document, [*first, *operations] if isinstance(operations, list) else operations)
    assert caught.value.malformed is malformed
    assert document == {"data": {"a": "1"}, "items": [1, 2]}
