"""Refuse a policy that asks for more than a tally has kept: an answer from it would not be that of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditctl.errors import RefusedError
from auditctl.log.tally_views import shortfalls
from auditctl.operations.log_sources import LoadedTally
from auditctl.operations.policy_files import LoadedPolicyFile

_MOST_NAMED = 3


def require_enough(policies: Sequence[LoadedPolicyFile], tallies: Sequence[LoadedTally]) -> None:
    """Return if the tallies tell all that the policies ask for.

    Raises:
        RefusedError: they do not; the message has each rule with its line.
    """
    sentences = [sentence for named in policies for sentence in _sentences(named, tallies)]
    if not sentences:
        return
    more = f" (and {len(sentences) - _MOST_NAMED} more)" if len(sentences) > _MOST_NAMED else ""
    files = " ".join(f"--policy {named.name}" for named in policies)
    is_folded = any(tally.folded_events for _, tally in tallies)
    raise RefusedError(
        "; ".join(sentences[:_MOST_NAMED]) + more,
        check="tally-too-coarse",
        fix="name the log itself" if is_folded else f"tally the logs with `auditctl log tally {files}`",
    )


def _sentences(named: LoadedPolicyFile, tallies: Sequence[LoadedTally]) -> Iterator[str]:
    for name, tally in tallies:
        for each in shortfalls(named.policy, tally):
            subject = f"rules[{each.rule}] at {named.name}:{each.line}" if each.rule >= 0 else named.name
            yield f"{name} does not tell {each.names}, for which {subject} asks: {each.events} events are concerned"
