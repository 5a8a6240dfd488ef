"""``policy suggest``: rules that would save most of what a policy writes, and the policy with them in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from auditctl.log.aggregate import CellCounts, PolicyMatcher
from auditctl.log.parallel import tallied
from auditctl.log.replay import decided, writes
from auditctl.log.sensitive import kind_of
from auditctl.log.suggest import Suggestion, suggestions, yaml_of
from auditctl.log.tally_views import cell_counts
from auditctl.operations.answer import CommandResult, amount, share
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import log_input, node_policy
from auditctl.operations.policy.tally_shortfalls import require_enough
from auditctl.operations.policy_files import Version, built_in, read, read_policy, server_version
from auditctl.policy import lint
from auditctl.policy.load import load
from auditctl.policy.types import Policy

_LEAST_SHARE = 0.005


class SuggestOptions(NamedTuple):
    """The options of ``policy suggest``; ``policy`` is what the rules are added to (None: the node's own, else baseline)."""

    logs: tuple[str, ...]
    policy: str | None = None
    most: int = 8
    kubernetes: str | None = None
    processes: int | None = None


class _PolicyVolume(NamedTuple):
    """What the policy writes of the log, and how many sensitive events are in that."""

    events: int
    sensitive: int


def policy_suggest(plane: ControlPlane, options: SuggestOptions) -> CommandResult:
    """Print the policy with the rules in it; what they save is in comments, and in ``-o json``.

    Raises:
        PolicyError: the server would refuse the policy; RefusedError: a log cannot be read.
    """
    version = server_version(plane, options.kubernetes)
    name = options.policy or node_policy(plane, options.logs) or "baseline"
    named = read_policy(name, version)
    judge = PolicyMatcher((named.policy,), by_user=True)
    with log_input(plane, options.logs) as logs:
        require_enough((named,), logs.tallies)
        tally = tallied(logs.pieces, judge.scan_alone, options.processes)
    tally.absorb(cell_counts(judge, (each.tally for each in logs.tallies)))
    written = _policy_volume(judge, tally)
    chosen = [each for each in suggestions(judge, tally, options.most) if each.events >= written.events * _LEAST_SHARE]
    text, kept = _text(read(name).raw.decode(), named.policy, chosen, written, version)
    saved = sum(each.events for each in kept)
    summary = (
        f"{len(kept)} rule{'s' if len(kept) != 1 else ''} would save {saved} of the {written.events} events that {name} writes of this log "
        f"({share(saved, written.events)}); all sensitive ones ({written.sensitive}) stay"
    )
    document = {
        "policy": name,
        "log": tally.account.rows(),
        "events": written.events,
        "savedEvents": saved,
        "sensitiveEvents": written.sensitive,
        "suggestions": [_row(each) for each in kept],
        "text": text,
    }
    more = len(chosen) - len(kept)
    left = f"{more} more are left out: with them in it, `policy validate` would have something to say of {name}"
    all_notes = (*tally.account.sentences(), *((left,) if more else ()), summary)
    return CommandResult(
        document=document, lines=tuple(text.removesuffix("\n").split("\n")), notes=all_notes, verbatim=True
    )


def _policy_volume(judge: PolicyMatcher, tally: CellCounts) -> _PolicyVolume:
    events = sensitive = 0
    for key, volume, _ in tally.volumes():
        if writes(decided(judge, key, 0), key.stage):
            events += volume.events
            sensitive += volume.events if kind_of(key.group, key.resource, key.subresource) else 0
    return _PolicyVolume(events, sensitive)


def _row(each: Suggestion) -> dict[str, Any]:
    dropping = each.rule
    return {
        "reason": each.reason,
        "savedEvents": each.events,
        "savedBytes": each.bytes,
        "sensitiveEventsDropped": each.sensitive_events,
        "proof": each.proof,
        "rule": {
            "level": dropping.level.value,
            "users": list(dropping.users),
            "verbs": list(dropping.verbs),
            "resources": [{"group": entry.group, "resources": list(entry.resources)} for entry in dropping.resources],
            "nonResourceURLs": list(dropping.non_resource_urls),
        },
    }


def _text(
    base: str, policy: Policy, chosen: list[Suggestion], written: _PolicyVolume, version: Version
) -> tuple[str, list[Suggestion]]:
    """The policy with the rules before its own first one. A rule that validation has something to say about is left out."""
    kept: list[Suggestion] = []
    before = _complaints(base, version)
    for each in chosen:
        if _complaints(_spliced(base, policy, [*kept, each], written), version) <= before:
            kept.append(each)
    return _spliced(base, policy, kept, written), kept


def _complaints(text: str, version: Version) -> set[str]:
    raw = text.encode()
    loaded = load(raw, version)
    if loaded.policy is None:
        return {loaded.error or "refused"}
    warned = lint.warnings(raw, loaded.policy, built_in(version), places=loaded.places)
    return {finding.check for finding in (*loaded.findings, *warned)}


def _spliced(base: str, policy: Policy, kept: list[Suggestion], written: _PolicyVolume) -> str:
    """Return the base's own text, comments and all; the rules stand where its first rule stood."""
    if not kept or not policy.rules:
        return base
    lines = base.splitlines()
    first = policy.rules[0].line - 1
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    own = lines[policy.rules[0].line - 1]
    indent = own[: len(own) - len(own.lstrip())]
    added = [line for each in kept for line in (*yaml_of(each.rule, _comment(each, written), indent), "")]
    return "\n".join((*lines[:first], *added, *lines[first:])) + "\n"


def _comment(each: Suggestion, written: _PolicyVolume) -> str:
    saved = f"{each.events} of {written.events} events ({share(each.events, written.events)}, {amount(each.bytes)})"
    return f"{each.reason}: saves {saved}; nothing sensitive matches it"
