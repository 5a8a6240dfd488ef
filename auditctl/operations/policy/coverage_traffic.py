"""How often recorded traffic has requests of the kind that a detection looks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from auditctl.log.parallel import tallied
from auditctl.log.readers import reader
from auditctl.log.tally import Tally
from auditctl.log.tally_counting import TallyCounting
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import log_input
from auditctl.policy.types import Attributes

_EARLY = frozenset({"RequestReceived", "ResponseStarted"})
Kind = tuple[str, str, str, str]
"""Verb, API group, resource and subresource; of a request that is for no resource verb, "", path, ""."""


def recorded_kinds(plane: ControlPlane, logs: Sequence[str]) -> Counter[Kind]:
    """Return the requests of logs and tallies by kind, whoever made them.

    Raises:
        RefusedError: a log cannot be read.
    """
    reading = reader()
    with log_input(plane, logs) as opened:
        tally = tallied(opened.pieces, lambda pieces: TallyCounting(Tally(), reading).scan(pieces))
    kinds: Counter[Kind] = Counter()
    for each in (tally, *(loaded.tally for loaded in opened.tallies)):
        for key, cell in each.cells.items():
            if key.stage not in _EARLY:
                target = (key.group, key.resource, key.subresource) if key.resource else ("", key.path, "")
                kinds[key.verb, target[0], target[1], target[2]] += cell.sums[0]
    return kinds


def kind_of_request(attributes: Attributes) -> Kind:
    """Return the kind of a request."""
    if not attributes.is_resource_request:
        return attributes.verb, "", attributes.path, ""
    return attributes.verb, attributes.api_group, attributes.resource, attributes.subresource
