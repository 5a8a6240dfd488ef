"""Real manifests from public repositories: edited exactly, or refused with file and reason."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.manifest.document import Document
from auditctl.manifest.plan import plan_disable, plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.settings import Settings

from .pods import CORPUS, disabled, enabling

EXACT = "exact"

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="manifests of other projects are not ours to publish")


def outcome(path: Path) -> str:
    """``exact``, or why it is refused. Exact means: all laws hold on it."""
    raw = path.read_bytes()
    try:
        pod = Manifest.of(Document.parse(raw, path.name))
        plan = plan_enable(pod, Settings())
    except RefusedError as refusal:
        return str(refusal)
    rest = iter(plan.after.splitlines())
    kept = all(line in rest for line in raw.decode().splitlines())
    again = enabling(plan.after).changes
    back = disabled(plan.after)
    undone = back == raw.decode() if not pod.audit_flags else back == plan_disable(pod).after or bool(plan.before)
    return EXACT if kept and not again and undone else f"NOT EXACT: kept={kept} again={again} undone={undone}"


@cache
def table(folder: str) -> dict[str, str]:
    return {path.name: outcome(path) for path in sorted((CORPUS / folder).glob("*.yaml"))}


def test_at_least_74_of_98_manifests_are_edited_exactly_and_each_other_is_refused_with_its_name() -> None:
    results = table("manifests")
    refused = {name: result for name, result in results.items() if result != EXACT}
    print("\n".join(f"{name}\t{result}" for name, result in refused.items()))
    assert len(results) == 98
    assert len(results) - len(refused) >= 74
    assert [result for result in refused.values() if "NOT EXACT" in result] == []
    assert all(result.startswith(name) for name, result in refused.items())


def test_templates_are_refused_or_plain_yaml_after_all() -> None:
    results = table("manifests-templated")
    refused = {name: result for name, result in results.items() if result != EXACT}
    print("\n".join(f"{name}\t{result}" for name, result in refused.items()))
    assert [result for result in refused.values() if "NOT EXACT" in result] == []
    for name in set(results) - set(refused):
        text = (CORPUS / "manifests-templated" / name).read_text()
        assert not any(marker in text for marker in ("{{", "{%", "<%", "${")), name
