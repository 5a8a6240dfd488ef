"""Requirements as their authors write them: each kind is read, and what is wrong is told by number and word."""

from __future__ import annotations

from typing import Any

import pytest

from auditctl.errors import AuditctlError
from auditctl.lab.grading import requirements
from auditctl.lab.grading.flags import FlagAbsent, FlagRequirement
from auditctl.lab.grading.pod_and_files import Mounted
from auditctl.lab.grading.requirements import read, read_text
from auditctl.lab.grading.server_and_log import Serving

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"


def test_every_kind_that_the_docstring_shows_is_read_as_it_is_shown() -> None:
    """The docstring is what lab authors are sent to."""
    shown = (requirements.__doc__ or "").partition("::")[2]
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    text = "\n".join("- " + line for line in lines)
    for word, value in (
        ("REQUEST", "get pods in test"),
        ("LEVEL", "Metadata"),
        ("STAGE", "RequestReceived"),
        (": TEXT", ": '" + POLICY.replace("\n", "\n\n  ") + "'"),
        ("PATH", "/etc/p"),
        (", ...]", "]"),
        ("URL", "https://h/x"),
    ):
        text = text.replace(word, value)

    wanted = read(read_text(text))

    assert len(wanted) == len(lines)
    assert {type(want).__name__ for want in wanted} == {
        *(
            "Serving",
            "ReceiptRequirement",
            "FlagRequirement",
            "FlagAbsent",
            "Expect",
            "Stages",
            "SamePolicy",
            "LogHostPath",
            "Mounted",
        ),
        *("Unmounted", "NoStrays", "Persisted", "Recorded", "PolicyFile", "Predictions", "FileThere", "Webhook"),
    }


def test_flags_are_named_in_any_spelling() -> None:
    wants = [
        {"flag": {"name": "--audit_log_maxage", "value": 30}},
        {"flag": {"name": "audit-log-compress", "value": True}},
        {"flag-absent": "--audit-webhook-*"},
        {"serving": True},
        {"mount": {"flag": "audit-log-path"}},
    ]

    assert read(wants) == (
        FlagRequirement("audit-log-maxage", "30"),
        FlagRequirement("audit-log-compress", "true"),
        FlagAbsent("audit-webhook-*"),
        Serving(),
        Mounted("audit-log-path"),
    )


@pytest.mark.parametrize(
    ("wants", "says"),
    [
        ({"serving": True}, "requirements are a list"),
        (["serving"], "requirement 1: a mapping of one kind"),
        ([{"serving": True}, {"recipt": True}], "requirement 2: 'recipt' is not a kind of requirement"),
        ([{"serving": False}], "requirement 1 (serving): is written with 'true', not False"),
        ([{"flag": {"name": "audit-log-maxag", "value": 1}}], "'audit-log-maxag' is not an audit flag"),
        ([{"flag": {"name": "log-maxage", "value": 1}}], "'log-maxage' is not an audit flag"),
        ([{"flag": {"name": "audit-log-maxage"}}], "'value' is missing"),
        ([{"flag": {"name": "audit-log-maxage", "value": [1]}}], "'value' is to be one value"),
        ([{"expect": "get pods Metadata"}], "has no '->'"),
        ([{"expect": "get pods -> Metada"}], "'Metada' is not a level"),
        ([{"expect": "pods -> Metadata"}], "a verb and a resource"),
        ([{"omits": "get pods without RequestReceived"}], "has no ' omits '"),
        ([{"omits": "get pods omits Received"}], "'Received' is not a stage"),
        ([{"stages": {"request": "get pods", "are": "ResponseComplete"}}], "'are' is to be a list of texts"),
        ([{"policy-same-as": POLICY.replace("Metadata", "Metada")}], "the API server would refuse that policy"),
        ([{"mount": {"flag": "audit-log-maxage"}}], "'audit-log-maxage' names no file"),
        ([{"mount": {"flag": "audit-log-path", "directory": "yes"}}], "'directory' is to be true or false"),
        ([{"log-host-path": "audit.log"}], "'audit.log' is not an absolute path"),
        ([{"file": "/etc/x"}], "a mapping with 'path' is needed"),
        ([{"mount": {"flag": "audit-log-path", "directroy": False}}], "'directroy' is not a field of it"),
        ([{"flag": {"name": "audit-log-maxage", "value": 1, "extra": 2}}], "'extra' is not a field of it"),
        ([{"webhook": {"server": "https://h:99999/x"}}], "'https://h:99999/x' is no URL"),
    ],
)
def test_a_wrong_requirement_is_told_by_its_number_and_the_word(wants: Any, says: str) -> None:
    with pytest.raises(AuditctlError) as caught:
        read(wants)

    assert says in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_near_miss_is_answered_with_the_right_word() -> None:
    with pytest.raises(AuditctlError) as kind:
        read([{"recipt": True}])
    with pytest.raises(AuditctlError) as flag:
        read([{"flag-absent": "audit-log-maxsiz"}])

    assert (kind.value.fix, flag.value.fix) == ("did you mean 'receipt'?", "did you mean 'audit-log-maxsize'?")


@pytest.mark.parametrize("text", ["", "wants:", "serving: true", "- [", "a\n", "<% a %>: {{ b }}\n"])
def test_a_text_that_holds_no_requirements_is_refused(text: str) -> None:
    with pytest.raises(AuditctlError) as caught:
        read(read_text(text, "w.yaml"))

    assert "w.yaml" in str(caught.value)
    assert "manifest" not in str(caught.value)
