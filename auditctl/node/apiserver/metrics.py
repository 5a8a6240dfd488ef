"""Read the audit counters and the durations of requests from ``/metrics`` of this node's own API server.

All begin at 0 with the process. Sources: ``staging/src/k8s.io/apiserver/pkg/audit/metrics.go`` (ALPHA; a counter with
labels is absent until it is first counted) and ``pkg/endpoints/metrics/metrics.go`` (STABLE).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from auditctl.node.apiserver.client import Endpoint
    from auditctl.node.apiserver.credentials import Credentials

_LINE = re.compile(
    r'^apiserver_audit_(event_total|error_total|level_total|requests_rejected_total)(?:\{(?:plugin|level)="([^"]*)"\})? '
    r"([0-9.eE+-]+)(?: \d+)?$",
    re.MULTILINE,
)
_START = re.compile(r"^process_start_time_seconds ([0-9.eE+-]+)", re.MULTILINE)
_AUDIT = b"\napiserver_audit_"
_DURATION = re.compile(
    r"^apiserver_request_duration_seconds_(?:(count)|bucket)\{([^}]*)\} ([0-9.eE+-]+)(?: \d+)?$", re.MULTILINE
)
_A_SECOND = 'le="1"'
_LONG_RUNNING = ('verb="WATCH"', 'verb="CONNECT"', 'subresource="log"')  # they last as long as their clients want
_LIMIT = 64 << 20  # bytes; a busy server answers with several megabytes
_SECONDS = 10.0


class Counters(NamedTuple):
    """Since the process started. ``levels`` is empty while auditing is off; ``errors`` until the first one.

    ``events`` counts one per stage that was handed to the backends, whether they wrote it or not; ``errors`` lost events
    by plugin (log, webhook, buffered, truncate); ``rejected`` requests answered 500 by blocking-strict.
    """

    events: int = 0
    rejected: int = 0
    errors: Mapping[str, int] = {}
    levels: Mapping[str, int] = {}

    @property
    def auditing(self) -> bool:
        """Return whether the process evaluates a policy at all."""
        return bool(self.levels)


class Durations(NamedTuple):
    """How many requests the process has answered, those that run for long apart, and how many within a second."""

    answered: int
    within_a_second: int


def read(endpoint: Endpoint, credentials: Credentials) -> Counters | None:
    """Return the metrics of this instance; None where it does not answer, or refuses anonymous clients."""
    text = _page(endpoint, credentials)
    return parse(text) if text is not None else None


def read_durations(endpoint: Endpoint, credentials: Credentials) -> Durations | None:
    """Return how long this instance takes for its requests; None as in `read`."""
    text = _page(endpoint, credentials)
    return parse_durations(text) if text is not None else None


def _page(endpoint: Endpoint, credentials: Credentials) -> str | None:
    if credentials.anonymous:
        return None
    answer = endpoint.request("GET", "/metrics", credentials=credentials, timeout=_SECONDS, limit_bytes=_LIMIT)
    return answer.body.decode(errors="replace") if answer.status == 200 else None


def parse_durations(text: str) -> Durations:
    """Read the durations in the Prometheus text of ``/metrics``; other metrics are passed over."""
    answered = within = 0
    for is_count, labels, number in _DURATION.findall(text):
        if any(label in labels for label in _LONG_RUNNING):
            continue
        if is_count:
            answered += int(float(number))
        elif _A_SECOND in labels:
            within += int(float(number))
    return Durations(answered, within)


def process_start(text: str) -> float | None:
    """Return when the process started, as a Unix time; None where the text does not say so."""
    match = _START.search(text)
    return float(match[1]) if match is not None else None


def audit_end(page: bytes) -> int:
    """Return where the last line of an audit counter ends in a page of ``/metrics``; 0 where there is none."""
    last = page.rfind(_AUDIT)
    end = page.find(b"\n", last + 1) if last >= 0 else -1
    return len(page) if last >= 0 > end else end + 1


def is_cut(page: bytes) -> bool:
    """Return whether a page may end inside of its audit counters: no whole line stands behind them."""
    return b"\n" not in page[audit_end(page) :]


def parse(text: str) -> Counters:
    """Read the Prometheus text of ``/metrics``; other metrics are passed over."""
    totals: dict[str, int] = {}
    errors: dict[str, int] = {}
    levels: dict[str, int] = {}
    for name, label, number in _LINE.findall(text):
        value = int(float(number))
        match name:
            case "error_total":
                errors[label] = value
            case "level_total":
                levels[label] = value
            case _:
                totals[name] = value
    return Counters(totals.get("event_total", 0), totals.get("requests_rejected_total", 0), errors, levels)
