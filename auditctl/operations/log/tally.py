"""``log tally``: a log as counts, which may leave the node and add up with those of other nodes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from auditctl import facts
from auditctl.compatibility import UTC
from auditctl.errors import RefusedError, UsageError
from auditctl.log.parallel import tallied
from auditctl.log.readers import reader
from auditctl.log.tally import Tally, TallyNode
from auditctl.log.tally_counting import TallyCounting
from auditctl.log.tally_file import tally_bytes
from auditctl.operations.answer import CommandResult, amount
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import log_input
from auditctl.operations.page_file import write_output
from auditctl.operations.policy_files import read_policy, server_version
from auditctl.policy.load import load
from auditctl.policy.types import Policy

_STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyOptions:
    """The options of ``log tally``. ``policies`` are those whose object names are kept; ``names``: all are."""

    logs: tuple[str, ...] = ()
    to: str = _STANDARD_OUTPUT
    node: str | None = None
    names: bool = False
    policies: tuple[str, ...] = ()
    kubernetes: str | None = None
    processes: int | None = None
    is_terminal: bool = False


def log_tally(plane: ControlPlane, options: TallyOptions) -> CommandResult:
    """Write the tally of the logs, and of tallies among them, to a file or to standard output.

    Raises:
        RefusedError: a log cannot be read or the file cannot be written; UsageError: the tally would go to the terminal.
    """
    if options.to == _STANDARD_OUTPUT and options.is_terminal:
        raise UsageError("the tally is a compressed file: it is not for a terminal", fix="write it with --to FILE")
    names = None if options.names else _names(plane, options)
    reading = reader()
    with log_input(plane, options.logs) as logs:
        tally = tallied(
            logs.pieces, lambda pieces: TallyCounting(Tally(names), reading).scan(pieces), options.processes
        )
    if logs.pieces or not logs.tallies:
        tally.nodes = [_node(options.node or socket.gethostname(), tally)]
    else:  # an empty tally keeps no names: the tallies decide
        tally = Tally(logs.tallies[0].tally.names)
    for each in logs.tallies:
        tally.absorb(each.tally)
    return _written(tally, options)


def _names(plane: ControlPlane, options: TallyOptions) -> frozenset[str]:
    """Return the object names of the shipped policies, which tell nothing of the cluster, and of the named policies."""
    shipped = (load(facts.policy_text(name).encode()).policy for name in facts.policy_names())
    version = server_version(plane, options.kubernetes)
    named = (read_policy(name, version).policy for name in options.policies)
    return frozenset(name for policy in (*shipped, *named) if policy is not None for name in _resource_names(policy))


def _resource_names(policy: Policy) -> Iterable[str]:
    return (name for rule in policy.rules for entry in rule.resources for name in entry.resource_names)


def _node(name: str, tally: Tally) -> TallyNode:
    account, rates = tally.account, tally.rates
    first, last = ("", "") if rates.first is None else (_stamp(rates.first), _stamp(rates.last))
    return TallyNode(name, first, last, account.events, account.bytes)


def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _written(tally: Tally, options: TallyOptions) -> CommandResult:
    raw, account = tally_bytes(tally), tally.account
    summary = (
        f"{account.events} events ({amount(account.bytes)}) are {len(tally.cells)} cells in {amount(len(raw))}; "
        f"object names kept: {'all' if tally.names is None else len(tally.names)}"
    )
    document: dict[str, Any] = {
        "file": None if options.to == _STANDARD_OUTPUT else options.to,
        "bytes": len(raw),
        "cells": len(tally.cells),
        "foldedEvents": tally.folded_events,
        "names": "all" if tally.names is None else sorted(tally.names),
        "nodes": [node._asdict() for node in tally.nodes],
        "log": account.rows(),
    }
    notes, code = [*account.sentences()], int(account.is_no_log)
    if tally.folded_events:
        notes.append(
            f"{tally.folded_events} events are beyond the limits of a tally: policies cannot be replayed on them"
        )
    if options.to == _STANDARD_OUTPUT:
        return CommandResult(document=document, pieces=iter([raw]), notes=(*notes, summary), exit_code=code)
    _write(options.to, raw)
    return CommandResult(document=document, summary=f"{options.to}: {summary}", notes=tuple(notes), exit_code=code)


def _write(name: str, raw: bytes) -> None:
    """Write the file at once, so that nobody reads half of it."""
    try:
        write_output(Path(name), raw)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusedError(f"{name}: cannot write the tally: {reason}", check="tally-write") from error


def tally_schema() -> CommandResult:
    """Return the JSON Schema of a line of a tally."""
    text = facts.template("schemas", "tally.schema.json").read_text(encoding="utf-8")
    return CommandResult(document=json.loads(text), lines=tuple(text.splitlines()), verbatim=True)
