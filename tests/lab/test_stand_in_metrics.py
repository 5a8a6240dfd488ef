"""`/metrics`: families, words and labels as kube-apiserver 1.36.3 shows them."""

from __future__ import annotations

from auditctl.lab.apiserver.audit_backends import BackendCounters
from auditctl.lab.apiserver.metrics import request_labels, text
from auditctl.policy.request import attributes

OFF = """\
# HELP apiserver_audit_event_total [ALPHA] Counter of audit events generated and sent to the audit backend.
# TYPE apiserver_audit_event_total counter
apiserver_audit_event_total 0
# HELP apiserver_audit_requests_rejected_total [ALPHA] Counter of apiserver requests rejected due to an error in audit logging backend.
# TYPE apiserver_audit_requests_rejected_total counter
apiserver_audit_requests_rejected_total 0
"""
LOSING = """\
# HELP apiserver_audit_error_total [ALPHA] Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.
# TYPE apiserver_audit_error_total counter
apiserver_audit_error_total{plugin="log"} 814
# HELP apiserver_audit_event_total [ALPHA] Counter of audit events generated and sent to the audit backend.
# TYPE apiserver_audit_event_total counter
apiserver_audit_event_total 814
# HELP apiserver_audit_level_total [ALPHA] Counter of policy levels for audit events (1 per request).
# TYPE apiserver_audit_level_total counter
apiserver_audit_level_total{level="Metadata"} 57
apiserver_audit_level_total{level="None"} 25
apiserver_audit_level_total{level="RequestResponse"} 333
# HELP apiserver_audit_requests_rejected_total [ALPHA] Counter of apiserver requests rejected due to an error in audit logging backend.
# TYPE apiserver_audit_requests_rejected_total counter
apiserver_audit_requests_rejected_total 0
"""
REAL_REQUEST = (
    'apiserver_request_total{code="200",component="",dry_run="",group="",resource="",scope="",subresource="/healthz",'
    'system_client="",verb="GET",version=""} 25'
)


def test_with_auditing_off_there_are_the_two_families_of_a_real_server_and_no_other() -> None:
    assert text(BackendCounters()) == OFF


def test_a_server_that_loses_events_shows_the_real_page() -> None:
    counters = BackendCounters(events=814)
    counters.errors["log"] = 814
    counters.levels.update({"RequestResponse": 333, "None": 25, "Metadata": 57})
    assert text(counters) == LOSING


def test_requests_have_the_real_labels() -> None:
    counters = BackendCounters()
    for _ in range(25):
        counters.count(request_labels(attributes("GET", "/healthz", None), 200, dry_run=False))
    last = text(counters).splitlines()[-1]
    assert last == REAL_REQUEST
