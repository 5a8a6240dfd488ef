"""The options that every changing command takes, as typer declares them."""

from typing import Annotated

import typer

from auditctl.operations.change_model import ALLOWED_CHECKS

UnknownResources = Annotated[
    bool, typer.Option("--unknown-resources", help="Let resources through that the API has not of its own (CRDs).")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print diff, plan and expected outage; touch nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Write and return; nothing is proved.")]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="DURATION", help="For restart and receipt; an undo gets the same again.")
]
Drain = Annotated[
    str | None,
    typer.Option(
        "--drain",
        metavar="DURATION",
        help="How long the old process may linger once it has stopped listening; 0 leaves it to the kubelet. Default 5s; 0 with a webhook, "
        "a batch mode or another control plane.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CHECK", help=f"Go on although CHECK fails: {', '.join(ALLOWED_CHECKS)}."),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Do not ask before a restart (asked only on a terminal, on the node itself)."),
]
NoDowntime = Annotated[
    str,
    typer.Option(
        "--no-downtime",
        metavar="[=auto]",
        help="A standby server serves while the API server restarts; refused where that cannot be done, with =auto done without.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings refuse too.")]
NoRollback = Annotated[bool, typer.Option("--no-rollback", help="Leave a failed change as it is (exit 5).")]
