"""SQL over a log, by DuckDB: the view is ours, the engine is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from auditctl.errors import RefusedError, UsageError

_SLOT = "{{files}}"
_BODIES = "request_object, response_object"
_SETTINGS = {
    # nothing is loaded from the network, and nothing is written beside the logs
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
}


class SqlAnswer(NamedTuple):
    """The columns of a query, and its rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class SqlError(RefusedError):
    """DuckDB is not there, or cannot do it."""


@contextmanager
def events_view(view: str, files: Sequence[str], threads: int | None) -> Iterator[Any]:
    """Yield a connection that has the view ``events`` over these files.

    Raises:
        SqlError: DuckDB is not installed, or a log cannot be read.
    """
    try:
        import duckdb
    except ImportError as error:
        raise SqlError(
            "SQL over the log needs DuckDB, which is not installed",
            check="sql-missing",
            fix="pip install 'auditctl[sql]' (the single executable has it not)",
        ) from error
    connection = duckdb.connect(config={**_SETTINGS, **({"threads": str(threads)} if threads else {})})
    try:
        connection.execute(view.replace(_SLOT, f"[{', '.join(map(_literal, files))}]"))
        yield connection
    except duckdb.Error as error:
        raise _sentence(error) from error
    finally:
        connection.close()


def answer(connection: Any, query: str) -> SqlAnswer:
    """Return what one query gives."""
    result = connection.execute(query)
    columns = [column[0] for column in result.description or ()]
    return SqlAnswer(columns, result.fetchall() if columns else [])


def export_parquet(connection: Any, directory: str, node: str, *, with_bodies: bool) -> int:
    """Write the events as Parquet below ``directory`` (``day=.../node=...``); return their number.

    Files of the same node and day are replaced. Events without a time are of the day ``unknown``.
    """
    (count,) = connection.execute("select count(*) from events").fetchone()
    columns = "*" if with_bodies else f"* exclude ({_BODIES})"
    day = "coalesce(strftime(time, '%Y-%m-%d'), 'unknown') as day"
    rows = f"select {columns}, {day}, {_literal(node)} as node from events"  # noqa: S608 (our own words, and a quoted name)
    layout = "format parquet, compression zstd, partition_by (day, node), overwrite_or_ignore"
    connection.execute(f"copy ({rows}) to {_literal(directory)} ({layout})")
    return int(count)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sentence(error: Exception) -> Exception:
    """Return what DuckDB says in one line; a wrong query is the user's, all else a refusal."""
    first = " ".join(str(error).split("\n\n", maxsplit=1)[0].split())
    kind = type(error).__name__
    if kind in {"ParserException", "BinderException", "CatalogException", "ConversionException"}:
        return UsageError(f"the query is not understood: {first}", fix="auditctl log sql --view prints the columns")
    return SqlError(f"DuckDB cannot do it: {first}", check="sql-failed")
