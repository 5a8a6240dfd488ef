"""The desired configuration: what options name, units in the names. Pure data; the plan compares it with the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

POLICY_PATH = "/etc/kubernetes/audit/policy.yaml"
WEBHOOK_PATH = "/etc/kubernetes/audit/webhook.yaml"
LOG_PATH = "/var/log/kubernetes/audit/audit.log"
STANDARD_OUTPUT = "-"  # `--audit-log-path=-`: the exact string; /dev/stdout would be rotated like a file

RECEIVER = "auditctl-lab receiver"  # how `lab receiver` names itself in its Server header

POLICY_FLAG = "audit-policy-file"
LOG_FLAG = "audit-log-path"
WEBHOOK_FLAG = "audit-webhook-config-file"
MAXAGE_FLAG = "audit-log-maxage"
MAXBACKUP_FLAG = "audit-log-maxbackup"
MAXSIZE_FLAG = "audit-log-maxsize"

# Written where the manifest sets nothing: up to 1.35 the server keeps rotated files for ever (CHANGELOG-1.36).
ROTATION_DEFAULTS: Mapping[str, str] = {MAXAGE_FLAG: "30", MAXBACKUP_FLAG: "10", MAXSIZE_FLAG: "100"}

POLICY_ANNOTATION = "auditctl/policy-sha256"
ENDING_ANNOTATION = "auditctl/ending"  # of a text that stands only until the kubelet has ended the old Pod

POLICY_VOLUME = "audit-policy"
LOG_VOLUME = "audit-log"
WEBHOOK_VOLUME = "audit-webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``enable`` was asked for. None: not named, so the manifest's own value stays, else the default applies.

    Paths are container paths. ``log`` False is ``--no-log``; ``webhook`` True installs at the webhook path, False is
    ``--no-webhook``. ``set_flags`` and ``unset_flags`` name flags without dashes.
    """

    policy_path: str | None = None
    log_path: str | None = None
    log: bool | None = None
    log_maxage_days: int | None = None
    log_maxbackup_files: int | None = None
    log_maxsize_megabytes: int | None = None
    webhook: bool | None = None
    set_flags: Mapping[str, str] = field(default_factory=dict)
    unset_flags: frozenset[str] = frozenset()
