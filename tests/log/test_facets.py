"""Which values a field has in a log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditctl.log import sources
from auditctl.log.facets import FIELDS, FacetCounts, FacetValue, field_named
from auditctl.log.filters import ALL_EVENTS
from auditctl.log.readers import reader


def event(user: str, second: int, **more: object) -> str:
    return json.dumps(
        {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": f"{second}",
            "stage": "ResponseComplete", "requestURI": "/", "verb": "get", "user": {"username": user},
            "stageTimestamp": f"2026-11-21T20:29:{second:02}Z", **more,
        }
    )  # fmt: skip


def counts(log: Path, field: str) -> FacetCounts:
    opened = sources.open_sources([str(log)])
    try:
        return FacetCounts(field).scan(sources.pieces(opened), reader(), ALL_EVENTS)
    finally:
        sources.close(opened)


def test_values_are_counted_with_the_time_of_the_last_and_two_counts_make_one(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("".join(f"{event(user, at)}\n" for user, at in (("b", 3), ("a", 1), ("b", 2))))
    second = counts(log, "user")
    log.write_text(f"{event('b', 1)}\n{event('c', 9)}\n")
    first = counts(log, "user")

    first.absorb(second)

    assert second.values() == [FacetValue("b", 2, "2026-11-21T20:29:03Z"), FacetValue("a", 1, "2026-11-21T20:29:01Z")]
    assert first.values()[0] == FacetValue("b", 3, "2026-11-21T20:29:03Z")
    assert first.matched == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [("resource", "deployments/scale.apps"), ("source-ip", "10.0.0.7"), ("impersonated-user", "bob"), ("code", "403")],
)
def test_each_field_is_read_from_its_place(field: str, value: str, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    reference = {"resource": "deployments", "subresource": "scale", "apiGroup": "apps"}
    more = {"objectRef": reference, "sourceIPs": ["10.0.0.7"], "responseStatus": {"code": 403}}
    log.write_text(event("a", 1, impersonatedUser={"username": "bob"}, **more) + "\n" + event("b", 2) + "\n")

    assert [each.value for each in counts(log, field).values()] == [value]


def test_a_field_is_known_in_singular_and_plural() -> None:
    words = ["users", "verbs", "Resources", "source_ips", "addresses", "agents", "impersonated"]

    assert [field_named(word) for word in words] == [
        "user",
        "verb",
        "resource",
        "source-ip",
        "source-ip",
        "agent",
        "impersonated-user",
    ]
    assert all(field_named(name) == name for name in FIELDS)
    assert field_named("colour") is None
