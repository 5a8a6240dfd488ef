"""``policy schema``: the format of audit policies for editors and for checks of many files."""

from __future__ import annotations

import json

from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import NEWEST, server_version, words
from auditctl.policy.json_schema import json_schema


def schema(plane: ControlPlane, kubernetes: str | None) -> CommandResult:
    """Return the JSON Schema of the policies that a server of that version loads.

    Raises:
        UsageError: ``kubernetes`` is no version.
    """
    version = server_version(plane, kubernetes)
    document = json_schema(min(version, NEWEST))
    notes = (f"the schema is that of {words(version)}",) if version > NEWEST else ()
    return CommandResult(document=document, lines=(json.dumps(document, indent=2),), notes=notes)
