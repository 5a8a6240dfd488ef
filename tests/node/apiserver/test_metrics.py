"""Durations of requests, read from the text of `/metrics` as a real 1.31.14 writes it."""

from __future__ import annotations

from auditctl.node.apiserver.metrics import Durations, parse_durations

_SERIES = (
    'apiserver_request_duration_seconds_{}{{component="apiserver",subresource="{}",verb="{}",version="v1"{}}} {}\n'
)


def series(verb: str, counted: int, quick: int, subresource: str = "") -> str:
    """One histogram: a bucket below a second, the one of a second, one above, and the number of all."""
    buckets = (("0.5", quick - 1), ("1", quick), ("1.25", counted), ("+Inf", counted))
    lines = [_SERIES.format("bucket", subresource, verb, f',le="{le}"', number) for le, number in buckets]
    return "".join([*lines, _SERIES.format("count", subresource, verb, "", counted)])


def test_requests_are_counted_and_those_within_a_second() -> None:
    """Of all verbs together; one bucket of each histogram."""
    text = "# HELP a b\n" + series("GET", 40, 38) + series("LIST", 1200, 1199) + "apiserver_request_total 7\n"

    assert parse_durations(text) == Durations(1240, 1237)


def test_requests_that_run_for_as_long_as_their_client_wants_are_not_counted() -> None:
    """Watches, connections into Pods, and logs that are followed."""
    text = series("WATCH", 9, 1) + series("CONNECT", 5, 1, "exec") + series("GET", 3, 1, "log") + series("PUT", 8, 8)

    assert parse_durations(text) == Durations(8, 8)


def test_a_page_without_durations_counts_nothing() -> None:
    assert parse_durations("apiserver_request_total 7\n") == Durations(0, 0)
