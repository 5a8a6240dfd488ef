"""The audit counters in the text of /metrics, as a real 1.36 writes it."""

from __future__ import annotations

from auditctl.node.apiserver.metrics import parse
from auditctl.operations.evidence import counters

ON = """\
# HELP apiserver_audit_error_total [ALPHA] Counter of audit events that failed to be audited properly.
# TYPE apiserver_audit_error_total counter
apiserver_audit_error_total{plugin="log"} 3
apiserver_audit_error_total{plugin="buffered"} 1.2e+06
# TYPE apiserver_audit_event_total counter
apiserver_audit_event_total 41
apiserver_audit_level_total{level="Metadata"} 20
apiserver_audit_level_total{level="None"} 5
apiserver_audit_requests_rejected_total 2
apiserver_request_total{code="200"} 99
"""
OFF = "apiserver_audit_event_total 0\napiserver_audit_requests_rejected_total 0\n"


def test_every_counter_is_read_with_its_label() -> None:
    read = parse(ON)
    assert read.events == 41
    assert read.rejected == 2
    assert read.errors == {"log": 3, "buffered": 1_200_000}
    assert read.levels == {"Metadata": 20, "None": 5}


def test_without_levels_the_process_evaluates_no_policy() -> None:
    assert not parse(OFF).auditing
    assert [finding.check for finding in counters.findings(parse(OFF), enabled=True)] == ["not-auditing"]
    assert not list(counters.findings(parse(OFF), enabled=False))


def test_lost_events_and_refused_requests_are_told_with_what_to_do() -> None:
    found = {finding.message.split(",")[0] for finding in counters.findings(parse(ON), enabled=True)}
    assert any(text.startswith("3 audit events could not be written to the log") for text in found)
    assert any("batch buffer was full" in text for text in found)
    assert any(text.startswith("2 requests were answered 500") for text in found)


def test_rates_are_told_from_the_second_look_on_and_never_across_a_restart() -> None:
    memory = counters.Memory()
    first, second = parse(ON), parse(ON.replace("event_total 41", "event_total 61"))
    assert memory.before(first, 10.0) is None
    lines = list(counters.lines(second, memory.before(second, 20.0)))
    assert lines[0].endswith("; now 2.0 events/s of 0.0 requests/s")
    assert "now" not in next(iter(counters.lines(first, memory.before(first, 30.0))))


def test_a_proof_during_which_events_are_lost_does_not_hold() -> None:
    before, after = parse(ON), parse(ON.replace('"log"} 3', '"log"} 4'))
    assert [check.status.value for check in counters.check(before, after)] == ["failed"]
    assert [check.status.value for check in counters.check(before, before)] == ["passed"]
    assert not list(counters.check(None, after))
    assert not list(counters.check(after, parse(OFF)))
