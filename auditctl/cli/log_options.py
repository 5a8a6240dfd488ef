"""Options that the commands on logs share, each declared once."""

from __future__ import annotations

from typing import Annotated

import typer

Many = list[str] | None
Logs = Annotated[
    Many,
    typer.Argument(
        metavar="[LOG...]", help="Logs (.gz too), directories, - for standard input; default: the node's own."
    ),
]
LogOption = Annotated[Many, typer.Option("--log", metavar="LOG", help="The same as an option.")]
LogOptionAlone = Annotated[
    Many, typer.Option("--log", metavar="LOG", help="Logs (.gz too), directories, -; default: the node's own.")
]
Processes = Annotated[int | None, typer.Option("--processes", min=1, metavar="N", help="Default: one a core.")]
Kubernetes = Annotated[
    str | None, typer.Option(metavar="VERSION", help="The server's version; default: the newest known.")
]
User = Annotated[
    Many, typer.Option(metavar="USER", help="Filters: ! before a value negates, * is any text, several are or.")
]
UserGroup = Annotated[Many, typer.Option(metavar="GROUP")]
Verb = Annotated[Many, typer.Option(metavar="VERB", help="get, list, ... or several with commas; !watch.")]
Resource = Annotated[Many, typer.Option(metavar="RESOURCE[/SUB][.GROUP]")]
Namespaces = Annotated[Many, typer.Option("--namespace", metavar="NAMESPACE")]
Code = Annotated[Many, typer.Option(metavar="CODE", help="403, 4xx, 500-599, !200.")]
Agent = Annotated[Many, typer.Option(metavar="AGENT", help="Client's user agent, e.g. kubectl*.")]
SourceIp = Annotated[Many, typer.Option(metavar="ADDRESS", help="10.0.0.7 or 10.0.0.0/8.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="RFC 3339 (UTC without a zone), or a duration ago (15m, 2d).")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="As --since; a date is the end of that day.")]
