"""``log sql`` and ``log export``: SQL over a log, and a log as Parquet."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from auditctl import facts
from auditctl.errors import RefusedError, UsageError
from auditctl.log.sources import close
from auditctl.log.sql import answer, events_view, export_parquet
from auditctl.operations.answer import CommandResult, table
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import opened

_VIEW = "events.sql"
_MOST_WIDE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The options of ``log export``."""

    parquet: str
    logs: tuple[str, ...] = ()
    node: str | None = None
    with_bodies: bool = False
    processes: int | None = None


def sql_view() -> CommandResult:
    """Return the text of the view."""
    text = _view()
    return CommandResult(document={"view": text}, lines=tuple(text.splitlines()), verbatim=True)


def _view() -> str:
    return facts.template(_VIEW).read_text(encoding="utf-8")


def log_sql(plane: ControlPlane, query: str, logs: Sequence[str], processes: int | None) -> CommandResult:
    """Return the rows of a query over the view ``events``.

    Raises:
        UsageError: the query is not understood; RefusedError: DuckDB is not installed, or a log cannot be read.
    """
    with events_view(_view(), _files(plane, logs), processes) as connection:
        result = answer(connection, query)
    rows = [dict(zip(result.columns, map(_plain, row), strict=True)) for row in result.rows]
    cells = [[_cell(value) for value in row] for row in result.rows]
    return CommandResult(
        document={"columns": result.columns, "rows": rows},
        lines=tuple(table([[name.upper() for name in result.columns], *cells])) if result.columns else (),
        notes=(f"{len(rows)} rows; what is no event is not in the view",),
    )


def log_export(plane: ControlPlane, options: ExportOptions) -> CommandResult:
    """Write the log as Parquet, a folder a day and node.

    Raises:
        UsageError: the folder has no name; RefusedError: DuckDB is not installed, or a file cannot be read or written.
    """
    if not options.parquet:
        raise UsageError("--parquet: the name is empty", fix="name a folder")
    node = options.node or socket.gethostname()
    files = _files(plane, options.logs)
    try:
        Path(options.parquet).mkdir(mode=0o700, parents=True, exist_ok=True)
        mask = os.umask(0o077)  # it says who did what, as the log does
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusedError(f"{options.parquet}: cannot make the folder: {reason}", check="export-directory") from error
    try:
        with events_view(_view(), files, options.processes) as connection:
            count = export_parquet(connection, options.parquet, node, with_bodies=options.with_bodies)
    finally:
        os.umask(mask)
    bodies = "with bodies" if options.with_bodies else "without bodies"
    return CommandResult(
        document={"directory": options.parquet, "node": node, "events": count, "bodies": options.with_bodies},
        summary=f"{options.parquet}: {count} events of node {node}, {bodies}; what is no event was left out",
    )


def _files(plane: ControlPlane, logs: Sequence[str]) -> list[str]:
    """Return the files, each looked at once, so that one that cannot be read is said in our words."""
    sources = opened(plane, logs)
    close(sources)
    if any(source.streams for source in sources):
        raise UsageError("SQL reads files, not a pipe", fix="name the file")
    return [source.name for source in sources]


def _plain(value: Any) -> Any:
    """Return the value as JSON has it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | tuple):
        return list(map(_plain, value))
    return {str(key): _plain(each) for key, each in value.items()} if isinstance(value, dict) else str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    plain = _plain(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return text if len(text) <= _MOST_WIDE else f"{text[:_MOST_WIDE]}..."
