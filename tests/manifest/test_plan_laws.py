"""The laws of the edit, over manifests in every spelling."""

from __future__ import annotations

import os
import re

import jsonpatch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditctl.errors import RefusedError
from auditctl.manifest.document import load
from auditctl.manifest.plan import plan_disable, plan_enable
from auditctl.settings import LOG_FLAG, POLICY_FLAG, Settings

from .drawn import texts
from .pods import CORPUS, annotated, disabled, enabled, enabling, manifest

EXAMPLES = int(os.environ.get("AUDITCTL_EXAMPLES", "40"))  # a night's run: thousands
SLOW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
BREAK = re.compile("(?<=\n)")
DIGESTS = ("a" * 64, "0123456789" * 6 + "e123", "1" * 64)
WEBHOOK = Settings(webhook=True, set_flags={"audit-webhook-batch-max-size": "200", "audit-webhook-mode": "batch"})


@SLOW
@given(texts())
def test_disable_undoes_enable_byte_for_byte(text: str) -> None:
    assert disabled(enabled(text)) == text


@SLOW
@given(texts(), st.sampled_from(DIGESTS))
def test_disable_undoes_enable_with_changes_of_policy_path_and_webhook_in_between(text: str, digest: str) -> None:
    moved = Settings(
        policy_path="/etc/kubernetes/audit-2/p.yaml", log_path="/var/log/kube audit/a: b.log", webhook=True
    )
    changed = enabled(annotated(enabled(text, sha256="b" * 64), digest), moved)
    without = enabled(changed, Settings(webhook=False, log_path="-", log_maxage_days=7))
    assert disabled(without) == text
    assert disabled(changed) == text


@SLOW
@given(texts(), st.sampled_from((Settings(), WEBHOOK)))
def test_enable_twice_is_enable_once(text: str, asked: Settings) -> None:
    once = enabled(text, asked, sha256=DIGESTS[0])
    twice = enabling(once, asked, sha256=DIGESTS[0])
    assert not twice.changes
    assert twice.edits == ()


@SLOW
@given(texts())
def test_the_new_text_says_what_the_patch_says_and_keeps_every_line(text: str) -> None:
    plan = enabling(text, WEBHOOK)
    assert load(plan.after) == jsonpatch.apply_patch(load(text), plan.patch)
    assert is_subsequence([line.rstrip("\r\n") for line in BREAK.split(text)], BREAK.split(plan.after))
    assert plan.after.endswith("\n") == text.endswith("\n")


def is_subsequence(lines: list[str], others: list[str]) -> bool:
    rest = iter(line.rstrip("\r\n") for line in others)
    return all(line in rest for line in lines)


@SLOW
@given(texts())
def test_a_comment_keeps_the_line_below_it_and_above_it_wherever_there_is_room(text: str) -> None:
    before, after = text.splitlines(), enabled(text).splitlines()
    for number, line in enumerate(before):
        if line.lstrip(" \ufeff").startswith("#") and before.count(line) == 1 and number + 1 < len(before):
            assert after[after.index(line) + 1] == before[number + 1]


@SLOW
@given(texts())
def test_the_server_gets_the_flags_and_their_files_are_on_the_host(text: str) -> None:
    pod = manifest(enabled(text))
    assert pod.audit_flags[POLICY_FLAG] == "/etc/kubernetes/audit/policy.yaml"
    policy, log = pod.host_path(pod.audit_flags[POLICY_FLAG]), pod.host_path(pod.audit_flags[LOG_FLAG])
    assert policy
    assert log
    assert (policy.path, policy.read_only, policy.type) == ("/etc/kubernetes/audit/policy.yaml", True, "File")
    assert (log.path, log.read_only, log.exact) == ("/var/log/kubernetes/audit/audit.log", False, False)


@SLOW
@given(texts())
def test_a_new_line_ends_as_the_line_above_it(text: str) -> None:
    after = enabled(text)
    if "\n" not in text.replace("\r\n", ""):
        assert "\n" not in after.replace("\r\n", "")
    if "\r" not in text:
        assert "\r" not in after


@st.composite
def damaged(draw: st.DrawFn) -> str:
    sources = sorted(CORPUS.glob("manifests/*.yaml"))
    text = draw(st.sampled_from(sources)).read_bytes().decode() if sources and draw(st.booleans()) else draw(texts())
    if draw(st.booleans()):
        text = enabled_or_same(text)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.sampled_from((0, 0, 1, 2, 40)))
        piece = draw(st.sampled_from(PIECES) | st.text(max_size=3))
        text = text[:at] + piece + text[at + cut :]
    return text


PIECES = (
    *(
        "",
        "\n",
        "\r",
        "\t",
        " ",
        "  ",
        ":",
        ": ",
        "- ",
        "-",
        "#",
        " #",
        "'",
        '"',
        "|",
        ">-\n",
        "&a ",
        "*a",
        "!!int ",
        "!x ",
        "? ",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "{}",
        "[]",
        ",",
        "%",
        "@",
        "`",
        "\\",
        "\0",
        "\x85",
        "\u2028",
        "\ufeff",
        "---\n",
        "...\n",
        "<<: *a\n",
    ),
    *(
        "null",
        "~",
        "1",
        "true",
        "--audit-log-path",
        "--audit-log-path=/x/y",
        "-audit-policy-file=/x",
        "--audit_log_maxage",
        "--",
    ),
    *(
        "\n    - --audit-log-path\n    - /var/log/k/a.log",
        "volumes:",
        "volumeMounts:\n",
        "command:",
        "args: []\n",
        "subPath: a\n",
    ),
    *(
        "0x",
        "1_0",
        ".inf",
        ".nan",
        "1e999",
        "9" * 400,
        "0o8",
        "=",
        "<<",
        "!!float a",
        "!!null a",
        "\\U99999999",
        '"\\x',
        "%YAML 9.9\n",
    ),
)


def enabled_or_same(text: str) -> str:
    try:
        return enabled(text)
    except RefusedError:
        return text


@settings(max_examples=4 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged())
def test_a_damaged_text_is_edited_exactly_or_refused_and_never_a_traceback(text: str) -> None:
    for planned in (
        lambda: plan_enable(manifest(text), WEBHOOK, policy_sha256=DIGESTS[0]),
        lambda: plan_disable(manifest(text)),
    ):
        try:
            plan = planned()
        except RefusedError:
            continue
        except UnicodeEncodeError:
            assert re.search("[\ud800-\udfff]", text)
        else:
            assert load(plan.after) == jsonpatch.apply_patch(load(text), plan.patch)
