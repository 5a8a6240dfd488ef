"""``policy replay``: what a policy would have made of recorded traffic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from auditctl.log.aggregate import CellCounts
from auditctl.log.parallel import tallied
from auditctl.log.replay import Group, Replay, Sum, judge_of, replay
from auditctl.log.tally_views import cell_counts
from auditctl.operations.answer import CommandResult, amount, share, table
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import log_input
from auditctl.operations.policy.explain import notes
from auditctl.operations.policy.replay_nodes import nodes_document, nodes_table, replay_by_node
from auditctl.operations.policy.tally_shortfalls import require_enough
from auditctl.operations.policy_files import LoadedPolicyFile, read_policy, server_version
from auditctl.policy.types import Level

_MOST_LISTED = 20


class ReplayOptions(NamedTuple):
    """The options of ``policy replay``."""

    file: str
    logs: tuple[str, ...]
    against: str | None = None
    kubernetes: str | None = None
    processes: int | None = None


def policy_replay(plane: ControlPlane, options: ReplayOptions) -> CommandResult:
    """Return the traffic of the logs under the policy; exit code 0 whatever it says.

    Raises:
        PolicyError: the server would refuse a policy; RefusedError: a log cannot be read.
    """
    version = server_version(plane, options.kubernetes)
    policies = [read_policy(name, version) for name in filter(None, (options.file, options.against))]
    judge = judge_of(tuple(each.policy for each in policies))
    with log_input(plane, options.logs) as logs:
        require_enough(policies, logs.tallies)
        tally = tallied(logs.pieces, judge.scan_alone, options.processes)
    tally.absorb(cell_counts(judge, (each.tally for each in logs.tallies)))
    replayed = replay(judge, tally)
    nodes = replay_by_node(judge, logs.tallies)
    notes_of_all = (*tally.account.sentences(), *(note for each in policies for note in notes(each)))
    return CommandResult(
        document={**_document(replayed, policies, tally), **nodes_document(nodes)},
        lines=(*_lines(replayed, policies), *(("", *table(nodes_table(nodes))) if nodes else ())),
        summary=_summary(replayed),
        notes=notes_of_all,
    )


def _summary(replayed: Replay) -> str:
    before, after = replayed.baseline, replayed.predicted
    about = "about " if after.estimated_bytes else ""
    more = (
        "" if not replayed.unknown_bodies else f"; {replayed.unknown_bodies} of them with bodies of unknown size on top"
    )
    out = sum(group.requests for group in replayed.invisible)
    return (
        f"{after.events} events ({about}{amount(after.bytes)}) instead of {before.events} ({amount(before.bytes)}): "
        f"{share(after.events, before.events)} of the events, {share(after.bytes, before.bytes)} of the bytes{more}; "
        f"{out} requests would no longer be recorded, {sum(group.requests for group in replayed.visible)} would be new"
    )


def _lines(replayed: Replay, policies: Sequence[LoadedPolicyFile]) -> Iterator[str]:
    baseline_name = policies[1].name if len(policies) > 1 else "RECORDED"
    head = ("LEVEL", f"EVENTS {baseline_name}", "BYTES", f"EVENTS {policies[0].name}", "BYTES", "ESTIMATED OF IT")
    rows = [
        (name, before.events, amount(before.bytes), after.events, amount(after.bytes), amount(after.estimated_bytes))
        for name, (before, after) in replayed.levels.items()
        if before.events or after.events
    ]
    yield from table([head, *rows])
    yield ""
    yield from table([("RULE", "LEVEL", "EVENTS", "SHARE", "BYTES", "DROPPED"), *_rules(replayed, policies[0])])
    for title, groups in (("newly invisible", replayed.invisible), ("newly visible", replayed.visible)):
        if groups:
            yield ""
            yield f"{title} requests, sensitive ones first:"
            yield from table([_group(group, policies[0]) for group in groups[:_MOST_LISTED]])
            if len(groups) > _MOST_LISTED:
                yield f"and {len(groups) - _MOST_LISTED} more kinds (-o json has all)"
    yield ""
    yield f"{replayed.agreeing} of {replayed.recorded.events} events would keep their level"
    for stage, events in replayed.unrecorded.items():
        yield f"this policy writes {stage}, which the log lacks: about {events} events more"
    if replayed.predicted.estimated_bytes:
        yield "bytes above the recorded level are an estimate, from the bodies that the log has"
    if len(policies) < 2:
        yield "what was not recorded cannot be seen here: only a log of level RequestResponse shows all traffic"


def _rules(replayed: Replay, named: LoadedPolicyFile) -> Iterator[tuple[object, ...]]:
    for rule, sums in replayed.rules.items():
        events, size = sums.events, amount(sums.bytes)
        part = share(events, replayed.predicted.events)
        yield (_place(named, rule), _level(named, rule), events, part, size, replayed.dropped[rule])


def _place(named: LoadedPolicyFile, rule: int) -> str:
    return f"rules[{rule}] {named.name}:{named.policy.rules[rule].line}" if rule >= 0 else "no rule"


def _level(named: LoadedPolicyFile, rule: int) -> str:
    return (named.policy.rules[rule].level if rule >= 0 else Level.NONE).value


def _group(group: Group, named: LoadedPolicyFile) -> tuple[object, ...]:
    who = ", ".join(group.users) or "nobody (401)"
    by = ", ".join(_place(named, rule) for rule in group.rules)
    return (f"  {group.requests}", f"{group.verb} {group.target}", group.sensitive, f"by {who}", f"now: {by}")


def _document(replayed: Replay, policies: Sequence[LoadedPolicyFile], tally: CellCounts) -> dict[str, Any]:
    named = policies[0]
    events = tally.account.events
    return {
        "policy": named.name,
        "against": policies[1].name if len(policies) > 1 else None,
        "log": tally.account.rows(),
        "recorded": _sum(replayed.recorded),
        "baseline": _sum(replayed.baseline),
        "predicted": _sum(replayed.predicted),
        "agreeing": replayed.agreeing,
        "levels": [
            {"level": name, "baseline": _sum(before), "predicted": _sum(after)}
            for name, (before, after) in replayed.levels.items()
        ],
        "rules": [
            {
                "rule": rule,
                "line": named.policy.rules[rule].line if rule >= 0 else None,
                "level": _level(named, rule),
                **_sum(sums),
                "droppedEvents": replayed.dropped[rule],
            }
            for rule, sums in replayed.rules.items()
        ],
        "newlyInvisible": [_group_row(group) for group in replayed.invisible],
        "newlyVisible": [_group_row(group) for group in replayed.visible],
        "eventsWithBodiesOfUnknownSize": replayed.unknown_bodies,
        "stagesNotInLog": replayed.unrecorded,
        "decisionsKept": {
            "events": events,
            "misses": tally.misses,
            "hits": events - tally.misses,
            "usersRead": tally.users_met,
        },
    }


def _sum(sums: Sum) -> dict[str, int]:
    return {"events": sums.events, "bytes": sums.bytes, "estimatedBytes": sums.estimated_bytes}


def _group_row(group: Group) -> dict[str, Any]:
    return {
        "sensitive": group.sensitive or None,
        "verb": group.verb,
        "target": group.target,
        "requests": group.requests,
        "events": group.events,
        "bytes": group.bytes,
        "users": list(group.users),
        "rules": list(group.rules),
    }
